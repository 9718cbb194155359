//! The metric's way from the decoder's frames to the evaluators' inputs, out of operations that every backend can
//! differentiate. The arithmetic that decides is that of the `frames` and `decoder` crates; tests hold both together.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor, TensorData};
use frames::{Planes, resize_bicubic, resize_bilinear};

use crate::layers::CameraChain;
use recipe::{SegmentationKind, SegmentationTerm};

/// What [`crate::layers::Layers::round_trip`] computes: resampling is two products with constant matrices, which every backend
/// can differentiate (burn's GPU backends have no backward for `interpolate`).
pub fn round_trip<B: Backend>(x: Tensor<B, 4>, chain: CameraChain) -> Tensor<B, 4> {
    let [n, c, height, width] = x.dims();
    let device = x.device();
    let ((camera_h, camera_w), (input_h, input_w)) = (chain.camera, chain.input);
    let resample = |x: Tensor<B, 3>, resize: Resize, [from_h, from_w]: [usize; 2], [to_h, to_w]: [usize; 2]| {
        let rows = matrix::<B>(resize, from_h, to_h, &device).unsqueeze();
        let columns = matrix::<B>(resize, from_w, to_w, &device).transpose().unsqueeze();
        rows.matmul(x).matmul(columns)
    };
    let native = (x * 255.0).reshape([n * c, height, width]);
    let camera = resample(native, resize_bicubic, [height, width], [camera_h, camera_w]).clamp(0.0, 255.0);
    // Rounding in the forward pass, identity in the backward pass.
    let rounded = camera.clone() + (camera.clone().round() - camera).detach();
    let input = resample(rounded, resize_bilinear, [camera_h, camera_w], [input_h, input_w]);
    input.reshape([n, c, input_h, input_w])
}

type Resize = fn(&Planes, usize, usize) -> Planes;

/// What `resize` does to one axis, `[to, from]`: what it makes of the identity's rows.
fn matrix<B: Backend>(resize: Resize, from: usize, to: usize, device: &B::Device) -> Tensor<B, 2> {
    let mut identity = vec![0.0; from * from];
    identity.iter_mut().step_by(from + 1).for_each(|value| *value = 1.0);
    let rows = match Planes::new(1, from, from, identity) {
        Ok(identity) => resize(&identity, to, from).into_data(),
        // A side of 0, which no decoder's frames have.
        Err(_) => Vec::new(),
    };
    Tensor::from_data(TensorData::new(rows, [to, from]), device)
}

/// What [`crate::layers::Layers::yuv6`] computes.
pub fn yuv6<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let frames = c / 3;
    let x = x.reshape([n * frames, 3, h, w]);
    let [r, g, b] = [0, 1, 2].map(|channel| x.clone().narrow(1, channel, 1));
    let y = (r.clone() * 0.299 + g * 0.587 + b.clone() * 0.114).clamp(0.0, 255.0);
    let u = ((b - y.clone()) / 1.772 + 128.0).clamp(0.0, 255.0);
    let v = ((r - y.clone()) / 1.402 + 128.0).clamp(0.0, 255.0);
    // [n, h/2, row phase, w/2, column phase]
    let phases = |plane: Tensor<B, 4>| -> Tensor<B, 5> { plane.reshape([n * frames, h / 2, 2, w / 2, 2]) };
    let phase = |plane: Tensor<B, 5>, row: usize, column: usize| -> Tensor<B, 4> {
        plane.narrow(2, row, 1).narrow(4, column, 1).reshape([n * frames, 1, h / 2, w / 2])
    };
    let y = phases(y);
    let mut planes: Vec<Tensor<B, 4>> =
        [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(row, column)| phase(y.clone(), row, column)).into();
    for chroma in [u, v] {
        let chroma = phases(chroma);
        let [a, b, c, d] = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(row, column)| phase(chroma.clone(), row, column));
        planes.push((a + b + c + d) * 0.25);
    }
    Tensor::cat(planes, 1).reshape([n, frames * 6, h / 2, w / 2])
}

/// What [`crate::layers::Layers::segmentation`] computes.
pub fn segmentation<B: Backend>(
    logits: Tensor<B, 4>,
    classes: Vec<u8>,
    config: &SegmentationTerm,
) -> (Tensor<B, 1>, Vec<f64>) {
    let [n, count, h, w] = logits.dims();
    let classes: Vec<i32> = classes.into_iter().map(i32::from).collect();
    let classes = Tensor::<B, 4, Int>::from_data(TensorData::new(classes, [n, 1, h, w]), &logits.device());
    let own = logits.clone().gather(1, classes.clone());
    let index: Vec<i32> = (0..count as i32).collect();
    let index = Tensor::<B, 4, Int>::from_data(TensorData::new(index, [1, count, 1, 1]), &logits.device());
    let others = logits.clone().mask_fill(index.equal(classes), f32::MIN);
    let margin = own.clone() - others.max_dim(1);
    let shares = margin.clone().lower_elem(0.0).float().reshape([n, h * w]).mean_dim(1).into_data();
    let mut losses = match config.kind {
        SegmentationKind::CrossEntropy => {
            let largest = logits.clone().max_dim(1).detach();
            (logits - largest.clone()).exp().sum_dim(1).log() + largest - own
        }
        SegmentationKind::Softplus => {
            // softplus(x) = max(x, 0) + log(1 + exp(-|x|)), which no margin overflows.
            let x = margin.clone() / -config.tau;
            (x.clone().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log()) * config.tau
        }
        SegmentationKind::Sigmoid => burn_core::tensor::activation::sigmoid(margin.clone() / -config.tau),
    };
    if config.hard > 0.0 {
        let hard = margin.lower_elem(config.hard_margin).float();
        losses = losses * (hard * config.hard + 1.0);
    }
    (losses.mean(), shares.iter::<f64>().collect())
}

#[cfg(test)]
mod tests {
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    use super::*;

    type B = Autodiff<Flex>;

    fn noise(count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 1009) as f32 / 1008.0 * scale).collect()
    }

    fn tensor(values: Vec<f32>, shape: [usize; 4]) -> Tensor<B, 4> {
        Tensor::from_data(TensorData::new(values, shape), &Default::default())
    }

    fn values<const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    #[test]
    fn the_round_trip_is_what_inflate_writes_and_the_metric_reads() {
        let (native, chain) = ([6, 8], CameraChain { camera: (15, 19), input: (8, 10) });
        // A scale beyond 1 so that some values are clamped.
        let x = noise(2 * 3 * 48, 1.2);
        let found = values(round_trip(tensor(x.clone(), [2, 3, 6, 8]), chain));
        for (frame, found) in x.chunks(3 * 48).zip(found.chunks(3 * 80)) {
            let planes = Planes::new(3, native[0], native[1], frame.iter().map(|v| v * 255.0).collect()).unwrap();
            let camera = resize_bicubic(&planes, chain.camera.0, chain.camera.1).to_rgb();
            let expected = camera.resize_bilinear(chain.input.0, chain.input.1);
            let worst = expected.data().iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "off by {worst}");
        }
    }

    #[test]
    fn the_gradient_passes_the_rounding_but_not_the_clamp() {
        let chain = CameraChain { camera: (12, 16), input: (6, 8) };
        let gradient = |level: f32| {
            let x = tensor(vec![level; 48], [1, 1, 6, 8]).require_grad();
            let gradients = round_trip(x.clone(), chain).sum().backward();
            x.grad(&gradients).unwrap().sum().into_scalar()
        };
        // A constant picture: every output pixel is 255 times the level.
        assert!((gradient(0.5013) - 48.0 * 255.0).abs() < 1.0);
        assert_eq!(gradient(1.01), 0.0);
    }

    #[test]
    fn yuv6_is_the_metrics() {
        let x = noise(2 * 6 * 24, 255.0);
        let found = values(yuv6(tensor(x.clone(), [2, 6, 4, 6])));
        let expected = x.chunks(3 * 24).flat_map(|frame| {
            let planes = Planes::new(3, 4, 6, frame.to_vec()).unwrap();
            frames::yuv6(&planes).into_data()
        });
        let worst = expected.zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3 && found.len() == 2 * 12 * 6, "off by {worst}");
    }

    #[test]
    fn segmentation_losses_have_their_textbook_values() {
        // Two pixels of three classes; margins 2 - 1 = 1 and 0 - 3 = -3.
        let logits = || tensor(vec![2.0, 3.0, 1.0, 0.0, -1.0, -2.0], [1, 3, 1, 2]);
        let loss = |kind, hard| {
            let config = SegmentationTerm { kind, weight: 100.0, tau: 0.5, hard, hard_margin: 0.9 };
            let (loss, shares) = segmentation(logits(), vec![0, 1], &config);
            assert_eq!(shares, [0.5]);
            f64::from(loss.into_scalar())
        };
        let log_sum = |a: f64, b: f64, c: f64| (a.exp() + b.exp() + c.exp()).ln();
        let entropies = [log_sum(2.0, 1.0, -1.0) - 2.0, log_sum(3.0, 0.0, -2.0)];
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} against {b}");
        close(loss(SegmentationKind::CrossEntropy, 0.0), (entropies[0] + entropies[1]) / 2.0);
        let softplus = |margin: f64| 0.5 * (1.0 + (-margin / 0.5).exp()).ln();
        close(loss(SegmentationKind::Softplus, 0.0), (softplus(1.0) + softplus(-3.0)) / 2.0);
        close(loss(SegmentationKind::Softplus, 4.0), (softplus(1.0) + 5.0 * softplus(-3.0)) / 2.0);
        let sigmoid = |margin: f64| 1.0 / (1.0 + (margin / 0.5).exp());
        close(loss(SegmentationKind::Sigmoid, 0.0), (sigmoid(1.0) + sigmoid(-3.0)) / 2.0);
    }
}
