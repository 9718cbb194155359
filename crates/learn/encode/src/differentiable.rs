//! The decoder as a row of differentiable layers, sample by sample, out of [`gradients`]: what the outputs do when a
//! parameter moves.

use gradients::{HeadsShape, RefineShape, StageShape, WeightGradients, Weights};
use kernels::{Level, sin};
use repr::{Activation, Convolution, Node, Operation, Tensors};

/// An architecture with float parameters.
pub(crate) struct DifferentiableDecoder {
    latent_dim: usize,
    parameters: Tensors,
    stem: Convolution,
    steps: Vec<Step>,
    /// The RGB heads as one convolution.
    heads: [Vec<f32>; 2],
}

/// A layer with the convolutions that it is made of.
enum Step {
    Stage { layer: StageShape, conv: Convolution, skip: Option<Convolution> },
    Refine { layer: RefineShape, first: Convolution, second: Convolution },
    Heads { layer: HeadsShape, heads: Vec<Convolution> },
}

/// What the forward pass of a sample leaves for the backward pass.
pub(crate) struct Trace {
    latent: Vec<f32>,
    /// Of the stem's sine.
    slope: Vec<f32>,
    /// What went into each step, and what came out of the last one.
    values: Vec<Vec<f32>>,
    /// What else each step keeps: its slope, and a refinement's hidden channels.
    kept: Vec<[Vec<f32>; 2]>,
}

impl Trace {
    /// Both frames `[6, height, width]`, RGB in [0, 1].
    pub fn frames(&self) -> &[f32] {
        self.values.last().map_or(&[], Vec::as_slice)
    }
}

/// Gradients of one sample.
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
        // The first node is the stem, whose linear layer is the first convolution.
        for Node { operation, input, output } in graph.nodes() {
            let Activation { channels: inputs, height, width } = *input;
            steps.push(match operation {
                Operation::Stem { .. } => continue,
                Operation::Stage { conv, skip, upscale } => {
                    let (outputs, kernel, upscale) = (output.channels, conv.kernel, *upscale);
                    let layer = StageShape { inputs, outputs, kernel, upscale, height, width };
                    Step::Stage { layer, conv: *conv, skip: *skip }
                }
                Operation::Refine { first, second, gain } => {
                    let (hidden, dilation) = (first.outputs, first.dilation);
                    let layer = RefineShape { channels: inputs, hidden, dilation, gain: *gain, height, width };
                    Step::Refine { layer, first: *first, second: *second }
                }
                Operation::Heads { heads } => {
                    for head in heads {
                        heads_as_one[0].extend_from_slice(&parameters[head.weight]);
                        heads_as_one[1].extend_from_slice(&parameters[head.bias]);
                    }
                    Step::Heads {
                        layer: HeadsShape { inputs, outputs: output.channels, height, width },
                        heads: heads.to_vec(),
                    }
                }
            });
        }
        let (latent_dim, stem) = (parameters.architecture().latent_dim(), graph.convolutions()[0]);
        Self { latent_dim, stem, parameters: parameters.clone(), steps, heads: heads_as_one }
    }

    fn weights(&self, convolution: &Convolution) -> Weights<'_> {
        Weights { weight: &self.parameters[convolution.weight], bias: &self.parameters[convolution.bias] }
    }

    /// Decodes a latent of the architecture's length.
    pub fn forward(&self, latent: &[f32]) -> Trace {
        let Weights { weight, bias } = self.weights(&self.stem);
        let rows = weight.chunks(self.latent_dim).zip(bias);
        let sums: Vec<f32> =
            rows.map(|(row, bias)| row.iter().zip(latent).fold(*bias, |sum, (w, z)| w.mul_add(*z, sum))).collect();
        let slope = sums.iter().map(|v| v.cos()).collect();
        let mut stem = sums;
        sin(Level::detect(), &mut stem);
        let (mut values, mut kept) = (vec![stem], Vec::new());
        for step in &self.steps {
            let x = values.last().map_or(&[][..], Vec::as_slice);
            let (y, keep) = match step {
                Step::Stage { layer, conv, skip } => {
                    let (y, slope) =
                        layer.forward(1, x, self.weights(conv), skip.as_ref().map(|skip| self.weights(skip)));
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
        Trace { latent: latent.to_vec(), slope, values, kept }
    }

    /// Gradients of a loss whose gradient in [`Trace::frames`] is `gradient`.
    pub fn backward(&self, trace: &Trace, gradient: &[f32]) -> Gradients {
        let mut parameters = vec![Vec::new(); self.parameters.architecture().parameters().len()];
        let mut put = |convolution: &Convolution, gradients: WeightGradients| {
            parameters[convolution.weight.index()] = gradients.weight;
            parameters[convolution.bias.index()] = gradients.bias;
        };
        let mut gradient = gradient.to_vec();
        for (at, step) in self.steps.iter().enumerate().rev() {
            let (x, [slope, hidden]) = (&trace.values[at], &trace.kept[at]);
            gradient = match step {
                Step::Stage { layer, conv, skip } => {
                    let skip_weight = skip.as_ref().map(|skip| self.weights(skip).weight);
                    let all = layer.backward(1, x, slope, &gradient, self.weights(conv).weight, skip_weight);
                    put(conv, all.conv);
                    if let (Some(skip), Some(gradients)) = (skip, all.skip) {
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
                Step::Heads { layer, heads } => {
                    let all = layer.backward(1, x, &trace.values[at + 1], &gradient, &self.heads[0]);
                    let (mut weight, mut bias) = (all.conv.weight.as_slice(), all.conv.bias.as_slice());
                    for head in heads {
                        let (own_weight, rest) = weight.split_at(self.weights(head).weight.len());
                        let (own_bias, rest_of_bias) = bias.split_at(head.outputs);
                        put(head, WeightGradients { weight: own_weight.to_vec(), bias: own_bias.to_vec() });
                        (weight, bias) = (rest, rest_of_bias);
                    }
                    all.x
                }
            };
        }
        let bias: Vec<f32> = gradient.iter().zip(&trace.slope).map(|(g, slope)| g * slope).collect();
        let mut latent = vec![0.0; self.latent_dim];
        for (row, g) in self.weights(&self.stem).weight.chunks(self.latent_dim).zip(&bias) {
            latent.iter_mut().zip(row).for_each(|(sum, w)| *sum += w * g);
        }
        let weight = bias.iter().flat_map(|g| trace.latent.iter().map(move |z| g * z)).collect();
        put(&self.stem, WeightGradients { weight, bias });
        Gradients { parameters, latent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use repr::{Architecture, Layer, LayerTable, Refine, Stage, Stem};

    fn tensors() -> Tensors {
        let stage = |channels, upscale, kernel| Layer::Stage(Stage { channels, upscale, kernel });
        let refine = Layer::Refine(Refine { hidden: 2, dilation: 2, gain: 0.3 });
        let layers = vec![stage(4, 2, 3), refine, stage(3, 3, 1), stage(3, 1, 3)];
        let table = LayerTable { latent_dim: 3, stem: Stem { channels: 4, height: 2, width: 3 }, layers };
        let architecture = Architecture::new(table).unwrap();
        let value = |seed: usize, i: usize| ((i * 37 + seed * 101) % 97) as f32 / 97.0 - 0.5;
        let parameters = architecture.parameters().iter().enumerate();
        let values = parameters.map(|(seed, p)| (0..p.len()).map(|i| value(seed, i)).collect()).collect();
        Tensors::new(&architecture, values).unwrap()
    }

    const LATENT: [f32; 3] = [0.4, -0.7, 0.2];

    #[test]
    fn frames_are_those_of_the_decoder() {
        let tensors = tensors();
        let trace = DifferentiableDecoder::new(&tensors).forward(&LATENT);
        let network = decoder::Network::new(&tensors, (12, 18), Level::detect()).unwrap();
        let frames = network.native(&LATENT, &[]).unwrap().map(frames::Planes::into_data).concat();
        assert_eq!(trace.frames().len(), frames.len());
        let worst = trace.frames().iter().zip(&frames).map(|(a, b)| (255.0 * a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "{worst}");
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let tensors = tensors();
        let weight = |i: usize| ((i * 31 % 17) as f32 - 8.0) / 8.0;
        let loss = |tensors: &Tensors, latent: &[f32]| {
            let trace = DifferentiableDecoder::new(tensors).forward(latent);
            trace.frames().iter().enumerate().map(|(i, v)| f64::from(v * weight(i))).sum::<f64>()
        };
        let chain = DifferentiableDecoder::new(&tensors);
        let trace = chain.forward(&LATENT);
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
                    loss(&Tensors::new(tensors.architecture(), moved).unwrap(), &LATENT)
                };
                agree(&format!("{}[{i}]", parameter.name), (at(1e-2) - at(-1e-2)) / 2e-2, gradient[i], scale);
            }
        }
        for i in 0..3 {
            let at = |delta: f32| {
                let mut latent = LATENT;
                latent[i] += delta;
                loss(&tensors, &latent)
            };
            agree(&format!("latent[{i}]"), (at(1e-2) - at(-1e-2)) / 2e-2, gradients.latent[i], 1.0);
        }
    }
}
