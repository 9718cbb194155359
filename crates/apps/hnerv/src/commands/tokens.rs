//! `hnerv tokens`

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use cli::Progress;
use output::OutputFile;
use tokens::{Archive, Options, Prior, Source, Summary};

use crate::commands::{tokens_bench, tokens_submission};

/// Code VQ token videos (.npy, such as commaVQ's) without loss.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Compress(CompressArguments),
    Decompress(DecompressArguments),
    Train(TrainArguments),
    Bench(tokens_bench::Arguments),
    Submission(tokens_submission::Arguments),
}

/// Put token videos into one archive, file by file the same when they come out.
///
/// Arrays of integers with values 0 to 65535, (frames, height, width) or (frames, tokens).
#[derive(clap::Args)]
struct CompressArguments {
    #[command(flatten)]
    input: Input,
    /// The archive to write.
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    coding: Coding,
}

/// Which token videos.
#[derive(clap::Args)]
pub struct Input {
    /// .npy files, or folders: all .npy files below, named relative to the folder.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// How to code them.
#[derive(clap::Args)]
pub struct Coding {
    /// What `hnerv tokens train` learned; needed again for decompression.
    #[arg(long)]
    prior: Option<PathBuf>,
    /// Segments that are coded as one, each learning from those before it. 1: each stands alone and is read out at once.
    #[arg(long, default_value_t = Options::DEFAULT.group)]
    group: NonZeroUsize,
    #[command(flatten)]
    threads: Threads,
}

/// How many threads.
#[derive(clap::Args)]
struct Threads {
    /// Processor threads [default: all cores]; each group takes one, and about 150 to 300 MB.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// Restore the files of an archive below a folder.
#[derive(clap::Args)]
struct DecompressArguments {
    /// The archive.
    archive: PathBuf,
    /// The folder to restore them in.
    #[arg(short, long)]
    output: PathBuf,
    /// The prior that the archive was made with.
    #[arg(long)]
    prior: Option<PathBuf>,
    /// Restore this file alone (repeatable); decodes no more than its group up to it.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    #[command(flatten)]
    threads: Threads,
}

/// Learn a prior from token videos, for `--prior`.
#[derive(clap::Args)]
struct TrainArguments {
    #[command(flatten)]
    input: Input,
    /// The prior to write.
    #[arg(short, long)]
    output: PathBuf,
    /// With all counts: megabytes more, and what came after what is known from the first token on.
    #[arg(long)]
    counts: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Compress(arguments) => compress(arguments),
        Command::Decompress(arguments) => decompress(arguments),
        Command::Train(arguments) => train(arguments),
        Command::Bench(arguments) => tokens_bench::run(arguments),
        Command::Submission(arguments) => tokens_submission::run(arguments),
    }
}

fn compress(arguments: &CompressArguments) -> anyhow::Result<()> {
    let sources = arguments.input.sources()?;
    let prior = arguments.coding.prior()?;
    let mut out = OutputFile::create(&arguments.output)?;
    let summary = arguments.coding.compress(&sources, prior.as_ref(), &mut out)?;
    out.commit()?;
    let mut text = format!(
        "{}: {} segments, {} bytes in files, {} packed to 10 bits, {} here: ratio {:.4}",
        arguments.output.display(),
        summary.segments,
        summary.file_bytes,
        tokens::packed_bytes(summary.tokens).ceil(),
        summary.archive_bytes,
        summary.rate(0),
    );
    if let Some(prior) = &prior {
        text += &format!(", {:.4} with the prior's {} bytes", summary.rate(prior.bytes), prior.bytes);
    }
    print(&(text + "\n"))
}

fn decompress(arguments: &DecompressArguments) -> anyhow::Result<()> {
    arguments.threads.apply()?;
    let name = || arguments.archive.display().to_string();
    let prior = arguments.prior.as_deref().map(LoadedPrior::read).transpose()?;
    let bytes = read(&arguments.archive)?;
    let archive = Archive::open(&bytes, prior.as_ref().map(|prior| &prior.prior)).with_context(name)?;
    if let Some(absent) = arguments.only.iter().find(|only| archive.entries().all(|entry| entry.name() != *only)) {
        bail!("{}: holds no {absent:?}", name());
    }
    let wanted =
        |entry: &tokens::Entry| arguments.only.is_empty() || arguments.only.iter().any(|only| only == entry.name());
    let total = archive.entries().filter(|entry| wanted(entry)).count();
    let progress = Mutex::new(Progress::new("decompress", total as u64));
    let done = AtomicUsize::new(0);
    archive
        .extract_to(&arguments.output, &wanted, &|| show(&progress, done.fetch_add(1, Ordering::Relaxed) + 1))
        .with_context(name)?;
    finish(progress, total);
    Ok(())
}

fn train(arguments: &TrainArguments) -> anyhow::Result<()> {
    let sources = arguments.input.sources()?;
    let progress = Mutex::new(Progress::new("train", sources.len() as u64));
    let prior = tokens::train(sources.len(), &|i| sources[i].load(), arguments.counts, &|done| show(&progress, done))?;
    finish(progress, sources.len());
    output::write_whole(&arguments.output, &prior)?;
    print(&format!("{}: {} bytes, from {} segments\n", arguments.output.display(), prior.len(), sources.len()))
}

impl Input {
    /// The files.
    pub fn sources(&self) -> anyhow::Result<Vec<Source>> {
        Ok(tokens::sources(&self.paths)?)
    }
}

impl Threads {
    fn apply(&self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
        }
        Ok(())
    }
}

impl Coding {
    /// The prior, if there is one.
    pub fn prior(&self) -> anyhow::Result<Option<LoadedPrior>> {
        self.prior.as_deref().map(LoadedPrior::read).transpose()
    }

    /// Writes an archive, with progress.
    pub fn compress(
        &self,
        sources: &[Source],
        prior: Option<&LoadedPrior>,
        out: &mut impl Write,
    ) -> anyhow::Result<Summary> {
        self.threads.apply()?;
        let options = Options { prior: prior.map(|prior| &prior.prior), group: self.group };
        let progress = Mutex::new(Progress::new("compress", sources.len() as u64));
        let load = |i: usize| sources[i].load();
        let summary = tokens::compress(sources.len(), &load, &options, out, &|done| show(&progress, done))?;
        finish(progress, sources.len());
        Ok(summary)
    }
}

/// A prior and the size of its file.
pub struct LoadedPrior {
    /// The prior.
    pub prior: Prior,
    /// Bytes of its file.
    pub bytes: usize,
    /// Its file.
    pub path: PathBuf,
}

impl LoadedPrior {
    /// Reads a prior.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let prior = Prior::read(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self { prior, bytes: bytes.len(), path: path.into() })
    }
}

/// The bytes of a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{}: cannot read; check the path", path.display()))
}

/// Writes to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}

fn show(progress: &Mutex<Progress>, done: usize) {
    if let Ok(mut progress) = progress.lock() {
        progress.set(done as u64, || "segments".into());
    }
}

fn finish(progress: Mutex<Progress>, segments: usize) {
    if let Ok(progress) = progress.into_inner() {
        progress.finish(format!("{segments} segments"));
    }
}
