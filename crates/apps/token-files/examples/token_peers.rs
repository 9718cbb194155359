//! General compressors and this project's on token videos, each file by itself, on one core: `token_peers [--prior FILE] PATH...`
//! prints a table of ratios to 10 bits a token and of segments a second. With `--prior` there is a row with that prior, its bytes
//! not counted.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cli::Progress;
use token_files::{read, segment_files};
use tokens::{Options, Prior, Segment};

/// A prior and the size of its file.
struct LoadedPrior {
    prior: Prior,
    bytes: usize,
}

impl LoadedPrior {
    fn read(path: &Path) -> Result<Self> {
        let bytes = read(path)?;
        let prior = Prior::read(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { prior, bytes: bytes.len() })
    }
}

/// Codes bytes and decodes them.
type Coder = fn(&[u8], &Path) -> Result<Coded>;

/// What a coder made of some bytes.
struct Coded {
    bytes: usize,
    encoding: Duration,
    decoding: Duration,
    lossless: bool,
}

/// How tokens are laid out before a general compressor gets them.
#[derive(Clone, Copy)]
enum Layout {
    /// Frame after frame, two bytes a token.
    Frames,
    /// Place after place, two bytes a token: what commaVQ's own baseline does.
    Transposed,
    /// The difference, modulo `2^16`, from the frame before, two bytes a token.
    Delta,
    /// Frame after frame, ten bits a token.
    Packed,
}

const ROWS: [(&str, Layout, Coder); 10] = [
    ("int16", Layout::Frames, stored),
    ("packed 10 bits", Layout::Packed, stored),
    ("LZMA", Layout::Frames, lzma),
    ("LZMA, transposed", Layout::Transposed, lzma),
    ("LZMA, delta", Layout::Delta, lzma),
    ("LZMA, packed 10 bits", Layout::Packed, lzma),
    ("Zstandard 19", Layout::Frames, zstandard),
    ("Zstandard 19, transposed", Layout::Transposed, zstandard),
    ("Brotli 11", Layout::Frames, brotli),
    ("Brotli 11, transposed", Layout::Transposed, brotli),
];

/// Only where zpaq is installed.
const ZPAQ_ROWS: [(&str, Layout, Coder); 2] =
    [("zpaq -m5", Layout::Frames, zpaq), ("zpaq -m5, transposed", Layout::Transposed, zpaq)];

fn main() -> Result<()> {
    let mut arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let prior = arguments.iter().position(|argument| argument.as_os_str() == "--prior");
    let prior = prior.filter(|at| at + 1 < arguments.len()).and_then(|at| arguments.drain(at..at + 2).nth(1));
    ensure!(!arguments.is_empty(), "usage: token_peers [--prior FILE] PATH...");
    print!("{}", table(&arguments, prior.as_deref())?);
    Ok(())
}

/// The table for the files that `paths` mean.
fn table(paths: &[PathBuf], prior: Option<&Path>) -> Result<String> {
    let prior = prior.map(LoadedPrior::read).transpose()?;
    let files = segment_files(paths)?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let zpaq = Command::new("zpaq").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let rows: Vec<_> = ROWS.iter().chain(ZPAQ_ROWS.iter().filter(|_| zpaq)).collect();
    let mut table: Vec<(String, Vec<(f64, Coded)>)> =
        rows.iter().map(|(name, ..)| (name.to_string(), Vec::new())).collect();
    table.push(("hnerv tokens".into(), Vec::new()));
    if let Some(prior) = &prior {
        table.push((format!("hnerv tokens, with a prior of {} bytes, not counted", prior.bytes), Vec::new()));
    }

    let mut progress = Progress::new("bench", (files.len() * table.len()) as u64);
    let mut done = 0;
    for file in &files {
        let segment = file.load()?;
        let packed = tokens::packed_bytes(segment.npy.tokens().len());
        let mut add = |row: usize, coded: Coded| {
            table[row].1.push((packed / coded.bytes as f64, coded));
            done += 1;
            progress.set(done, || file.name.clone());
        };
        for (row, (name, layout, coder)) in rows.iter().enumerate() {
            let coded = coder(&lay_out(&segment, *layout), scratch.path()).with_context(|| (*name).to_string())?;
            add(row, coded);
        }
        // The file itself, which must come back byte for byte, not what became of it in memory.
        let bytes = read(&file.path)?;
        add(rows.len(), ours(&segment, &bytes, None)?);
        if let Some(prior) = &prior {
            add(rows.len() + 1, ours(&segment, &bytes, Some(prior))?);
        }
    }
    progress.finish(format!("{} files", files.len()));
    let mut text = render(&table, zpaq);
    if let (Some(prior), Some((_, coded))) = (&prior, table.last()) {
        let packed: f64 = coded.iter().map(|(ratio, coded)| ratio * coded.bytes as f64).sum();
        let bytes = coded.iter().map(|(_, coded)| coded.bytes).sum::<usize>() + prior.bytes;
        text += &format!(
            "\nWith the prior's {} bytes counted in once, all files: {:.4}.\n",
            prior.bytes,
            packed / bytes as f64
        );
    }
    Ok(text)
}

fn render(table: &[(String, Vec<(f64, Coded)>)], zpaq: bool) -> String {
    let mut text = String::from(
        "| | min | mean | median | max | lossless | segments/s in | out |\n|---|---:|---:|---:|---:|---|---:|---:|\n",
    );
    for (name, coded) in table {
        let mut ratios: Vec<f64> = coded.iter().map(|(ratio, _)| *ratio).collect();
        ratios.sort_by(f64::total_cmp);
        let count = ratios.len();
        let at = |i: usize| ratios.get(i).copied().unwrap_or(f64::NAN);
        let median = (at(count.saturating_sub(1) / 2) + at(count / 2)) / 2.0;
        let mean = ratios.iter().sum::<f64>() / count as f64;
        let lossless = if coded.iter().all(|(_, coded)| coded.lossless) { "yes" } else { "NO" };
        let rate = |time: fn(&Coded) -> Duration| {
            let seconds: f64 = coded.iter().map(|(_, coded)| time(coded).as_secs_f64()).sum();
            let rate = count as f64 / seconds.max(1e-9);
            format!("{rate:.precision$}", precision = if rate < 100.0 { 2 } else { 0 })
        };
        let (encoding, decoding) = (rate(|coded| coded.encoding), rate(|coded| coded.decoding));
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {:.4} | {mean:.4} | {median:.4} | {:.4} | {lossless} | {encoding} | {decoding} |",
            at(0),
            at(count.saturating_sub(1)),
        );
    }
    if !zpaq {
        text += "\nzpaq is not installed.\n";
    }
    text
}

/// The bytes that a general compressor gets. Every layout can be undone.
fn lay_out(segment: &Segment, layout: Layout) -> Vec<u8> {
    let tokens = segment.npy.tokens();
    let (height, width) = segment.npy.grid();
    let frame = height * width;
    let two_bytes = |tokens: &mut dyn Iterator<Item = u16>| tokens.flat_map(u16::to_le_bytes).collect();
    match layout {
        Layout::Frames => two_bytes(&mut tokens.iter().copied()),
        Layout::Transposed => {
            two_bytes(&mut (0..frame).flat_map(|place| tokens.iter().skip(place).step_by(frame).copied()))
        }
        Layout::Delta => {
            let before = std::iter::repeat_n(&0, frame).chain(tokens);
            two_bytes(&mut tokens.iter().zip(before).map(|(token, before)| token.wrapping_sub(*before)))
        }
        Layout::Packed => {
            let bits = tokens.iter().map(|token| u16::BITS - token.leading_zeros()).max().unwrap_or(0).max(10);
            let (mut bytes, mut waiting, mut count) = (Vec::new(), 0u64, 0);
            for &token in tokens {
                waiting = waiting << bits | u64::from(token);
                count += bits;
                while count >= 8 {
                    count -= 8;
                    bytes.push((waiting >> count) as u8);
                }
            }
            if count > 0 {
                bytes.push((waiting << (8 - count)) as u8);
            }
            bytes
        }
    }
}

/// Times an encoder and its decoder.
fn timed(
    bytes: &[u8],
    encode: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
    decode: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<Coded> {
    let start = Instant::now();
    let coded = encode(bytes)?;
    let encoding = start.elapsed();
    let start = Instant::now();
    let decoded = decode(&coded)?;
    let decoding = start.elapsed();
    Ok(Coded { bytes: coded.len(), encoding, decoding, lossless: decoded == bytes })
}

fn ours(segment: &Segment, file: &[u8], prior: Option<&LoadedPrior>) -> Result<Coded> {
    let prior = prior.map(|prior| &prior.prior);
    let options = Options { prior, ..Options::DEFAULT };
    let encode = |_: &[u8]| Ok(tokens::encode(std::slice::from_ref(segment), &options)?);
    let decode = |archive: &[u8]| {
        let files = tokens::decode(archive, prior)?;
        Ok(files.into_iter().next().map(|(_, file)| file).unwrap_or_default())
    };
    timed(file, encode, decode)
}

fn stored(bytes: &[u8], _: &Path) -> Result<Coded> {
    timed(bytes, |bytes| Ok(bytes.to_vec()), |coded| Ok(coded.to_vec()))
}

fn lzma(bytes: &[u8], _: &Path) -> Result<Coded> {
    timed(bytes, |bytes| Ok(liblzma::encode_all(bytes, 9)?), |coded| Ok(liblzma::decode_all(coded)?))
}

fn zstandard(bytes: &[u8], _: &Path) -> Result<Coded> {
    timed(bytes, |bytes| Ok(zstd::encode_all(bytes, 19)?), |coded| Ok(zstd::decode_all(coded)?))
}

fn brotli(bytes: &[u8], _: &Path) -> Result<Coded> {
    let encode = |bytes: &[u8]| {
        let mut coded = Vec::new();
        brotli::CompressorWriter::new(&mut coded, 1 << 16, 11, 24).write_all(bytes)?;
        Ok(coded)
    };
    let decode = |coded: &[u8]| {
        let mut bytes = Vec::new();
        brotli::Decompressor::new(coded, 1 << 16).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    timed(bytes, encode, decode)
}

/// Through files in `scratch`, since that is all that zpaq takes.
fn zpaq(bytes: &[u8], scratch: &Path) -> Result<Coded> {
    let run = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new("zpaq");
        command.args(arguments).args(["-t1"]).current_dir(scratch).stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(command.status()?.success(), "zpaq failed");
        Ok(())
    };
    let (input, archive) = (scratch.join("tokens"), scratch.join("tokens.zpaq"));
    let encode = |bytes: &[u8]| {
        std::fs::write(&input, bytes)?;
        run(&["add", "tokens.zpaq", "tokens", "-m5"])?;
        std::fs::remove_file(&input)?;
        Ok(std::fs::read(&archive)?)
    };
    let decode = |_: &[u8]| {
        run(&["extract", "tokens.zpaq"])?;
        std::fs::remove_file(&archive)?;
        Ok(std::fs::read(&input)?)
    };
    timed(bytes, encode, decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A .npy file of twenty frames of 8x16 tokens, each place flickering among three of its own.
    fn video(seed: u32) -> Vec<u8> {
        let token = |i: u32| (i % 128 * 8 + (i + seed).wrapping_mul(2_654_435_761) % 3) as u16;
        let dictionary = "{'descr': '<i2', 'fortran_order': False, 'shape': (20, 8, 16), }\n";
        let data: Vec<u8> = (0..20 * 128).flat_map(|i| token(i).to_le_bytes()).collect();
        [b"\x93NUMPY\x01\x00", &(dictionary.len() as u16).to_le_bytes()[..], dictionary.as_bytes(), &data].concat()
    }

    #[test]
    fn a_table_shows_every_coder_lossless() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["in", "learned"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        for (seed, name) in (0..).zip(["in/a.npy", "in/b.npy", "learned/c.npy", "learned/d.npy"]) {
            std::fs::write(at(name), video(seed)).unwrap();
        }
        let learned = segment_files(&[at("learned")]).unwrap();
        let prior = tokens::train(learned.len(), &|i| learned[i].load(), false, &|_| ()).unwrap();
        std::fs::write(at("prior.bin"), prior).unwrap();

        let table = table(&[at("in")], Some(&at("prior.bin"))).unwrap();
        for (name, ..) in &ROWS {
            let row = table.lines().find(|line| line.starts_with(&format!("| {name} |")));
            let row = row.unwrap_or_else(|| panic!("{name}: {table}"));
            assert!(row.contains("| yes |"), "{row}");
        }
        assert!(table.contains("| packed 10 bits | 1.0000 | 1.0000 | 1.0000 | 1.0000 |"), "{table}");
        assert!(!table.contains("| NO |") && table.contains("| hnerv tokens |"), "{table}");
        assert!(table.contains("hnerv tokens, with a prior") && table.contains("counted in once"), "{table}");
    }
}
