//! The integers of a public archive, coded by this crate and by general compressors: `peers FOREIGN` prints a table, sizes in
//! bytes, times in seconds (medians of five, one thread).

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use archive::{Budget, Section};
use liblzma::read::XzDecoder;
use liblzma::stream::{Filters, LzmaOptions, PRESET_EXTREME, Stream};
use liblzma::write::XzEncoder;
use repr::Representation;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs of a measured time.
const RUNS: usize = 5;
/// Window of Brotli, in bits.
const BROTLI_WINDOW: u32 = 24;

fn main() -> Outcome<()> {
    let [_, path] = std::env::args().collect::<Vec<_>>().try_into().map_err(|_| "usage: peers FOREIGN")?;
    let foreign = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
    let representation = archive::import(&foreign, "0")?;

    println!("| | weights | latents | whole file | encode, s | decode, s | weights as | latents as |");
    println!("|---|---:|---:|---:|---:|---:|---|---|");
    let archive = archive::encode(&representation);
    if archive::decode(&archive)? != representation {
        return Err("our own archive is not lossless".into());
    }
    let encoding = median(|| {
        black_box(archive::encode(&representation));
        Ok(())
    })?;
    let decoding = median(|| archive::decode(&archive).map(drop).map_err(Into::into))?;
    let budget = archive::budget(&archive)?;
    let [weights, latents, header, framing] =
        [Section::Tensor, Section::Latents, Section::Header, Section::Framing].map(|section| bytes(&budget, section));
    let whole = archive.len();
    println!("| **ours** | **{weights:.0}** | **{latents:.0}** | **{whole}** | {encoding:.2} | {decoding:.2} | | |");

    // Steps and minima as they come, and our header, which is shorter than theirs.
    let steps: usize = representation.parameters.iter().map(|tensor| 4 * tensor.steps.len()).sum();
    let rest = header + (steps + 4 * representation.latents.dim()) as f64;
    let (weight_orders, latent_orders) = (weight_orders(&representation), latent_orders(&representation));
    for (name, peer) in [("Brotli 11", &Brotli as &dyn Peer), ("LZMA 9e, raw", &Lzma), ("Zstandard 19", &Zstandard)] {
        let parts = [best(peer, &weight_orders)?, best(peer, &latent_orders)?];
        let [encoding, decoding] =
            [0, 1].map(|direction| parts.iter().map(|part| part.seconds[direction]).sum::<f64>());
        let [weights, latents] = parts.each_ref().map(|part| part.bytes);
        let whole = (weights + latents) as f64 + rest;
        let [weights_as, latents_as] = parts.each_ref().map(|part| &part.order);
        println!(
            "| {name} | {weights} | {latents} | {whole:.0} | {encoding:.2} | {decoding:.2} | {weights_as} | {latents_as} |"
        );
    }
    for (name, tables) in [("static arithmetic coding", true), ("the same, tables known: a bound", false)] {
        let (weights, weights_as) = order_0(&weight_parts(&representation), tables);
        let (latents, latents_as) = order_0(&latent_parts(&representation), tables);
        let whole = weights + latents + rest;
        println!("| {name} | {weights:.0} | {latents:.0} | {whole:.0} | | | {weights_as} | {latents_as} |");
    }
    println!("| the public archive itself | | | {} | | | | |", foreign.len());
    println!();
    println!("Ours: {:.0} bytes of header and framing.", header + framing);
    println!("Theirs: {rest:.0} bytes beside weights and latents.");
    Ok(())
}

fn bytes(budget: &Budget, section: Section) -> f64 {
    budget.shares.iter().filter(|share| share.section == section).map(|share| share.bytes).sum()
}

/// Seconds that `work` takes.
fn median(mut work: impl FnMut() -> Outcome<()>) -> Outcome<f64> {
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[RUNS / 2])
}

/// Bytes that a general compressor may be handed, and how they lie.
type Order = (&'static str, Vec<u8>);

/// All weights, a byte each, tensor after tensor.
fn weight_orders(representation: &Representation) -> Vec<Order> {
    let mut orders = [("row-major", Vec::new()), ("taps first", Vec::new()), ("columns first", Vec::new())];
    for (tensor, parameter) in representation.parameters.iter().zip(representation.architecture.parameters()) {
        let rows = parameter.shape[0];
        let columns = tensor.values.len() / rows;
        let taps = parameter.shape.iter().skip(2).product::<usize>();
        let [row_major, taps_first, columns_first] = orders.each_mut().map(|(_, bytes)| bytes);
        let value = |i: usize| tensor.values[i] as u8;
        row_major.extend((0..tensor.values.len()).map(value));
        taps_first.extend((0..taps).flat_map(|tap| (tap..tensor.values.len()).step_by(taps)).map(value));
        columns_first.extend((0..columns).flat_map(|column| (column..tensor.values.len()).step_by(columns)).map(value));
    }
    orders.into()
}

/// The latents, a byte each: as they are or as differences in time, sample after sample or dimension after dimension.
fn latent_orders(representation: &Representation) -> Vec<Order> {
    let latents = &representation.latents;
    let dim = latents.dim();
    // The public archives have no carrier, whose coefficients alone are wider.
    let values: &Vec<u8> = &latents.values.iter().map(|&value| value as u8).collect();
    let before = std::iter::repeat_n(&0, dim).chain(values);
    let differences: Vec<u8> = values.iter().zip(before).map(|(value, before)| value.wrapping_sub(*before)).collect();
    let transposed = |values: &[u8]| (0..dim).flat_map(|d| values.iter().skip(d).step_by(dim).copied()).collect();
    vec![
        ("by dimension", transposed(values)),
        ("differences by dimension", transposed(&differences)),
        ("by sample", values.clone()),
        ("differences by sample", differences),
    ]
}

/// A general compressor.
trait Peer {
    /// What is worth trying.
    fn settings(&self) -> Vec<String> {
        vec![String::new()]
    }
    fn encode(&self, settings: &str, bytes: &[u8]) -> Outcome<Vec<u8>>;
    /// Undoes what was encoded with these settings.
    fn decode(&self, settings: &str, coded: &[u8]) -> Outcome<Vec<u8>>;
}

struct Coded {
    bytes: usize,
    /// Of encoding and of decoding.
    seconds: [f64; 2],
    order: String,
}

/// The order and the settings with which a compressor does best.
fn best(peer: &dyn Peer, orders: &[Order]) -> Outcome<Coded> {
    let mut best: Option<Coded> = None;
    for (order, bytes) in orders {
        for settings in peer.settings() {
            let coded = peer.encode(&settings, bytes)?;
            if best.as_ref().is_some_and(|best| best.bytes <= coded.len()) {
                continue;
            }
            if peer.decode(&settings, &coded)? != *bytes {
                return Err(format!("{order}, {settings}: not lossless").into());
            }
            let encoding = median(|| peer.encode(&settings, bytes).map(drop))?;
            let decoding = median(|| peer.decode(&settings, &coded).map(drop))?;
            let order = if settings.is_empty() { (*order).into() } else { format!("{order}, {settings}") };
            best = Some(Coded { bytes: coded.len(), seconds: [encoding, decoding], order });
        }
    }
    best.ok_or_else(|| "no order to try".into())
}

struct Brotli;

impl Peer for Brotli {
    fn encode(&self, _: &str, bytes: &[u8]) -> Outcome<Vec<u8>> {
        let mut coded = Vec::new();
        brotli::CompressorWriter::new(&mut coded, 1 << 16, 11, BROTLI_WINDOW).write_all(bytes)?;
        Ok(coded)
    }

    fn decode(&self, _: &str, coded: &[u8]) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        brotli::Decompressor::new(coded, 1 << 16).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

struct Zstandard;

impl Peer for Zstandard {
    fn encode(&self, _: &str, bytes: &[u8]) -> Outcome<Vec<u8>> {
        Ok(zstd::bulk::compress(bytes, 19)?)
    }

    fn decode(&self, _: &str, coded: &[u8]) -> Outcome<Vec<u8>> {
        Ok(zstd::bulk::decompress(coded, 1 << 24)?)
    }
}

/// Without a container, for each number of literal context bits; bytes have no alignment.
struct Lzma;

impl Lzma {
    fn filters(settings: &str) -> Outcome<Filters> {
        let context: u32 = settings.trim_start_matches("lc ").parse()?;
        let mut options = LzmaOptions::new_preset(9 | PRESET_EXTREME)?;
        options.literal_context_bits(context).position_bits(0);
        let mut filters = Filters::new();
        filters.lzma1(&options);
        Ok(filters)
    }
}

impl Peer for Lzma {
    fn settings(&self) -> Vec<String> {
        (0..=4).map(|context| format!("lc {context}")).collect()
    }

    fn encode(&self, settings: &str, bytes: &[u8]) -> Outcome<Vec<u8>> {
        let mut encoder = XzEncoder::new_stream(Vec::new(), Stream::new_raw_encoder(&Self::filters(settings)?)?);
        encoder.write_all(bytes)?;
        Ok(encoder.finish()?)
    }

    fn decode(&self, settings: &str, coded: &[u8]) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        XzDecoder::new_stream(coded, Stream::new_raw_decoder(&Self::filters(settings)?)?).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Ways to cut integers into parts with a table each.
type Cuts = Vec<(&'static str, Vec<Vec<u8>>)>;

fn weight_parts(representation: &Representation) -> Cuts {
    let tensors: Vec<Vec<u8>> =
        representation.parameters.iter().map(|t| t.values.iter().map(|&q| q as u8).collect()).collect();
    vec![("one table a tensor", tensors.clone()), ("one table", vec![tensors.concat()])]
}

fn latent_parts(representation: &Representation) -> Cuts {
    let samples = representation.clip.samples();
    let mut cuts = Vec::new();
    for (order, bytes) in latent_orders(representation) {
        let by_dimension = bytes.chunks(samples).map(<[u8]>::to_vec).collect();
        match order {
            "by dimension" => cuts.extend([("one table a dimension", by_dimension), ("one table", vec![bytes])]),
            "differences by dimension" => cuts.extend([
                ("differences, one table a dimension", by_dimension),
                ("differences, one table", vec![bytes]),
            ]),
            _ => {}
        }
    }
    cuts
}

/// Bytes of the best cut at the order-0 entropy of its parts. A table is sent as the number of its histogram among all histograms
/// of as many values; a part for which that is too dear, as bytes.
fn order_0(cuts: &Cuts, tables: bool) -> (f64, &'static str) {
    let bits = |part: &Vec<u8>| {
        let mut histogram = [0u32; 256];
        part.iter().for_each(|&byte| histogram[usize::from(byte)] += 1);
        let n = part.len() as f64;
        let entropy: f64 = histogram
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| f64::from(count) * (n / f64::from(count)).log2())
            .sum();
        // log2 of (n + 255) choose 255.
        let table: f64 = (1..256).map(|i| ((n + f64::from(i)) / f64::from(i)).log2()).sum();
        if tables { (entropy + table).min(8.0 * n) } else { entropy }
    };
    let sizes = cuts.iter().map(|(name, parts)| (parts.iter().map(bits).sum::<f64>() / 8.0, *name));
    sizes.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}
