//! Milliseconds a pair of the reference architecture, forward and with resampling, for every instruction level:
//! `cargo run --release -p decoder --example speed [pairs]`

use std::hint::black_box;
use std::time::Instant;

use decoder::{DecoderError, Level, Network, in_order};
use repr::{Architecture, Tensor, Tensors};

/// Values without structure in [-scale, scale].
fn noise(len: usize, seed: usize, scale: f32) -> Vec<f32> {
    let value = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) % 65_536) as f32 / 32_768.0 - 1.0;
    (0..len).map(|i| scale * value(i * 31 + 7)).collect()
}

/// Median seconds a pair over some runs of `pairs`, after one run to warm up.
fn median(runs: usize, pairs: usize, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() / pairs as f64
    };
    let mut times: Vec<f64> = (0..=runs).map(time).skip(1).collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}

fn main() -> Result<(), DecoderError> {
    let pairs = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(24);
    let architecture = Architecture::reference(36, 28);
    let tensor = |(seed, p): (usize, repr::Parameter)| {
        let values = noise(p.len(), seed * 7919, (3.0 / p.fan_in() as f32).sqrt());
        (p.name, Tensor { shape: p.shape, values })
    };
    let parameters = Tensors(architecture.parameters().into_iter().enumerate().map(tensor).collect());
    let flops = architecture.flops() as f64;
    println!("level   threads  forward ms  GFLOP/s  with resampling ms");
    for level in Level::available().into_iter().rev() {
        let network = Network::new(&architecture, &parameters, (874, 1164), level)?;
        // The scalar level takes seconds a pair.
        let (runs, pairs) = if level == Level::SCALAR { (1, 2) } else { (7, pairs) };
        for threads in [1, 2] {
            let latent = |sample: usize| noise(architecture.latent_dim, sample, 1.0);
            let native = || {
                let work = |sample: usize, _: Option<()>| network.native(&latent(sample)).map(|p| drop(black_box(p)));
                in_order(0..pairs, threads, work, |_, ()| Ok(())).expect("a valid network");
            };
            let frames = || {
                let work = |sample: usize, used| network.frames(&latent(sample), used);
                let sink = |_, frames: &_| {
                    black_box(frames);
                    Ok(())
                };
                in_order(0..pairs, threads, work, sink).expect("a valid network");
            };
            let (forward, whole) = (median(runs, pairs, native), median(runs, pairs, frames));
            let rate = flops / forward / 1e9;
            println!("{level:7} {threads:7} {:11.2} {rate:8.0} {:19.2}", forward * 1e3, whole * 1e3);
        }
    }
    Ok(())
}
