//! The decoder's layers on the CPU: one autodiff node a layer, forward and backward through `gradients`.

use burn_core::tensor::Tensor;
use burn_flex::FlexTensor;
use flex_ops::{Cpu as B, Values, flex, register};
use gradients::{
    Hard, HeadsShape, PixelLoss, RefineShape, RoundTrip, Segmentation, StageShape, WeightGradients, Weights, Yuv6,
};

use crate::layers::{CameraChain, ConvWeights};
use recipe::{SegmentationKind, SegmentationTerm};

/// Gradient of a loss by a logit below which it counts as none; that of a doubtful pixel is 1e-6 and more.
const NEGLIGIBLE: f32 = 1e-18;

#[derive(Clone)]
struct ConvValues {
    weight: Values,
    bias: Values,
}

impl ConvValues {
    fn of(conv: &ConvWeights<B>) -> Self {
        Self { weight: Values::inner(&conv.weight), bias: Values::inner(&conv.bias) }
    }

    fn weights(&self) -> Weights<'_> {
        Weights { weight: self.weight.as_slice(), bias: self.bias.as_slice() }
    }
}

/// Gradients in the shapes of [`ConvWeights`].
fn conv_gradients(gradients: WeightGradients) -> [FlexTensor; 2] {
    let outputs = gradients.bias.len();
    let fan_in = gradients.weight.len() / outputs.max(1);
    [flex(gradients.weight, [outputs, fan_in]), flex(gradients.bias, [outputs, 1])]
}

/// [`crate::layers::Layers::stage`].
pub fn stage(
    x: Tensor<B, 4>,
    conv: ConvWeights<B>,
    skip: Option<ConvWeights<B>>,
    kernel: usize,
    upscale: usize,
) -> Tensor<B, 4> {
    let [n, inputs, height, width] = x.dims();
    let outputs = conv.outputs() / (upscale * upscale);
    let stage = StageShape { inputs, outputs, kernel, upscale, height, width };
    let (input, conv_values, skip_values) =
        (Values::inner(&x), ConvValues::of(&conv), skip.as_ref().map(ConvValues::of));
    let skip_weights = skip_values.as_ref().map(ConvValues::weights);
    let (output, slope) = stage.forward(n, input.as_slice(), conv_values.weights(), skip_weights);
    let shape = [n, outputs, height * upscale, width * upscale];
    let pullback = move |gradient: &[f32]| {
        let skip = skip_values.as_ref().map(|skip| skip.weight.as_slice());
        let gradients = stage.backward(n, input.as_slice(), &slope, gradient, conv_values.weight.as_slice(), skip);
        let mut list = vec![flex(gradients.x, [n, inputs, height, width])];
        list.extend(conv_gradients(gradients.conv));
        list.extend(gradients.skip.into_iter().flat_map(conv_gradients));
        list
    };
    let [x, weight, bias] = [x.into_primitive(), conv.weight.into_primitive(), conv.bias.into_primitive()];
    match skip {
        None => register([x, weight, bias], output, shape, pullback),
        Some(skip) => {
            let parents = [x, weight, bias, skip.weight.into_primitive(), skip.bias.into_primitive()];
            register(parents, output, shape, pullback)
        }
    }
}

/// [`crate::layers::Layers::refine`].
pub fn refine(
    x: Tensor<B, 4>,
    first: ConvWeights<B>,
    second: ConvWeights<B>,
    dilation: usize,
    gain: f32,
) -> Tensor<B, 4> {
    let shape @ [n, channels, height, width] = x.dims();
    let refine = RefineShape { channels, hidden: first.outputs(), dilation, gain, height, width };
    let (input, first_values, second_values) = (Values::inner(&x), ConvValues::of(&first), ConvValues::of(&second));
    let (output, hidden, slope) = refine.forward(n, input.as_slice(), first_values.weights(), second_values.weights());
    let pullback = move |gradient: &[f32]| {
        let weights = [first_values.weight.as_slice(), second_values.weight.as_slice()];
        let gradients = refine.backward(n, input.as_slice(), &hidden, &slope, gradient, weights[0], weights[1]);
        let mut list = vec![flex(gradients.x, shape)];
        list.extend(conv_gradients(gradients.first));
        list.extend(conv_gradients(gradients.second));
        list
    };
    let x = x.into_primitive();
    let parents = [first.weight, first.bias, second.weight, second.bias].map(Tensor::into_primitive);
    let [first_weight, first_bias, second_weight, second_bias] = parents;
    register([x, first_weight, first_bias, second_weight, second_bias], output, shape, pullback)
}

/// [`crate::layers::Layers::heads`].
pub fn heads(x: Tensor<B, 4>, conv: ConvWeights<B>) -> Tensor<B, 4> {
    let [n, inputs, height, width] = x.dims();
    let heads = HeadsShape { inputs, outputs: conv.outputs(), height, width };
    let shape = [n, heads.outputs, height, width];
    let (input, values) = (Values::inner(&x), ConvValues::of(&conv));
    let output = heads.forward(n, input.as_slice(), values.weights());
    // The sigmoid's slope is a function of its value. A copy, since whoever takes the output may write over it.
    let saved = output.clone();
    let pullback = move |gradient: &[f32]| {
        let gradients = heads.backward(n, input.as_slice(), &saved, gradient, values.weight.as_slice());
        let mut list = vec![flex(gradients.x, [n, inputs, height, width])];
        list.extend(conv_gradients(gradients.conv));
        list
    };
    register([x.into_primitive(), conv.weight.into_primitive(), conv.bias.into_primitive()], output, shape, pullback)
}

/// [`crate::layers::Layers::round_trip`].
pub fn round_trip(x: Tensor<B, 4>, chain: CameraChain) -> Tensor<B, 4> {
    let [n, channels, height, width] = x.dims();
    let shape = RoundTrip { native: (height, width), camera: chain.camera, input: chain.input, round: true };
    let (output, kept) = shape.forward(n * channels, Values::inner(&x).as_slice());
    let pullback =
        move |gradient: &[f32]| vec![flex(shape.backward(n * channels, &kept, gradient), [n, channels, height, width])];
    register([x.into_primitive()], output, [n, channels, chain.input.0, chain.input.1], pullback)
}

/// [`crate::layers::Layers::yuv6`].
pub fn yuv6(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, channels, height, width] = x.dims();
    let (shape, input) = (Yuv6 { height, width }, Values::inner(&x));
    let output = shape.forward(n, input.as_slice());
    let pullback =
        move |gradient: &[f32]| vec![flex(shape.backward(n, input.as_slice(), gradient), [n, channels, height, width])];
    register([x.into_primitive()], output, [n, 2 * channels, height / 2, width / 2], pullback)
}

/// [`crate::layers::Layers::segmentation`].
pub fn segmentation(logits: Tensor<B, 4>, classes: &[u8], config: &SegmentationTerm) -> (Tensor<B, 1>, Vec<f64>) {
    let dims @ [n, count, height, width] = logits.dims();
    let tau = config.tau as f32;
    let loss = match config.kind {
        SegmentationKind::CrossEntropy => PixelLoss::CrossEntropy,
        SegmentationKind::Softplus => PixelLoss::Softplus { tau },
        SegmentationKind::Sigmoid => PixelLoss::Sigmoid { tau },
    };
    let (factor, threshold) = (config.hard as f32, config.hard_margin as f32);
    let hard = (config.hard > 0.0).then_some(Hard { factor, threshold });
    let shape = Segmentation { classes: count, height, width, loss, hard };
    let found = shape.value_and_gradient(n, Values::inner(&logits).as_slice(), classes);
    let (loss, slope) = (found.loss.iter().sum::<f64>() / n as f64, found.gradient);
    let pullback = move |gradient: &[f32]| {
        // The kernel's gradient is that of the sum over samples.
        let factor = gradient.first().copied().unwrap_or_default() / n as f32;
        // Pixels that are beyond doubt would send denormals through the whole network, which cost many times other values.
        let scaled = |value: &f32| if (value * factor).abs() < NEGLIGIBLE { 0.0 } else { value * factor };
        vec![flex(slope.iter().map(scaled).collect(), dims)]
    };
    (register([logits.into_primitive()], vec![loss as f32], [1], pullback), found.wrong)
}

#[cfg(test)]
mod tests {
    use burn_autodiff::grads::Gradients;
    use burn_core::tensor::TensorData;

    use super::*;
    use crate::layers::{composed_heads, composed_refine, composed_stage};

    fn tensor<const D: usize>(seed: usize, shape: [usize; D]) -> Tensor<B, D> {
        let count = shape.iter().product();
        let value = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0;
        Tensor::from_data(TensorData::new((0..count).map(value).collect::<Vec<f32>>(), shape), &Default::default())
            .require_grad()
    }

    fn conv(seed: usize, outputs: usize, fan_in: usize) -> ConvWeights<B> {
        ConvWeights { weight: tensor(seed, [outputs, fan_in]), bias: tensor(seed + 1, [outputs, 1]) }
    }

    /// Output and gradients of both forms agree.
    fn agree<const D: usize>(
        x: &Tensor<B, 4>,
        weights: &[&ConvWeights<B>],
        fused: Tensor<B, D>,
        composed: Tensor<B, D>,
    ) {
        let close = |name: &str, a: Vec<f32>, b: Vec<f32>| {
            assert_eq!(a.len(), b.len());
            let scale = b.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-4 * scale, "{name}: off by {worst} of {scale}");
        };
        let values = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
        close("output", values(fused.to_data()), values(composed.to_data()));
        let weight = tensor(99, fused.dims());
        let [fused, composed] = [fused, composed].map(|y| (y * weight.clone()).sum().backward());
        let gradients = |from: &Gradients| -> Vec<Vec<f32>> {
            let mut list = vec![values(x.grad(from).unwrap().into_data())];
            for conv in weights {
                list.push(values(conv.weight.grad(from).unwrap().into_data()));
                list.push(values(conv.bias.grad(from).unwrap().into_data()));
            }
            list
        };
        for (i, (a, b)) in gradients(&fused).into_iter().zip(gradients(&composed)).enumerate() {
            close(&format!("gradient {i}"), a, b);
        }
    }

    #[test]
    fn stages_agree_with_burns_operations() {
        for (kernel, upscale, outputs) in [(3, 2, 5), (1, 3, 4), (3, 1, 5), (3, 4, 2)] {
            let x = tensor(1, [2, 5, 7, 9]);
            let main = conv(2, outputs * upscale * upscale, 5 * kernel * kernel);
            let skip = (outputs != 5).then(|| conv(4, outputs, 5));
            let fused = stage(x.clone(), main.clone(), skip.clone(), kernel, upscale);
            let composed = composed_stage(x.clone(), main.clone(), skip.clone(), kernel, upscale);
            let weights: Vec<&ConvWeights<B>> = std::iter::once(&main).chain(&skip).collect();
            agree(&x, &weights, fused, composed);
        }
    }

    #[test]
    fn refine_and_heads_agree_with_burns_operations() {
        let x = tensor(1, [2, 5, 11, 13]);
        let (first, second) = (conv(2, 3, 45), conv(4, 5, 27));
        let fused = refine(x.clone(), first.clone(), second.clone(), 2, 0.3);
        let composed = composed_refine(x.clone(), first.clone(), second.clone(), 2, 0.3);
        agree(&x, &[&first, &second], fused, composed);

        // A leaf serves one backward pass.
        let (x, rgb) = (tensor(1, [2, 5, 11, 13]), conv(6, 6, 45));
        agree(&x, &[&rgb], heads(x.clone(), rgb.clone()), composed_heads(x.clone(), rgb.clone()));
    }

    #[test]
    fn the_metrics_chain_agrees_with_burns_operations() {
        let x = tensor(1, [2, 6, 12, 16]) * 0.6 + 0.5;
        let x = Tensor::from_inner(x.inner()).require_grad();
        let chain = CameraChain { camera: (29, 37), input: (12, 16) };
        agree(&x, &[], round_trip(x.clone(), chain), crate::chain::round_trip(x.clone(), chain));
        let x = Tensor::from_inner((x.inner() * 280.0) - 10.0).require_grad();
        agree(&x, &[], yuv6(x.clone()), crate::chain::yuv6(x.clone()));
    }

    #[test]
    fn segmentation_losses_agree_with_burns_operations() {
        let logits = Tensor::from_inner(tensor(3, [2, 5, 7, 9]).inner() * 3.0).require_grad();
        let classes: Vec<u8> = (0..2 * 7 * 9).map(|i| (i * 7 % 5) as u8).collect();
        for kind in [SegmentationKind::CrossEntropy, SegmentationKind::Softplus, SegmentationKind::Sigmoid] {
            for hard in [0.0, 4.0] {
                let config = SegmentationTerm { kind, weight: 100.0, tau: 0.3, hard, hard_margin: 0.7 };
                let (fused, shares) = segmentation(logits.clone(), &classes, &config);
                let (composed, expected) = crate::chain::segmentation(logits.clone(), classes.clone(), &config);
                assert_eq!(shares.len(), 2);
                for (share, expected) in shares.iter().zip(&expected) {
                    assert!((share - expected).abs() < 1e-6 && *share > 0.3, "{share} against {expected}");
                }
                agree(&logits, &[], fused, composed);
            }
        }
    }
}
