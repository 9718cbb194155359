//! `hnerv import`

use std::path::PathBuf;

use anyhow::Context;
use repr::ClipName;

use crate::archive_file::ArchiveFile;
use crate::commands::inspect;

/// Turn a public submission's archive (the HNeRV format of pull requests 95 to 104) into ours, losslessly.
#[derive(clap::Args)]
pub struct Arguments {
    /// The foreign archive.
    foreign: PathBuf,
    /// The archive to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Name of the clip, which the foreign format does not store; `inflate` writes NAME.raw.
    #[arg(long, default_value = "0")]
    name: ClipName,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let output = ArchiveFile::create(&arguments.output, [&arguments.foreign])?;
    let foreign = inspect::read(&arguments.foreign)?;
    let context = || arguments.foreign.display().to_string();
    let representation = archive::import(&foreign, arguments.name.as_str()).with_context(context)?;
    let bytes = archive::encode(&representation);
    output.write(&bytes)?;
    let table = inspect::table(&arguments.output.display().to_string(), &bytes)?;
    cli::print(format_args!("{table}\n{} bytes before, {} now\n", foreign.len(), bytes.len()));
    Ok(())
}
