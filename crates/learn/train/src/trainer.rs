//! The curriculum over all pairs of a clip, resumable at any step.

use std::time::Instant;

use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_core::tensor::{Int, Tensor, TensorData};
use perception::targets::Targets;
use repr::{Clip, FRAMES_PER_SAMPLE};

use crate::checkpoint::{Checkpoint, Metadata, Position, values};
use crate::config::{Config, RateModel, StageConfig, Start, Trains};
use crate::encode::quantize;
use crate::evaluate::{Evaluation, evaluate};
use crate::fake_quantize::{add_steps, fake_quantize};
use crate::layers::Layers;
use crate::loss::pixel_loss;
use crate::metrics::{EpochLine, Metrics};
use crate::model::{LATENTS, Parameters, decode};
use crate::optimizer::{State, StepSettings, schedule, step};
use crate::pairs;
use crate::perceptual;
use crate::rate::{self, CoderCosts};
use crate::run::{Observer, RunFolder, Status, TrainError};
use crate::sampling::{epoch_order, mean_pose};

/// A run between two of its steps.
pub struct Trainer<'a, B: AutodiffBackend + Layers> {
    config: &'a Config,
    targets: &'a Targets,
    networks: Option<perceptual::Evaluators<B>>,
    folder: &'a RunFolder,
    device: &'a B::Device,
    clip: Clip,
    metrics: Metrics,
    state: State<B::InnerBackend>,
    /// What the coder charges around the state's rated weights, once it was asked.
    costs: Option<CoderCosts>,
    position: Position,
    started: Instant,
    /// Steps and seconds of earlier starts.
    before: (usize, f64),
    last_saved: Instant,
}

/// What a step gives, averaged over its samples.
#[derive(Clone, Copy, Debug)]
struct StepFigures {
    loss: f64,
    mse: f64,
    distortions: [f64; 2],
}

impl<'a, B: AutodiffBackend + Layers> Trainer<'a, B> {
    /// A run that stands at `position` with `state`.
    #[allow(clippy::too_many_arguments, reason = "one caller")]
    pub fn new(
        config: &'a Config,
        targets: &'a Targets,
        networks: Option<perceptual::Evaluators<B>>,
        folder: &'a RunFolder,
        device: &'a B::Device,
        metrics: Metrics,
        state: State<B::InnerBackend>,
        position: Position,
    ) -> Self {
        let now = Instant::now();
        let mut trainer = Self {
            config,
            targets,
            networks,
            folder,
            device,
            clip: pairs::clip(targets),
            metrics,
            state,
            costs: None,
            before: (0, position.seconds),
            position,
            started: now,
            last_saved: now,
        };
        trainer.before.0 = trainer.steps_done();
        let first = config.stage.first().filter(|_| trainer.before.0 == 0);
        if first.is_some_and(|stage| stage.learned_steps) {
            add_steps(&mut trainer.state.weights, config.training.bits);
            trainer.state = State::new(trainer.state.weights);
        }
        trainer
    }

    /// Seconds of training over all starts.
    pub fn seconds(&self) -> f64 {
        self.position.seconds
    }

    fn batch(&self, stage: &StageConfig) -> usize {
        stage.batch.unwrap_or(self.config.training.batch)
    }

    fn steps_per_epoch(&self, stage: &StageConfig) -> usize {
        self.clip.samples().div_ceil(self.batch(stage))
    }

    /// Steps of the whole run; a stage that ended early counts as if it had not.
    fn steps(&self) -> usize {
        self.config.stage.iter().map(|stage| stage.epochs * self.steps_per_epoch(stage)).sum()
    }

    /// Steps up to here, counted likewise.
    fn steps_done(&self) -> usize {
        let index = self.position.stage;
        let finished = self.config.stage.iter().take(index).map(|stage| stage.epochs * self.steps_per_epoch(stage));
        let running = self.config.stage.get(index);
        let running = running.map_or(0, |stage| self.position.epoch * self.steps_per_epoch(stage) + self.position.step);
        finished.sum::<usize>() + running
    }

    /// False when interrupted; a checkpoint is written either way.
    pub fn run(
        &mut self,
        mut evaluators: Option<&mut perception::Evaluators>,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let config = self.config;
        while let Some(stage) = config.stage.get(self.position.stage) {
            let patient = |position: &Position| stage.patience == 0 || position.stale < stage.patience;
            while self.position.epoch < stage.epochs && patient(&self.position) {
                if !self.epoch(stage, evaluators.as_deref_mut(), observer)? {
                    self.save()?;
                    return Ok(false);
                }
            }
            self.position.stage += 1;
            (self.position.epoch, self.position.stale) = (0, 0);
            if let Some(next) = config.stage.get(self.position.stage) {
                self.state = self.start(next)?;
            }
            self.save()?;
        }
        Ok(true)
    }

    /// The state that a stage begins with; the optimizer forgets.
    fn start(&self, stage: &StageConfig) -> Result<State<B::InnerBackend>, TrainError> {
        let mut weights = match stage.start {
            Start::Average => self.state.ema.clone(),
            Start::Weights => self.state.weights.clone(),
            // The end of every stage is evaluated, so there is one.
            Start::Best => Checkpoint::read(&self.folder.best())?.average_parameters(self.device),
        };
        if stage.learned_steps {
            add_steps(&mut weights, self.config.training.bits);
        }
        Ok(State::new(weights))
    }

    /// One pass over all pairs, or what is left of it; false when interrupted.
    fn epoch(
        &mut self,
        stage: &StageConfig,
        evaluators: Option<&mut perception::Evaluators>,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let (seed, epoch, samples) = (self.config.training.seed, self.position.epochs_done, self.clip.samples());
        let order = epoch_order(seed, epoch, samples, stage.adaptive, &self.position.distortions);
        let (steps, batch) = (self.steps_per_epoch(stage), self.batch(stage));
        let total = steps * stage.epochs;
        self.ask_coder(stage)?;
        while self.position.step < steps {
            if observer.interrupted() {
                return Ok(false);
            }
            let begin = self.position.step * batch;
            let samples = &order[begin..(begin + batch).min(order.len())];
            let share = schedule(stage, self.position.epoch * steps + self.position.step, total);
            let figures = self.step(stage, samples, share)?;
            let position = &mut self.position;
            position.loss_sum += figures.loss;
            position.mse_sum += figures.mse;
            position.distortion_sums.iter_mut().zip(figures.distortions).for_each(|(sum, value)| *sum += value);
            position.step += 1;
            position.seconds = self.before.1 + self.started.elapsed().as_secs_f64();
            if !figures.loss.is_finite() {
                return Err(TrainError::Diverged { stage: stage.name.clone(), epoch: position.epochs_done + 1 });
            }
            observer.status(&self.status(stage));
            if self.last_saved.elapsed().as_secs() >= self.config.training.checkpoint_seconds {
                self.save()?;
            }
        }
        self.end_epoch(stage, evaluators, observer)?;
        Ok(true)
    }

    fn end_epoch(
        &mut self,
        stage: &StageConfig,
        evaluators: Option<&mut perception::Evaluators>,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let status = self.status(stage);
        let (loss, psnr, distortions) = (status.loss, status.psnr, status.distortions);
        let steps = self.steps_per_epoch(stage);
        let position = &mut self.position;
        position.epoch += 1;
        position.epochs_done += 1;
        (position.step, position.loss_sum, position.mse_sum, position.distortion_sums) = (0, 0.0, 0.0, [0.0; 2]);
        position.distortions.clone_from(&position.newest_distortions);

        let (epoch, done) = (position.epoch, position.epochs_done);
        let mut evaluation = None;
        if done.is_multiple_of(self.config.training.evaluate_every) || epoch == stage.epochs {
            let found = self.evaluate(evaluators)?;
            let value = found.score.map_or(found.psnr, |score| -score.score);
            let best = self.position.best.is_none_or(|best| value > best);
            self.position.stale = if best { 0 } else { self.position.stale + 1 };
            if best {
                self.position.best = Some(value);
                Checkpoint::of_average(self.metadata(), &self.state.ema).write(&self.folder.best())?;
            }
            observer.evaluated(done, &found, best);
            evaluation = Some(found);
        }
        self.position.seconds = self.before.1 + self.started.elapsed().as_secs_f64();
        self.metrics.append(&EpochLine {
            epoch: done,
            stage: stage.name.clone(),
            loss,
            psnr,
            segnet: distortions.map(|[segnet, _]| segnet),
            posenet: distortions.map(|[_, posenet]| posenet),
            learning_rate: stage.learning_rate * schedule(stage, epoch * steps - 1, stage.epochs * steps),
            quantized_psnr: evaluation.as_ref().map(|evaluation| evaluation.psnr),
            score: evaluation.and_then(|evaluation| evaluation.score),
            seconds: self.position.seconds,
        })
    }

    /// Asks the coder what levels cost, where the stage wants to know and what it said is of another stage or too long ago.
    fn ask_coder(&mut self, stage: &StageConfig) -> Result<(), TrainError> {
        let Some(rate) = stage.loss.rate.filter(|rate| rate.model == RateModel::Coder) else {
            self.costs = None;
            return Ok(());
        };
        let due = self.position.step == 0 && self.position.epoch.is_multiple_of(rate.refresh);
        if due || self.state.rated.is_empty() {
            self.state.rated = self.state.weights.clone();
            self.costs = None;
        }
        if self.costs.is_none() {
            let rated = quantize(&Checkpoint::of_average(self.metadata(), &self.state.rated), None)?;
            self.costs = Some(CoderCosts::of(&rated)?);
        }
        Ok(())
    }

    /// One optimization step on `samples` at a share of the learning rates.
    fn step(&mut self, stage: &StageConfig, samples: &[usize], share: f64) -> Result<StepFigures, TrainError> {
        let leaf = |(name, tensor): (&String, &Tensor<B::InnerBackend, 2>)| {
            let tensor = Tensor::<B, 2>::from_inner(tensor.clone());
            let trained = stage.trains == Trains::All || name == LATENTS;
            (name.clone(), if trained { tensor.require_grad() } else { tensor })
        };
        let leaves: Parameters<B> = self.state.weights.iter().map(leaf).collect();
        let training = &self.config.training;
        let quantized = stage.quantized.then(|| fake_quantize(&leaves, training.bits));
        let weights = quantized.as_ref().unwrap_or(&leaves);

        let indices: Vec<i32> = samples.iter().map(|&sample| sample as i32).collect();
        let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [samples.len()]), self.device);
        let latents = weights[LATENTS].clone().select(0, indices);
        let decoded = decode(&self.config.decoder, weights, latents);
        let mut loss = Tensor::<B, 1>::zeros([1], self.device);
        let mut figures = StepFigures { loss: 0.0, mse: 0.0, distortions: [0.0; 2] };
        if stage.loss.has_pixels() {
            let target = target::<B>(self.targets, samples, self.device);
            let difference = decoded.clone().inner() - target.clone().inner();
            figures.mse = host((difference.clone() * difference).mean());
            loss = loss + pixel_loss(&stage.loss, decoded.clone(), target);
        }
        if let (true, Some(networks), Some(outputs)) =
            (stage.loss.asks_evaluators(), &self.networks, &self.targets.outputs)
        {
            let mean_pose = mean_pose(&self.position.distortions);
            let terms = networks.terms(&stage.loss, stage.round_trip, decoded, outputs, samples, mean_pose)?;
            let newest = &mut self.position.newest_distortions;
            newest.resize(self.clip.samples(), [0.0; 2]);
            for (&sample, distortions) in samples.iter().zip(terms.distortions) {
                newest[sample] = distortions;
                figures.distortions.iter_mut().zip(distortions).for_each(|(sum, d)| *sum += d / samples.len() as f64);
            }
            loss = loss + terms.loss;
        }
        if let Some(rate) = &stage.loss.rate {
            let weights = self.state.weights.iter().map(|(name, tensor)| (name.clone(), values(tensor))).collect();
            let (bits, gradients) = rate::bits(&weights, training.bits, rate.sigma, self.costs.as_ref());
            let factor = rate.weight * 25.0 / (8.0 * self.targets.info.clip_bytes.max(1) as f64);
            figures.loss = factor * bits;
            for (name, gradient) in gradients {
                let leaf = leaves[&name].clone();
                let gradient = Tensor::from_data(TensorData::new(gradient, leaf.dims()), self.device);
                // A linear function of the weights with the estimate's gradient, moved to be zero here: the figure has the
                // estimate itself already.
                let difference = leaf.clone() - leaf.detach();
                loss = loss + (difference * gradient * factor).sum();
            }
        }
        figures.loss += host(loss.clone().inner());
        let gradients = loss.backward();
        let settings = StepSettings {
            schedule: share,
            learning_rate: stage.learning_rate,
            latent_rate: stage.latent_rate,
            weight_decay: stage.weight_decay,
            muon: stage.muon,
            gradient_clip: training.gradient_clip,
            ema: training.ema,
        };
        step::<B>(&mut self.state, &leaves, &gradients, &settings);
        Ok(figures)
    }

    fn status<'s>(&self, stage: &'s StageConfig) -> Status<'s> {
        let (done, steps) = (self.steps_done(), self.steps_per_epoch(stage));
        let total = self.steps();
        let rate = (done - self.before.0) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let count = self.position.step.max(1) as f64;
        let loss = &stage.loss;
        Status {
            stage: &stage.name,
            step: done,
            steps: total,
            epoch: self.position.epochs_done,
            epochs: self.config.epochs(),
            loss: self.position.loss_sum / count,
            psnr: loss.has_pixels().then(|| frames::psnr(self.position.mse_sum / count * 255.0 * 255.0)),
            distortions: loss.asks_evaluators().then(|| self.position.distortion_sums.map(|sum| sum / count)),
            epochs_per_minute: rate / steps as f64 * 60.0,
            seconds_left: (total - done) as f64 / rate.max(1e-9),
        }
    }

    fn metadata(&self) -> Metadata {
        let position = Position { optimizer_steps: self.state.steps, ..self.position.clone() };
        Metadata::new(self.config.decoder.clone(), &self.clip, self.config.training.bits, position)
    }

    fn save(&mut self) -> Result<(), TrainError> {
        Checkpoint::of_state(self.metadata(), &self.state).write(&self.folder.last())?;
        self.last_saved = Instant::now();
        Ok(())
    }

    /// The quantized moving average as an archive, through the decoder that `inflate` runs and the metric.
    fn evaluate(&self, evaluators: Option<&mut perception::Evaluators>) -> Result<Evaluation, TrainError> {
        let representation = quantize(&Checkpoint::of_average(self.metadata(), &self.state.ema), None)?;
        let bytes = archive::encode(&representation)?.len();
        Ok(evaluate(&representation, self.targets, evaluators, bytes)?)
    }
}

fn host<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
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
