//! The decoder's convolutions alone: `convolution_speed`.
//!
//! For each line `THREADS ROUNDS` on standard input, runs every convolution of the reference architecture over a frame's
//! rows that many times on each thread, with the fastest instructions, and prints a line of `name=seconds=operations`, for
//! one convolution of one pair, all threads at work at once. The window of rows is small, as it is in the decoder.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Conv, Level, Rows};

/// Rows in a window, and the ones with four neighbours in a window of six, the least there is here.
const WINDOW: usize = 8;
const CENTRES: [usize; 2] = [2, 3];

struct Layer {
    name: String,
    conv: Conv,
    height: usize,
    width: usize,
    operations: usize,
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 257) as f32 - 128.0) / 512.0).collect()
}

fn layer(inputs: usize, outputs: usize, height: usize, kernel: usize, dilation: usize) -> Layer {
    let width = height * 4 / 3;
    let taps = inputs * kernel * kernel;
    let conv = Conv::new(&values(outputs * taps), &values(outputs), inputs, kernel, dilation);
    let name = format!("{kernel}x{kernel} {inputs} -> {outputs} at {height}x{width}");
    Layer { name, conv, height, width, operations: 2 * outputs * taps * height * width }
}

/// Seconds of `rounds` frames, after one to warm up.
fn seconds(layer: &Layer, level: Level, rounds: usize) -> f64 {
    let mut rows = Rows::new(layer.conv.inputs(), layer.height, layer.width, WINDOW);
    for _ in 0..WINDOW.min(layer.height) {
        let mut row = rows.push();
        for c in 0..layer.conv.inputs() {
            row.channel(c).copy_from_slice(&values(layer.width));
        }
    }
    let mut out = vec![0.0; layer.conv.row_len(layer.width)];
    let mut frame = || {
        for y in 0..layer.height {
            layer.conv.row(level, &rows, CENTRES[y % CENTRES.len()], &mut out);
            black_box(&mut out);
        }
    };
    frame();
    let start = Instant::now();
    (0..rounds).for_each(|_| frame());
    start.elapsed().as_secs_f64()
}

fn main() {
    let channels = [36, 36, 36, 27, 20, 18, 18];
    let mut layers = Vec::new();
    for (stage, pair) in channels.windows(2).enumerate() {
        layers.push(layer(pair[0], 4 * pair[1], 6 << stage, 3, 1));
        if pair[0] != pair[1] {
            layers.push(layer(pair[0], pair[1], 6 << stage, 1, 1));
        }
    }
    layers.extend([layer(18, 9, 384, 3, 2), layer(9, 18, 384, 3, 1), layer(18, 6, 384, 3, 1)]);
    let level = Level::detect();
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mut numbers = line.split(' ').map(|n| n.parse::<usize>().expect("THREADS ROUNDS"));
        let (threads, rounds) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
        let row = layers.iter().map(|layer| {
            let slowest = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| seconds(layer, level, rounds))).collect();
                threads.into_iter().map(|t| t.join().expect("no panic")).fold(0.0, f64::max)
            });
            format!("{}={}={}", layer.name, slowest / (rounds * threads) as f64, layer.operations)
        });
        println!("{}", row.collect::<Vec<_>>().join(";"));
    }
}
