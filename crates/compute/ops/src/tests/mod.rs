//! The processor's kernels, and a GPU's where there is one, against what the operations mean.

mod decoder;
mod frozen;
mod metric;

use burn_autodiff::Autodiff;
use burn_autodiff::grads::Gradients;
use burn_core::tensor::{Tensor, TensorData};
use burn_flex::Flex;

use crate::decoder::ConvWeights;

type B = Autodiff<Flex>;

/// Values between -1 and 1.
fn noise(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// A leaf of noise.
fn tensor<const D: usize>(seed: usize, shape: [usize; D]) -> Tensor<B, D> {
    let values = noise(seed, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &Default::default()).require_grad()
}

fn conv(seed: usize, outputs: usize, fan_in: usize) -> ConvWeights<B> {
    ConvWeights { weight: tensor(seed, [outputs, fan_in]), bias: tensor(seed + 1, [outputs, 1]) }
}

/// Output and gradients of both forms agree.
fn agree<const D: usize, const X: usize>(
    x: &Tensor<B, X>,
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
