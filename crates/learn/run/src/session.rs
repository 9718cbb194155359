//! The curriculum over all pairs of a clip, resumable at any step.

use std::sync::Arc;
use std::time::Instant;

use burn_core::tensor::backend::AutodiffBackend;
use engine::{Batch, Engine, EngineError, Origin, Parameters, schedule};
use evaluate::{Evaluation, evaluate};
use metric::PerceptionStack;
use ops::Ops;
use recipe::{Start, TrainingStage};
use report::{EpochLine, Metrics};
use repr::{ClassMaps, Clip};

use crate::checkpoint::{Checkpoint, Metadata, Position};
use crate::error::RunError;
use crate::finish::finish;
use crate::identity::RunIdentity;
use crate::observer::{Observer, Status};
use crate::open::{Job, Opened, Task, open};
use crate::sampling::{epoch_order, mean_pose};

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
        /// Seconds of training and of making the archive, over all starts.
        seconds: f64,
    },
    /// Stopped by the observer, its checkpoint written.
    Interrupted,
}

/// Runs a job on a device, until all stages are done or the observer interrupts.
pub(crate) fn run_on<B: AutodiffBackend + Ops>(
    mut job: Job<'_>,
    device: &B::Device,
    observer: &mut dyn Observer,
) -> Result<Outcome, RunError> {
    let Opened { dataset, clip, identity, engine, maps, metrics, position, lock: _lock } =
        open::<B>(&mut job, device, observer)?;
    observer.begins(&clip);
    let task = Task { recipe: job.recipe, dataset: &dataset, folder: job.folder };
    let mut evaluators = job.evaluators;
    let mut session = Session::new(task, clip, identity, engine, maps, metrics, position);
    if !session.run(&mut evaluators, observer)? {
        return Ok(Outcome::Interrupted);
    }
    let finished = finish(task, evaluators, session.position.seconds, observer)?;
    Ok(finished.map_or(Outcome::Interrupted, |(archive_bytes, evaluation, seconds)| Outcome::Finished {
        archive_bytes,
        evaluation,
        seconds,
    }))
}

/// A run between two of its steps.
struct Session<'a, B: AutodiffBackend + Ops> {
    task: Task<'a>,
    clip: Clip,
    identity: RunIdentity,
    engine: Engine<B>,
    /// What the decoder is fed with, and how an archive holds it.
    maps: Option<Arc<ClassMaps>>,
    coded_maps: Arc<[u8]>,
    metrics: Metrics,
    position: Position,
    started: Instant,
    /// Steps and seconds of earlier starts.
    before: (usize, f64),
    last_saved: Instant,
}

impl<'a, B: AutodiffBackend + Ops> Session<'a, B> {
    fn new(
        task: Task<'a>,
        clip: Clip,
        identity: RunIdentity,
        engine: Engine<B>,
        maps: Option<Arc<ClassMaps>>,
        metrics: Metrics,
        position: Position,
    ) -> Self {
        let (now, before) = (Instant::now(), (0, position.seconds));
        let coded_maps = maps.as_ref().map(|maps| maps::encode(maps).into()).unwrap_or_default();
        let mut session = Self {
            task,
            clip,
            identity,
            engine,
            maps,
            coded_maps,
            metrics,
            position,
            started: now,
            before,
            last_saved: now,
        };
        session.before.0 = session.steps_done();
        if let (0, Some(first)) = (session.before.0, session.stages().first()) {
            session.engine.begin(first, Origin::Weights);
        }
        session
    }

    /// The recipe's.
    fn stages(&self) -> &'a [TrainingStage] {
        self.task.recipe.stages()
    }

    fn steps_per_epoch(&self, stage: &TrainingStage) -> usize {
        self.clip.samples().div_ceil(stage.batch.get())
    }

    /// Steps of the whole run; a stage that ended early counts as if it had not.
    fn steps(&self) -> usize {
        self.stages().iter().map(|stage| stage.epochs.get() * self.steps_per_epoch(stage)).sum()
    }

    /// Steps up to here, counted likewise.
    fn steps_done(&self) -> usize {
        let (index, stages) = (self.position.stage, self.stages());
        let finished = stages.iter().take(index).map(|stage| stage.epochs.get() * self.steps_per_epoch(stage));
        let running = stages.get(index);
        let running = running.map_or(0, |stage| self.position.epoch * self.steps_per_epoch(stage) + self.position.step);
        finished.sum::<usize>() + running
    }

    /// False when interrupted; a checkpoint is written either way.
    fn run(
        &mut self,
        evaluators: &mut Option<&mut (dyn PerceptionStack + '_)>,
        observer: &mut dyn Observer,
    ) -> Result<bool, RunError> {
        while let Some(stage) = self.stages().get(self.position.stage) {
            let patient = |position: &Position| stage.patience.is_none_or(|patience| position.stale < patience.get());
            while self.position.epoch < stage.epochs.get() && patient(&self.position) {
                if !self.epoch(stage, evaluators.as_deref_mut(), observer)? {
                    self.save()?;
                    return Ok(false);
                }
            }
            self.position.stage += 1;
            (self.position.epoch, self.position.stale) = (0, 0);
            if let Some(next) = self.stages().get(self.position.stage) {
                self.begin(next)?;
            }
            self.save()?;
        }
        Ok(true)
    }

    /// A stage begins from what the ones before left.
    fn begin(&mut self, stage: &TrainingStage) -> Result<(), RunError> {
        match stage.start {
            Start::Average => self.engine.begin(stage, Origin::Average),
            Start::Weights => self.engine.begin(stage, Origin::Weights),
            // The end of every stage is evaluated, so there is one.
            Start::Best => {
                let best = Checkpoint::read(&self.task.folder.best())?;
                self.engine.begin(stage, Origin::Parameters(&best.average));
            }
        }
        Ok(())
    }

    /// One pass over all pairs, or what is left of it; false when interrupted.
    fn epoch(
        &mut self,
        stage: &TrainingStage,
        evaluators: Option<&mut (dyn PerceptionStack + '_)>,
        observer: &mut dyn Observer,
    ) -> Result<bool, RunError> {
        let training = self.task.recipe.training();
        let (epoch, samples) = (self.position.epochs_done, self.clip.samples());
        let order = epoch_order(training.seed, epoch, samples, stage.adaptive(), &self.position.distortions);
        let (steps, batch) = (self.steps_per_epoch(stage), stage.batch.get());
        let total = steps * stage.epochs.get();
        let refresh = stage.loss.rate.map_or(1, |rate| rate.refresh.get());
        let due = self.position.step == 0 && self.position.epoch.is_multiple_of(refresh);
        self.engine.ask_coder(stage, due).map_err(|error| self.failed(error))?;
        while self.position.step < steps {
            if observer.interrupted() {
                return Ok(false);
            }
            let begin = self.position.step * batch;
            let samples = &order[begin..(begin + batch).min(order.len())];
            let share = schedule(stage, self.position.epoch * steps + self.position.step, total);
            self.step(stage, samples, share)?;
            observer.status(&self.status(stage));
            if self.last_saved.elapsed().as_secs() >= training.checkpoint_seconds {
                self.save()?;
            }
        }
        self.end_epoch(stage, evaluators, observer)?;
        Ok(true)
    }

    /// One step of the optimizer, and its figures.
    fn step(&mut self, stage: &TrainingStage, samples: &[usize], share: f64) -> Result<(), RunError> {
        let dataset = self.task.dataset;
        let originals = dataset.originals().unwrap_or_default();
        let batch = Batch {
            samples,
            frames: samples.iter().map(|&sample| dataset.pair(sample)).collect(),
            originals: samples.iter().filter_map(|&sample| originals.get(sample)).collect(),
            mean_pose: mean_pose(&self.position.distortions),
        };
        let figures = self.engine.step(stage, &batch, share).map_err(|error| self.failed(error))?;
        let position = &mut self.position;
        // What a stage does not ask is not known after it.
        let known = if figures.distortions.is_empty() { 0 } else { self.clip.samples() };
        position.newest_distortions.resize(known, [None; 2]);
        let mut means = [0.0; 2];
        for (&sample, &distortions) in samples.iter().zip(&figures.distortions) {
            position.newest_distortions[sample] = distortions;
            let of_step = distortions.map(|distortion| distortion.unwrap_or_default() / samples.len() as f64);
            means.iter_mut().zip(of_step).for_each(|(mean, part)| *mean += part);
        }
        position.loss_sum += figures.loss;
        position.mse_sum += figures.mse;
        position.distortion_sums.iter_mut().zip(means).for_each(|(sum, value)| *sum += value);
        position.step += 1;
        position.seconds = self.before.1 + self.started.elapsed().as_secs_f64();
        if figures.loss.is_finite() { Ok(()) } else { Err(self.diverged("the loss is not finite")) }
    }

    /// What the engine says; of a divergence with where the run stands.
    fn failed(&self, error: EngineError) -> RunError {
        match error {
            EngineError::NotFinite | EngineError::Quantize(_) => self.diverged(error),
            error => error.into(),
        }
    }

    /// The error of a stage whose rates were too high: `what` shows it.
    fn diverged(&self, what: impl ToString) -> RunError {
        let (position, stages) = (&self.position, self.stages());
        let stage = stages.get(position.stage).or(stages.last()).map(|stage| stage.name.clone());
        let epoch = (position.epochs_done + usize::from(position.step > 0)).max(1);
        RunError::Diverged { what: what.to_string(), stage: stage.unwrap_or_default(), epoch }
    }

    fn end_epoch(
        &mut self,
        stage: &TrainingStage,
        evaluators: Option<&mut (dyn PerceptionStack + '_)>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let status = self.status(stage);
        let (loss, psnr, distortions) = (status.loss, status.psnr, status.distortions);
        let (steps, epochs) = (self.steps_per_epoch(stage), stage.epochs.get());
        let position = &mut self.position;
        position.epoch += 1;
        position.epochs_done += 1;
        (position.step, position.loss_sum, position.mse_sum, position.distortion_sums) = (0, 0.0, 0.0, [0.0; 2]);
        position.distortions.clone_from(&position.newest_distortions);

        let (epoch, done) = (position.epoch, position.epochs_done);
        let mut evaluation = None;
        if done.is_multiple_of(self.task.recipe.training().evaluate_every) || epoch == epochs {
            let average = self.engine.average().map_err(|error| self.failed(error))?;
            let found = self.evaluate(&average, evaluators)?;
            let value = found.score.map_or(found.psnr, |score| -score.score);
            let best = self.position.best.is_none_or(|best| value > best);
            self.position.stale = if best { 0 } else { self.position.stale + 1 };
            if best {
                self.position.best = Some(value);
                Checkpoint::of_average(self.metadata(), average, self.coded_maps.clone())
                    .write(&self.task.folder.best())?;
            }
            observer.evaluated(done, &found, best);
            evaluation = Some(found);
        }
        self.position.seconds = self.before.1 + self.started.elapsed().as_secs_f64();
        Ok(self.metrics.append(&EpochLine {
            epoch: done,
            stage: stage.name.clone(),
            loss,
            psnr,
            segnet: distortions[0],
            posenet: distortions[1],
            learning_rate: stage.rates.decoder * schedule(stage, epoch * steps - 1, epochs * steps),
            quantized_psnr: evaluation.as_ref().map(|evaluation| evaluation.psnr),
            score: evaluation.and_then(|evaluation| evaluation.score),
            seconds: self.position.seconds,
        })?)
    }

    fn status<'s>(&self, stage: &'s TrainingStage) -> Status<'s> {
        let (done, steps) = (self.steps_done(), self.steps_per_epoch(stage));
        let total = self.steps();
        let rate = (done - self.before.0) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let count = self.position.step.max(1) as f64;
        let loss = &stage.loss;
        let asked = loss.perception.map_or([false; 2], |terms| [terms.segmentation.is_some(), terms.pose.is_some()]);
        Status {
            stage: &stage.name,
            step: done,
            steps: total,
            epoch: self.position.epochs_done,
            epochs: self.task.recipe.epochs(),
            loss: self.position.loss_sum / count,
            psnr: loss.pixels.is_some().then(|| frames::psnr(self.position.mse_sum / count * 255.0 * 255.0)),
            distortions: [0, 1].map(|network| asked[network].then(|| self.position.distortion_sums[network] / count)),
            epochs_per_minute: rate / steps as f64 * 60.0,
            seconds_left: (total - done) as f64 / rate.max(1e-9),
        }
    }

    fn metadata(&self) -> Metadata {
        let position = Position { optimizer_steps: self.engine.steps(), ..self.position.clone() };
        let recipe = self.task.recipe;
        Metadata {
            architecture: recipe.decoder().clone(),
            clip: self.clip.clone(),
            bits: recipe.training().bits,
            position,
            identity: Some(self.identity.clone()),
        }
    }

    fn save(&mut self) -> Result<(), RunError> {
        // What has diverged must not take the place of what has not.
        let state = self.engine.state().map_err(|error| self.failed(error))?;
        Checkpoint::of_state(self.metadata(), state, self.coded_maps.clone()).write(&self.task.folder.last())?;
        self.last_saved = Instant::now();
        Ok(())
    }

    /// The quantized moving average as an archive, through the decoder that `inflate` runs and the metric.
    fn evaluate(
        &self,
        average: &Parameters<Vec<f32>>,
        evaluators: Option<&mut (dyn PerceptionStack + '_)>,
    ) -> Result<Evaluation, RunError> {
        let recipe = self.task.recipe;
        let representation = average
            .quantize(recipe.decoder(), &self.clip, self.maps.clone(), recipe.training().bits, None)
            .map_err(|error| self.diverged(error))?;
        let bytes = archive::encode_beside(&representation, &self.coded_maps).len();
        Ok(evaluate(&representation, self.task.dataset, evaluators, bytes)?)
    }
}
