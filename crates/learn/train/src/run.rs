//! A run: its folder, how it starts, goes on and ends.
//!
//! ```text
//! RUN/config.toml                    the resolved recipe
//! RUN/checkpoints/last.safetensors   whole state, for --resume
//! RUN/checkpoints/best.safetensors   moving average with the best score after quantization (without evaluators: the best
//!                                    PSNR), for hnerv encode
//! RUN/metrics.jsonl                  a line per epoch
//! RUN/events.out.tfevents.hnerv      the same figures for TensorBoard
//! RUN/archive.bin                    the best checkpoint, encoded
//! RUN/report.json, RUN/report.html   the same figures as data and as a page
//! ```

use std::path::{Path, PathBuf};

use burn_core::tensor::backend::AutodiffBackend;
use onnx_burn::OnnxError;
use perception::targets::Targets;
use perception::{Evaluators, PerceptionError};
use repr::Clip;
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError, Position};
use crate::config::{Config, ConfigError};
use crate::encode::{EncodeError, quantize};
use crate::evaluate::{EvaluateError, Evaluation, evaluate};
use crate::layers::Layers;
use crate::metrics::Metrics;
use crate::model::initialize;
use crate::optimizer::State;
use crate::pairs;
use crate::perceptual;
use crate::report::{self, Finished, ReportError};
use crate::trainer::Trainer;

/// Why a run cannot start or go on.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The folder holds a run already.
    #[error("{0} holds a run already; go on with --resume, or give another --out")]
    Exists(PathBuf),
    /// A resumed run was started with another recipe.
    #[error("{folder} was started with another recipe ({difference}); give that one, or start anew with another --out")]
    OtherRecipe {
        /// The run folder.
        folder: PathBuf,
        /// The first line that differs.
        difference: String,
    },
    /// A resumed run was started on another clip.
    #[error("{folder} was started on {expected}, this is {found}; give that clip, or start anew with another --out")]
    OtherClip {
        /// The run folder.
        folder: PathBuf,
        /// The clip it was started on.
        expected: String,
        /// The clip given.
        found: String,
    },
    /// The clip's cache was made for another decoder.
    #[error(
        "the target cache holds frames of {found}, the decoder makes {expected} (rows x columns); make it again with \
         hnerv targets --size {expected}"
    )]
    OtherSize {
        /// Rows and columns of the cache.
        found: String,
        /// Rows and columns of the decoder.
        expected: String,
    },
    /// The clip's outputs are missing, or another network's.
    #[error(
        "the target cache {found} of the evaluators in [evaluators]; make it again with \
         hnerv targets --segnet S.onnx --posenet P.onnx"
    )]
    OtherEvaluators {
        /// What it holds.
        found: &'static str,
    },
    /// The clip holds no frames.
    #[error("{0} holds no frames; give another clip")]
    NoFrames(String),
    /// The loss is no number any more.
    #[error(
        "the loss is not finite in epoch {epoch} of stage {stage:?}; lower its learning_rate and --resume is not possible: start anew"
    )]
    Diverged {
        /// The stage.
        stage: String,
        /// The epoch, from 1, over all stages.
        epoch: usize,
    },
    /// The recipe.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Quantization.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::ArchiveError),
    /// Decoding or scoring for an evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The evaluators, in ONNX Runtime.
    #[error(transparent)]
    Perception(#[from] PerceptionError),
    /// The evaluators, as differentiable networks.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] output::OutputError),
    /// A file of the run folder cannot be read or written.
    #[error("{path}: {source}; check the folder's permissions and the free space")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The device cannot be used.
    #[error("{0}")]
    Device(String),
}

/// Where a run stands, for a progress display.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Name of the stage.
    pub stage: &'a str,
    /// Finished steps of the whole run.
    pub step: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// Finished epochs.
    pub epoch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Mean loss of the running epoch so far.
    pub loss: f64,
    /// PSNR of the running epoch so far, of the training forward pass, in dB; none without pixel terms.
    pub psnr: Option<f64>,
    /// SegNet's and PoseNet's distortion likewise; none where they are not asked.
    pub distortions: Option<[f64; 2]>,
    /// Speed since this start of the program.
    pub epochs_per_minute: f64,
    /// Seconds that the rest takes at that speed.
    pub seconds_left: f64,
}

/// What a run asks and tells.
pub trait Observer {
    /// After each step.
    fn status(&mut self, status: &Status<'_>);
    /// After an evaluation of the quantized moving average.
    fn evaluated(&mut self, epoch: usize, evaluation: &Evaluation, best: bool);
    /// True once the run is to write its checkpoint and stop.
    fn interrupted(&self) -> bool;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one of them in a program's life")]
pub enum Outcome {
    /// All stages are done.
    Finished {
        /// Size of the archive.
        archive_bytes: usize,
        /// What the archive is worth.
        evaluation: Evaluation,
        /// Seconds of training, over all starts.
        seconds: f64,
    },
    /// Stopped by the observer, its checkpoint written.
    Interrupted,
}

/// A run folder's files.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved recipe.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The resumable checkpoint.
    pub fn last(&self) -> PathBuf {
        self.0.join("checkpoints/last.safetensors")
    }

    /// The best checkpoint.
    pub fn best(&self) -> PathBuf {
        self.0.join("checkpoints/best.safetensors")
    }

    /// A line per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    /// The figures of each epoch for TensorBoard, which finds the file by its name.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.out.tfevents.hnerv")
    }

    /// The archive.
    pub fn archive(&self) -> PathBuf {
        self.0.join("archive.bin")
    }

    /// The report as data.
    pub fn report_json(&self) -> PathBuf {
        self.0.join("report.json")
    }

    /// The report as a page.
    pub fn report_html(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// Refuses a folder that holds a run, or with `resume` one that holds another recipe; writes the recipe.
    fn open(&self, config: &Config, resume: bool) -> Result<(), TrainError> {
        let io = |path: PathBuf| move |source| TrainError::Io { path, source };
        let (path, text) = (self.config(), config.to_toml().map_err(|e| TrainError::Device(e.to_string()))?);
        if path.exists() || self.last().exists() {
            if !resume {
                return Err(TrainError::Exists(self.0.clone()));
            }
            let before = std::fs::read_to_string(&path).map_err(io(path))?;
            // Where clip and evaluators lie may change between starts; what they are is checked elsewhere.
            let recipe = |text: &str| -> Vec<String> {
                let places = ["path =", "source =", "segnet =", "posenet ="];
                let place = |line: &&str| places.iter().any(|key| line.starts_with(key));
                text.lines().filter(|line| !place(line)).map(String::from).collect()
            };
            let (before, now) = (recipe(&before), recipe(&text));
            if before != now {
                let differs = |i: &usize| before.get(*i) != now.get(*i);
                let line = (0..before.len().max(now.len())).find(differs).unwrap_or_default();
                let text = |list: &[String]| list.get(line).cloned().unwrap_or("nothing".into());
                let difference = format!("there {}, here {}", text(&before), text(&now));
                return Err(TrainError::OtherRecipe { folder: self.0.clone(), difference });
            }
            return Ok(());
        }
        Ok(output::write_whole(&path, text.as_bytes())?)
    }
}

/// Trains `config` on `targets` in `folder`, until all stages are done or the observer interrupts. `evaluators` are those that
/// the recipe names, if it names any.
pub fn train<B: AutodiffBackend + Layers>(
    config: &Config,
    targets: &Targets,
    mut evaluators: Option<&mut Evaluators>,
    folder: &RunFolder,
    resume: bool,
    device: &B::Device,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    let clip = pairs::clip(targets);
    let size = |(height, width): (usize, usize)| format!("{height}x{width}");
    let expected = config.decoder.output_size();
    if pairs::size(targets) != expected {
        return Err(TrainError::OtherSize { found: size(pairs::size(targets)), expected: size(expected) });
    }
    if clip.frames == 0 {
        return Err(TrainError::NoFrames(clip.name));
    }
    check_evaluators(config, targets, evaluators.as_deref())?;
    let networks = match &config.evaluators {
        Some(paths) => {
            let (batch, camera) = (config.training.batch, (clip.height, clip.width));
            Some(perceptual::Evaluators::<B>::read(paths, batch, camera, device)?)
        }
        None => None,
    };
    folder.open(config, resume)?;

    let mut position = Position::default();
    let mut state = None;
    if resume && folder.last().exists() {
        let checkpoint = Checkpoint::read(&folder.last())?;
        let before = checkpoint.metadata.clip();
        if before != clip {
            let name =
                |clip: &Clip| format!("{} ({} frames of {}x{})", clip.name, clip.frames, clip.width, clip.height);
            let (expected, found) = (name(&before), name(&clip));
            return Err(TrainError::OtherClip { folder: folder.path().into(), expected, found });
        }
        state = checkpoint.state::<B::InnerBackend>(device);
        position = checkpoint.metadata.position;
    }
    let state = state.unwrap_or_else(|| {
        let training = &config.training;
        State::new(initialize(&config.decoder, clip.samples(), training.latent_init, training.seed, device))
    });
    let metrics = Metrics::open(folder, position.epochs_done)?;
    let mut trainer = Trainer::<B>::new(config, targets, networks, folder, device, metrics, state, position);
    if !trainer.run(evaluators.as_deref_mut(), observer)? {
        return Ok(Outcome::Interrupted);
    }
    finish(config, targets, evaluators, folder, trainer.seconds())
}

/// The evaluators are there if the recipe names some, and the targets are theirs.
fn check_evaluators(config: &Config, targets: &Targets, evaluators: Option<&Evaluators>) -> Result<(), TrainError> {
    if config.evaluators.is_none() {
        return Ok(());
    }
    let found = match (&targets.outputs, evaluators) {
        (None, _) => "holds no outputs",
        (Some(_), None) => "was not read together with the networks",
        (Some(outputs), Some(evaluators)) => {
            let hashes = [evaluators.segnet_hash(), evaluators.posenet_hash()].map(|hash| *hash.as_bytes());
            if [outputs.segnet, outputs.posenet] == hashes {
                return Ok(());
            }
            "holds the outputs of others, not"
        }
    };
    Err(TrainError::OtherEvaluators { found })
}

/// Writes the archive and the report of a finished run.
fn finish(
    config: &Config,
    targets: &Targets,
    mut evaluators: Option<&mut Evaluators>,
    folder: &RunFolder,
    seconds: f64,
) -> Result<Outcome, TrainError> {
    let representation = quantize(&Checkpoint::read(&folder.best())?, None)?;
    let bytes = archive::encode(&representation)?;
    output::write_whole(folder.archive(), &bytes)?;
    let evaluation = evaluate(&representation, targets, evaluators.as_deref_mut(), bytes.len())?;
    let finished =
        Finished { config, targets, representation: &representation, bytes: &bytes, evaluation: &evaluation, seconds };
    report::write(folder, &finished, evaluators)?;
    Ok(Outcome::Finished { archive_bytes: bytes.len(), evaluation, seconds })
}
