//! The operations of frozen networks: convolutions with all that belongs to them, and what else takes time, through
//! [`gradients::frozen`].

use std::sync::Arc;

use burn_core::tensor::ops::FloatTensor;
use burn_core::tensor::{TensorMetadata, TensorPrimitive};
use burn_flex::{FlexDevice, FlexTensor};
use gradients::frozen::{self, FrozenConv, mean_channels, scale_channels, scale_channels_backward};
use rayon::prelude::*;

use super::autodiff::{Cpu, Values, flex, register};
use crate::composed::{self, only};
use crate::frozen::{Binary, Conv, FrozenOps, MAX_SOURCES, Op, Prepared, Program, Reduction};

type Primitive = FloatTensor<Cpu>;

/// Elements that a thread takes at once.
const CHUNK: usize = 1 << 14;

impl FrozenOps for Cpu {
    fn prepare(op: &Op, shape: &[usize], device: &FlexDevice) -> Prepared<Self> {
        match (op, shape) {
            (Op::Conv(conv), &[n, _, rows, columns]) => convolution(conv, [n, rows, columns]),
            (Op::Pointwise(program), &[a, b, c, d]) => pointwise(program, [a, b, c, d]),
            (Op::Binary(Binary::Mul), &[_, _, _, _]) => product(composed::prepare::<Self>(op, device)),
            (Op::Reduce { reduction: Reduction::Mean, axes }, &[_, _, _, _]) if axes == &[2, 3] => {
                Box::new(|inputs| mean(only(inputs)))
            }
            _ => composed::prepare::<Self>(op, device),
        }
    }
}

/// The tensor of an autodiff node.
fn tracked<const N: usize>(
    parents: [Primitive; N],
    output: Vec<f32>,
    shape: [usize; 4],
    pullback: impl Fn(&[f32]) -> Vec<FlexTensor> + Send + Sync + 'static,
) -> Primitive {
    register(parents.map(TensorPrimitive::Float), output, shape, pullback).into_primitive().tensor()
}

fn values(x: &Primitive) -> Values {
    Values::of(x.primitive.clone())
}

fn program(program: &Program) -> frozen::Pointwise {
    frozen::Pointwise::new(program.steps().to_vec())
}

fn convolution(conv: &Conv, [n, rows, columns]: [usize; 3]) -> Prepared<Cpu> {
    let shape = [n, conv.shape.outputs, rows, columns];
    let activation = conv.activation.as_ref().map(program);
    let ready = Arc::new(FrozenConv::new(conv.shape.clone(), &conv.weight, &conv.bias, activation));
    Box::new(move |inputs| {
        let factor = ready.shape().sources[0].upsample;
        let [_, _, height, width] = inputs[0].shape().dims();
        let (height, width) = (height * factor, width * factor);
        let sources: Vec<Values> = inputs.iter().map(values).collect();
        let slices: Vec<&[f32]> = sources.iter().map(Values::as_slice).collect();
        let keep = inputs.iter().any(Primitive::is_tracked);
        let (output, slope) = ready.forward(n, height, width, &slices, keep);
        let ready = ready.clone();
        let pullback = move |gradient: &[f32]| {
            let gradients = ready.backward(n, height, width, gradient, &slope);
            let pairs = gradients.into_iter().zip(&ready.shape().sources);
            let shaped = pairs.map(|(gradient, source)| {
                flex(gradient, [n, source.channels, height / source.upsample, width / source.upsample])
            });
            shaped.collect()
        };
        // As many parents as there are sources, at most MAX_SOURCES.
        let inputs = match <[Primitive; 1]>::try_from(inputs) {
            Ok(parents) => return tracked(parents, output, shape, pullback),
            Err(inputs) => inputs,
        };
        let inputs = match <[Primitive; 2]>::try_from(inputs) {
            Ok(parents) => return tracked(parents, output, shape, pullback),
            Err(inputs) => inputs,
        };
        match <[Primitive; MAX_SOURCES]>::try_from(inputs) {
            Ok(parents) => tracked(parents, output, shape, pullback),
            Err(inputs) => unreachable!("a convolution of {} sources", inputs.len()),
        }
    })
}

fn pointwise(steps: &Program, shape: [usize; 4]) -> Prepared<Cpu> {
    let program = program(steps);
    Box::new(move |inputs| {
        let x = only(inputs);
        let input = values(&x);
        let mut output = vec![0.0; input.as_slice().len()];
        let chunks = input.as_slice().par_chunks(CHUNK).zip(output.par_chunks_mut(CHUNK));
        if !x.is_tracked() {
            chunks.for_each(|(x, y)| program.apply(x, y));
            return tracked([x], output, shape, |_| Vec::new());
        }
        let mut slope = vec![0.0; input.as_slice().len()];
        let chunks = chunks.zip(slope.par_chunks_mut(CHUNK));
        chunks.for_each(|((x, y), slope)| program.apply_with_slope(x, y, slope));
        tracked([x], output, shape, move |gradient| {
            let product: Vec<f32> = gradient.par_iter().zip(&slope).map(|(gradient, slope)| gradient * slope).collect();
            vec![flex(product, shape)]
        })
    })
}

/// Products; those of an image with one number for each of its channels (squeeze and excitation) and those of equal shapes
/// apart from all others.
fn product(general: Prepared<Cpu>) -> Prepared<Cpu> {
    let is_gate = |x: &Primitive, gate: &Primitive| {
        let [n, channels, rows, columns] = x.shape().dims();
        gate.shape().dims() == [n, channels, 1, 1] && rows * columns > 1
    };
    Box::new(move |inputs| match <[Primitive; 2]>::try_from(inputs) {
        Ok([x, gate]) if is_gate(&x, &gate) => gated(x, gate),
        Ok([gate, x]) if is_gate(&x, &gate) => gated(x, gate),
        Ok([a, b]) if a.shape() == b.shape() => elementwise(a, b),
        Ok(inputs) => general(inputs.into()),
        Err(inputs) => general(inputs),
    })
}

/// burn's gradient of a product takes a slow way where the gradient it gets has gaps, as behind a concatenation.
fn elementwise(a: Primitive, b: Primitive) -> Primitive {
    let shape: [usize; 4] = a.shape().dims();
    let (left, right) = (values(&a), values(&b));
    let product = |a: &[f32], b: &[f32]| -> Vec<f32> { a.par_iter().zip(b).map(|(a, b)| a * b).collect() };
    let output = product(left.as_slice(), right.as_slice());
    tracked([a, b], output, shape, move |gradient| {
        vec![flex(product(gradient, right.as_slice()), shape), flex(product(gradient, left.as_slice()), shape)]
    })
}

fn gated(x: Primitive, gate: Primitive) -> Primitive {
    let shape @ [n, channels, rows, columns] = x.shape().dims();
    let (input, scale) = (values(&x), values(&gate));
    let output = scale_channels(input.as_slice(), scale.as_slice(), rows * columns);
    tracked([x, gate], output, shape, move |gradient| {
        let (input, scale) = (input.as_slice(), scale.as_slice());
        let (image, sums) = scale_channels_backward(input, scale, gradient, rows * columns);
        vec![flex(image, shape), flex(sums, [n, channels, 1, 1])]
    })
}

/// Of rows and columns.
fn mean(x: Primitive) -> Primitive {
    let shape @ [n, channels, rows, columns] = x.shape().dims();
    let pixels = rows * columns;
    let output = mean_channels(values(&x).as_slice(), pixels);
    tracked([x], output, [n, channels, 1, 1], move |gradient| {
        let mut image = vec![0.0; gradient.len() * pixels];
        let channels = image.par_chunks_exact_mut(pixels).zip(gradient);
        channels.for_each(|(image, gradient)| image.fill(gradient / pixels as f32));
        vec![flex(image, shape)]
    })
}
