//! The decoder as a chain of differentiable layers, sample by sample, out of [`kernels::training`]: what the outputs do when a
//! parameter moves.

use kernels::training::{Heads, Refine, Stage, WeightGradients, Weights};
use kernels::{Level, sin};
use repr::{Architecture, FRAMES_PER_SAMPLE, Layer, Tensors, TensorsError};

/// An architecture with float parameters.
pub(crate) struct Chain {
    latent_dim: usize,
    /// Values in the order of [`Architecture::parameters`]: weight, bias, weight, bias, ...
    values: Vec<Vec<f32>>,
    steps: Vec<Step>,
    /// The RGB heads as one convolution.
    heads: [Vec<f32>; 2],
}

/// A layer, with the indices of the weights it reads; each bias follows its weight.
enum Step {
    Stage { layer: Stage, conv: usize, skip: Option<usize> },
    Refine { layer: Refine, first: usize, second: usize },
    Heads { layer: Heads, first: usize },
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
    /// In the order of [`Architecture::parameters`].
    pub parameters: Vec<Vec<f32>>,
    /// Of the latent.
    pub latent: Vec<f32>,
}

impl Chain {
    /// Takes what a valid `architecture` needs from `parameters`.
    pub fn new(architecture: &Architecture, parameters: &Tensors) -> Result<Self, TensorsError> {
        parameters.check(architecture)?;
        let list = architecture.parameters();
        let values = list.iter().map(|p| Ok(parameters.get(&p.name)?.values.clone())).collect::<Result<Vec<_>, _>>()?;
        let stem = architecture.stem;
        let (mut inputs, mut height, mut width) = (stem.channels, stem.height, stem.width);
        let mut indices = (2..).step_by(2);
        let mut take = || indices.next().unwrap_or_default();
        let mut steps = Vec::new();
        for layer in &architecture.layers {
            match *layer {
                Layer::Stage(repr::Stage { channels, upscale, kernel }) => {
                    let layer = Stage { inputs, outputs: channels, kernel, upscale, height, width };
                    steps.push(Step::Stage { layer, conv: take(), skip: (channels != inputs).then(&mut take) });
                    (inputs, height, width) = (channels, height * upscale, width * upscale);
                }
                Layer::Refine(repr::Refine { hidden, dilation, gain }) => {
                    let layer = Refine { channels: inputs, hidden, dilation, gain, height, width };
                    steps.push(Step::Refine { layer, first: take(), second: take() });
                }
            }
        }
        let first = take();
        let layer = Heads { inputs, outputs: 3 * FRAMES_PER_SAMPLE, height, width };
        steps.push(Step::Heads { layer, first });
        let heads = [first, first + 1].map(|part| [&values[part][..], &values[part + 2]].concat());
        Ok(Self { latent_dim: architecture.latent_dim, values, steps, heads })
    }

    fn weights(&self, index: usize) -> Weights<'_> {
        Weights { weight: &self.values[index], bias: &self.values[index + 1] }
    }

    /// Decodes a latent of the architecture's length.
    pub fn forward(&self, latent: &[f32]) -> Trace {
        let rows = self.values[0].chunks(self.latent_dim).zip(&self.values[1]);
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
                    let (y, slope) = layer.forward(1, x, self.weights(*conv), skip.map(|skip| self.weights(skip)));
                    (y, [slope, Vec::new()])
                }
                Step::Refine { layer, first, second } => {
                    let (y, hidden, slope) = layer.forward(1, x, self.weights(*first), self.weights(*second));
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
        let mut parameters = vec![Vec::new(); self.values.len()];
        let mut put = |index: usize, gradients: WeightGradients| {
            parameters[index] = gradients.weight;
            parameters[index + 1] = gradients.bias;
        };
        let mut gradient = gradient.to_vec();
        for (at, step) in self.steps.iter().enumerate().rev() {
            let (x, [slope, hidden]) = (&trace.values[at], &trace.kept[at]);
            gradient = match step {
                Step::Stage { layer, conv, skip } => {
                    let skip_weight = skip.map(|skip| self.values[skip].as_slice());
                    let all = layer.backward(1, x, slope, &gradient, &self.values[*conv], skip_weight);
                    put(*conv, all.conv);
                    if let (Some(index), Some(gradients)) = (skip, all.skip) {
                        put(*index, gradients);
                    }
                    all.x
                }
                Step::Refine { layer, first, second } => {
                    let weights = [first, second].map(|index| self.values[*index].as_slice());
                    let all = layer.backward(1, x, hidden, slope, &gradient, weights[0], weights[1]);
                    put(*first, all.first);
                    put(*second, all.second);
                    all.x
                }
                Step::Heads { layer, first } => {
                    let all = layer.backward(1, x, &trace.values[at + 1], &gradient, &self.heads[0]);
                    let WeightGradients { mut weight, mut bias } = all.conv;
                    let second = WeightGradients {
                        weight: weight.split_off(self.values[*first].len()),
                        bias: bias.split_off(self.values[first + 1].len()),
                    };
                    put(*first, WeightGradients { weight, bias });
                    put(first + 2, second);
                    all.x
                }
            };
        }
        let bias: Vec<f32> = gradient.iter().zip(&trace.slope).map(|(g, slope)| g * slope).collect();
        let mut latent = vec![0.0; self.latent_dim];
        for (row, g) in self.values[0].chunks(self.latent_dim).zip(&bias) {
            latent.iter_mut().zip(row).for_each(|(sum, w)| *sum += w * g);
        }
        parameters[0] = bias.iter().flat_map(|g| trace.latent.iter().map(move |z| g * z)).collect();
        parameters[1] = bias;
        Gradients { parameters, latent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use repr::{Refine as RefineRow, Stage as StageRow, Stem, Tensor};

    fn chain() -> (Architecture, Tensors) {
        let stage = |channels, upscale, kernel| Layer::Stage(StageRow { channels, upscale, kernel });
        let refine = Layer::Refine(RefineRow { hidden: 2, dilation: 2, gain: 0.3 });
        let layers = vec![stage(4, 2, 3), refine, stage(3, 3, 1), stage(3, 1, 3)];
        let architecture = Architecture { latent_dim: 3, stem: Stem { channels: 4, height: 2, width: 3 }, layers };
        let mut tensors = Tensors::default();
        for (seed, p) in architecture.parameters().into_iter().enumerate() {
            let values = (0..p.len()).map(|i| ((i * 37 + seed * 101) % 97) as f32 / 97.0 - 0.5).collect();
            tensors.0.insert(p.name, Tensor { shape: p.shape, values });
        }
        (architecture, tensors)
    }

    const LATENT: [f32; 3] = [0.4, -0.7, 0.2];

    #[test]
    fn frames_are_those_of_the_decoder() {
        let (architecture, tensors) = chain();
        let trace = Chain::new(&architecture, &tensors).unwrap().forward(&LATENT);
        let network = decoder::Network::new(&architecture, &tensors, (12, 18), Level::detect()).unwrap();
        let frames = network.native(&LATENT, &[]).unwrap().map(frames::Planes::into_data).concat();
        assert_eq!(trace.frames().len(), frames.len());
        let worst = trace.frames().iter().zip(&frames).map(|(a, b)| (255.0 * a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "{worst}");
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (architecture, tensors) = chain();
        let weight = |i: usize| ((i * 31 % 17) as f32 - 8.0) / 8.0;
        let loss = |tensors: &Tensors, latent: &[f32]| {
            let trace = Chain::new(&architecture, tensors).unwrap().forward(latent);
            trace.frames().iter().enumerate().map(|(i, v)| f64::from(v * weight(i))).sum::<f64>()
        };
        let chain = Chain::new(&architecture, &tensors).unwrap();
        let trace = chain.forward(&LATENT);
        let probe: Vec<f32> = (0..trace.frames().len()).map(weight).collect();
        let gradients = chain.backward(&trace, &probe);
        let agree = |name: &str, numeric: f64, gradient: f32, scale: f32| {
            let error = (numeric - f64::from(gradient)).abs();
            assert!(error < f64::from(scale) * 0.01 + 2e-3, "{name}: {gradient} against {numeric}");
        };
        for (parameter, gradient) in architecture.parameters().iter().zip(&gradients.parameters) {
            let scale = gradient.iter().fold(0f32, |m, g| m.max(g.abs()));
            for i in [0, gradient.len() / 2, gradient.len() - 1] {
                let at = |delta: f32| {
                    let mut moved = tensors.clone();
                    moved.0.get_mut(&parameter.name).unwrap().values[i] += delta;
                    loss(&moved, &LATENT)
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
