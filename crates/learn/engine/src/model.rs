//! The decoder as differentiable burn operations; what it computes is defined by [`repr::Architecture`], as for the
//! `decoder` crate, and a test holds the two together.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Tensor, TensorData};
use ops::{ConvWeights, DecoderOps, RefineLayer, StageLayer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use repr::{Architecture, Convolution, Node, Operation, ParameterKind};

use crate::parameters::Parameters;

/// Initial parameters. Weights and biases are uniform in `±1/sqrt(fan_in)` (PyTorch's default for both kinds of layer),
/// latents normal with standard deviation `latent_init`.
pub fn initialize<B: Backend>(
    architecture: &Architecture,
    samples: usize,
    latent_init: f64,
    seed: u64,
    device: &B::Device,
) -> Parameters<Tensor<B, 2>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut weights = Vec::new();
    let mut fan_in = 1;
    for parameter in architecture.parameters() {
        // A bias follows its weight and shares its bound.
        if parameter.kind == ParameterKind::Weight {
            fan_in = parameter.fan_in();
        }
        let bound = 1.0 / (fan_in as f32).sqrt();
        let values: Vec<f32> = (0..parameter.len()).map(|_| rng.random_range(-bound..=bound)).collect();
        let shape = [parameter.shape[0], parameter.fan_in()];
        weights.push(Tensor::from_data(TensorData::new(values, shape), device));
    }
    // Irwin-Hall: the sum of twelve uniforms is normal enough for a start, and the same on every machine.
    let mut normal = || (0..12).map(|_| rng.random_range(0.0..1.0f32)).sum::<f32>() - 6.0;
    let values: Vec<f32> = (0..samples * architecture.latent_dim()).map(|_| latent_init as f32 * normal()).collect();
    let latents = Tensor::from_data(TensorData::new(values, [samples, architecture.latent_dim()]), device);
    Parameters { weights, log_steps: None, latents }
}

/// Frames of `latents` (`[n, latent_dim]`): `[n, 6, height, width]`, the pair's first frame in channels 0 to 2, its second in
/// 3 to 5, RGB in 0..1.
///
/// `weights` must be those that [`initialize`] makes for this architecture.
pub fn decode<B: DecoderOps>(
    architecture: &Architecture,
    weights: &[Tensor<B, 2>],
    latents: Tensor<B, 2>,
) -> Tensor<B, 4> {
    let tensors = |convolution: &Convolution| ConvWeights {
        weight: weights[convolution.weight.index()].clone(),
        bias: weights[convolution.bias.index()].clone(),
    };
    let mut x = latents.unsqueeze_dims(&[2, 3]);
    for Node { operation, output, .. } in architecture.graph().nodes() {
        x = match operation {
            Operation::Stem { linear } => {
                let ([n, _, _, _], ConvWeights { weight, bias }) = (x.dims(), tensors(linear));
                let latents = x.reshape([n, linear.inputs]);
                let sums = latents.matmul(weight.transpose()) + bias.transpose();
                sums.sin().reshape([n, output.channels, output.height, output.width])
            }
            Operation::Stage { conv, skip, upscale } => {
                let skip = skip.as_ref().map(tensors);
                B::stage(x, StageLayer { conv: tensors(conv), skip, kernel: conv.kernel, upscale: *upscale })
            }
            Operation::Refine { first, second, gain } => {
                let (dilation, gain) = (first.dilation, *gain);
                B::refine(x, RefineLayer { first: tensors(first), second: tensors(second), dilation, gain })
            }
            Operation::Heads { heads } => {
                let heads = heads.each_ref().map(tensors);
                let weight = Tensor::cat(heads.iter().map(|head| head.weight.clone()).collect(), 0);
                let bias = Tensor::cat(heads.iter().map(|head| head.bias.clone()).collect(), 0);
                B::heads(x, ConvWeights { weight, bias })
            }
        };
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;
    use repr::{Layer, LayerTable, Refine, Stage, Stem};

    use crate::parameters::Key;

    /// Every kind of layer, few enough values for finite differences.
    fn architecture() -> Architecture {
        let stage = |channels, upscale, kernel| Layer::Stage(Stage { channels, upscale, kernel });
        let refine = Layer::Refine(Refine { hidden: 2, dilation: 2, gain: 0.3 });
        let layers = vec![stage(4, 2, 3), stage(3, 3, 1), refine, stage(3, 1, 3)];
        let table = LayerTable { latent_dim: 3, stem: Stem { channels: 4, height: 2, width: 3 }, layers };
        Architecture::new(table).unwrap()
    }

    fn loss<B: DecoderOps>(parameters: &Parameters<Tensor<B, 2>>) -> Tensor<B, 1> {
        let frames = decode(&architecture(), &parameters.weights, parameters.latents.clone());
        let [n, c, h, w] = frames.dims();
        // A different weight for every value, so that no error cancels.
        let weights: Vec<f32> = (0..n * c * h * w).map(|i| ((i * 31 % 17) as f32 - 8.0) / 8.0).collect();
        let weights = Tensor::from_data(TensorData::new(weights, [n, c, h, w]), &frames.device());
        (frames * weights).sum()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let device = Default::default();
        let start: Parameters<Tensor<Flex, 2>> = initialize(&architecture(), 2, 0.5, 3, &device);
        let leaves: Parameters<Tensor<Autodiff<Flex>, 2>> =
            start.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
        let gradients = loss(&leaves).backward();
        for key in Key::all(&architecture(), false) {
            let (leaf, tensor) = (leaves.get(key).unwrap(), start.get(key).unwrap());
            let gradient: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().iter().collect();
            let values: Vec<f32> = tensor.clone().into_data().iter().collect();
            let scale = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
            for i in [0, values.len() / 2, values.len() - 1] {
                let at = |delta: f32| {
                    let mut moved = values.clone();
                    moved[i] += delta;
                    let mut parameters = start.clone();
                    let moved = Tensor::from_data(TensorData::new(moved, tensor.dims()), &device);
                    *parameters.get_mut(key).unwrap() = moved;
                    f64::from(loss(&parameters).into_scalar())
                };
                let numeric = ((at(1e-2) - at(-1e-2)) / 2e-2) as f32;
                let error = (numeric - gradient[i]).abs();
                assert!(error <= 0.01 * scale + 2e-3, "{key:?}[{i}]: {} against {numeric}", gradient[i]);
            }
        }
    }

    #[test]
    fn frames_agree_with_the_decoder_that_inflate_runs() {
        let device = Default::default();
        let architecture = architecture();
        let parameters: Parameters<Tensor<Flex, 2>> = initialize(&architecture, 2, 0.5, 5, &device);
        let frames = decode(&architecture, &parameters.weights, parameters.latents.clone());
        let frames: Vec<f32> = frames.into_data().iter().collect();
        let values = parameters.weights.iter().map(|tensor| tensor.clone().into_data().iter().collect()).collect();
        let tensors = repr::Tensors::new(&architecture, values).unwrap();
        let latents: Vec<f32> = parameters.latents.clone().into_data().iter().collect();
        let level = kernels::Level::detect();
        let network = decoder::Network::new(&tensors, (12, 18), level).unwrap();
        let expected: Vec<f32> = latents
            .chunks(3)
            .flat_map(|latent| network.native(latent, &[]).unwrap())
            .flat_map(|planes| planes.into_data())
            .collect();
        assert_eq!(frames.len(), expected.len());
        let worst = frames.iter().zip(&expected).map(|(a, b)| (a * 255.0 - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-2, "{worst} levels");
    }
}
