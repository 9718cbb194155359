//! A run: the curriculum over all pairs of a clip, resumable at any step.
//!
//! ```text
//! RUN/config.toml                    the resolved recipe
//! RUN/checkpoints/last.safetensors   whole state, for --resume
//! RUN/checkpoints/best.safetensors   moving average with the best PSNR after quantization, for hnerv encode
//! RUN/metrics.jsonl                  a line per epoch
//! RUN/archive.bin                    the best checkpoint, encoded
//! RUN/report.json, RUN/report.html   the same figures as data and as a page
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Int, Tensor, TensorData};
use perception::targets::Targets;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use repr::{Clip, FRAMES_PER_SAMPLE};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError, Metadata, Position};
use crate::config::{Config, ConfigError, StageConfig, TrainingConfig};
use crate::encode::{EncodeError, quantize};
use crate::evaluate::{EvaluateError, evaluate};
use crate::fake_quantize::fake_quantize;
use crate::layers::Layers;
use crate::loss::pixel_loss;
use crate::metrics::{EpochLine, Metrics};
use crate::model::{LATENTS, Parameters, decode, initialize};
use crate::optimizer::{State, StepSettings, learning_rate, step};
use crate::pairs;
use crate::report::{self, ReportError};

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
    /// Decoding for an evaluation.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
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
    /// PSNR of the running epoch so far, of the training forward pass, in dB.
    pub psnr: f64,
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
    fn evaluated(&mut self, epoch: usize, psnr: f64, best: bool);
    /// True once the run is to write its checkpoint and stop.
    fn interrupted(&self) -> bool;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All stages are done.
    Finished {
        /// Size of the archive.
        archive_bytes: usize,
        /// PSNR of the archive's frames at the decoder's resolution, in dB.
        psnr: f64,
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
            // Where the clip lies may change between starts; what it is, the checkpoint checks.
            let recipe = |text: &str| -> Vec<String> {
                let clip = |line: &&str| line.starts_with("path =") || line.starts_with("source =");
                text.lines().filter(|line| !clip(line)).map(String::from).collect()
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

/// Trains `config` on `targets` in `folder`, until all stages are done or the observer interrupts.
pub fn train<B: AutodiffBackend + Layers>(
    config: &Config,
    targets: &Targets,
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
    let TrainingConfig { seed, latent_init, .. } = config.training;
    let initial = || State::new(initialize(&config.decoder, clip.samples(), latent_init, seed, device));
    let state = state.unwrap_or_else(initial);
    let metrics = Metrics::open(folder.metrics(), position.epochs_done)?;

    let seconds_before = position.seconds;
    let mut trainer = Trainer::<B> {
        config,
        targets,
        folder,
        device,
        clip,
        metrics,
        state: Some(state),
        position,
        started: Instant::now(),
        steps_before: 0,
        seconds_before,
        last_saved: Instant::now(),
    };
    trainer.steps_before = trainer.steps_done();
    if !trainer.run(observer)? {
        return Ok(Outcome::Interrupted);
    }
    let position = trainer.position.clone();
    finish(config, targets, folder, &position)
}

/// Writes the archive and the report of a finished run.
fn finish(config: &Config, targets: &Targets, folder: &RunFolder, position: &Position) -> Result<Outcome, TrainError> {
    let representation = quantize(&Checkpoint::read(&folder.best())?, None)?;
    let bytes = archive::encode(&representation)?;
    output::write_whole(folder.archive(), &bytes)?;
    let evaluation = evaluate(&representation, targets)?;
    report::write(config, targets, folder, &representation, &bytes, &evaluation, position.seconds)?;
    Ok(Outcome::Finished { archive_bytes: bytes.len(), psnr: evaluation.psnr, seconds: position.seconds })
}

struct Trainer<'a, B: AutodiffBackend + Layers> {
    config: &'a Config,
    targets: &'a Targets,
    folder: &'a RunFolder,
    device: &'a B::Device,
    clip: Clip,
    metrics: Metrics,
    /// Present between steps; taken while a stage hands over to the next.
    state: Option<State<B::InnerBackend>>,
    position: Position,
    started: Instant,
    steps_before: usize,
    seconds_before: f64,
    last_saved: Instant,
}

impl<B: AutodiffBackend + Layers> Trainer<'_, B> {
    fn steps_per_epoch(&self) -> usize {
        self.clip.samples().div_ceil(self.config.training.batch)
    }

    fn steps_done(&self) -> usize {
        self.position.epochs_done * self.steps_per_epoch() + self.position.step
    }

    /// False when interrupted; a checkpoint is written either way.
    fn run(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let config = self.config;
        while let Some(stage) = config.stage.get(self.position.stage) {
            while self.position.epoch < stage.epochs {
                if !self.epoch(stage, observer)? {
                    self.save()?;
                    return Ok(false);
                }
            }
            self.position.stage += 1;
            self.position.epoch = 0;
            if self.position.stage < config.stage.len() {
                self.state = self.state.take().map(State::next_stage);
            }
            self.save()?;
        }
        Ok(true)
    }

    /// One pass over all pairs, or what is left of it; false when interrupted.
    fn epoch(&mut self, stage: &StageConfig, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let order = epoch_order(self.config.training.seed, self.position.epochs_done, self.clip.samples());
        let steps = self.steps_per_epoch();
        let total = steps * stage.epochs;
        let mut rate = 0.0;
        while self.position.step < steps {
            if observer.interrupted() {
                return Ok(false);
            }
            let begin = self.position.step * self.config.training.batch;
            let samples = &order[begin..(begin + self.config.training.batch).min(order.len())];
            rate = learning_rate(stage, self.position.epoch * steps + self.position.step, total);
            let (loss, mse) = self.step(stage, samples, rate);
            self.position.loss_sum += loss;
            self.position.mse_sum += mse;
            self.position.step += 1;
            self.position.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
            if !loss.is_finite() {
                return Err(TrainError::Diverged { stage: stage.name.clone(), epoch: self.position.epochs_done + 1 });
            }
            observer.status(&self.status(stage));
            if self.last_saved.elapsed().as_secs() >= self.config.training.checkpoint_seconds {
                self.save()?;
            }
        }
        self.end_epoch(stage, rate, observer)?;
        Ok(true)
    }

    fn end_epoch(&mut self, stage: &StageConfig, rate: f64, observer: &mut dyn Observer) -> Result<(), TrainError> {
        let steps = self.steps_per_epoch() as f64;
        let (loss, mse) = (self.position.loss_sum / steps, self.position.mse_sum / steps);
        self.position.epoch += 1;
        self.position.epochs_done += 1;
        (self.position.step, self.position.loss_sum, self.position.mse_sum) = (0, 0.0, 0.0);

        let done = self.position.epochs_done;
        let mut evaluation = None;
        if done.is_multiple_of(self.config.training.evaluate_every) || done == self.config.epochs() {
            let psnr = self.evaluate()?;
            let best = self.position.best_psnr.is_none_or(|best| psnr > best);
            if best {
                self.position.best_psnr = Some(psnr);
                if let Some(state) = &self.state {
                    Checkpoint::of_average(self.metadata(), &state.ema).write(&self.folder.best())?;
                }
            }
            observer.evaluated(done, psnr, best);
            evaluation = Some(psnr);
        }
        self.metrics.append(&EpochLine {
            epoch: done,
            stage: stage.name.clone(),
            loss,
            psnr: frames::psnr(mse * 255.0 * 255.0),
            learning_rate: rate,
            quantized_psnr: evaluation,
            seconds: self.position.seconds,
        })
    }

    /// One optimization step on `samples`; their loss and their mean squared error on RGB in 0..1.
    fn step(&mut self, stage: &StageConfig, samples: &[usize], rate: f64) -> (f64, f64) {
        let Some(state) = &mut self.state else { return (f64::NAN, f64::NAN) };
        let leaf = |(name, tensor): (&String, &Tensor<B::InnerBackend, 2>)| {
            (name.clone(), Tensor::<B, 2>::from_inner(tensor.clone()).require_grad())
        };
        let leaves: Parameters<B> = state.weights.iter().map(leaf).collect();
        let quantized = stage.quantized.then(|| fake_quantize(&leaves, self.config.training.bits));
        let weights = quantized.as_ref().unwrap_or(&leaves);

        let indices: Vec<i32> = samples.iter().map(|&sample| sample as i32).collect();
        let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [samples.len()]), self.device);
        let latents = weights[LATENTS].clone().select(0, indices);
        let decoded = decode(&self.config.decoder, weights, latents);
        let target = target::<B>(self.targets, samples, self.device);
        let difference = decoded.clone().inner() - target.clone().inner();
        let mse = (difference.clone() * difference).mean();
        let loss = pixel_loss(&stage.loss, decoded, target);
        let value = loss.clone().inner();
        let gradients = loss.backward();
        let training = &self.config.training;
        let settings = StepSettings {
            learning_rate: rate,
            latent_rate: stage.latent_rate,
            weight_decay: stage.weight_decay,
            gradient_clip: training.gradient_clip,
            ema: training.ema,
        };
        step::<B>(state, &leaves, &gradients, &settings);
        let host = |tensor: Tensor<B::InnerBackend, 1>| tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        (host(value), host(mse))
    }

    fn status<'s>(&self, stage: &'s StageConfig) -> Status<'s> {
        let (done, steps) = (self.steps_done(), self.steps_per_epoch());
        let total = self.config.epochs() * steps;
        let rate = (done - self.steps_before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let count = self.position.step.max(1) as f64;
        Status {
            stage: &stage.name,
            step: done,
            steps: total,
            epoch: self.position.epochs_done,
            epochs: self.config.epochs(),
            loss: self.position.loss_sum / count,
            psnr: frames::psnr(self.position.mse_sum / count * 255.0 * 255.0),
            epochs_per_minute: rate / steps as f64 * 60.0,
            seconds_left: (total - done) as f64 / rate.max(1e-9),
        }
    }

    fn metadata(&self) -> Metadata {
        let position =
            Position { optimizer_steps: self.state.as_ref().map_or(0, |state| state.steps), ..self.position.clone() };
        Metadata::new(self.config.decoder.clone(), &self.clip, self.config.training.bits, position)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        if let Some(state) = &self.state {
            Checkpoint::of_state(self.metadata(), state).write(&self.folder.last())?;
        }
        self.last_saved = Instant::now();
        Ok(())
    }

    /// PSNR of the quantized moving average, through the decoder that `inflate` runs.
    fn evaluate(&self) -> Result<f64, TrainError> {
        let Some(state) = &self.state else { return Ok(f64::NEG_INFINITY) };
        let representation = quantize(&Checkpoint::of_average(self.metadata(), &state.ema), None)?;
        Ok(evaluate(&representation, self.targets)?.psnr)
    }
}

/// The order of samples in an epoch: a function of seed and epoch alone, so a resumed run sees what an uninterrupted one sees.
fn epoch_order(seed: u64, epoch: usize, samples: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64 + 1);
    let mut order: Vec<usize> = (0..samples).collect();
    order.shuffle(&mut rng);
    order
}

/// The original pairs, `[n, 6, height, width]`, RGB in 0..1.
fn target<B: AutodiffBackend>(targets: &Targets, samples: &[usize], device: &B::Device) -> Tensor<B, 4> {
    let (height, width) = pairs::size(targets);
    let mut values = Vec::with_capacity(samples.len() * FRAMES_PER_SAMPLE * 3 * height * width);
    for &sample in samples {
        for frame in pairs::pair(targets, sample) {
            values.extend(frame.iter().map(|&v| f32::from(v) / 255.0));
        }
    }
    let shape = [samples.len(), FRAMES_PER_SAMPLE * 3, height, width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_sees_every_pair_in_its_own_order() {
        let orders: Vec<Vec<usize>> = (0..3).map(|epoch| epoch_order(7, epoch, 50)).collect();
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        assert_eq!(orders[1], epoch_order(7, 1, 50));
        assert!(orders[0] != epoch_order(8, 0, 50));
    }
}
