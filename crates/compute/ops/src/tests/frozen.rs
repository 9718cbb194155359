//! One operation of a frozen network on different backends: outputs and gradients agree.

use burn_core::tensor::backend::AutodiffBackend;
use burn_core::tensor::{Tensor, TensorData, TensorPrimitive};

use super::{B as Cpu, noise};
use crate::composed;
use crate::frozen::{Binary, Conv, ConvShape, ConvSource, FrozenOps, Op, Prepared, Program, Reduction, Step};

/// The output and, if asked for, the gradients of the inputs, for inputs between 0.3 and 2.3.
fn run<B: AutodiffBackend>(op: &Prepared<B>, shape: &[usize], inputs: &[&[usize]], gradients: bool) -> Vec<Vec<f32>> {
    let device = Default::default();
    let count = |shape: &[usize]| shape.iter().product();
    let leaves = inputs.iter().enumerate().map(|(seed, shape)| {
        let values: Vec<f32> = noise(seed, count(shape)).iter().map(|value| value + 1.3).collect();
        let leaf = Tensor::<B, 1>::from_data(TensorData::new(values, [count(shape)]), &device);
        if gradients { leaf.require_grad() } else { leaf }
    });
    let leaves: Vec<Tensor<B, 1>> = leaves.collect();
    let read = leaves
        .iter()
        .zip(inputs)
        .map(|(leaf, shape)| B::float_reshape(leaf.clone().into_primitive().tensor(), shape.to_vec().into()));
    let output = B::float_reshape(op(read.collect()), vec![count(shape)].into());
    let output = Tensor::<B, 1>::from_primitive(TensorPrimitive::Float(output));
    let values = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
    let mut found = vec![values(output.to_data())];
    if gradients {
        let weight = Tensor::from_data(TensorData::new(noise(99, count(shape)), [count(shape)]), &device);
        let all = (output * weight).sum().backward();
        found.extend(leaves.iter().map(|leaf| values(leaf.grad(&all).unwrap().into_data())));
    }
    found
}

/// What `B` makes of an operation is what burn's operations make of it on the processor.
fn agree<B: FrozenOps + AutodiffBackend>(op: &Op, inputs: &[&[usize]]) {
    let shape = op.shape(inputs).unwrap();
    let found = B::prepare(op, &shape, &Default::default());
    let expected = composed::prepare::<Cpu>(op, &Default::default());
    for gradients in [true, false] {
        let found = run::<B>(&found, &shape, inputs, gradients);
        let expected = run::<Cpu>(&expected, &shape, inputs, gradients);
        for (index, (a, b)) in found.into_iter().zip(expected).enumerate() {
            assert_eq!(a.len(), b.len());
            let scale = b.iter().fold(1e-3f32, |largest, v| v.abs().max(largest));
            let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 1e-4 * scale, "{} {index}: off by {worst} of {scale}", op.kind());
        }
    }
}

fn silu() -> Program {
    Program::new(|p, x| {
        let gate = p.push(Step::Sigmoid(x));
        p.push(Step::Mul(x, gate))
    })
}

fn conv(sources: &[(usize, usize)], outputs: usize, groups: usize, activation: Option<Program>) -> Conv {
    let sources: Vec<ConvSource> =
        sources.iter().map(|&(channels, upsample)| ConvSource { channels, upsample }).collect();
    let inputs: usize = sources.iter().map(|source| source.channels).sum();
    let (kernel, stride, padding, dilation) = ([3, 3], [1, 1], [1; 4], [1, 1]);
    let weight = noise(7, outputs * inputs / groups * 9);
    let shape = ConvShape { sources, outputs, kernel, stride, padding, dilation, groups };
    Conv { shape, weight, bias: noise(8, outputs), activation }
}

fn convolutions<B: FrozenOps + AutodiffBackend>() {
    let mut odd = conv(&[(6, 1)], 4, 2, Some(silu()));
    (odd.shape.stride, odd.shape.padding, odd.shape.dilation) = ([2, 1], [2, 1, 0, 3], [1, 2]);
    let agree = |conv: Conv, inputs: &[&[usize]]| agree::<B>(&Op::Conv(Box::new(conv)), inputs);
    agree(odd, &[&[2, 6, 9, 11]]);
    agree(conv(&[(5, 1)], 5, 5, None), &[&[2, 5, 9, 11]]);
    agree(conv(&[(3, 2), (4, 1)], 6, 1, Some(silu())), &[&[2, 3, 4, 5], &[2, 4, 8, 10]]);
    agree(conv(&[(3, 2), (2, 4), (1, 1)], 6, 1, None), &[&[1, 3, 4, 6], &[1, 2, 2, 3], &[1, 1, 8, 12]]);
    agree(Conv::channelwise(noise(1, 5), noise(2, 5)), &[&[2, 5, 9, 11]]);
}

fn elementwise<B: FrozenOps + AutodiffBackend>() {
    agree::<B>(&Op::Pointwise(silu()), &[&[2, 3, 80, 90]]);
    agree::<B>(&Op::Pointwise(silu()), &[&[5, 7]]);
    let every = Program::new(|p, x| {
        let (two, low) = (p.constant(2.0), p.push(Step::Clip(x, 0.6, 1.9)));
        let parts = [
            p.push(Step::Add(two, low)),
            p.push(Step::Sub(two, x)),
            p.push(Step::Sub(x, two)),
            p.push(Step::Div(two, x)),
            p.push(Step::Div(x, two)),
            p.push(Step::Div(low, x)),
            p.push(Step::Neg(x)),
            p.push(Step::Tanh(x)),
            p.push(Step::Erf(x)),
            p.push(Step::Exp(x)),
            p.push(Step::Sqrt(x)),
            p.push(Step::Pow(x, 1.7)),
            p.push(Step::Clip(x, f32::NEG_INFINITY, 1.5)),
            p.push(Step::Clip(x, 1.2, f32::INFINITY)),
        ];
        let shifted = p.push(Step::Sub(x, two));
        let relu = p.push(Step::Relu(shifted));
        parts.into_iter().fold(relu, |sum, part| p.push(Step::Add(sum, part)))
    });
    agree::<B>(&Op::Pointwise(every), &[&[2, 3, 8, 9]]);
    agree::<B>(&Op::Log, &[&[2, 3, 8, 9]]);
    let pairs: [[&[usize]; 2]; 4] = [
        [&[2, 3, 8, 9], &[2, 3, 1, 1]],
        [&[2, 3, 1, 1], &[2, 3, 8, 9]],
        [&[2, 3, 8, 9], &[2, 3, 8, 9]],
        [&[2, 3, 8, 9], &[1, 3, 1, 9]],
    ];
    for binary in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        pairs.iter().for_each(|pair| agree::<B>(&Op::Binary(binary), pair));
    }
}

fn all_others<B: FrozenOps + AutodiffBackend>() {
    let image: &[&[usize]] = &[&[2, 3, 8, 9]];
    let agree = |op: Op, inputs: &[&[usize]]| agree::<B>(&op, inputs);
    for axes in [vec![2, 3], vec![1], vec![0, 3]] {
        agree(Op::Reduce { reduction: Reduction::Mean, axes: axes.clone() }, image);
        agree(Op::Reduce { reduction: Reduction::Sum, axes }, image);
    }
    agree(Op::MatMul, &[&[2, 3, 4, 5], &[1, 3, 5, 6]]);
    agree(Op::MatMul, &[&[4, 5], &[5, 6]]);
    agree(Op::MaxPool { kernel: [3, 2], stride: [2, 1], padding: [1, 0], dilation: [1, 2] }, image);
    agree(Op::Upsample { factor: 3 }, image);
    agree(Op::Interpolate { axis: 2, size: 5, matrix: noise(3, 40) }, image);
    agree(Op::Interpolate { axis: 3, size: 12, matrix: noise(3, 108) }, image);
    agree(Op::Concat { axis: 1 }, &[&[2, 3, 8, 9], &[2, 1, 8, 9]]);
    agree(Op::Slice { axis: 2, start: 2, size: 5 }, image);
    agree(Op::Select { axis: 3, indices: vec![8, 0, 0, 4] }, image);
    agree(Op::Pad { before: vec![0, 1, 2, 0], after: vec![0, 0, 3, 1], value: 0.5 }, image);
    agree(Op::Reshape { shape: vec![6, 72] }, image);
    agree(Op::Transpose { order: vec![2, 0, 3, 1] }, image);
    agree(Op::Transpose { order: vec![0, 1, 4, 2, 5, 3] }, &[&[2, 3, 2, 3, 4, 5]]);
    agree(Op::Expand { shape: vec![2, 3, 4, 5] }, &[&[2, 1, 4, 1]]);
    agree(Op::Softmax { axis: 1 }, image);
}

#[test]
fn kernels_agree_with_burns_operations() {
    convolutions::<Cpu>();
    elementwise::<Cpu>();
    all_others::<Cpu>();
}

/// Needs an adapter; a software one (the package mesa-vulkan-drivers) does.
#[cfg(feature = "wgpu")]
#[test]
fn a_gpu_agrees_with_the_processor() {
    type Gpu = burn_autodiff::Autodiff<burn_wgpu::Wgpu>;
    let found = std::panic::catch_unwind(|| Tensor::<Gpu, 1>::ones([2], &Default::default()).into_data());
    if found.is_err() {
        testdata::skip(testdata::Need::Gpu, "no adapter");
        return;
    }
    convolutions::<Gpu>();
    elementwise::<Gpu>();
    all_others::<Gpu>();
}
