//! Time of what lies between the decoder and the evaluators, and behind them: `metric_speed [ROUNDS] [BATCH]`.
//!
//! Prints the fastest of the rounds in milliseconds a pair, forward and backward, on one thread and on two. Value and
//! gradient of a segmentation loss come together.

use std::time::Instant;

use gradients::{Hard, PixelLoss, RoundTrip, Segmentation, Yuv6};
use rayon::ThreadPoolBuilder;

const HEIGHT: usize = 384;
const WIDTH: usize = 512;
const CLASSES: usize = 5;

/// Smooth planes in 0 to 1, some of it black or white.
fn planes(count: usize) -> Vec<f32> {
    let pixel = |i: usize| 0.5 + 0.6 * ((i % WIDTH) as f32 / 31.0).sin() * ((i / WIDTH) as f32 / 47.0).cos();
    (0..count * HEIGHT * WIDTH).map(|i| pixel(i).clamp(0.0, 1.0)).collect()
}

fn milliseconds(rounds: usize, f: impl Fn()) -> f64 {
    let time = || {
        let start = Instant::now();
        f();
        1e3 * start.elapsed().as_secs_f64()
    };
    (0..rounds).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let (rounds, n) = (arguments.next().unwrap_or(20), arguments.next().unwrap_or(2));
    let native = (HEIGHT, WIDTH);
    let round_trip = RoundTrip { native, camera: (874, 1164), input: native, round: true };
    let yuv6 = Yuv6 { height: HEIGHT, width: WIDTH };
    let decoded = planes(6 * n);
    let logits: Vec<f32> = planes(CLASSES * n).into_iter().map(|v| 10.0 * v).collect();
    let targets: Vec<u8> = (0..n * HEIGHT * WIDTH).map(|i| (i / 40 % CLASSES) as u8).collect();
    let hard = Some(Hard { factor: 4.0, threshold: 1.0 });
    let losses = [
        ("cross-entropy", PixelLoss::CrossEntropy, None),
        ("softplus, hard pixels", PixelLoss::Softplus { tau: 0.3 }, hard),
        ("sigmoid", PixelLoss::Sigmoid { tau: 0.3 }, None),
    ];
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        println!("{threads} threads, batch of {n}     forward  backward   ms a pair");
        pool.install(|| {
            let print = |name: &str, forward: f64, backward: f64| {
                println!("{name:25} {:9.2} {:9.2}", forward / n as f64, backward / n as f64);
            };
            let (seen, kept) = round_trip.forward(6 * n, &decoded);
            let forward = milliseconds(rounds, || drop(round_trip.forward(6 * n, &decoded)));
            print("round trip", forward, milliseconds(rounds, || drop(round_trip.backward(6 * n, &kept, &decoded))));
            let gradient = yuv6.forward(n, &seen);
            let forward = milliseconds(rounds, || drop(yuv6.forward(n, &seen)));
            print("YUV6", forward, milliseconds(rounds, || drop(yuv6.backward(n, &seen, &gradient))));
            for (name, loss, hard) in losses {
                let spec = Segmentation { classes: CLASSES, height: HEIGHT, width: WIDTH, loss, hard };
                let both = milliseconds(rounds, || drop(spec.value_and_gradient(n, &logits, &targets)));
                println!("{name:25} {:14.2}", both / n as f64);
            }
        });
    }
}
