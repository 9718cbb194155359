//! The model in training: a state on a device, stages that begin, steps that move it.

use std::num::NonZeroU64;
use std::sync::Arc;

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Int, Tensor, TensorData};
use metric::SampleOutputs;
use onnx_burn::OnnxError;
use ops::Ops;
use recipe::tables::TrainingTable;
use recipe::{Grid, RateModel, RateTerm, TrainingStage, Trains};
use repr::{Architecture, ClassMaps, Clip, FRAMES_PER_SAMPLE, Parameter, ParameterKind, ParameterRole};
use thiserror::Error;

use crate::host::{HostState, Shapes, number, tensor, to_device, to_host};
use crate::model::{Inputs, decode, initialize};
use crate::optimizer::{State, StepSettings, step};
use crate::parameters::{Key, Parameters};
use crate::perception::{FrozenEvaluators, PerceptualLoss};
use crate::pixels::pixel_loss;
use crate::quantization::{add_steps, fake_quantize};
use crate::quantize::UnquantizableError;
use crate::rate::{self, CoderCosts};

/// Why training cannot go on.
#[derive(Debug, Error)]
pub enum EngineError {
    /// An evaluator, as a differentiable network.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// Weights that cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] UnquantizableError),
    /// A stage asks evaluators that were not given, or a batch lacks what they say of the original.
    #[error("the stage asks evaluators whose networks or outputs were not given")]
    NoEvaluators,
    /// The training has diverged: weights, their average or the optimizer's moments are no numbers any more.
    #[error("the weights are not finite")]
    NotFinite,
}

/// What is trained, and on what.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The decoder.
    pub architecture: Architecture,
    /// What it stands for.
    pub clip: Clip,
    /// Bytes of the clip's file, which the rate is over.
    pub clip_bytes: NonZeroU64,
    /// What holds for the whole run.
    pub training: TrainingTable,
    /// The class maps that the decoder is fed with, if it is.
    pub maps: Option<Arc<ClassMaps>>,
}

/// A step's samples of the original.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// Numbers of the pairs.
    pub samples: &'a [usize],
    /// Both frames of each, `[3, height, width]` at the decoder's resolution.
    pub frames: Vec<[&'a [u8]; FRAMES_PER_SAMPLE]>,
    /// What the evaluators say of each; empty where there are none.
    pub originals: Vec<&'a SampleOutputs>,
    /// PoseNet's mean distortion over the clip, where it is known.
    pub mean_pose: Option<f64>,
}

/// What a step gives, averaged over its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The loss.
    pub loss: f64,
    /// Mean squared error on RGB in 0..1; 0 where the loss has no pixel terms.
    pub mse: f64,
    /// SegNet's and PoseNet's distortion of each sample, each where the stage asks it; empty where it asks neither.
    pub distortions: Vec<[Option<f64>; 2]>,
}

/// What a stage's weights start from.
pub enum Origin<'a> {
    /// The moving average so far.
    Average,
    /// The weights so far.
    Weights,
    /// Others.
    Parameters(&'a Parameters<Vec<f32>>),
}

/// A model in training on one device.
pub struct Engine<B: AutodiffBackend + Ops> {
    setup: Setup,
    device: B::Device,
    evaluators: Option<Arc<FrozenEvaluators<B>>>,
    state: State<B::InnerBackend>,
    /// What the coder charges around the state's rated weights, once it was asked.
    costs: Option<CoderCosts>,
    shapes: Shapes,
    /// Every tensor of the state, in the order in which sums over them are taken.
    keys: Vec<Key>,
    /// For each parameter whether it is a matrix of the hidden convolutions, which Muon may train.
    hidden: Vec<bool>,
}

impl<B: AutodiffBackend + Ops> Engine<B> {
    /// A model that goes on from `resumed`, or begins with the recipe's seed; `evaluators` are those that stages may ask.
    pub fn new(
        setup: Setup,
        evaluators: Option<FrozenEvaluators<B>>,
        resumed: Option<&HostState>,
        device: B::Device,
    ) -> Self {
        let (samples, training) = (setup.clip.samples(), &setup.training);
        let shapes = Shapes::of(&setup.architecture, samples);
        let state = match resumed {
            Some(state) => State::from_host(state, &shapes, &device),
            None => State::new(initialize(&setup.architecture, samples, training.latent_init, training.seed, &device)),
        };
        let hidden = |parameter: &Parameter| {
            parameter.kind == ParameterKind::Weight
                && matches!(parameter.role, ParameterRole::Hidden | ParameterRole::Skip)
        };
        Self {
            hidden: setup.architecture.parameters().iter().map(hidden).collect(),
            keys: Key::all(&setup.architecture, state.weights.log_steps.is_some()),
            shapes,
            evaluators: evaluators.map(Arc::new),
            state,
            costs: None,
            setup,
            device,
        }
    }

    /// Steps of the optimizer in the running stage.
    pub fn steps(&self) -> usize {
        self.state.steps
    }

    /// A new stage: the optimizer forgets.
    pub fn begin(&mut self, stage: &TrainingStage, origin: Origin<'_>) {
        let mut weights = match origin {
            Origin::Average => self.state.ema.clone(),
            Origin::Weights => self.state.weights.clone(),
            Origin::Parameters(parameters) => to_device(parameters, &self.shapes, &self.device),
        };
        if stage.grid == Some(Grid::Learned) {
            add_steps(&mut weights, self.setup.training.bits);
        }
        self.keys = Key::all(&self.setup.architecture, weights.log_steps.is_some());
        self.state = State::new(weights);
    }

    /// What a stage asks evaluators.
    fn perceptual_loss(&self, stage: &TrainingStage) -> Result<Option<PerceptualLoss<B>>, EngineError> {
        let Some(terms) = stage.loss.perception else { return Ok(None) };
        let evaluators = self.evaluators.clone().ok_or(EngineError::NoEvaluators)?;
        Ok(Some(PerceptualLoss::new(terms, evaluators)))
    }

    /// Asks the coder what levels cost, where the stage wants to know, and it is `due` or what is known is of another stage.
    pub fn ask_coder(&mut self, stage: &TrainingStage, due: bool) -> Result<(), EngineError> {
        if stage.loss.rate.is_none_or(|rate| rate.model != RateModel::Coder) {
            self.costs = None;
            return Ok(());
        }
        if due || self.state.rated.is_none() {
            self.state.rated = Some(self.state.weights.clone());
            self.costs = None;
        }
        if let (None, Some(rated)) = (&self.costs, &self.state.rated) {
            let Setup { architecture, clip, training, maps, .. } = &self.setup;
            let rated = to_host(rated);
            if !rated.is_finite() {
                return Err(EngineError::NotFinite);
            }
            let rated = rated.quantize(architecture, clip, maps.clone(), training.bits, None)?;
            self.costs = Some(CoderCosts::of(&rated));
        }
        Ok(())
    }

    /// One step of the optimizer at a share of the stage's learning rates.
    pub fn step(&mut self, stage: &TrainingStage, batch: &Batch<'_>, share: f64) -> Result<Figures, EngineError> {
        let leaves = self.leaves(stage.trains);
        let (training, samples) = (&self.setup.training, batch.samples);
        let quantized =
            stage.grid.is_some().then(|| fake_quantize(&leaves, training.bits, &self.setup.architecture.latent_bits()));
        let weights = quantized.as_ref().unwrap_or(&leaves);

        let latents = self.setup.architecture.latents_per_sample();
        let rows = |&sample: &usize| sample * latents..(sample + 1) * latents;
        let indices: Vec<i32> = samples.iter().flat_map(rows).map(|row| row as i32).collect();
        let shape = [indices.len()];
        let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, shape), &self.device);
        let latents = weights.latents.clone().select(0, indices);
        let mut inputs = Inputs::new(&self.setup.architecture, latents, self.maps(samples));
        if stage.trains == Trains::Carrier {
            inputs.latents = inputs.latents.detach();
        }
        let decoded = decode(&self.setup.architecture, &weights.weights, inputs);
        let mut loss = Tensor::<B, 1>::zeros([1], &self.device);
        let mut figures = Figures { loss: 0.0, mse: 0.0, distortions: Vec::new() };
        if let Some(pixels) = &stage.loss.pixels {
            let target = self.target(batch);
            let difference = decoded.clone().inner() - target.clone().inner();
            figures.mse = number((difference.clone() * difference).mean());
            loss = loss + pixel_loss(pixels, decoded.clone(), target);
        }
        if let Some(perceptual) = self.perceptual_loss(stage)? {
            if batch.originals.len() != samples.len() {
                return Err(EngineError::NoEvaluators);
            }
            let perceived = perceptual.of(decoded, &batch.originals, batch.mean_pose)?;
            figures.distortions = perceived.distortions;
            loss = loss + perceived.loss;
        }
        if let Some(rate) = &stage.loss.rate {
            let (bits, slope) = self.rate(rate, &leaves);
            figures.loss = bits;
            loss = loss + slope;
        }
        figures.loss += number(loss.clone().inner());
        let gradients = loss.backward();
        let settings = StepSettings {
            schedule: share,
            learning_rate: stage.rates.decoder,
            latent_rate: stage.rates.latents,
            weight_decay: stage.weight_decay,
            muon: stage.muon,
            hidden: &self.hidden,
            keys: &self.keys,
            gradient_clip: training.gradient_clip,
            ema: training.ema,
        };
        let before = (self.state.weights.latents.clone(), self.state.ema.latents.clone());
        step::<B>(&mut self.state, &leaves, &gradients, &settings);
        self.hold(stage.trains, before);
        Ok(figures)
    }

    /// Puts back what a stage does not train of the latents, a renderer's numbers or a carrier's coefficients, exactly: they share a
    /// tensor, and so what the optimizer does.
    fn hold(&mut self, trains: Trains, (weights, ema): (Tensor<B::InnerBackend, 2>, Tensor<B::InnerBackend, 2>)) {
        let (dim, coefficients) = (self.setup.architecture.latent_dim(), self.setup.architecture.coefficients());
        let numbers = dim - coefficients;
        if coefficients == 0 || !matches!(trains, Trains::Renderer | Trains::Carrier) {
            return;
        }
        for (new, old) in [(&mut self.state.weights.latents, weights), (&mut self.state.ema.latents, ema)] {
            let [shared, own] = if trains == Trains::Renderer { [&*new, &old] } else { [&old, &*new] };
            let parts = vec![shared.clone().narrow(1, 0, numbers), own.clone().narrow(1, numbers, coefficients)];
            *new = Tensor::cat(parts, 1);
        }
    }

    /// The weights as what is differentiated by, as far as they are trained.
    fn leaves(&self, trains: Trains) -> Parameters<Tensor<B, 2>> {
        let carrier = self.setup.architecture.graph().carrier().map(|carrier| carrier.linear);
        let carried = |id| carrier.is_some_and(|linear| [linear.weight, linear.bias].contains(&id));
        let trained = |key: Key| match (trains, key) {
            (Trains::All, _) | (_, Key::Latents) => true,
            (Trains::Latents, _) => false,
            (Trains::Renderer, Key::Weight(id) | Key::LogStep(id)) => !carried(id),
            (Trains::Carrier, Key::Weight(id) | Key::LogStep(id)) => carried(id),
        };
        let mut leaves = self.state.weights.map(|tensor| Tensor::<B, 2>::from_inner(tensor.clone()));
        for &key in self.keys.iter().filter(|&&key| trained(key)) {
            if let Some(leaf) = leaves.get_mut(key) {
                *leaf = leaf.clone().require_grad();
            }
        }
        leaves
    }

    /// What the weights' bytes cost, and a linear function of the weights that has the estimate's gradient and is zero here.
    fn rate(&self, rate: &RateTerm, leaves: &Parameters<Tensor<B, 2>>) -> (f64, Tensor<B, 1>) {
        let values = to_host(&self.state.weights);
        let (bits, gradients) =
            rate::bits(&values, &self.keys, self.setup.training.bits, rate.sigma, self.costs.as_ref());
        let factor = rate.weight * metric::RATE_FACTOR / (8.0 * self.setup.clip_bytes.get() as f64);
        let mut sum = Tensor::<B, 1>::zeros([1], &self.device);
        for &key in &self.keys {
            if let (Some(leaf), Some(Some(gradient))) = (leaves.get(key), gradients.get(key)) {
                let gradient = tensor(gradient.clone(), leaf.dims(), &self.device);
                let difference = leaf.clone() - leaf.clone().detach();
                sum = sum + (difference * gradient * factor).sum();
            }
        }
        (factor * bits, sum)
    }

    /// The class maps of samples, where the decoder is fed with them.
    fn maps(&self, samples: &[usize]) -> Option<Tensor<B, 3, Int>> {
        let maps = self.setup.maps.as_ref()?;
        let values = samples.iter().filter_map(|&sample| maps.map(sample)).flatten().map(|&class| i32::from(class));
        let shape = [samples.len(), maps.shape().rows(), maps.shape().columns()];
        Some(Tensor::from_data(TensorData::new(values.collect(), shape), &self.device))
    }

    /// The original pairs, `[n, 6, height, width]`, RGB in 0..1.
    fn target(&self, batch: &Batch<'_>) -> Tensor<B, 4> {
        let (height, width) = self.setup.architecture.output_size();
        let mut values = Vec::with_capacity(batch.frames.len() * FRAMES_PER_SAMPLE * 3 * height * width);
        for frame in batch.frames.iter().flatten() {
            values.extend(frame.iter().map(|&v| f32::from(v) / 255.0));
        }
        let shape = [batch.frames.len(), FRAMES_PER_SAMPLE * 3, height, width];
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    /// The moving average: what is evaluated and archived.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFinite`]; a finite loss does not rule it out, as its gradient need not be.
    pub fn average(&self) -> Result<Parameters<Vec<f32>>, EngineError> {
        let average = to_host(&self.state.ema);
        if average.is_finite() { Ok(average) } else { Err(EngineError::NotFinite) }
    }

    /// All that is needed to go on from here.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotFinite`], as for [`average`](Self::average).
    pub fn state(&self) -> Result<HostState, EngineError> {
        let state = self.state.to_host();
        if state.is_finite() { Ok(state) } else { Err(EngineError::NotFinite) }
    }
}
