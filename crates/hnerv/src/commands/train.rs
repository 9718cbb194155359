//! `hnerv train`

use std::path::PathBuf;

use anyhow::{Context, bail};
use cli::Progress;
use train::{Config, Device, Observer, Outcome, RunFolder, Status, train_on};

use crate::footage;

/// Train the recipe CONFIG; writes a run folder with checkpoints, metrics.jsonl, archive.bin and a report.
///
/// Ctrl-C writes a checkpoint and exits with code 130; the same command with --resume goes on from there, to the same
/// archive.bin that an uninterrupted run writes (same device and threads).
#[derive(clap::Args)]
pub struct Arguments {
    /// The recipe, a TOML file (see configs/).
    config: PathBuf,
    /// The clip, instead of the recipe's: a video, or a target cache made by `hnerv targets`.
    #[arg(long)]
    clip: Option<PathBuf>,
    /// The run folder [default: runs/<config stem>].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where to compute: cpu, cuda or wgpu (the last two need a build with that feature).
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Processor threads [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Go on with the run in the run folder.
    #[arg(long)]
    resume: bool,
    /// Change a key of the recipe: training.batch=4, stage.0.epochs=10 (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut config = Config::read(&arguments.config, &arguments.set)?;
    if let Some(clip) = &arguments.clip {
        (config.clip.path, config.clip.source) = (clip.clone(), None);
    }
    if !config.clip.path.exists() {
        let source = config.clip.source.map(|text| format!("; {text}")).unwrap_or_default();
        bail!("the clip {} is absent{source}; or give another one with --clip", config.clip.path.display());
    }
    config.clip.path = config.clip.path.canonicalize().context(config.clip.path.display().to_string())?;

    let stem = arguments.config.file_stem().unwrap_or_default();
    let folder = RunFolder::new(arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(stem)));
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    cli::watch_interrupts()?;
    let targets = footage::load(&config.clip.path, config.decoder.output_size())?;
    let clip = train::clip(&targets);
    eprintln!(
        "train: {} ({} frames), {} parameters, {:.2} GFLOP a pair, {} epochs on {}, into {}",
        clip.name,
        clip.frames,
        config.decoder.parameter_count(),
        config.decoder.flops() as f64 / 1e9,
        config.epochs(),
        arguments.device,
        folder.path().display(),
    );
    let mut display = Display { progress: None };
    let outcome = train_on(arguments.device, &config, &targets, &folder, arguments.resume, &mut display)?;
    match outcome {
        Outcome::Interrupted => {
            eprintln!("train: stopped, checkpoint written; go on with --resume");
            Err(cli::Interrupted.into())
        }
        Outcome::Finished { archive_bytes, psnr, seconds } => {
            if let Some(progress) = display.progress {
                progress.finish(format!("{} epochs", config.epochs()));
            }
            let minutes = seconds / 60.0;
            let archive = folder.archive();
            use std::io::Write;
            let line = format!(
                "{}: {archive_bytes} bytes, PSNR {psnr:.2} dB at {}x{}, {minutes:.1} minutes of training",
                archive.display(),
                targets.info.width,
                targets.info.height,
            );
            writeln!(std::io::stdout(), "{line}").context("standard output")
        }
    }
}

struct Display {
    progress: Option<Progress>,
}

impl Observer for Display {
    fn status(&mut self, status: &Status<'_>) {
        let total = status.steps as u64;
        let progress = self.progress.get_or_insert_with(|| Progress::new("train", total));
        progress.set(status.step as u64, || {
            let Status { stage, epoch, epochs, loss, psnr, epochs_per_minute, seconds_left, .. } = status;
            format!(
                "epoch {epoch}/{epochs} {stage}: loss {loss:.5}, PSNR {psnr:.2} dB, {epochs_per_minute:.2} epochs/min, \
                 {:.1} min left",
                seconds_left / 60.0
            )
        });
    }

    fn evaluated(&mut self, epoch: usize, psnr: f64, best: bool) {
        let note = if best { ", best so far" } else { "" };
        if let Some(progress) = &self.progress {
            progress.line(&format!("train: epoch {epoch}: quantized PSNR {psnr:.2} dB{note}"));
        }
    }

    fn interrupted(&self) -> bool {
        cli::interrupted()
    }
}
