//! Time of every layer of the reference architecture, forward and backward: `training_speed [ROUNDS] [BATCH]`.
//!
//! Prints the fastest of the rounds, on one thread and on two. GFLOP/s count two operations a multiply-add, the backward
//! pass as two forward passes.

use std::time::Instant;

use gradients::{HeadsShape, RefineShape, StageShape, Weights};
use kernels::{Nonlinearity, Skip};
use rayon::ThreadPoolBuilder;

const CHANNELS: [usize; 7] = [36, 36, 36, 27, 20, 18, 18];
const HIDDEN: usize = 9;

/// Values that are neither equal nor denormal.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 257) as f32 - 128.0) / 512.0).collect()
}

struct Layer {
    name: String,
    /// Multiply-adds of a pair.
    products: usize,
    /// Runs forward and backward; returns milliseconds of both.
    run: Box<dyn Fn() -> [f64; 2] + Sync>,
}

fn timed<T>(f: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = f();
    (result, 1e3 * start.elapsed().as_secs_f64())
}

fn stage(n: usize, index: usize) -> Layer {
    let (inputs, outputs) = (CHANNELS[index], CHANNELS[index + 1]);
    let (height, width) = (6 << index, 8 << index);
    let stage = StageShape { inputs, outputs, kernel: 3, upscale: 2, nonlinearity: Nonlinearity::Sin, height, width };
    let x = values(n * inputs * height * width);
    let gradient = values(4 * n * outputs * height * width);
    let (weight, bias) = (values(36 * outputs * inputs), values(4 * outputs));
    let (skip_weight, skip_bias) = (values(outputs * inputs), values(outputs));
    let skip = inputs != outputs;
    Layer {
        name: format!("stage {inputs} -> {outputs}, {height}x{width}"),
        products: height * width * inputs * outputs * if skip { 37 } else { 36 },
        run: Box::new(move || {
            let conv = Weights { weight: &weight, bias: &bias };
            let skip =
                if skip { Skip::Convolution(Weights { weight: &skip_weight, bias: &skip_bias }) } else { Skip::Input };
            let ((_y, slope), forward) = timed(|| stage.forward(n, &x, conv, skip));
            let (_, backward) =
                timed(|| stage.backward(n, &x, &slope, &gradient, &weight, skip.map(|skip| skip.weight)));
            [forward, backward]
        }),
    }
}

fn refine(n: usize) -> Layer {
    let (channels, height, width) = (CHANNELS[6], 6 << 6, 8 << 6);
    let refine = RefineShape { channels, hidden: HIDDEN, dilation: 2, gain: 0.1, height, width };
    let (x, gradient) = (values(n * channels * height * width), values(n * channels * height * width));
    let weight = values(9 * channels * HIDDEN);
    let (first_bias, second_bias) = (values(HIDDEN), values(channels));
    Layer {
        name: format!("refine {channels} -> {HIDDEN} -> {channels}"),
        products: height * width * channels * HIDDEN * 18,
        run: Box::new(move || {
            let [first, second] = [&first_bias, &second_bias].map(|bias| Weights { weight: &weight, bias });
            let ((_y, hidden, slope), forward) = timed(|| refine.forward(n, &x, first, second));
            let (_, backward) = timed(|| refine.backward(n, &x, &hidden, &slope, &gradient, &weight, &weight));
            [forward, backward]
        }),
    }
}

fn heads(n: usize) -> Layer {
    let (inputs, outputs, height, width) = (CHANNELS[6], 6, 6 << 6, 8 << 6);
    let heads = HeadsShape { inputs, outputs, height, width };
    let (x, gradient) = (values(n * inputs * height * width), values(n * outputs * height * width));
    let (weight, bias) = (values(9 * inputs * outputs), values(outputs));
    Layer {
        name: format!("heads {inputs} -> {outputs}"),
        products: height * width * inputs * outputs * 9,
        run: Box::new(move || {
            let (y, forward) = timed(|| heads.forward(n, &x, Weights { weight: &weight, bias: &bias }));
            let (_, backward) = timed(|| heads.backward(n, &x, &y, &gradient, &weight));
            [forward, backward]
        }),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let (rounds, n) = (arguments.next().unwrap_or(20), arguments.next().unwrap_or(2));
    let mut layers: Vec<Layer> = (0..6).map(|index| stage(n, index)).collect();
    layers.extend([refine(n), heads(n)]);
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        println!("{threads} threads, batch of {n}      forward        backward   ms a pair (GFLOP/s)");
        let mut sum = ([0.0; 2], 0.0);
        for layer in &layers {
            let best = (0..rounds).map(|_| pool.install(&layer.run));
            let best = best.fold([f64::INFINITY; 2], |best, ms| [best[0].min(ms[0]), best[1].min(ms[1])]);
            let ms = best.map(|ms| ms / n as f64);
            let gflop = 2e-9 * layer.products as f64;
            print_row(&layer.name, ms, gflop);
            sum = ([sum.0[0] + ms[0], sum.0[1] + ms[1]], sum.1 + gflop);
        }
        print_row("sum", sum.0, sum.1);
        println!("forward + backward: {:.1} ms a pair", sum.0[0] + sum.0[1]);
    }
}

fn print_row(name: &str, [forward, backward]: [f64; 2], gflop: f64) {
    let rates = [1e3 * gflop / forward, 2e3 * gflop / backward];
    println!("{name:26} {forward:8.2} ({:4.0}) {backward:8.2} ({:4.0})", rates[0], rates[1]);
}
