//! The decoder's layers.

use burn_core::tensor::{Tensor, TensorData};
use kernels::{Nonlinearity, Skip};

use super::{B, agree, conv, tensor};
use crate::composed;
use crate::decoder::{CarrierSizes, ClassInputs, ConvWeights, DecoderOps, RefineLayer, ResidualLayer, StageLayer};

#[test]
fn stages_agree_with_burns_operations() {
    let cases = [(3, 2, 5), (1, 3, 4), (3, 1, 5), (3, 4, 2), (5, 5, 2), (5, 1, 6)];
    let ends = [Nonlinearity::Sin, Nonlinearity::Gelu];
    for (i, (kernel, upscale, outputs)) in cases.into_iter().enumerate() {
        let x = tensor(1, [2, 5, 7, 9]);
        let main = conv(2, outputs * upscale * upscale, 5 * kernel * kernel);
        let skip = match outputs {
            5 => Skip::Input,
            6 => Skip::None,
            _ => Skip::Convolution(conv(4, outputs, 5)),
        };
        let nonlinearity = ends[(i / 2) % 2];
        let layer = StageLayer { conv: main.clone(), skip: skip.clone(), kernel, upscale, nonlinearity };
        let fused = B::stage(x.clone(), layer.clone());
        let composed = composed::stage(x.clone(), layer);
        let weights: Vec<&ConvWeights<B>> = std::iter::once(&main).chain(skip.as_ref().convolution()).collect();
        agree(&x, &weights, fused, composed);
    }
}

#[test]
fn refine_and_heads_agree_with_burns_operations() {
    let x = tensor(1, [2, 5, 11, 13]);
    let (first, second) = (conv(2, 3, 45), conv(4, 5, 27));
    let layer = RefineLayer { first: first.clone(), second: second.clone(), dilation: 2, gain: 0.3 };
    let fused = B::refine(x.clone(), layer.clone());
    let composed = composed::refine(x.clone(), layer);
    agree(&x, &[&first, &second], fused, composed);

    // A leaf serves one backward pass.
    let (x, rgb) = (tensor(1, [2, 5, 11, 13]), conv(6, 6, 45));
    agree(&x, &[&rgb], B::heads(x.clone(), rgb.clone()), composed::heads(x.clone(), rgb.clone()));
}

#[test]
fn residual_blocks_agree_with_burns_operations() {
    let ends = [Nonlinearity::Sin, Nonlinearity::Gelu];
    for (i, (kernel, dilation)) in [(3, 1), (3, 4), (1, 1), (5, 2)].into_iter().enumerate() {
        let x = tensor(1, [2, 5, 11, 13]);
        let (first, second) = (conv(2, 3, 5 * kernel * kernel), conv(4, 5, 3));
        let nonlinearity = ends[i % 2];
        let layer = ResidualLayer { first: first.clone(), second: second.clone(), kernel, dilation, nonlinearity };
        let fused = B::residual(x.clone(), layer.clone());
        let composed = composed::residual(x.clone(), layer);
        agree(&x, &[&first, &second], fused, composed);
    }
}

#[test]
fn layers_on_class_maps_agree_with_burns_operations() {
    let maps: Vec<i32> = (0..2 * 7 * 9).map(|i| i * 7 % 5).collect();
    let maps = Tensor::from_data(TensorData::new(maps, [2, 7, 9]), &Default::default());
    let (numbers, linear) = (tensor(1, [2, 3]), conv(2, 6, 5 + 4 + 3));
    let inputs = ClassInputs { maps, classes: 5, numbers: numbers.clone() };
    let fused = B::classes(inputs.clone(), linear.clone());
    let composed = composed::classes(inputs, linear.clone());
    agree(&numbers, &[&linear], fused, composed);
}

#[test]
fn carriers_agree_with_burns_operations() {
    for planes in [1, 3] {
        let (coefficients, linear) = (tensor(1, [2, 4]), conv(2, planes * 3 * 5, 4));
        let sizes = CarrierSizes { coarse: (3, 5), frame: (11, 26) };
        let fused = B::carrier(coefficients.clone(), linear.clone(), sizes);
        let composed = composed::carrier(coefficients.clone(), linear.clone(), sizes);
        agree(&coefficients, &[&linear], fused, composed);
    }
}
