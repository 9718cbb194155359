//! The decoder's layers.

use burn_core::tensor::activation::{gelu, sigmoid};
use burn_core::tensor::backend::Backend;
use burn_core::tensor::module::conv2d;
use burn_core::tensor::ops::ConvOptions;
use burn_core::tensor::{Tensor, TensorData};
use kernels::{Nonlinearity, PLACES, Skip, place, taps};

use super::resample::upsample_bilinear;
use crate::decoder::{CarrierSizes, ClassInputs, ConvWeights, RefineLayer, ResidualLayer, StageLayer};

fn conv<B: Backend>(x: Tensor<B, 4>, conv: ConvWeights<B>, kernel: usize, dilation: usize) -> Tensor<B, 4> {
    let (inputs, outputs) = (x.dims()[1], conv.outputs());
    let padding = dilation * (kernel / 2);
    let options = ConvOptions::new([1, 1], [padding, padding], [dilation, dilation], 1);
    let weight = conv.weight.reshape([outputs, inputs, kernel, kernel]);
    conv2d(x, weight, Some(conv.bias.reshape([outputs])), options)
}

/// [`crate::DecoderOps::stage`].
pub fn stage<B: Backend>(x: Tensor<B, 4>, layer: StageLayer<B>) -> Tensor<B, 4> {
    let StageLayer { conv: weights, skip, kernel, upscale, nonlinearity } = layer;
    let shuffled = pixel_shuffle(conv(x.clone(), weights, kernel, 1), upscale);
    let sum = match skip {
        Skip::None => shuffled,
        Skip::Input => shuffled + upsample_bilinear(x, upscale),
        // The 1x1 convolution runs before the upsampling: both are linear and the weights of a bilinear sample sum to one, so
        // the order does not matter, and here it costs 1/upscale^2.
        Skip::Convolution(weights) => shuffled + upsample_bilinear(conv(x, weights, 1, 1), upscale),
    };
    end(sum, nonlinearity)
}

fn end<B: Backend>(sum: Tensor<B, 4>, nonlinearity: Nonlinearity) -> Tensor<B, 4> {
    match nonlinearity {
        Nonlinearity::Sin => sum.sin(),
        Nonlinearity::Gelu => gelu(sum),
    }
}

/// [`crate::DecoderOps::residual`].
pub fn residual<B: Backend>(x: Tensor<B, 4>, layer: ResidualLayer<B>) -> Tensor<B, 4> {
    let ResidualLayer { first, second, kernel, dilation, nonlinearity } = layer;
    let hidden = end(conv(x.clone(), first, kernel, dilation), nonlinearity);
    x + conv(hidden, second, 1, 1)
}

/// [`crate::DecoderOps::carrier`].
pub fn carrier<B: Backend>(coefficients: Tensor<B, 2>, linear: ConvWeights<B>, sizes: CarrierSizes) -> Tensor<B, 4> {
    let ([n, _], CarrierSizes { coarse, frame }) = (coefficients.dims(), sizes);
    let planes = linear.outputs() / (coarse.0 * coarse.1);
    let sums = coefficients.matmul(linear.weight.transpose()) + linear.bias.transpose();
    let coarse = sums.reshape([n, planes, coarse.0, coarse.1]).repeat_dim(1, 3 / planes);
    enlarge(enlarge(coarse, frame.1).swap_dims(2, 3), frame.0).swap_dims(2, 3) + 0.5
}

/// Enlarges the columns of `[n, c, h, w]` bicubically.
fn enlarge<B: Backend>(x: Tensor<B, 4>, to: usize) -> Tensor<B, 4> {
    let [n, c, h, from] = x.dims();
    let mut matrix = vec![0.0; from * to];
    for (i, tap) in taps(from, to).iter().enumerate() {
        tap.index.iter().zip(tap.weight).for_each(|(&at, weight)| matrix[at * to + i] += weight);
    }
    let matrix = Tensor::<B, 2>::from_data(TensorData::new(matrix, [from, to]), &x.device());
    x.reshape([n * c * h, from]).matmul(matrix).reshape([n, c, h, to])
}

/// [`crate::DecoderOps::classes`].
pub fn classes<B: Backend>(inputs: ClassInputs<B>, linear: ConvWeights<B>) -> Tensor<B, 4> {
    let ClassInputs { maps, classes, numbers } = inputs;
    let ([n, height, width], [_, count], outputs) = (maps.dims(), numbers.dims(), linear.outputs());
    let part = |start: usize, len: usize| linear.weight.clone().narrow(1, start, len);
    let embedded = part(0, classes).transpose().select(0, maps.reshape([n * height * width]));
    let embedded = embedded.reshape([n, height, width, outputs]).permute([0, 3, 1, 2]);
    let x = (0..height).flat_map(|_| (0..width).map(|x| place(x, width)));
    let y = (0..height).flat_map(|y| std::iter::repeat_n(place(y, height), width));
    let (x, y): (Vec<f32>, Vec<f32>) = (x.collect(), y.collect());
    let squares = [&x, &y].map(|axis| axis.iter().map(|v| v * v).collect::<Vec<f32>>());
    let places = [x, y].into_iter().chain(squares).flatten().collect::<Vec<f32>>();
    let places = Tensor::<B, 2>::from_data(TensorData::new(places, [PLACES, height * width]), &numbers.device());
    let placed = part(classes, PLACES).matmul(places).reshape([1, outputs, height, width]);
    let shared = numbers.matmul(part(classes + PLACES, count).transpose()) + linear.bias.transpose();
    embedded + placed + shared.reshape([n, outputs, 1, 1])
}

/// [`crate::DecoderOps::refine`].
pub fn refine<B: Backend>(x: Tensor<B, 4>, layer: RefineLayer<B>) -> Tensor<B, 4> {
    let RefineLayer { first, second, dilation, gain } = layer;
    let hidden = conv(x.clone(), first, 3, dilation);
    x + conv(hidden, second, 3, 1).sin() * gain
}

/// [`crate::DecoderOps::heads`].
pub fn heads<B: Backend>(x: Tensor<B, 4>, weights: ConvWeights<B>) -> Tensor<B, 4> {
    sigmoid(conv(x, weights, 3, 1))
}

/// `[n, c * r * r, h, w]` -> `[n, c, h * r, w * r]`, PyTorch's channel order (Shi et al. 2016).
fn pixel_shuffle<B: Backend>(x: Tensor<B, 4>, factor: usize) -> Tensor<B, 4> {
    if factor == 1 {
        return x;
    }
    let [n, channels, h, w] = x.dims();
    let c = channels / (factor * factor);
    let split: Tensor<B, 6> = x.reshape([n, c, factor, factor, h, w]);
    split.permute([0, 1, 4, 2, 5, 3]).reshape([n, c, h * factor, w * factor])
}
