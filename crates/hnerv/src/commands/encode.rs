//! `hnerv encode`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use train::{Checkpoint, RunFolder, quantize};

use crate::commands::inspect;

/// Quantize a checkpoint and entropy-code it; prints the byte budget.
#[derive(clap::Args)]
pub struct Arguments {
    /// A checkpoint (.safetensors), or a run folder: its best checkpoint.
    source: PathBuf,
    /// The archive to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Bits of the weights [default: the recipe's].
    #[arg(long, value_parser = clap::value_parser!(u8).range(i64::from(repr::MIN_BITS)..=i64::from(repr::MAX_BITS)))]
    bits: Option<u8>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let source = if arguments.source.is_dir() {
        let best = RunFolder::new(&arguments.source).best();
        if !best.exists() {
            anyhow::bail!("{} holds no checkpoint yet ({}); train longer", arguments.source.display(), best.display());
        }
        best
    } else {
        arguments.source.clone()
    };
    let checkpoint = Checkpoint::read(&source)?;
    let representation = quantize(&checkpoint, arguments.bits).context(source.display().to_string())?;
    let bytes = archive::encode(&representation)?;
    output::write_whole(&arguments.output, &bytes)?;
    let table = inspect::table(&arguments.output.display().to_string(), &bytes)?;
    std::io::stdout().write_all(table.as_bytes()).context("standard output")
}
