//! The decoder as a row of differentiable layers, sample by sample, out of [`gradients`]: what the outputs do when a
//! parameter moves.

use gradients::{
    CarrierShape, ClassesShape, HeadsShape, RefineShape, ResidualShape, ResidualValues, StageShape, WeightGradients,
    Weights,
};
use repr::{Activation, Convolution, Node, Nonlinearity, Operation, Skip, Tensors};

/// An architecture with float parameters.
pub(crate) struct DifferentiableDecoder {
    parameters: Tensors,
    steps: Vec<Step>,
    /// The RGB heads as one convolution, times their gain.
    heads: [Vec<f32>; 2],
    /// What makes the first frame, where it is no head.
    carrier: Option<(CarrierShape, Convolution)>,
}

/// A layer with the convolutions that it is made of.
enum Step {
    Classes { layer: ClassesShape, linear: Convolution },
    Residual { layer: ResidualShape, first: Convolution, second: Convolution },
    Stage { layer: StageShape, conv: Convolution, skip: Skip<Convolution> },
    Refine { layer: RefineShape, first: Convolution, second: Convolution },
    Heads { layer: HeadsShape, heads: Vec<Convolution>, gain: f32 },
}

/// What the forward pass of a latent leaves for the backward pass.
pub(crate) struct Trace {
    latent: Vec<f32>,
    /// The class map, if there is one.
    map: Vec<u8>,
    /// What went into each step, and what came out of the last one.
    values: Vec<Vec<f32>>,
    /// What else each step keeps: its slope, and a refinement's hidden channels.
    kept: Vec<[Vec<f32>; 2]>,
    frames: Vec<f32>,
}

impl Trace {
    /// The latent's frames, `[3 * frames, height, width]`, RGB in [0, 1].
    pub fn frames(&self) -> &[f32] {
        &self.frames
    }
}

/// Gradients of one latent.
pub(crate) struct Gradients {
    /// In the order of [`repr::Architecture::parameters`].
    pub parameters: Vec<Vec<f32>>,
    /// Of the latent.
    pub latent: Vec<f32>,
}

impl DifferentiableDecoder {
    /// Of an architecture's parameters.
    pub fn new(parameters: &Tensors) -> Self {
        let graph = parameters.architecture().graph();
        let mut heads_as_one = [Vec::new(), Vec::new()];
        let mut steps = Vec::new();
        for Node { operation, input, output } in graph.nodes() {
            let Activation { channels: inputs, height, width } = *input;
            steps.push(match operation {
                Operation::Classes { linear, classes } => {
                    let (numbers, Activation { channels: outputs, height, width }) = (inputs, *output);
                    let layer = ClassesShape { classes: *classes, numbers, outputs, height, width };
                    Step::Classes { layer, linear: *linear }
                }
                Operation::Residual { first, second, nonlinearity } => {
                    let (hidden, kernel, dilation) = (first.outputs, first.kernel, first.dilation);
                    let (channels, nonlinearity) = (inputs, *nonlinearity);
                    let layer = ResidualShape { channels, hidden, kernel, dilation, nonlinearity, height, width };
                    Step::Residual { layer, first: *first, second: *second }
                }
                // A stage of one pixel.
                Operation::Stem { linear } => {
                    let (outputs, nonlinearity) = (linear.outputs, Nonlinearity::Sin);
                    let layer = StageShape { inputs, outputs, kernel: 1, upscale: 1, nonlinearity, height, width };
                    Step::Stage { layer, conv: *linear, skip: Skip::None }
                }
                Operation::Stage { conv, skip, upscale, nonlinearity } => {
                    let (outputs, kernel, upscale, nonlinearity) =
                        (output.channels, conv.kernel, *upscale, *nonlinearity);
                    let layer = StageShape { inputs, outputs, kernel, upscale, nonlinearity, height, width };
                    Step::Stage { layer, conv: *conv, skip: *skip }
                }
                Operation::Refine { first, second, gain } => {
                    let (hidden, dilation) = (first.outputs, first.dilation);
                    let layer = RefineShape { channels: inputs, hidden, dilation, gain: *gain, height, width };
                    Step::Refine { layer, first: *first, second: *second }
                }
                Operation::Heads { heads, gain } => {
                    for head in heads {
                        heads_as_one[0].extend(parameters[head.weight].iter().map(|value| gain * value));
                        heads_as_one[1].extend(parameters[head.bias].iter().map(|value| gain * value));
                    }
                    let layer = HeadsShape { inputs, outputs: output.channels, height, width };
                    Step::Heads { layer, heads: heads.clone(), gain: *gain }
                }
            });
        }
        let carrier = graph.carrier().map(|node| {
            let (height, width) = parameters.architecture().output_size();
            let coarse = (node.height, node.width);
            let (coefficients, planes) = (node.linear.inputs, node.linear.outputs / (coarse.0 * coarse.1));
            (CarrierShape { coefficients, planes, coarse, height, width }, node.linear)
        });
        Self { parameters: parameters.clone(), steps, heads: heads_as_one, carrier }
    }

    fn weights(&self, convolution: &Convolution) -> Weights<'_> {
        Weights { weight: &self.parameters[convolution.weight], bias: &self.parameters[convolution.bias] }
    }

    /// The values of a latent that the steps take, and those that the carrier takes.
    fn parts<'a>(&self, latent: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        latent.split_at(latent.len() - self.carrier.map_or(0, |(layer, _)| layer.coefficients))
    }

    /// Decodes a latent of the architecture's length, and the class map of its sample, if the architecture is fed with one.
    pub fn forward(&self, latent: &[f32], map: &[u8]) -> Trace {
        let (numbers, coefficients) = self.parts(latent);
        let (mut values, mut kept) = (vec![numbers.to_vec()], Vec::new());
        for step in &self.steps {
            let x = values.last().map_or(&[][..], Vec::as_slice);
            let (y, keep) = match step {
                Step::Classes { layer, linear } => (layer.forward(1, map, x, self.weights(linear)), Default::default()),
                Step::Residual { layer, first, second } => {
                    let ResidualValues { y, hidden, slope } =
                        layer.forward(1, x, self.weights(first), self.weights(second));
                    (y, [slope, hidden])
                }
                Step::Stage { layer, conv, skip } => {
                    let skip = skip.as_ref().map(|skip| self.weights(skip));
                    let (y, slope) = layer.forward(1, x, self.weights(conv), skip);
                    (y, [slope, Vec::new()])
                }
                Step::Refine { layer, first, second } => {
                    let (y, hidden, slope) = layer.forward(1, x, self.weights(first), self.weights(second));
                    (y, [slope, hidden])
                }
                Step::Heads { layer, .. } => {
                    let [weight, bias] = &self.heads;
                    (layer.forward(1, x, Weights { weight, bias }), Default::default())
                }
            };
            values.push(y);
            kept.push(keep);
        }
        let carried = self.carrier.map(|(layer, linear)| layer.forward(1, coefficients, self.weights(&linear)));
        let mut frames = carried.unwrap_or_default();
        frames.extend(values.last().into_iter().flatten());
        Trace { latent: latent.to_vec(), map: map.to_vec(), values, kept, frames }
    }

    /// Gradients of a loss whose gradient in [`Trace::frames`] is `gradient`.
    pub fn backward(&self, trace: &Trace, gradient: &[f32]) -> Gradients {
        let mut parameters = vec![Vec::new(); self.parameters.architecture().parameters().len()];
        let mut put = |convolution: &Convolution, gradients: WeightGradients| {
            parameters[convolution.weight.index()] = gradients.weight;
            parameters[convolution.bias.index()] = gradients.bias;
        };
        let (numbers, coefficients) = self.parts(&trace.latent);
        let own = trace.values.last().map_or(0, Vec::len);
        let (carried, gradient) = gradient.split_at(gradient.len() - own);
        let carried = self.carrier.map(|(layer, linear)| {
            let found = layer.backward(1, coefficients, carried, self.weights(&linear).weight);
            put(&linear, found.linear);
            found.coefficients
        });
        let mut gradient = gradient.to_vec();
        for (at, step) in self.steps.iter().enumerate().rev() {
            let (x, [slope, hidden]) = (&trace.values[at], &trace.kept[at]);
            gradient = match step {
                Step::Classes { layer, linear } => {
                    let weight = self.weights(linear).weight;
                    let found = layer.backward(1, &trace.map, numbers, &gradient, weight);
                    put(linear, found.linear);
                    found.numbers
                }
                Step::Residual { layer, first, second } => {
                    let weights = [first, second].map(|convolution| self.weights(convolution).weight);
                    let all = layer.backward(1, x, [hidden, slope], &gradient, weights);
                    put(first, all.first);
                    put(second, all.second);
                    all.x
                }
                Step::Stage { layer, conv, skip } => {
                    let skip_weight = skip.as_ref().map(|skip| self.weights(skip).weight);
                    let all = layer.backward(1, x, slope, &gradient, self.weights(conv).weight, skip_weight);
                    put(conv, all.conv);
                    if let (Skip::Convolution(skip), Some(gradients)) = (skip, all.skip) {
                        put(skip, gradients);
                    }
                    all.x
                }
                Step::Refine { layer, first, second } => {
                    let weights = [first, second].map(|convolution| self.weights(convolution).weight);
                    let all = layer.backward(1, x, hidden, slope, &gradient, weights[0], weights[1]);
                    put(first, all.first);
                    put(second, all.second);
                    all.x
                }
                Step::Heads { layer, heads, gain } => {
                    let all = layer.backward(1, x, &trace.values[at + 1], &gradient, &self.heads[0]);
                    let (mut weight, mut bias) = (all.conv.weight.as_slice(), all.conv.bias.as_slice());
                    for head in heads {
                        let (own_weight, rest) = weight.split_at(self.weights(head).weight.len());
                        let (own_bias, rest_of_bias) = bias.split_at(head.outputs);
                        let [own_weight, own_bias] =
                            [own_weight, own_bias].map(|own| own.iter().map(|g| gain * g).collect());
                        put(head, WeightGradients { weight: own_weight, bias: own_bias });
                        (weight, bias) = (rest, rest_of_bias);
                    }
                    all.x
                }
            };
        }
        gradient.extend(carried.unwrap_or_default());
        Gradients { parameters, latent: gradient }
    }
}

#[cfg(test)]
mod tests {
    use kernels::Level;
    use repr::{Architecture, Carrier, Head, Layer, LayerTable, Refine, Residual, Stage, Stem};

    use super::*;

    fn value(seed: usize, i: usize) -> f32 {
        ((i * 37 + seed * 101) % 97) as f32 / 97.0 - 0.5
    }

    /// Every kind of layer: with a linear stem and two frames, of a latent that is an image of one, and of class maps with carriers in
    /// colour and grey.
    fn all() -> [Tensors; 4] {
        let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
        let refine = Layer::Refine(Refine { hidden: 2, dilation: 2, gain: 0.3 });
        let layers = vec![stage(4, 2, 3), refine, stage(3, 3, 1), stage(3, 1, 3)];
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
        let layers = vec![residual(3, 3, 2, Nonlinearity::Gelu), residual(2, 5, 8, Nonlinearity::Sin)];
        let colour = LayerTable { carrier: Some(carrier), ..LayerTable::new(4, mapped(3, 4, 7, 9), layers) };
        let layers = vec![residual(5, 1, 1, Nonlinearity::Gelu), stage(3, 2, 1)];
        let grey = LayerTable {
            carrier: Some(Carrier { coefficients: 1, channels: 1, bits: 12, ..carrier }),
            head: Head::Tanh,
            ..LayerTable::new(2, mapped(5, 2, 4, 5), layers)
        };
        [pair, single, colour, grey].map(|table| {
            let architecture = Architecture::new(table).unwrap();
            let parameters = architecture.parameters().iter().enumerate();
            let values = parameters.map(|(seed, p)| (0..p.len()).map(|i| value(seed, i)).collect()).collect();
            Tensors::new(&architecture, values).unwrap()
        })
    }

    /// Values of a latent.
    fn latent(tensors: &Tensors, seed: usize) -> Vec<f32> {
        (0..tensors.architecture().latent_dim()).map(|i| 2.0 * value(seed, i)).collect()
    }

    /// A class map, where there is one.
    fn map(tensors: &Tensors) -> Vec<u8> {
        let shape = tensors.architecture().map_shape(1).unwrap();
        shape.map_or_else(Vec::new, |shape| {
            (0..shape.pixels()).map(|i| ((i * 13 + i / shape.columns()) % 11 % shape.classes()) as u8).collect()
        })
    }

    #[test]
    fn frames_are_those_of_the_decoder() {
        for tensors in all() {
            let latents: Vec<Vec<f32>> =
                (0..tensors.architecture().latents_per_sample()).map(|seed| latent(&tensors, seed)).collect();
            let (decoder, map) = (DifferentiableDecoder::new(&tensors), map(&tensors));
            let found: Vec<f32> =
                latents.iter().flat_map(|latent| decoder.forward(latent, &map).frames().to_vec()).collect();
            let network = decoder::Network::new(&tensors, (12, 18), Level::detect()).unwrap();
            let input = decoder::SampleInput { latents: &latents.concat(), map: &map, corrections: &[] };
            let frames = network.native(input).unwrap().map(frames::Planes::into_data).concat();
            assert_eq!(found.len(), frames.len());
            let worst = found.iter().zip(&frames).map(|(a, b)| (255.0 * a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "{worst}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for tensors in all() {
            let (start, map) = (latent(&tensors, 7), map(&tensors));
            let weight = |i: usize| ((i * 31 % 17) as f32 - 8.0) / 8.0;
            let loss = |tensors: &Tensors, latent: &[f32]| {
                let trace = DifferentiableDecoder::new(tensors).forward(latent, &map);
                trace.frames().iter().enumerate().map(|(i, v)| f64::from(v * weight(i))).sum::<f64>()
            };
            let chain = DifferentiableDecoder::new(&tensors);
            let trace = chain.forward(&start, &map);
            let probe: Vec<f32> = (0..trace.frames().len()).map(weight).collect();
            let gradients = chain.backward(&trace, &probe);
            let agree = |name: &str, numeric: f64, gradient: f32, scale: f32| {
                let error = (numeric - f64::from(gradient)).abs();
                assert!(error < f64::from(scale) * 0.01 + 2e-3, "{name}: {gradient} against {numeric}");
            };
            for (parameter, gradient) in tensors.architecture().parameters().iter().zip(&gradients.parameters) {
                let scale = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
                for i in [0, gradient.len() / 2, gradient.len() - 1] {
                    let at = |delta: f32| {
                        let mut moved = tensors.clone().into_values();
                        moved[parameter.id.index()][i] += delta;
                        loss(&Tensors::new(tensors.architecture(), moved).unwrap(), &start)
                    };
                    agree(&format!("{}[{i}]", parameter.name), (at(1e-2) - at(-1e-2)) / 2e-2, gradient[i], scale);
                }
            }
            for i in 0..start.len() {
                let at = |delta: f32| {
                    let mut moved = start.clone();
                    moved[i] += delta;
                    loss(&tensors, &moved)
                };
                agree(&format!("latent[{i}]"), (at(1e-2) - at(-1e-2)) / 2e-2, gradients.latent[i], 1.0);
            }
        }
    }
}
