//! The `hnerv` command: train a neural representation of a clip, encode it, look inside it.

mod commands;
mod footage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Training allocates and frees tensors of many megabytes in every step. The system's allocator hands each back to the
/// kernel and faults its pages in again, which took a third of a step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    Encode(commands::encode::Arguments),
    Inspect(commands::inspect::Arguments),
    Import(commands::import::Arguments),
    Frames(commands::frames::Arguments),
}

fn main() -> ExitCode {
    cli::run(|arguments: Arguments| match arguments.command {
        Command::Train(arguments) => commands::train::run(&arguments),
        Command::Targets(arguments) => commands::targets::run(&arguments),
        Command::Encode(arguments) => commands::encode::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Frames(arguments) => commands::frames::run(&arguments),
    })
}
