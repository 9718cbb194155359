//! The `hnerv` command: train a neural representation of a clip, encode it, look inside it.

mod archive_file;
mod commands;
mod fault;
mod footage;
mod search;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

/// Neural video representation: a clip becomes a tiny convolutional decoder and a latent per frame pair.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(commands::train::Arguments),
    Targets(commands::targets::Arguments),
    Report(commands::report::Arguments),
    Encode(commands::encode::Arguments),
    Inspect(commands::inspect::Arguments),
    Import(commands::import::Arguments),
    Frames(commands::frames::Arguments),
    Tokens(commands::tokens::Arguments),
}

fn main() -> ExitCode {
    allocator::keep_pages();
    cli::run(|arguments: Arguments| run(&arguments.command).map_err(fault::told))
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Train(arguments) => commands::train::run(arguments),
        Command::Targets(arguments) => commands::targets::run(arguments),
        Command::Report(arguments) => commands::report::run(arguments),
        Command::Encode(arguments) => commands::encode::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Import(arguments) => commands::import::run(arguments),
        Command::Frames(arguments) => commands::frames::run(arguments),
        Command::Tokens(arguments) => commands::tokens::run(arguments),
    }
}
