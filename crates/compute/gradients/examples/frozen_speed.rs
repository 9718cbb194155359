//! Time of every convolution of two evaluators, forward and backward: `frozen_speed [ROUNDS] [BATCH] [plain]`.
//!
//! SegNet is a U-Net on inverted residuals, PoseNet a convolutional network with 7x7 depthwise blocks. Prints the fastest of the
//! rounds, on one thread and on two; `plain` leaves the activations out. GFLOP/s count two operations a multiply-add of the
//! convolution as it is written, with upsampled inputs.

use std::time::Instant;

use gradients::frozen::{ConvShape, ConvSource, FrozenConv, Pointwise, Step};
use rayon::ThreadPoolBuilder;

#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

/// Sources (channels, upsampling), outputs, kernel, stride, groups, height and width of the input, activation, how often.
type Layer = (&'static [(usize, usize)], usize, usize, usize, usize, usize, usize, Activation, usize);

#[derive(Clone, Copy)]
enum Activation {
    None,
    Relu,
    Silu,
    Gelu,
}
use Activation::{Gelu, None, Relu, Silu};

const SEGNET: &[Layer] = &[
    (&[(3, 1)], 16, 3, 2, 1, 384, 512, Silu, 1),
    (&[(16, 1)], 48, 1, 1, 1, 192, 256, Silu, 1),
    (&[(48, 1)], 48, 3, 2, 48, 192, 256, Silu, 1),
    (&[(48, 1)], 24, 1, 1, 1, 96, 128, None, 1),
    (&[(24, 1)], 72, 1, 1, 1, 96, 128, Silu, 2),
    (&[(72, 1)], 72, 3, 1, 72, 96, 128, Silu, 1),
    (&[(72, 1)], 24, 1, 1, 1, 96, 128, None, 1),
    (&[(72, 1)], 72, 3, 2, 72, 96, 128, Silu, 1),
    (&[(72, 1)], 18, 1, 1, 1, 1, 1, Silu, 2),
    (&[(18, 1)], 72, 1, 1, 1, 1, 1, None, 2),
    (&[(72, 1)], 40, 1, 1, 1, 48, 64, None, 1),
    (&[(40, 1)], 120, 1, 1, 1, 48, 64, Silu, 2),
    (&[(120, 1)], 120, 3, 1, 120, 48, 64, Silu, 1),
    (&[(120, 1)], 40, 1, 1, 1, 48, 64, None, 1),
    (&[(120, 1)], 120, 3, 2, 120, 48, 64, Silu, 1),
    (&[(120, 1)], 80, 1, 1, 1, 24, 32, None, 1),
    (&[(80, 1)], 240, 1, 1, 1, 24, 32, Silu, 1),
    (&[(240, 1)], 240, 3, 1, 240, 24, 32, Silu, 1),
    (&[(240, 1)], 60, 1, 1, 1, 1, 1, Silu, 1),
    (&[(60, 1)], 240, 1, 1, 1, 1, 1, None, 1),
    (&[(240, 1)], 80, 1, 1, 1, 24, 32, None, 1),
    (&[(80, 2), (40, 1)], 48, 3, 1, 1, 48, 64, Relu, 1),
    (&[(48, 1)], 48, 3, 1, 1, 48, 64, Relu, 1),
    (&[(48, 2), (24, 1)], 32, 3, 1, 1, 96, 128, Relu, 1),
    (&[(32, 1)], 32, 3, 1, 1, 96, 128, Relu, 1),
    (&[(32, 2), (16, 1)], 20, 3, 1, 1, 192, 256, Relu, 1),
    (&[(20, 1)], 20, 3, 1, 1, 192, 256, Relu, 1),
    (&[(20, 2)], 12, 3, 1, 1, 384, 512, Relu, 1),
    (&[(12, 1)], 12, 3, 1, 1, 384, 512, Relu, 1),
    (&[(12, 1)], 5, 3, 1, 1, 384, 512, None, 1),
];

const POSENET: &[Layer] = &[
    (&[(12, 1)], 48, 5, 2, 1, 192, 256, Gelu, 1),
    (&[(48, 1)], 32, 3, 1, 1, 96, 128, None, 2),
    (&[(80, 1)], 64, 3, 2, 1, 96, 128, Gelu, 1),
    (&[(64, 1)], 64, 7, 1, 64, 48, 64, None, 1),
    (&[(64, 1)], 192, 1, 1, 1, 48, 64, Gelu, 1),
    (&[(192, 1)], 64, 1, 1, 1, 48, 64, None, 1),
    (&[(64, 1)], 96, 3, 2, 1, 48, 64, Gelu, 1),
    (&[(96, 1)], 96, 7, 1, 96, 24, 32, None, 1),
    (&[(96, 1)], 288, 1, 1, 1, 24, 32, Gelu, 1),
    (&[(288, 1)], 96, 1, 1, 1, 24, 32, None, 1),
    (&[(96, 1)], 128, 3, 2, 1, 24, 32, Gelu, 1),
    (&[(128, 1)], 128, 7, 1, 128, 12, 16, None, 1),
    (&[(128, 1)], 384, 1, 1, 1, 12, 16, Gelu, 1),
    (&[(384, 1)], 128, 1, 1, 1, 12, 16, None, 1),
    (&[(128, 1)], 12, 1, 1, 1, 12, 16, Relu, 1),
];

impl Activation {
    fn function(self) -> Option<Pointwise> {
        let steps = match self {
            None => return Option::None,
            Relu => vec![Step::Input, Step::Relu(0)],
            Silu => vec![Step::Input, Step::Sigmoid(0), Step::Mul(0, 1)],
            Gelu => vec![
                Step::Input,
                Step::Pow(0, 3.0),
                Step::Constant(0.044715),
                Step::Mul(1, 2),
                Step::Add(0, 3),
                Step::Constant(0.797_884_6),
                Step::Mul(4, 5),
                Step::Tanh(6),
                Step::Constant(1.0),
                Step::Add(7, 8),
                Step::Mul(0, 9),
                Step::Constant(0.5),
                Step::Mul(10, 11),
            ],
        };
        Some(Pointwise::new(steps))
    }
}

/// Values that are neither equal nor denormal.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 257) as f32 - 128.0) / 512.0).collect()
}

/// Runs forward and backward `rounds` times; the best milliseconds of both.
fn time(conv: &FrozenConv, rounds: usize, n: usize, [height, width]: [usize; 2]) -> [f64; 2] {
    let size = |source: &ConvSource| n * source.channels * (height / source.upsample) * (width / source.upsample);
    let sources: Vec<_> = conv.shape().sources.iter().map(|source| values(size(source))).collect();
    let sources: Vec<_> = sources.iter().map(|source| &source[..]).collect();
    let [result_height, result_width] = conv.shape().output_size([height, width]).expect("a kernel that fits");
    let gradient = values(n * conv.shape().outputs * result_height * result_width);
    let mut best = [f64::INFINITY; 2];
    for _ in 0..rounds {
        let start = Instant::now();
        let (_y, slope) = conv.forward(n, height, width, &sources, true);
        let forward = start.elapsed();
        let start = Instant::now();
        conv.backward(n, height, width, &gradient, &slope);
        let backward = start.elapsed();
        for (best, time) in best.iter_mut().zip([forward, backward]) {
            *best = best.min(1e3 * time.as_secs_f64() / n as f64);
        }
    }
    best
}

fn main() {
    allocator::keep_pages();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map(|number| number.parse::<usize>().expect("a number"));
    let (rounds, n) = (number(0).unwrap_or(10), number(1).unwrap_or(2));
    let plain = arguments.get(2).is_some();
    for threads in [1, 2] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        println!(
            "{threads} threads, batch of {n}                          forward        backward   ms a sample (GFLOP/s)"
        );
        let mut all = [0.0; 2];
        for (network, layers) in [("SegNet", SEGNET), ("PoseNet", POSENET)] {
            let mut sum = ([0.0; 2], 0.0);
            for &(sources, outputs, kernel, stride, groups, height, width, activation, times) in layers {
                let sources: Vec<_> =
                    sources.iter().map(|&(channels, upsample)| ConvSource { channels, upsample }).collect();
                let inputs: usize = sources.iter().map(|source| source.channels).sum();
                let shape = ConvShape::centred(sources, outputs, kernel, stride, groups);
                let products = outputs * inputs / groups * kernel * kernel;
                let activation = if plain { Option::None } else { activation.function() };
                let conv = FrozenConv::new(shape, &values(products), &values(outputs), activation);
                let ms = pool.install(|| time(&conv, rounds, n, [height, width]));
                let gflop = 2e-9 * (products * (height / stride) * (width / stride)) as f64;
                let name = format!("{inputs} -> {outputs}, {kernel}x{kernel}/{stride}, {groups}, {height}x{width}");
                print_row(&format!("{times} x {name}"), ms, gflop);
                sum.0 = [sum.0[0] + times as f64 * ms[0], sum.0[1] + times as f64 * ms[1]];
                sum.1 += times as f64 * gflop;
            }
            print_row(network, sum.0, sum.1);
            all = [all[0] + sum.0[0], all[1] + sum.0[1]];
        }
        println!("both, forward + backward: {:.1} ms a sample\n", all[0] + all[1]);
    }
}

fn print_row(name: &str, [forward, backward]: [f64; 2], gflop: f64) {
    println!("{name:38} {forward:8.3} ({:4.0}) {backward:8.3} ({:4.0})", 1e3 * gflop / forward, 1e3 * gflop / backward);
}
