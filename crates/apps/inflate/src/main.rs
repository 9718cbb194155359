//! The `inflate` command: an archive becomes frames.

mod input;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use anyhow::{Result, bail};
use clap::Parser;
use cli::{Internal, Interrupted, Progress};
use decoder::{Decoder, DecoderError};
use frames::{RawWriter, RgbFrame};
use output::OutputFile;
use repr::FRAMES_PER_SAMPLE;

use input::Job;

/// Writes the frames of an archive to OUT_DIR/NAME.raw, the name being its clip's: uint8 RGB, (N, H, W, 3), no header. The same
/// archive gives the same bytes on every machine, with any number of threads.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The archive; with --names, it may be the folder that holds <base>.bin for each name
    archive: PathBuf,
    /// Where the .raw files go; made if absent
    out_dir: PathBuf,
    /// A list of names, one a line: each without its last extension is a <base>, written to OUT_DIR/<base>.raw
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// Decoding threads [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Decode the frame pairs A to B-1 alone, counted from 0
    #[arg(long, value_name = "A..B", value_parser = pairs)]
    pairs: Option<Range<usize>>,
}

fn main() -> ExitCode {
    cli::run(inflate)
}

fn inflate(arguments: Arguments) -> Result<()> {
    cli::watch_interrupts()?;
    let threads = arguments.threads.map(usize::from);
    let threads = threads.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    // All archives are read before the first frame is written: a bad one is refused at once, and so is what cannot be written.
    let jobs = input::jobs(&arguments.archive, arguments.names.as_deref())?;
    let target = |job: &Job| arguments.out_dir.join(format!("{}.raw", job.base));
    for job in &jobs {
        let pairs = job.representation.clip.samples();
        output::keep_apart(&target(job), jobs.iter().map(|job| &job.source).chain(&arguments.names))?;
        if let Some(Range { start, end }) = arguments.pairs.clone().filter(|range| range.end > pairs) {
            let source = job.source.display();
            bail!("{source}: --pairs {start}..{end}, but there are {pairs} pairs: end at {pairs} or before");
        }
    }
    for job in jobs {
        write_frames(&job, &target(&job), arguments.pairs.clone(), threads)?;
    }
    Ok(())
}

/// `A..B` as a range.
fn pairs(text: &str) -> Result<Range<usize>, String> {
    let range = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    range.filter(|range| !range.is_empty()).ok_or_else(|| "give A..B with A below B, such as 0..10".into())
}

/// Decodes one archive into one file, which appears when it is whole.
fn write_frames(job: &Job, path: &Path, pairs: Option<Range<usize>>, threads: usize) -> Result<()> {
    let decoder = Decoder::new(&job.representation);
    let clip = decoder.clip();
    let samples = clip.samples();
    // An odd last frame belongs to no pair: only a whole clip has it.
    let frames = if pairs.is_some() { clip.frames().min(FRAMES_PER_SAMPLE * samples) } else { clip.frames() };
    let pairs = pairs.unwrap_or(0..samples);
    let mut writer = RawWriter::new(OutputFile::create(path)?, clip.width(), clip.height())?;
    let mut progress = Progress::new("inflate", pairs.len() as u64);
    let mut written = 0;
    let first = pairs.start;
    let sink = |sample: usize, decoded: &[RgbFrame; FRAMES_PER_SAMPLE]| -> Result<()> {
        if cli::interrupted() {
            return Err(Interrupted.into());
        }
        let [start, end] = [sample, sample + 1].map(|sample| FRAMES_PER_SAMPLE * sample);
        let end = if sample + 1 == samples { frames } else { end };
        for frame in start..end {
            writer.write(&decoded[(frame - start).min(FRAMES_PER_SAMPLE - 1)])?;
            written += 1;
        }
        progress.set((sample + 1 - first) as u64, String::new);
        Ok(())
    };
    decoder.decode_all(pairs, threads, sink).map_err(|error| match error.downcast::<DecoderError>() {
        // Every archive that could be read can be decoded.
        Ok(error) => Internal(format!("{}: {error}", job.source.display())).into(),
        Err(error) => error,
    })?;
    writer.into_inner().commit()?;
    progress.finish(format_args!("{written} frames of {}x{} in {}", clip.width(), clip.height(), path.display()));
    Ok(())
}
