//! One optimization step over all parameters: gradient clipping, AdamW and Muon, moving average, schedule.

use std::collections::BTreeSet;

use burn_core::tensor::Tensor;
use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_optim::decay::WeightDecayConfig;
use burn_optim::momentum::MomentumConfig;
use burn_optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, Muon, SimpleOptimizer};

use crate::config::{MuonConfig, StageConfig};
use crate::model::{LATENTS, Parameters};

/// Everything that a step changes.
pub struct State<B: Backend> {
    /// Current weights.
    pub weights: Parameters<B>,
    /// Exponential moving average of the weights: what is evaluated and archived.
    pub ema: Parameters<B>,
    /// AdamW's first and second moments; Muon's momentum is among the first ones, and it has no second. Empty before a
    /// stage's first step.
    pub moments: [Parameters<B>; 2],
    /// The weights that the rate's model was asked about last; empty where it is not asked.
    pub rated: Parameters<B>,
    /// Steps of this stage.
    pub steps: usize,
}

impl<B: Backend> State<B> {
    /// A state that starts from `weights`.
    pub fn new(weights: Parameters<B>) -> Self {
        Self { ema: weights.clone(), weights, moments: Default::default(), rated: Parameters::new(), steps: 0 }
    }
}

/// The share of its learning rates that a stage uses at `step` (from 0) of `total`: linear warm-up, then a cosine down to
/// `final_rate`.
pub fn schedule(stage: &StageConfig, step: usize, total: usize) -> f64 {
    let warm_up = stage.warm_up * total as f64 / stage.epochs as f64;
    if (step as f64) < warm_up {
        return (step + 1) as f64 / warm_up.ceil();
    }
    let position = (step as f64 - warm_up) / (total as f64 - warm_up).max(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * position).cos());
    stage.final_rate + (1.0 - stage.final_rate) * cosine
}

/// Whether Muon may train a parameter: a matrix of the hidden convolutions, neither the stem's nor the heads'.
fn hidden(name: &str) -> bool {
    name.ends_with(".weight") && ["blocks.", "skips.", "refine."].iter().any(|layer| name.starts_with(layer))
}

/// Muon as burn has it, without its momentum, whose state it does not show.
fn muon<B: Backend>(config: &MuonConfig) -> Muon<B> {
    let none = MomentumConfig::new().with_momentum(0.0).with_dampening(0.0).with_nesterov(false);
    let decay = WeightDecayConfig::new(config.weight_decay as f32);
    burn_optim::MuonConfig::new().with_momentum(none).with_weight_decay(Some(decay)).build()
}

/// What [`step`] needs beside the gradients.
pub struct StepSettings {
    /// The schedule's share of the learning rates.
    pub schedule: f64,
    /// Learning rate of the decoder.
    pub learning_rate: f64,
    /// Factor on it for the latents.
    pub latent_rate: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Muon for the hidden convolutions.
    pub muon: Option<MuonConfig>,
    /// Largest gradient norm of a group; 0 for no limit.
    pub gradient_clip: f64,
    /// Decay of the moving average.
    pub ema: f64,
}

/// Applies one step. `leaves` are the tensors that the gradients belong to, one for each of the state's weights; those without a
/// gradient stay.
pub fn step<B: AutodiffBackend>(
    state: &mut State<B::InnerBackend>,
    leaves: &Parameters<B>,
    gradients: &B::Gradients,
    settings: &StepSettings,
) {
    let mut gradients: Parameters<B::InnerBackend> =
        leaves.iter().filter_map(|(name, leaf)| Some((name.clone(), leaf.grad(gradients)?))).collect();
    let trained: BTreeSet<String> = gradients.keys().cloned().collect();
    if settings.gradient_clip > 0.0 {
        clip(&mut gradients, settings.gradient_clip);
    }
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(settings.weight_decay as f32).build();
    let [first, second] = &mut state.moments;
    for (name, gradient) in gradients {
        let Some(weight) = state.weights.get_mut(&name) else { continue };
        if let Some(config) = settings.muon.as_ref().filter(|muon| muon.learning_rate > 0.0 && hidden(&name)) {
            let momentum = match first.remove(&name) {
                Some(momentum) => momentum * config.momentum + gradient.clone(),
                None => gradient.clone(),
            };
            let nesterov = momentum.clone() * config.momentum + gradient;
            let rate = settings.schedule * config.learning_rate;
            *weight = muon(config).step(rate, weight.clone(), nesterov, None).0;
            first.insert(name, momentum);
            continue;
        }
        let group = if name == LATENTS { settings.latent_rate } else { 1.0 };
        let rate = settings.schedule * settings.learning_rate * group;
        let moments = first.remove(&name).zip(second.remove(&name)).map(|(moment_1, moment_2)| {
            AdamWState::new(AdaptiveMomentumState { time: state.steps, moment_1, moment_2, max_moment_2: None })
        });
        let (updated, moments) = adamw.step(rate, weight.clone(), gradient, moments);
        *weight = updated;
        if let Some(AdamWState { momentum }) = moments {
            first.insert(name.clone(), momentum.moment_1);
            second.insert(name, momentum.moment_2);
        }
    }
    state.steps += 1;
    // Early in a stage a long average would mostly hold the start; the ramp of TensorFlow's ExponentialMovingAverage.
    let decay = settings.ema.min((1 + state.steps) as f64 / (10 + state.steps) as f64);
    // What does not move is its own average, exactly.
    for (name, average) in state.ema.iter_mut().filter(|(name, _)| trained.contains(*name)) {
        if let Some(weight) = state.weights.get(name) {
            *average = average.clone() * decay + weight.clone() * (1.0 - decay);
        }
    }
}

/// Scales the gradients of the decoder, and those of the latents, to at most `limit` in norm. Stays on the device.
fn clip<B: Backend>(gradients: &mut Parameters<B>, limit: f64) {
    for latents in [false, true] {
        let group = || |(name, _): &(&String, &Tensor<B, 2>)| (name.as_str() == LATENTS) == latents;
        let squares = gradients.iter().filter(group()).map(|(_, g)| (g.clone() * g.clone()).sum());
        let Some(sum) = squares.reduce(|a, b| a + b) else { continue };
        let scale = (sum.sqrt() + 1e-6).recip().mul_scalar(limit).clamp_max(1.0).reshape([1, 1]);
        for (name, gradient) in gradients.iter_mut() {
            if (name == LATENTS) == latents {
                *gradient = gradient.clone() * scale.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LossConfig;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    type B = Autodiff<Flex>;

    fn stage() -> StageConfig {
        StageConfig {
            epochs: 10,
            learning_rate: 1.0,
            final_rate: 0.1,
            warm_up: 2.0,
            ..StageConfig::new("s", LossConfig { l1: 1.0, ..Default::default() })
        }
    }

    #[test]
    fn the_schedule_rises_then_falls_to_its_floor() {
        let stage = stage();
        let rates: Vec<f64> = (0..=100).map(|step| schedule(&stage, step, 100)).collect();
        assert!((rates[0] - 0.05).abs() < 1e-12 && (rates[19] - 1.0).abs() < 1e-12);
        assert!((rates[20] - 1.0).abs() < 1e-12 && (rates[100] - 0.1).abs() < 1e-12);
        assert!(rates[20..].windows(2).all(|w| w[1] <= w[0]));
        assert!((rates[60] - 0.55).abs() < 1e-9, "half way down the cosine: {}", rates[60]);
    }

    fn named<T: Backend>(values: [f32; 2]) -> Parameters<T> {
        let device = Default::default();
        let tensor = |v: f32| Tensor::from_floats([[v]], &device);
        [("a".to_string(), tensor(values[0])), (LATENTS.to_string(), tensor(values[1]))].into()
    }

    fn run(steps: usize, clip: f64) -> State<Flex> {
        let mut state = State::<Flex>::new(named([1.0, 1.0]));
        let settings = StepSettings {
            schedule: 1.0,
            learning_rate: 0.01,
            latent_rate: 10.0,
            weight_decay: 0.0,
            muon: None,
            gradient_clip: clip,
            ema: 0.5,
        };
        for _ in 0..steps {
            let leaves: Parameters<B> =
                state.weights.iter().map(|(n, t)| (n.clone(), Tensor::from_inner(t.clone()).require_grad())).collect();
            let gradients = (leaves["a"].clone() * 5.0 + leaves[LATENTS].clone()).sum().backward();
            step::<B>(&mut state, &leaves, &gradients, &settings);
        }
        state
    }

    fn value(parameters: &Parameters<Flex>, name: &str) -> f32 {
        parameters[name].clone().into_scalar()
    }

    #[test]
    fn adamw_moves_by_the_learning_rate_of_the_group_and_the_average_follows() {
        // With a constant gradient Adam's step is the learning rate itself (Kingma, Ba 2015, section 2.1).
        let state = run(1, 0.0);
        assert!((value(&state.weights, "a") - 0.99).abs() < 1e-5);
        assert!((value(&state.weights, LATENTS) - 0.9).abs() < 1e-5);
        let decay = 2.0 / 11.0;
        assert!((value(&state.ema, "a") - (decay + (1.0 - decay) * 0.99)).abs() < 1e-5);
        let state = run(5, 0.0);
        assert!((value(&state.weights, "a") - 0.95).abs() < 1e-4);
    }

    #[test]
    fn clipping_bounds_each_group_on_its_own() {
        let state = run(1, 1.0);
        let first = |name: &str| value(&state.moments[0], name);
        assert!((first("a") - 0.1).abs() < 1e-5, "a gradient of 5 counts as 1: {}", first("a"));
        assert!((first(LATENTS) - 0.1).abs() < 1e-5);
    }

    #[test]
    fn muon_moves_hidden_matrices_by_an_orthogonal_step_and_leaves_the_rest_to_adamw() {
        let device = Default::default();
        let start = Tensor::<Flex, 2>::zeros([2, 3], &device);
        let names = ["blocks.0.weight", "blocks.0.bias", "stem.weight", LATENTS];
        let mut state = State::<Flex>::new(names.map(|name| (name.to_string(), start.clone())).into());
        let muon = MuonConfig { learning_rate: 0.1, weight_decay: 0.0, momentum: 0.95 };
        let settings = StepSettings {
            schedule: 0.5,
            learning_rate: 0.01,
            latent_rate: 1.0,
            weight_decay: 0.0,
            muon: Some(muon),
            gradient_clip: 0.0,
            ema: 0.0,
        };
        let gradient = Tensor::<B, 2>::from_floats([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0]], &device);
        for steps in 1..=2 {
            let leaves: Parameters<B> =
                state.weights.iter().map(|(n, t)| (n.clone(), Tensor::from_inner(t.clone()).require_grad())).collect();
            let loss = leaves.values().map(|leaf| (leaf.clone() * gradient.clone()).sum()).reduce(|a, b| a + b);
            step::<B>(&mut state, &leaves, &loss.unwrap().backward(), &settings);
            assert_eq!(state.steps, steps);
        }
        // Newton-Schulz brings the singular values near 1 (0.7 to 1.2), so W W^T is near (2 * 0.05)^2.
        let moved = state.weights["blocks.0.weight"].clone();
        let gram: Vec<f32> = moved.clone().matmul(moved.transpose()).into_data().iter().collect();
        assert!(gram[0] > 0.004 && gram[0] < 0.015 && gram[3] > 0.004 && gram[3] < 0.015, "{gram:?}");
        assert!(gram[1].abs() < 0.003, "{gram:?}");
        assert!(!state.moments[1].contains_key("blocks.0.weight"));
        for name in ["blocks.0.bias", "stem.weight", LATENTS] {
            let values: Vec<f32> = state.weights[name].clone().into_data().iter().collect();
            assert!((values[0] + 0.01).abs() < 1e-4 && values[2] == 0.0, "{name}: {values:?}");
        }
    }
}
