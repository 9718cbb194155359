//! One optimization step over all parameters: gradient clipping, AdamW, moving average, schedule.

use burn_core::tensor::Tensor;
use burn_core::tensor::backend::{AutodiffBackend, Backend};
use burn_optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, SimpleOptimizer};

use crate::config::StageConfig;
use crate::model::{LATENTS, Parameters};

/// Everything that a step changes.
pub struct State<B: Backend> {
    /// Current weights.
    pub weights: Parameters<B>,
    /// Exponential moving average of the weights: what is evaluated and archived.
    pub ema: Parameters<B>,
    /// AdamW's first and second moments; empty before a stage's first step.
    pub moments: [Parameters<B>; 2],
    /// Steps of this stage.
    pub steps: usize,
}

impl<B: Backend> State<B> {
    /// A state that starts from `weights`.
    pub fn new(weights: Parameters<B>) -> Self {
        Self { ema: weights.clone(), weights, moments: Default::default(), steps: 0 }
    }

    /// The start of the next stage: its weights are the moving average, the optimizer forgets.
    pub fn next_stage(self) -> Self {
        Self::new(self.ema)
    }
}

/// Learning rate at `step` (from 0) of `total`: linear warm-up, then a cosine down to `final_rate`'s share.
pub fn learning_rate(stage: &StageConfig, step: usize, total: usize) -> f64 {
    let warm_up = stage.warm_up * total as f64 / stage.epochs as f64;
    if (step as f64) < warm_up {
        return stage.learning_rate * (step + 1) as f64 / warm_up.ceil();
    }
    let position = (step as f64 - warm_up) / (total as f64 - warm_up).max(1.0);
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * position).cos());
    stage.learning_rate * (stage.final_rate + (1.0 - stage.final_rate) * cosine)
}

/// What [`step`] needs beside the gradients.
pub struct StepSettings {
    /// Learning rate of the decoder.
    pub learning_rate: f64,
    /// Factor on it for the latents.
    pub latent_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest gradient norm of a group; 0 for no limit.
    pub gradient_clip: f64,
    /// Decay of the moving average.
    pub ema: f64,
}

/// Applies one step. `leaves` are the tensors that the gradients belong to, one for each of the state's weights.
pub fn step<B: AutodiffBackend>(
    state: &mut State<B::InnerBackend>,
    leaves: &Parameters<B>,
    gradients: &B::Gradients,
    settings: &StepSettings,
) {
    let mut gradients: Parameters<B::InnerBackend> =
        leaves.iter().filter_map(|(name, leaf)| Some((name.clone(), leaf.grad(gradients)?))).collect();
    if settings.gradient_clip > 0.0 {
        clip(&mut gradients, settings.gradient_clip);
    }
    let adamw = AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(settings.weight_decay as f32).build();
    let [first, second] = &mut state.moments;
    for (name, gradient) in gradients {
        let Some(weight) = state.weights.get_mut(&name) else { continue };
        let rate = settings.learning_rate * if name == LATENTS { settings.latent_rate } else { 1.0 };
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
    for (name, average) in &mut state.ema {
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
            name: "s".into(),
            epochs: 10,
            loss: LossConfig { l1: 1.0, ..Default::default() },
            learning_rate: 1.0,
            latent_rate: 10.0,
            final_rate: 0.1,
            warm_up: 2.0,
            weight_decay: 0.0,
            quantized: false,
        }
    }

    #[test]
    fn the_schedule_rises_then_falls_to_its_floor() {
        let stage = stage();
        let rates: Vec<f64> = (0..=100).map(|step| learning_rate(&stage, step, 100)).collect();
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
        let settings =
            StepSettings { learning_rate: 0.01, latent_rate: 10.0, weight_decay: 0.0, gradient_clip: clip, ema: 0.5 };
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
}
