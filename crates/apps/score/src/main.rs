//! The `score` command: the official report over reconstructed clips.

mod samples;

use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use cli::{Internal, Progress};
use dataset::OutputCache;
use frames::SquaredError;
use metric::{Distortions, PerceptionStack, Report};
use output::OutputFile;
use perception::Evaluators;
use samples::Pair;

/// Scores reconstructed clips against their originals, as the official evaluation does.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// SegNet-style evaluator, ONNX
    #[arg(long, value_name = "S.onnx")]
    segnet: PathBuf,
    /// PoseNet-style evaluator, ONNX
    #[arg(long, value_name = "P.onnx")]
    posenet: PathBuf,
    /// Original clip; once for each --inflated, in the same order
    #[arg(long, value_name = "CLIP", required = true)]
    original: Vec<PathBuf>,
    /// Which of its video tracks, counted from 0 (attached pictures left out); once for each --original, in the same order
    /// [default: 0]
    #[arg(long, value_name = "N")]
    track: Vec<usize>,
    /// Its reconstruction: uint8 RGB, (N, H, W, 3), no header; for an odd N the last frame may be missing
    #[arg(long, value_name = "X.raw", required = true)]
    inflated: Vec<PathBuf>,
    /// What was sent: its size over that of the originals is the rate
    #[arg(long, value_name = "FILE")]
    archive: PathBuf,
    /// Also write the report, unrounded, to a file
    #[arg(long, value_name = "OUT.json")]
    json: Option<PathBuf>,
    /// Threads of an evaluator [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

fn main() -> ExitCode {
    cli::run(score)
}

fn score(arguments: Arguments) -> Result<()> {
    let (originals, inflated) = (&arguments.original, &arguments.inflated);
    ensure!(
        originals.len() == inflated.len(),
        "{} --original but {} --inflated: give one --inflated for each --original, in the same order",
        originals.len(),
        inflated.len()
    );
    ensure!(
        arguments.track.is_empty() || arguments.track.len() == originals.len(),
        "{} --original but {} --track: give none, or one for each --original, in the same order",
        originals.len(),
        arguments.track.len()
    );
    let tracks = arguments.track.iter().copied().chain(iter::repeat(0));
    let pairs = || originals.iter().zip(tracks.clone()).zip(inflated);
    let archive_bytes = file_size(&arguments.archive)?;
    let original_bytes = originals.iter().map(|clip| file_size(clip)).sum::<Result<u64>>()?;
    // Opened before the work rather than after it, as are all clips below: what is wrong shows at once.
    let inputs = [&arguments.archive, &arguments.segnet, &arguments.posenet];
    let inputs = || inputs.into_iter().chain(originals).chain(inflated);
    let json = arguments.json.as_ref().map(|path| OutputFile::create_apart(path, inputs())).transpose()?;
    let threads = arguments.threads.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let mut evaluators = Evaluators::load(&arguments.segnet, &arguments.posenet, threads)?;
    let mut expected = 0;
    for ((clip, track), raw) in pairs() {
        expected += Pair::open(clip, track, raw)?.expected_samples();
    }

    let mut distortions = Distortions::default();
    let mut error = SquaredError::default();
    let mut progress = Progress::new("score", expected as u64);
    let cache = OutputCache::of_user();
    for ((clip, track), raw) in pairs() {
        let mut originals = cache.clip(clip, track, &evaluators)?;
        for sample in Pair::open(clip, track, raw)?.samples(originals.cached()) {
            let sample = sample?;
            let original = originals.next(&mut evaluators, sample.original.as_ref().map(|[a, b]| [a, b]))?;
            let [first, second] = &sample.inflated;
            distortions.add(&original, &evaluators.evaluate([first, second])?);
            error += sample.error;
            progress.set(distortions.samples() as u64, String::new);
        }
        originals.keep();
    }
    if distortions.samples() == 0 {
        bail!("{}: a clip of one frame has no samples; give one of at least two", originals[0].display());
    }
    progress.finish(format!("{} samples", distortions.samples()));

    let report = Report::new(&distortions, error.mean(), archive_bytes, original_bytes);
    cli::print(format_args!("{report}\n"));
    if let Some(mut file) = json {
        let mut text = serde_json::to_vec_pretty(&report).map_err(|error| Internal(error.to_string()))?;
        text.push(b'\n');
        file.append(&text)?;
        file.commit()?;
    }
    Ok(())
}

/// Size of a regular file in bytes.
fn file_size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("{}: cannot read; check the path", path.display()))?;
    ensure!(metadata.is_file(), "{}: not a regular file; give the file itself", path.display());
    Ok(metadata.len())
}
