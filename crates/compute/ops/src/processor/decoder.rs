//! The decoder's layers.

use burn_core::tensor::Tensor;
use burn_flex::FlexTensor;
use gradients::{
    CarrierShape, ClassesShape, HeadsShape, RefineShape, ResidualShape, ResidualValues, StageShape, WeightGradients,
    Weights,
};
use kernels::Skip;

use super::autodiff::{Cpu, Values, flex, register};
use crate::decoder::{CarrierSizes, ClassInputs, ConvWeights, DecoderOps, RefineLayer, ResidualLayer, StageLayer};

#[derive(Clone)]
struct ConvValues {
    weight: Values,
    bias: Values,
}

impl ConvValues {
    fn of(conv: &ConvWeights<Cpu>) -> Self {
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

impl DecoderOps for Cpu {
    fn carrier(coefficients: Tensor<Self, 2>, linear: ConvWeights<Self>, sizes: CarrierSizes) -> Tensor<Self, 4> {
        let ([n, count], (height, width)) = (coefficients.dims(), sizes.frame);
        let planes = linear.outputs() / (sizes.coarse.0 * sizes.coarse.1);
        let layer = CarrierShape { coefficients: count, planes, coarse: sizes.coarse, height, width };
        let (input, values) = (Values::inner(&coefficients), ConvValues::of(&linear));
        let output = layer.forward(n, input.as_slice(), values.weights());
        let pullback = move |gradient: &[f32]| {
            let found = layer.backward(n, input.as_slice(), gradient, values.weight.as_slice());
            let mut list = vec![flex(found.coefficients, [n, count])];
            list.extend(conv_gradients(found.linear));
            list
        };
        let [coefficients, weight, bias] = [coefficients, linear.weight, linear.bias].map(Tensor::into_primitive);
        register([coefficients, weight, bias], output, [n, 3, height, width], pullback)
    }

    fn classes(inputs: ClassInputs<Self>, linear: ConvWeights<Self>) -> Tensor<Self, 4> {
        let ClassInputs { maps, classes, numbers } = inputs;
        let ([n, height, width], [_, count]) = (maps.dims(), numbers.dims());
        let layer = ClassesShape { classes, numbers: count, outputs: linear.outputs(), height, width };
        let maps: Vec<u8> = maps.into_data().iter().collect();
        let (shared, values) = (Values::inner(&numbers), ConvValues::of(&linear));
        let output = layer.forward(n, &maps, shared.as_slice(), values.weights());
        let shape = [n, layer.outputs, height, width];
        let pullback = move |gradient: &[f32]| {
            let found = layer.backward(n, &maps, shared.as_slice(), gradient, values.weight.as_slice());
            let mut list = vec![flex(found.numbers, [n, count])];
            list.extend(conv_gradients(found.linear));
            list
        };
        let [numbers, weight, bias] = [numbers, linear.weight, linear.bias].map(Tensor::into_primitive);
        register([numbers, weight, bias], output, shape, pullback)
    }

    fn residual(x: Tensor<Self, 4>, layer: ResidualLayer<Self>) -> Tensor<Self, 4> {
        let ResidualLayer { first, second, kernel, dilation, nonlinearity } = layer;
        let shape @ [n, channels, height, width] = x.dims();
        let hidden = first.outputs();
        let block = ResidualShape { channels, hidden, kernel, dilation, nonlinearity, height, width };
        let (input, first_values, second_values) = (Values::inner(&x), ConvValues::of(&first), ConvValues::of(&second));
        let ResidualValues { y: output, hidden, slope } =
            block.forward(n, input.as_slice(), first_values.weights(), second_values.weights());
        let pullback = move |gradient: &[f32]| {
            let weights = [first_values.weight.as_slice(), second_values.weight.as_slice()];
            let gradients = block.backward(n, input.as_slice(), [&hidden, &slope], gradient, weights);
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

    fn stage(x: Tensor<Self, 4>, layer: StageLayer<Self>) -> Tensor<Self, 4> {
        let StageLayer { conv, skip, kernel, upscale, nonlinearity } = layer;
        let [n, inputs, height, width] = x.dims();
        let outputs = conv.outputs() / (upscale * upscale);
        let stage = StageShape { inputs, outputs, kernel, upscale, nonlinearity, height, width };
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
            Skip::None | Skip::Input => register([x, weight, bias], output, shape, pullback),
            Skip::Convolution(skip) => {
                let parents = [x, weight, bias, skip.weight.into_primitive(), skip.bias.into_primitive()];
                register(parents, output, shape, pullback)
            }
        }
    }

    fn refine(x: Tensor<Self, 4>, layer: RefineLayer<Self>) -> Tensor<Self, 4> {
        let RefineLayer { first, second, dilation, gain } = layer;
        let shape @ [n, channels, height, width] = x.dims();
        let refine = RefineShape { channels, hidden: first.outputs(), dilation, gain, height, width };
        let (input, first_values, second_values) = (Values::inner(&x), ConvValues::of(&first), ConvValues::of(&second));
        let (output, hidden, slope) =
            refine.forward(n, input.as_slice(), first_values.weights(), second_values.weights());
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

    fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4> {
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
        register(
            [x.into_primitive(), conv.weight.into_primitive(), conv.bias.into_primitive()],
            output,
            shape,
            pullback,
        )
    }
}
