//! `hnerv report`

use std::path::PathBuf;

use report::RunFolder;

/// Make a finished run's page anew from what the run stored: no clip, no evaluators, no training.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run folder.
    run: PathBuf,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = RunFolder::new(&arguments.run);
    report::remake(&folder)?;
    cli::print(format_args!("{}\n", folder.report_html().display()));
    Ok(())
}
