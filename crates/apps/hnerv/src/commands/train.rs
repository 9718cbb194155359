//! `hnerv train`

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use cli::Progress;
use dataset::{ClipSource, Dataset};
use evaluate::Evaluation;
use metric::{PerceptionStack, Score};
use recipe::tables::{ClipTable, EvaluatorsTable, RecipeTable};
use recipe::{Recipe, RecipeFile};
use report::RunFolder;
use repr::{Clip, ClipName};
use run::{Device, Job, Observer, Outcome, Status};

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
    /// Which of the clip's video tracks, counted from 0 (attached pictures left out) [default: the recipe's, or 0 with --clip].
    #[arg(long, value_name = "N")]
    track: Option<usize>,
    /// What the archive calls the clip; `inflate` writes NAME.raw [default: the clip's file name without the extension].
    #[arg(long)]
    name: Option<ClipName>,
    /// SegNet-style evaluator (ONNX), instead of the recipe's.
    #[arg(long, requires = "posenet")]
    segnet: Option<PathBuf>,
    /// PoseNet-style evaluator (ONNX), instead of the recipe's.
    #[arg(long, requires = "segnet")]
    posenet: Option<PathBuf>,
    /// The run folder [default: runs/ and the name of CONFIG without its ending].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where to compute: cpu, cuda or wgpu (the last two need a build with that feature).
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Processor threads [default: all cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Go on with the run in the run folder; recipe, clip and evaluators must be those that it began with.
    #[arg(long)]
    resume: bool,
    /// Change a key of the recipe: training.batch=4, stage.0.epochs=10 (repeatable).
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut table = RecipeTable::read(&arguments.config, &arguments.set)?;
    if let Some(path) = &arguments.clip {
        table.clip = ClipTable::new(path.clone());
    }
    let clip = &mut table.clip;
    clip.track = arguments.track.unwrap_or(clip.track);
    clip.name = arguments.name.clone().or(clip.name.take());
    if let Some((segnet, posenet)) = arguments.segnet.clone().zip(arguments.posenet.clone()) {
        table.evaluators = Some(EvaluatorsTable { segnet, posenet, source: None });
    }
    let recipe = Recipe::new(table, &arguments.config)?.located(located)?;

    let stem = arguments.config.file_stem().unwrap_or_default();
    let folder = RunFolder::new(arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(stem)));
    if let Some(threads) = arguments.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
    }
    cli::watch_interrupts()?;
    let paths = recipe.evaluators().map(|paths| (&*paths.segnet, &*paths.posenet));
    let mut evaluators = footage::evaluators(paths, arguments.threads)?;
    let (ClipTable { path, track, name, .. }, size) = (recipe.clip(), recipe.decoder().output_size());
    let source = ClipSource { path, track: *track, name: name.as_ref() };
    let mut load = |stack: Option<&mut dyn PerceptionStack>| Dataset::load(source, size, stack, &cli::interrupted);
    let mut display =
        Display { recipe: &recipe, device: arguments.device, folder: &folder, progress: None, solving: None };
    let job = Job {
        recipe: &recipe,
        load: &mut load,
        evaluators: footage::stack(&mut evaluators),
        folder: &folder,
        resume: arguments.resume,
    };
    match run::run(arguments.device, job, &mut display)? {
        Outcome::Interrupted => {
            cli::say("train: stopped, checkpoint written; go on with --resume");
            Err(cli::Interrupted.into())
        }
        Outcome::Finished { archive_bytes, evaluation, seconds } => {
            if let Some(progress) = display.progress {
                progress.finish(format!("{} epochs", recipe.epochs()));
            }
            let (archive, minutes) = (folder.archive(), seconds / 60.0);
            let (archive, worth) = (archive.display(), worth(&evaluation));
            cli::print(format_args!("{archive}: {archive_bytes} bytes, {worth}, {minutes:.1} minutes of training\n"));
            Ok(())
        }
    }
}

/// Where a file of the recipe lies, from the root; `source` is how to get it.
fn located(file: RecipeFile, path: &Path, source: Option<&str>) -> anyhow::Result<PathBuf> {
    if !path.exists() {
        let source = source.map(|text| format!("; {text}")).unwrap_or_default();
        let (what, else_) = match file {
            RecipeFile::Clip => ("clip", "another one with --clip"),
            RecipeFile::Evaluator => ("evaluator", "others with --segnet and --posenet"),
        };
        bail!("the {what} {} is absent{source}; or give {else_}", path.display());
    }
    let path = path.canonicalize().context(path.display().to_string())?;
    // What TOML cannot hold.
    ensure!(
        path.to_str().is_some(),
        "{path:?}: a run folder keeps this path, which is not UTF-8; move or rename the file"
    );
    Ok(path)
}

/// An evaluation in words.
fn worth(evaluation: &Evaluation) -> String {
    let psnr = format!("PSNR {:.2} dB at decoder size", evaluation.psnr);
    match evaluation.score {
        Some(Score { segnet, posenet, score, .. }) => {
            format!("score {score:.4} (SegNet {segnet:.6}, PoseNet {posenet:.6}), {psnr}")
        }
        None => psnr,
    }
}

struct Display<'a> {
    recipe: &'a Recipe,
    device: Device,
    folder: &'a RunFolder,
    progress: Option<Progress>,
    /// Of the coefficients, behind the last epoch.
    solving: Option<Progress>,
}

impl Observer for Display<'_> {
    fn begins(&mut self, clip: &Clip) {
        let decoder = self.recipe.decoder();
        cli::say(format_args!(
            "train: {} ({} frames), {} parameters, {:.2} GFLOP a pair, {} epochs on {}, into {}",
            clip.name(),
            clip.frames(),
            decoder.graph().parameter_count(),
            decoder.flops() as f64 / 1e9,
            self.recipe.epochs(),
            self.device,
            self.folder.path().display(),
        ));
    }

    fn note(&mut self, line: &str) {
        cli::say(format_args!("train: {line}"));
    }

    fn status(&mut self, status: &Status<'_>) {
        let total = status.steps as u64;
        let progress = self.progress.get_or_insert_with(|| Progress::new("train", total));
        progress.set(status.step as u64, || {
            let Status { stage, epoch, epochs, loss, epochs_per_minute, seconds_left, .. } = status;
            let psnr = status.psnr.map(|psnr| format!(", PSNR {psnr:.2} dB")).unwrap_or_default();
            let seen = status.distortions.into_iter().zip(["SegNet", "PoseNet"]);
            let seen = seen.filter_map(|(distortion, name)| Some(format!(", {name} {:.5}", distortion?)));
            let distortions: String = seen.collect();
            let left = seconds_left / 60.0;
            format!(
                "epoch {epoch}/{epochs} {stage}: loss {loss:.5}{psnr}{distortions}, {epochs_per_minute:.2} epochs/min, \
                 {left:.1} min left"
            )
        });
    }

    fn solved(&mut self, sample: usize, samples: usize) {
        let solving = self.solving.get_or_insert_with(|| Progress::new("solve", samples as u64));
        solving.set(sample as u64, || "coefficients of pairs; those left poor come again".into());
    }

    fn evaluated(&mut self, epoch: usize, evaluation: &Evaluation, best: bool) {
        let note = if best { ", best so far" } else { "" };
        if let Some(progress) = &self.progress {
            progress.line(&format!("train: epoch {epoch}, quantized: {}{note}", worth(evaluation)));
        }
    }

    fn interrupted(&self) -> bool {
        cli::interrupted()
    }
}
