//! The decoder's speed on the reference architecture with weights without meaning.
//!
//! - `speed [PAIRS]`: milliseconds a pair, forward and with resampling to the clip's size, for every instruction level.
//! - `speed serve`: for each line `native|frames STEM_HEIGHT STEM_WIDTH THREADS PAIRS` on standard input, decodes that many
//!   pairs with the fastest instructions and prints the seconds they took. The clip's size grows with the stem's; 6x8 stands
//!   for 1164x874.
//! - `speed archive FILE PAIRS`: writes an archive of that many pairs.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use decoder::{DecoderError, Level, Network, SampleInput, in_order};
use repr::{Architecture, Clip, ClipName, FRAMES_PER_SAMPLE, LayerTable, Representation, RepresentationParts, Tensors};

/// Rows and columns of the frames that a stem of 6x8 stands for.
const CLIP_SIZE: (usize, usize) = (874, 1164);

/// Values without structure in [-scale, scale].
fn noise(len: usize, seed: usize, scale: f32) -> Vec<f32> {
    let value = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) % 65_536) as f32 / 32_768.0 - 1.0;
    (0..len).map(|i| scale * value(i * 31 + 7)).collect()
}

fn layers() -> LayerTable {
    LayerTable::reference(36, 28)
}

fn parameters(table: LayerTable) -> Result<Tensors> {
    let architecture = Architecture::new(table)?;
    let values = |(seed, p): (usize, &repr::Parameter)| noise(p.len(), seed * 7919, (3.0 / p.fan_in() as f32).sqrt());
    Ok(Tensors::new(&architecture, architecture.parameters().iter().enumerate().map(values).collect())?)
}

/// A network and the length of its latents.
struct Speed {
    network: Network,
    latent_dim: usize,
}

impl Speed {
    fn new(table: LayerTable, level: Level) -> Result<Self> {
        let (stem, reference, latent_dim) = (table.stem, layers().stem, table.latent_dim);
        let size = (CLIP_SIZE.0 * stem.height / reference.height, CLIP_SIZE.1 * stem.width / reference.width);
        let network = Network::new(&parameters(table)?, size, level)?;
        Ok(Self { network, latent_dim })
    }

    /// Seconds that `pairs` take on `threads` threads, `whole` with resampling.
    fn time(&self, whole: bool, threads: usize, pairs: usize) -> Result<f64, DecoderError> {
        let latent = |sample: usize| noise(self.latent_dim, sample, 1.0);
        let start = Instant::now();
        if whole {
            let work = |sample: usize, used| self.network.frames(SampleInput::of(&latent(sample)), used);
            let sink = |_, frames: &_| {
                black_box(frames);
                Ok(())
            };
            in_order(0..pairs, threads, work, sink)?;
        } else {
            let work = |sample: usize, _: Option<()>| {
                self.network.native(SampleInput::of(&latent(sample))).map(|p| drop(black_box(p)))
            };
            in_order(0..pairs, threads, work, |_, ()| Ok(()))?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Median seconds a pair over some runs of `pairs`, after one run to warm up.
    fn median(&self, runs: usize, whole: bool, threads: usize, pairs: usize) -> Result<f64, DecoderError> {
        self.time(whole, threads, pairs)?;
        let mut times = (0..runs).map(|_| self.time(whole, threads, pairs)).collect::<Result<Vec<_>, _>>()?;
        times.sort_by(f64::total_cmp);
        Ok(times[runs / 2] / pairs as f64)
    }
}

fn table(pairs: usize) -> Result<()> {
    let flops = Architecture::new(layers())?.flops() as f64;
    println!("level   threads  forward ms  GFLOP/s  with resampling ms");
    for level in Level::available().into_iter().rev() {
        let speed = Speed::new(layers(), level)?;
        // The scalar level takes seconds a pair.
        let (runs, pairs) = if level == Level::SCALAR { (1, 2) } else { (7, pairs) };
        for threads in [1, 2] {
            let forward = speed.median(runs, false, threads, pairs)?;
            let whole = speed.median(runs, true, threads, pairs)?;
            let rate = flops / forward / 1e9;
            println!("{level:7} {threads:7} {:11.2} {rate:8.0} {:19.2}", forward * 1e3, whole * 1e3);
        }
    }
    Ok(())
}

fn serve() -> Result<()> {
    let mut networks = HashMap::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let (what, numbers) = line.split_once(' ').with_context(|| format!("no request: {line:?}"))?;
        let numbers: Vec<usize> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [height, width, threads, pairs] = numbers[..] else { bail!("four numbers, not {line:?}") };
        let mut table = layers();
        (table.stem.height, table.stem.width) = (height, width);
        if let std::collections::hash_map::Entry::Vacant(entry) = networks.entry((height, width)) {
            entry.insert(Speed::new(table, Level::detect())?);
        }
        println!("{}", networks[&(height, width)].time(what == "frames", threads, pairs)?);
    }
    Ok(())
}

fn archive(path: &str, pairs: usize) -> Result<()> {
    let tensors = parameters(layers())?;
    let architecture = tensors.architecture().clone();
    let quantize =
        |(p, values): (&repr::Parameter, &[f32])| Ok(repr::quantize_tensor(&p.name, values, repr::MAX_BITS)?);
    let parameters = tensors.iter().map(quantize).collect::<Result<_>>()?;
    let dim = architecture.latent_dim();
    let latents = repr::quantize_latents(&noise(pairs * dim, 1, 1.0), &vec![8; dim])?;
    let (height, width) = CLIP_SIZE;
    let clip = Clip::new(ClipName::new("noise")?, FRAMES_PER_SAMPLE * pairs, height, width)?;
    let sidecar = repr::Sidecar::default();
    let representation =
        Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: None })?;
    Ok(std::fs::write(path, ::archive::encode(&representation))?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => table(24),
        ["serve"] => serve(),
        ["archive", path, pairs] => archive(path, pairs.parse()?),
        [pairs] => table(pairs.parse()?),
        _ => bail!("usage: speed [PAIRS] | speed serve | speed archive FILE PAIRS"),
    }
}
