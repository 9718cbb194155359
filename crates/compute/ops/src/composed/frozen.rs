//! The operations of frozen networks.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::ops::{ConvOptions, FloatTensor, PaddedConvOptions};
use burn_core::tensor::{Int, Scalar, Shape, Slice, Tensor, TensorData, TensorMetadata, TensorPrimitive};

use crate::frozen::{Binary, Conv, ConvShape, Op, Prepared, Program, Reduction, Step};

/// [`crate::FrozenOps::prepare`].
pub fn prepare<B: Backend>(op: &Op, device: &B::Device) -> Prepared<B> {
    match op.clone() {
        Op::Input { .. } => Box::new(only),
        Op::Constant { shape, values } => {
            let tensor = B::float_from_data(TensorData::new(values, shape), device);
            Box::new(move |_| tensor.clone())
        }
        Op::Conv(conv) => convolution::<B>(*conv, device),
        Op::Pointwise(program) => Box::new(move |inputs| pointwise::<B>(&program, only(inputs))),
        Op::Log => Box::new(|inputs| B::float_log(only(inputs))),
        Op::Binary(Binary::Add) => two::<B>(B::float_add),
        Op::Binary(Binary::Sub) => two::<B>(B::float_sub),
        Op::Binary(Binary::Mul) => two::<B>(B::float_mul),
        Op::Binary(Binary::Div) => two::<B>(B::float_div),
        Op::MatMul => two::<B>(B::float_matmul),
        Op::Reduce { reduction, axes } => Box::new(move |inputs| {
            let step = match reduction {
                Reduction::Sum => B::float_sum_dim,
                Reduction::Mean => B::float_mean_dim,
            };
            axes.iter().fold(only(inputs), |x, &axis| step(x, axis))
        }),
        Op::MaxPool { kernel, stride, padding, dilation } => {
            Box::new(move |inputs| B::max_pool2d(only(inputs), kernel, stride, padding, dilation, false))
        }
        Op::Upsample { factor } => Box::new(move |inputs| upsample::<B>(only(inputs), factor)),
        Op::Interpolate { axis, size, matrix } => interpolation::<B>(axis, size, matrix, device),
        Op::Concat { axis } => Box::new(move |inputs| B::float_cat(inputs, axis)),
        Op::Slice { axis, start, size } => Box::new(move |inputs| {
            let x = only(inputs);
            let whole = x.shape();
            let all = whole.iter().map(|&dim| Slice::from(0..dim));
            let mut ranges: Vec<Slice> = all.collect();
            ranges[axis] = Slice::from(start..start + size);
            B::float_slice(x, &ranges)
        }),
        Op::Select { axis, indices } => {
            let count = indices.len();
            let indices = indices.into_iter().map(|index| index as i64).collect();
            let indices = Tensor::<B, 1, Int>::from_data(TensorData::new::<i64, _>(indices, [count]), device);
            Box::new(move |inputs| B::float_select(only(inputs), axis, indices.clone().into_primitive()))
        }
        Op::Pad { before, after, value } => {
            let device = device.clone();
            Box::new(move |inputs| pad::<B>(only(inputs), &before, &after, value, &device))
        }
        Op::Reshape { shape } => Box::new(move |inputs| B::float_reshape(only(inputs), Shape::from(shape.clone()))),
        Op::Transpose { order } => Box::new(move |inputs| B::float_permute(only(inputs), &order)),
        Op::Expand { shape } => Box::new(move |inputs| B::float_expand(only(inputs), Shape::from(shape.clone()))),
        Op::Softmax { axis } => Box::new(move |inputs| softmax::<B>(only(inputs), axis)),
    }
}

/// The one input. There are as many as an operation takes.
pub fn only<T>(mut inputs: Vec<T>) -> T {
    inputs.swap_remove(0)
}

fn two<B: Backend>(step: fn(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>) -> Prepared<B> {
    Box::new(move |mut inputs| {
        let b = inputs.swap_remove(1);
        step(only(inputs), b)
    })
}

fn convolution<B: Backend>(conv: Conv, device: &B::Device) -> Prepared<B> {
    let Conv { shape, weight, bias, activation } = conv;
    let ConvShape { sources, outputs, kernel, stride, padding, dilation, groups } = shape;
    let inputs = weight.len() / (outputs * kernel[0] * kernel[1]);
    let weight = Tensor::<B, 4>::from_data(TensorData::new(weight, [outputs, inputs, kernel[0], kernel[1]]), device);
    let bias = Tensor::<B, 1>::from_data(TensorData::new(bias, [outputs]), device);
    let [top, left, bottom, right] = padding;
    let symmetric = ConvOptions::new(stride, [top, left], dilation, groups);
    let options = PaddedConvOptions {
        padding_end: ([bottom, right] != [top, left]).then_some([bottom, right]),
        options: symmetric,
    };
    Box::new(move |inputs| {
        let parts = inputs.into_iter().zip(&sources).map(|(x, source)| upsample::<B>(x, source.upsample));
        let mut parts: Vec<FloatTensor<B>> = parts.collect();
        let x = if parts.len() == 1 { parts.swap_remove(0) } else { B::float_cat(parts, 1) };
        let x = Tensor::from_primitive(TensorPrimitive::Float(x));
        let y = burn_core::tensor::module::conv2d(x, weight.clone(), Some(bias.clone()), options.clone());
        let y = y.into_primitive().tensor();
        match &activation {
            Some(program) => pointwise::<B>(program, y),
            None => y,
        }
    })
}

/// A program, step by step.
fn pointwise<B: Backend>(program: &Program, x: FloatTensor<B>) -> FloatTensor<B> {
    let filled = |number: f32| B::float_add_scalar(B::float_mul_scalar(x.clone(), Scalar::from(0.0)), number.into());
    let number = |index: usize| match program.steps()[index] {
        Step::Constant(value) => Some(Scalar::from(value)),
        _ => None,
    };
    // Numbers go into the steps that take them.
    let mut values: Vec<Option<FloatTensor<B>>> = Vec::with_capacity(program.steps().len());
    for step in program.steps() {
        let value = |index: usize| match (&values[index], program.steps()[index]) {
            (None, Step::Constant(number)) => filled(number),
            (value, _) => value.clone().unwrap_or_else(|| x.clone()),
        };
        let next = match *step {
            Step::Input => x.clone(),
            Step::Constant(_) => {
                values.push(None);
                continue;
            }
            Step::Add(a, b) => match (number(a), number(b)) {
                (_, Some(b)) => B::float_add_scalar(value(a), b),
                (Some(a), _) => B::float_add_scalar(value(b), a),
                _ => B::float_add(value(a), value(b)),
            },
            Step::Sub(a, b) => match (number(a), number(b)) {
                (_, Some(b)) => B::float_sub_scalar(value(a), b),
                (Some(a), _) => B::float_add_scalar(B::float_neg(value(b)), a),
                _ => B::float_sub(value(a), value(b)),
            },
            Step::Mul(a, b) => match (number(a), number(b)) {
                (_, Some(b)) => B::float_mul_scalar(value(a), b),
                (Some(a), _) => B::float_mul_scalar(value(b), a),
                _ => B::float_mul(value(a), value(b)),
            },
            Step::Div(a, b) => match (number(a), number(b)) {
                (_, Some(b)) => B::float_div_scalar(value(a), b),
                (Some(a), _) => B::float_mul_scalar(B::float_recip(value(b)), a),
                _ => B::float_div(value(a), value(b)),
            },
            Step::Neg(a) => B::float_neg(value(a)),
            Step::Relu(a) => B::relu(value(a)),
            Step::Sigmoid(a) => B::sigmoid(value(a)),
            Step::Tanh(a) => B::float_tanh(value(a)),
            Step::Erf(a) => B::float_erf(value(a)),
            Step::Exp(a) => B::float_exp(value(a)),
            Step::Sqrt(a) => B::float_sqrt(value(a)),
            Step::Pow(a, exponent) => B::float_powf_scalar(value(a), exponent.into()),
            Step::Clip(a, f32::NEG_INFINITY, max) => B::float_clamp_max(value(a), max.into()),
            Step::Clip(a, min, f32::INFINITY) => B::float_clamp_min(value(a), min.into()),
            Step::Clip(a, min, max) => B::float_clamp(value(a), min.into(), max.into()),
        };
        values.push(Some(next));
    }
    match (values.pop().flatten(), program.steps().last()) {
        (Some(value), _) => value,
        (None, Some(&Step::Constant(number))) => filled(number),
        (None, _) => x,
    }
}

/// Rows and columns repeated.
fn upsample<B: Backend>(x: FloatTensor<B>, factor: usize) -> FloatTensor<B> {
    let [n, channels, rows, columns] = x.shape().dims();
    if factor == 1 {
        return x;
    }
    let split = B::float_reshape(x, Shape::new([n, channels, rows, 1, columns, 1]));
    let repeated = B::float_expand(split, Shape::new([n, channels, rows, factor, columns, factor]));
    B::float_reshape(repeated, Shape::new([n, channels, rows * factor, columns * factor]))
}

/// The axis goes last, then everything is rows times the matrix.
fn interpolation<B: Backend>(axis: usize, size: usize, matrix: Vec<f32>, device: &B::Device) -> Prepared<B> {
    let before = matrix.len() / size;
    let matrix = Tensor::<B, 2>::from_data(TensorData::new(matrix, [size, before]), device).transpose();
    Box::new(move |inputs| {
        let x = only(inputs);
        let last = x.rank() - 1;
        let x = B::float_swap_dims(x, axis, last);
        let mut shape = x.shape();
        let rows = shape.num_elements() / before;
        let flat = B::float_reshape(x, Shape::new([rows, before]));
        let product = B::float_matmul(flat, matrix.clone().into_primitive().tensor());
        shape[last] = size;
        B::float_swap_dims(B::float_reshape(product, shape), axis, last)
    })
}

fn pad<B: Backend>(
    x: FloatTensor<B>,
    before: &[usize],
    after: &[usize],
    value: f32,
    device: &B::Device,
) -> FloatTensor<B> {
    let dtype = x.dtype().into();
    (0..before.len()).fold(x, |x, axis| {
        let border = |size: usize| {
            let mut shape = x.shape();
            shape[axis] = size;
            (size > 0).then(|| B::float_full(shape, Scalar::from(value), device, dtype))
        };
        let parts = [border(before[axis]), Some(x.clone()), border(after[axis])];
        let parts: Vec<FloatTensor<B>> = parts.into_iter().flatten().collect();
        if parts.len() == 1 { x } else { B::float_cat(parts, axis) }
    })
}

fn softmax<B: Backend>(x: FloatTensor<B>, axis: usize) -> FloatTensor<B> {
    // The largest value only keeps the exponentials in range: the result, and so its gradient, does not depend on it.
    let largest = B::float_detach(B::float_max_dim(x.clone(), axis));
    let exponentials = B::float_exp(B::float_sub(x, largest));
    let sum = B::float_sum_dim(exponentials.clone(), axis);
    B::float_div(exponentials, sum)
}
