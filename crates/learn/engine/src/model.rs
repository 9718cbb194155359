//! The decoder as differentiable burn operations; what it computes is defined by [`repr::Architecture`], as for the
//! `decoder` crate, and a test holds the two together.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor, TensorData};
use ops::{CarrierSizes, ClassInputs, ConvWeights, DecoderOps, RefineLayer, ResidualLayer, StageLayer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use repr::{Architecture, Convolution, FRAMES_PER_SAMPLE, Node, Operation, ParameterKind};

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
    let (latents, dim) = (samples * architecture.latents_per_sample(), architecture.latent_dim());
    let values: Vec<f32> = (0..latents * dim).map(|_| latent_init as f32 * normal()).collect();
    let latents = Tensor::from_data(TensorData::new(values, [latents, dim]), device);
    Parameters { weights, log_steps: None, latents }
}

/// What samples are decoded from.
pub struct Inputs<B: Backend> {
    /// `[n * latents per sample, values]`, a carrier's coefficients aside.
    pub latents: Tensor<B, 2>,
    /// `[n, coefficients]`, where there is a carrier.
    pub coefficients: Option<Tensor<B, 2>>,
    /// `[n, rows, columns]` at the first activation's size, where the decoder is fed with class maps.
    pub maps: Option<Tensor<B, 3, Int>>,
}

impl<B: Backend> Inputs<B> {
    /// Whole latents taken apart.
    pub fn new(architecture: &Architecture, latents: Tensor<B, 2>, maps: Option<Tensor<B, 3, Int>>) -> Self {
        let coefficients = architecture.coefficients();
        if coefficients == 0 {
            return Self { latents, coefficients: None, maps };
        }
        let numbers = architecture.latent_dim() - coefficients;
        let own = latents.clone().narrow(1, numbers, coefficients);
        Self { latents: latents.narrow(1, 0, numbers), coefficients: Some(own), maps }
    }
}

/// Frames of the `inputs` of `n` samples: `[n, 6, height, width]`, the pair's first frame in channels 0 to 2, its second in 3 to 5,
/// RGB in 0..1.
///
/// `weights` must be those that [`initialize`] makes for this architecture.
pub fn decode<B: DecoderOps>(architecture: &Architecture, weights: &[Tensor<B, 2>], inputs: Inputs<B>) -> Tensor<B, 4> {
    let Inputs { latents, coefficients, maps } = inputs;
    let tensors = |convolution: &Convolution| ConvWeights {
        weight: weights[convolution.weight.index()].clone(),
        bias: weights[convolution.bias.index()].clone(),
    };
    let [n, _] = latents.dims();
    let graph = architecture.graph();
    let first = graph.nodes()[0].input;
    let carried = graph.carrier().zip(coefficients).map(|(carrier, coefficients)| {
        let sizes = CarrierSizes { coarse: (carrier.height, carrier.width), frame: architecture.output_size() };
        B::carrier(coefficients, tensors(&carrier.linear), sizes)
    });
    let mut x = latents.reshape([n, first.channels, first.height, first.width]);
    for Node { operation, output, .. } in architecture.graph().nodes() {
        x = match operation {
            Operation::Stem { linear } => {
                let ConvWeights { weight, bias } = tensors(linear);
                let latents = x.reshape([n, linear.inputs]);
                let sums = latents.matmul(weight.transpose()) + bias.transpose();
                sums.sin().reshape([n, output.channels, output.height, output.width])
            }
            Operation::Classes { linear, classes } => {
                let [samples, per_sample] = [n / architecture.latents_per_sample(), architecture.latents_per_sample()];
                let shape = [samples, output.height, output.width];
                let maps = maps.clone().unwrap_or_else(|| Tensor::zeros(shape, &x.device()));
                // Each latent of a sample is fed with the sample's map.
                let maps = maps.unsqueeze_dim::<4>(1).repeat_dim(1, per_sample);
                let maps = maps.reshape([n, output.height, output.width]);
                let inputs = ClassInputs { maps, classes: *classes, numbers: x.reshape([n, first.channels]) };
                B::classes(inputs, tensors(linear))
            }
            Operation::Residual { first, second, nonlinearity } => {
                let (kernel, dilation, nonlinearity) = (first.kernel, first.dilation, *nonlinearity);
                let (first, second) = (tensors(first), tensors(second));
                B::residual(x, ResidualLayer { first, second, kernel, dilation, nonlinearity })
            }
            Operation::Stage { conv, skip, upscale, nonlinearity } => {
                let (skip, upscale, nonlinearity) = (skip.as_ref().map(tensors), *upscale, *nonlinearity);
                B::stage(x, StageLayer { conv: tensors(conv), skip, kernel: conv.kernel, upscale, nonlinearity })
            }
            Operation::Refine { first, second, gain } => {
                let (dilation, gain) = (first.dilation, *gain);
                B::refine(x, RefineLayer { first: tensors(first), second: tensors(second), dilation, gain })
            }
            Operation::Heads { heads, gain } => {
                let heads: Vec<ConvWeights<B>> = heads.iter().map(tensors).collect();
                let scaled = |tensor: &Tensor<B, 2>| match gain {
                    1.0 => tensor.clone(),
                    gain => tensor.clone() * *gain,
                };
                let weight = Tensor::cat(heads.iter().map(|head| scaled(&head.weight)).collect(), 0);
                let bias = Tensor::cat(heads.iter().map(|head| scaled(&head.bias)).collect(), 0);
                B::heads(x, ConvWeights { weight, bias })
            }
        };
    }
    if let Some(carried) = carried {
        x = Tensor::cat(vec![carried, x], 1);
    }
    let [_, _, height, width] = x.dims();
    x.reshape([n / architecture.latents_per_sample(), 3 * FRAMES_PER_SAMPLE, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;
    use repr::{Carrier, Head, Layer, LayerTable, Nonlinearity, Refine, Residual, Stage, Stem};

    use crate::parameters::Key;

    /// Every kind of layer, few enough values for finite differences: with a linear stem and two frames for a latent, of latents
    /// that are images of one, of class maps with a carrier in colour and a grey one, and of maps for two latents of a frame each.
    fn architectures() -> [Architecture; 5] {
        let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
        let refine = Layer::Refine(Refine { hidden: 2, dilation: 2, gain: 0.3 });
        let layers = vec![stage(4, 2, 3), stage(3, 3, 1), refine, stage(3, 1, 3)];
        let pair = LayerTable::new(3, Stem::new(4, 2, 3), layers);
        let block = |channels, upscale, kernel, skip| {
            Layer::Stage(Stage { skip, activation: Nonlinearity::Gelu, ..Stage::new(channels, upscale, kernel) })
        };
        let layers = vec![block(4, 1, 1, false), block(3, 5, 5, false), block(2, 1, 3, true)];
        let stem = Stem { linear: false, ..Stem::new(2, 2, 3) };
        let single = LayerTable { frames: 1, head: Head::Tanh, ..LayerTable::new(12, stem, layers) };
        let residual =
            |hidden, kernel, dilation, activation| Layer::Residual(Residual { hidden, kernel, dilation, activation });
        let mapped = |classes, channels, height, width| Stem { classes, ..Stem::new(channels, height, width) };
        let carrier = Carrier { coefficients: 2, height: 3, width: 2, channels: 3, bits: 10 };
        let layers = vec![
            residual(3, 3, 2, Nonlinearity::Gelu),
            residual(5, 1, 1, Nonlinearity::Sin),
            residual(2, 5, 8, Nonlinearity::Gelu),
        ];
        let colour = LayerTable { carrier: Some(carrier), ..LayerTable::new(4, mapped(3, 4, 7, 9), layers) };
        let layers = vec![stage(3, 2, 1), residual(2, 3, 1, Nonlinearity::Sin)];
        let table = LayerTable { head: Head::Tanh, ..LayerTable::new(2, mapped(5, 2, 4, 5), layers) };
        let grey = LayerTable { carrier: Some(Carrier { coefficients: 1, channels: 1, bits: 12, ..carrier }), ..table };
        let layers = vec![residual(2, 3, 3, Nonlinearity::Gelu)];
        let frames = LayerTable { frames: 1, ..LayerTable::new(2, mapped(2, 2, 5, 6), layers) };
        [pair, single, colour, grey, frames].map(|table| Architecture::new(table).unwrap())
    }

    /// The class maps of two samples, where there are any.
    fn maps(architecture: &Architecture) -> Option<Vec<u8>> {
        let shape = architecture.map_shape(2).unwrap()?;
        let class = |i: usize| ((i * 13 + i / shape.columns() + i / shape.pixels()) % 11 % shape.classes()) as u8;
        Some((0..2 * shape.pixels()).map(class).collect())
    }

    fn frames<B: DecoderOps>(architecture: &Architecture, parameters: &Parameters<Tensor<B, 2>>) -> Tensor<B, 4> {
        let latents = parameters.latents.clone();
        let maps = maps(architecture).map(|maps| {
            let shape = architecture.map_shape(2).unwrap().unwrap();
            let classes: Vec<i32> = maps.into_iter().map(i32::from).collect();
            Tensor::from_data(TensorData::new(classes, [2, shape.rows(), shape.columns()]), &latents.device())
        });
        decode(architecture, &parameters.weights, Inputs::new(architecture, latents, maps))
    }

    fn loss<B: DecoderOps>(architecture: &Architecture, parameters: &Parameters<Tensor<B, 2>>) -> Tensor<B, 1> {
        let frames = frames(architecture, parameters);
        let [n, c, h, w] = frames.dims();
        // A different weight for every value, so that no error cancels.
        let weights: Vec<f32> = (0..n * c * h * w).map(|i| ((i * 31 % 17) as f32 - 8.0) / 8.0).collect();
        let weights = Tensor::from_data(TensorData::new(weights, [n, c, h, w]), &frames.device());
        (frames * weights).sum()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let device = Default::default();
        for architecture in architectures() {
            let start: Parameters<Tensor<Flex, 2>> = initialize(&architecture, 2, 0.5, 3, &device);
            let leaves: Parameters<Tensor<Autodiff<Flex>, 2>> =
                start.map(|tensor| Tensor::from_inner(tensor.clone()).require_grad());
            let gradients = loss(&architecture, &leaves).backward();
            for key in Key::all(&architecture, false) {
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
                        f64::from(loss(&architecture, &parameters).into_scalar())
                    };
                    let numeric = ((at(1e-2) - at(-1e-2)) / 2e-2) as f32;
                    let error = (numeric - gradient[i]).abs();
                    assert!(error <= 0.01 * scale + 2e-3, "{key:?}[{i}]: {} against {numeric}", gradient[i]);
                }
            }
        }
    }

    #[test]
    fn frames_agree_with_the_decoder_that_inflate_runs() {
        let device = Default::default();
        for architecture in architectures() {
            let parameters: Parameters<Tensor<Flex, 2>> = initialize(&architecture, 2, 0.5, 5, &device);
            let frames = frames(&architecture, &parameters);
            let (height, width) = architecture.output_size();
            assert_eq!(frames.dims(), [2, 6, height, width]);
            let frames: Vec<f32> = frames.into_data().iter().collect();
            let values = parameters.weights.iter().map(|tensor| tensor.clone().into_data().iter().collect()).collect();
            let tensors = repr::Tensors::new(&architecture, values).unwrap();
            let latents: Vec<f32> = parameters.latents.clone().into_data().iter().collect();
            let network = decoder::Network::new(&tensors, (12, 18), kernels::Level::detect()).unwrap();
            let maps = maps(&architecture).unwrap_or_default();
            let expected: Vec<f32> = latents
                .chunks(architecture.sample_dim())
                .enumerate()
                .flat_map(|(sample, latents)| {
                    let map = &maps[sample * maps.len() / 2..][..maps.len() / 2];
                    network.native(decoder::SampleInput { latents, map, corrections: &[] }).unwrap()
                })
                .flat_map(|planes| planes.into_data())
                .collect();
            assert_eq!(frames.len(), expected.len());
            let worst = frames.iter().zip(&expected).map(|(a, b)| (a * 255.0 - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-2, "{worst} levels");
        }
    }
}
