//! `hnerv tokens`

mod coding;
mod submission;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, bail};
use cli::Progress;
use output::OutputFile;
use token_files::read;
use tokens::Archive;

use coding::{Coding, Input, LoadedPrior, Threads, finish, show};

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
    Submission(submission::Arguments),
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
        Command::Submission(arguments) => submission::run(arguments),
    }
}

fn compress(arguments: &CompressArguments) -> anyhow::Result<()> {
    let files = arguments.input.files()?;
    let prior = arguments.coding.prior()?;
    let inputs = files.iter().map(|file| &file.path).chain(prior.as_ref().map(|prior| &prior.path));
    let mut out = OutputFile::create_apart(&arguments.output, inputs)?;
    let summary = arguments.coding.compress(&files, prior.as_ref(), &mut out)?;
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
    cli::print(text + "\n");
    Ok(())
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
    let inputs = [Some(&arguments.archive), arguments.prior.as_ref()];
    token_files::keep_apart(&archive, &arguments.output, &wanted, inputs.into_iter().flatten())?;
    let total = archive.entries().filter(|entry| wanted(entry)).count();
    let progress = Mutex::new(Progress::new("decompress", total as u64));
    let done = AtomicUsize::new(0);
    let each = || show(&progress, done.fetch_add(1, Ordering::Relaxed) + 1);
    token_files::extract(&archive, &arguments.output, &wanted, &each).with_context(name)?;
    finish(progress, total);
    Ok(())
}

fn train(arguments: &TrainArguments) -> anyhow::Result<()> {
    let files = arguments.input.files()?;
    let mut out = OutputFile::create_apart(&arguments.output, files.iter().map(|file| &file.path))?;
    let progress = Mutex::new(Progress::new("train", files.len() as u64));
    let prior = tokens::train(files.len(), &|i| files[i].load(), arguments.counts, &|done| show(&progress, done))?;
    finish(progress, files.len());
    out.append(&prior)?;
    out.commit()?;
    let output = arguments.output.display();
    cli::print(format_args!("{output}: {} bytes, from {} segments\n", prior.len(), files.len()));
    Ok(())
}
