//! One optimization step over all parameters: gradient clipping, AdamW and Muon, moving average, schedule.

use burn_core::tensor::Tensor;
use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_optim::decay::WeightDecayConfig;
use burn_optim::momentum::MomentumConfig;
use burn_optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, MuonConfig, SimpleOptimizer};
use recipe::Muon;

use crate::parameters::{Key, Parameters};

/// Tensors on a device.
type Tensors<B> = Parameters<Tensor<B, 2>>;

/// Tensors on a device, as far as they are there.
type Partial<B> = Parameters<Option<Tensor<B, 2>>>;

/// Everything that a step changes.
pub struct State<B: Backend> {
    /// Current weights.
    pub weights: Tensors<B>,
    /// Exponential moving average of the weights: what is evaluated and archived.
    pub ema: Tensors<B>,
    /// AdamW's first and second moments; Muon's momentum is among the first ones, and it has no second. None before a tensor's
    /// first step in a stage.
    pub moments: [Partial<B>; 2],
    /// The weights that the rate's model was asked about last, where it is asked.
    pub rated: Option<Tensors<B>>,
    /// Steps of this stage.
    pub steps: usize,
}

impl<B: Backend> State<B> {
    /// A state that starts from `weights`.
    pub fn new(weights: Tensors<B>) -> Self {
        let moments = [(); 2].map(|()| weights.map(|_| None));
        Self { ema: weights.clone(), weights, moments, rated: None, steps: 0 }
    }
}

/// Muon as burn has it, without its momentum, whose state it does not show.
fn orthogonal<B: Backend>(weight_decay: f64) -> burn_optim::Muon<B> {
    let none = MomentumConfig::new().with_momentum(0.0).with_dampening(0.0).with_nesterov(false);
    let decay = WeightDecayConfig::new(weight_decay as f32);
    MuonConfig::new().with_momentum(none).with_weight_decay(Some(decay)).build()
}

/// What [`step`] needs beside the gradients.
pub struct StepSettings<'a> {
    /// The schedule's share of the learning rates.
    pub schedule: f64,
    /// Learning rate of the decoder.
    pub learning_rate: f64,
    /// Factor on it for the latents.
    pub latent_rate: f64,
    /// AdamW's decoupled weight decay; not of the logarithms of steps, which it would draw to a step of 1.
    pub weight_decay: f64,
    /// Muon, for the parameters that `hidden` names.
    pub muon: Option<Muon>,
    /// For each parameter whether it is a matrix of the hidden convolutions, neither the stem's nor the heads'.
    pub hidden: &'a [bool],
    /// Every tensor, in the order in which sums over them are taken.
    pub keys: &'a [Key],
    /// Largest gradient norm of a group; 0 for no limit.
    pub gradient_clip: f64,
    /// Decay of the moving average.
    pub ema: f64,
}

impl StepSettings<'_> {
    fn muon(&self, key: Key) -> Option<Muon> {
        let Key::Weight(id) = key else { return None };
        self.muon.filter(|_| self.hidden.get(id.index()) == Some(&true))
    }
}

/// Applies one step. `leaves` are the tensors that the gradients belong to, one for each of the state's weights; those without a
/// gradient stay.
pub fn step<B: AutodiffBackend>(
    state: &mut State<B::InnerBackend>,
    leaves: &Tensors<B>,
    gradients: &B::Gradients,
    settings: &StepSettings<'_>,
) {
    let mut gradients: Partial<B::InnerBackend> = leaves.map(|leaf| leaf.grad(gradients));
    if settings.gradient_clip > 0.0 {
        clip(&mut gradients, settings.keys, settings.gradient_clip);
    }
    for &key in settings.keys {
        if let Some(gradient) = gradients.get(key).cloned().flatten() {
            update(state, key, gradient, settings);
        }
    }
    state.steps += 1;
    // Early in a stage a long average would mostly hold the start; the ramp of TensorFlow's ExponentialMovingAverage.
    let decay = settings.ema.min((1 + state.steps) as f64 / (10 + state.steps) as f64);
    for &key in settings.keys {
        // What does not move is its own average, exactly.
        let moved = gradients.get(key).is_some_and(Option::is_some);
        if let (true, Some(average), Some(weight)) = (moved, state.ema.get_mut(key), state.weights.get(key)) {
            *average = average.clone() * decay + weight.clone() * (1.0 - decay);
        }
    }
}

/// Moves one tensor.
fn update<B: Backend>(state: &mut State<B>, key: Key, gradient: Tensor<B, 2>, settings: &StepSettings<'_>) {
    let [first, second] = &mut state.moments;
    let moments = (first.get_mut(key), second.get_mut(key));
    let (Some(weight), (Some(first), Some(second))) = (state.weights.get_mut(key), moments) else { return };
    if let Some(config) = settings.muon(key) {
        let momentum = match first.take() {
            Some(momentum) => momentum * config.momentum + gradient.clone(),
            None => gradient.clone(),
        };
        let nesterov = momentum.clone() * config.momentum + gradient;
        let rate = settings.schedule * config.learning_rate;
        *weight = orthogonal(config.weight_decay).step(rate, weight.clone(), nesterov, None).0;
        *first = Some(momentum);
        return;
    }
    let group = if key == Key::Latents { settings.latent_rate } else { 1.0 };
    let rate = settings.schedule * settings.learning_rate * group;
    let moments = first.take().zip(second.take()).map(|(moment_1, moment_2)| {
        AdamWState::new(AdaptiveMomentumState { time: state.steps, moment_1, moment_2, max_moment_2: None })
    });
    let decay = if matches!(key, Key::LogStep(_)) { 0.0 } else { settings.weight_decay };
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32).build();
    let (updated, moments) = adamw.step(rate, weight.clone(), gradient, moments);
    *weight = updated;
    if let Some(AdamWState { momentum }) = moments {
        (*first, *second) = (Some(momentum.moment_1), Some(momentum.moment_2));
    }
}

/// Scales the gradients of the decoder, and those of the latents, to at most `limit` in norm. Stays on the device.
fn clip<B: Backend>(gradients: &mut Partial<B>, keys: &[Key], limit: f64) {
    for latents in [false, true] {
        let group: Vec<Key> = keys.iter().copied().filter(|&key| (key == Key::Latents) == latents).collect();
        let known = group.iter().filter_map(|&key| gradients.get(key)?.as_ref());
        let squares = known.map(|gradient| (gradient.clone() * gradient.clone()).sum());
        let Some(sum) = squares.reduce(|a, b| a + b) else { continue };
        let scale = (sum.sqrt() + 1e-6).recip().mul_scalar(limit).clamp_max(1.0).reshape([1, 1]);
        for key in group {
            if let Some(Some(gradient)) = gradients.get_mut(key) {
                *gradient = gradient.clone() * scale.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;
    use repr::{Architecture, LayerTable};

    type B = Autodiff<Flex>;

    /// The first `count` parameters of an architecture, and the latents.
    fn keys(count: usize) -> Vec<Key> {
        let architecture = Architecture::new(LayerTable::reference(4, 1)).unwrap();
        let ids = architecture.parameters().iter().take(count).map(|parameter| Key::Weight(parameter.id));
        ids.chain([Key::Latents]).collect()
    }

    fn settings(keys: &[Key], gradient_clip: f64) -> StepSettings<'_> {
        StepSettings {
            schedule: 1.0,
            learning_rate: 0.01,
            latent_rate: 10.0,
            weight_decay: 0.0,
            muon: None,
            hidden: &[],
            keys,
            gradient_clip,
            ema: 0.5,
        }
    }

    fn run(steps: usize, clip: f64) -> State<Flex> {
        let tensor = || Tensor::from_floats([[1.0]], &Default::default());
        let mut state = State::<Flex>::new(Parameters { weights: vec![tensor()], log_steps: None, latents: tensor() });
        for _ in 0..steps {
            let leaves: Tensors<B> = state.weights.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
            let gradients = (leaves.weights[0].clone() * 5.0 + leaves.latents.clone()).sum().backward();
            step::<B>(&mut state, &leaves, &gradients, &settings(&keys(1), clip));
        }
        state
    }

    fn value(parameters: &Tensors<Flex>, key: Key) -> f32 {
        parameters.get(key).unwrap().clone().into_scalar()
    }

    #[test]
    fn adamw_moves_by_the_learning_rate_of_the_group_and_the_average_follows() {
        // With a constant gradient Adam's step is the learning rate itself (Kingma, Ba 2015, section 2.1).
        let state = run(1, 0.0);
        assert!((value(&state.weights, keys(1)[0]) - 0.99).abs() < 1e-5);
        assert!((value(&state.weights, Key::Latents) - 0.9).abs() < 1e-5);
        let decay = 2.0 / 11.0;
        assert!((value(&state.ema, keys(1)[0]) - (decay + (1.0 - decay) * 0.99)).abs() < 1e-5);
        let state = run(5, 0.0);
        assert!((value(&state.weights, keys(1)[0]) - 0.95).abs() < 1e-4);
    }

    #[test]
    fn weights_and_latents_decay_and_the_steps_of_their_grids_do_not() {
        let tensor = || Tensor::<Flex, 2>::from_floats([[-4.0]], &Default::default());
        let (weights, log_steps) = (vec![tensor()], Some(vec![tensor()]));
        let mut state = State::<Flex>::new(Parameters { weights, log_steps, latents: tensor() });
        let mut keys = keys(1);
        let (Key::Weight(id), Key::Latents) = (keys[0], keys[1]) else { panic!("{keys:?}") };
        keys.push(Key::LogStep(id));
        let leaves: Tensors<B> = state.weights.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
        let still = leaves.iter().map(|leaf| (leaf.clone() * 0.0).sum()).reduce(|a, b| a + b).unwrap().backward();
        step::<B>(&mut state, &leaves, &still, &StepSettings { weight_decay: 0.5, ..settings(&keys, 0.0) });
        assert_eq!(value(&state.weights, Key::LogStep(id)), -4.0);
        assert!((value(&state.weights, Key::Weight(id)) + 4.0 * (1.0 - 0.5 * 0.01)).abs() < 1e-6);
        assert!((value(&state.weights, Key::Latents) + 4.0 * (1.0 - 0.5 * 0.1)).abs() < 1e-6);
    }

    #[test]
    fn clipping_bounds_each_group_on_its_own() {
        let state = run(1, 1.0);
        let first = |key: Key| state.moments[0].get(key).unwrap().clone().unwrap().into_scalar();
        assert!((first(keys(1)[0]) - 0.1).abs() < 1e-5, "a gradient of 5 counts as 1: {}", first(keys(1)[0]));
        assert!((first(Key::Latents) - 0.1).abs() < 1e-5);
    }

    #[test]
    fn muon_moves_hidden_matrices_by_an_orthogonal_step_and_leaves_the_rest_to_adamw() {
        let device = Default::default();
        let start = || Tensor::<Flex, 2>::zeros([2, 3], &device);
        let weights = vec![start(), start(), start()];
        let mut state = State::<Flex>::new(Parameters { weights, log_steps: None, latents: start() });
        let keys = keys(3);
        let settings = StepSettings {
            schedule: 0.5,
            latent_rate: 1.0,
            muon: Some(Muon { learning_rate: 0.1, weight_decay: 0.0, momentum: 0.95 }),
            hidden: &[true, false, false],
            ema: 0.0,
            ..settings(&keys, 0.0)
        };
        let gradient = Tensor::<B, 2>::from_floats([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]], &device);
        for steps in 1..=2 {
            let leaves: Tensors<B> = state.weights.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
            let terms = keys.iter().map(|&key| (leaves.get(key).unwrap().clone() * gradient.clone()).sum());
            let gradients = terms.reduce(|a, b| a + b).unwrap().backward();
            step::<B>(&mut state, &leaves, &gradients, &settings);
            assert_eq!(state.steps, steps);
        }
        // Newton-Schulz brings the singular values near 1 (0.7 to 1.2), so W W^T is near (2 * 0.05)^2.
        let moved = state.weights.weights[0].clone();
        let gram: Vec<f32> = moved.clone().matmul(moved.transpose()).into_data().iter().collect();
        assert!(gram[0] > 0.004 && gram[0] < 0.015 && gram[3] > 0.004 && gram[3] < 0.015, "{gram:?}");
        assert!(gram[1].abs() < 0.003, "{gram:?}");
        assert!(state.moments[1].weights[0].is_none() && state.moments[1].weights[1].is_some());
        for key in &keys[1..] {
            let values: Vec<f32> = state.weights.get(*key).unwrap().clone().into_data().iter().collect();
            assert!((values[0] + 0.01).abs() < 1e-4 && values[2] == 0.0, "{key:?}: {values:?}");
        }
    }
}
