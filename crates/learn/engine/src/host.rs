//! A training state between host and device.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Tensor, TensorData};
use repr::Architecture;

use crate::optimizer::State;
use crate::parameters::Parameters;

/// Everything that a step changes, on the host: what a resumable checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct HostState {
    /// Exponential moving average of the weights.
    pub average: Parameters<Vec<f32>>,
    /// Current weights.
    pub weights: Parameters<Vec<f32>>,
    /// First and second moments, as far as there are any.
    pub moments: [Parameters<Option<Vec<f32>>>; 2],
    /// The weights that the rate's model was asked about last, where it is asked.
    pub rated: Option<Parameters<Vec<f32>>>,
    /// Steps of the optimizer in the running stage.
    pub steps: usize,
}

impl HostState {
    /// Whether all values are numbers.
    pub fn is_finite(&self) -> bool {
        let Self { average, weights, moments, rated, steps: _ } = self;
        let moments = moments.iter().flat_map(Parameters::iter).flatten().flatten();
        [Some(average), Some(weights), rated.as_ref()].into_iter().flatten().all(Parameters::is_finite)
            && moments.into_iter().all(|value| value.is_finite())
    }
}

/// Rows and columns of every tensor that is learned.
pub type Shapes = Parameters<[usize; 2]>;

impl Shapes {
    /// Those of an architecture and the latents of so many samples.
    pub fn of(architecture: &Architecture, samples: usize) -> Self {
        let weights: Vec<[usize; 2]> = architecture.parameters().iter().map(|p| [p.shape[0], p.fan_in()]).collect();
        let log_steps = Some(vec![[1, 1]; weights.len()]);
        Self { weights, log_steps, latents: [samples * architecture.latents_per_sample(), architecture.latent_dim()] }
    }
}

impl<B: Backend> State<B> {
    /// The state on the host.
    pub fn to_host(&self) -> HostState {
        HostState {
            average: to_host(&self.ema),
            weights: to_host(&self.weights),
            moments: self.moments.each_ref().map(|moments| moments.map(|moment| moment.as_ref().map(values))),
            rated: self.rated.as_ref().map(to_host),
            steps: self.steps,
        }
    }

    /// The state on a device.
    pub fn from_host(state: &HostState, shapes: &Shapes, device: &B::Device) -> Self {
        let moment = |values: &Option<Vec<f32>>, shape| Some(tensor(values.clone()?, shape, device));
        Self {
            weights: to_device(&state.weights, shapes, device),
            ema: to_device(&state.average, shapes, device),
            moments: state.moments.each_ref().map(|moments| shaped(moments, shapes, moment)),
            rated: state.rated.as_ref().map(|rated| to_device(rated, shapes, device)),
            steps: state.steps,
        }
    }
}

/// Each tensor with its shape, made into something else.
fn shaped<T, U>(parameters: &Parameters<T>, shapes: &Shapes, change: impl Fn(&T, [usize; 2]) -> U) -> Parameters<U> {
    let each = |tensors: &[T], shapes: &[[usize; 2]]| {
        tensors.iter().zip(shapes).map(|(tensor, &shape)| change(tensor, shape)).collect()
    };
    Parameters {
        weights: each(&parameters.weights, &shapes.weights),
        log_steps: parameters
            .log_steps
            .as_ref()
            .zip(shapes.log_steps.as_ref())
            .map(|(steps, shapes)| each(steps, shapes)),
        latents: change(&parameters.latents, shapes.latents),
    }
}

/// Tensors as values on the host, row-major.
pub fn to_host<B: Backend>(parameters: &Parameters<Tensor<B, 2>>) -> Parameters<Vec<f32>> {
    parameters.map(values)
}

/// Values on the host as tensors.
pub fn to_device<B: Backend>(
    parameters: &Parameters<Vec<f32>>,
    shapes: &Shapes,
    device: &B::Device,
) -> Parameters<Tensor<B, 2>> {
    shaped(parameters, shapes, |values, shape| tensor(values.clone(), shape, device))
}

/// A tensor of `values`, row-major.
pub fn tensor<B: Backend, const D: usize>(values: Vec<f32>, shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A tensor's values, row-major.
pub fn values<B: Backend, const D: usize>(tensor: &Tensor<B, D>) -> Vec<f32> {
    tensor.clone().into_data().iter::<f32>().collect()
}

/// A tensor's only value.
pub fn number<B: Backend>(tensor: Tensor<B, 1>) -> f64 {
    tensor.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
}
