//! The metric's way from the decoder's frames to the evaluators' inputs, out of operations that every backend can
//! differentiate. The arithmetic that decides is that of the `frames` and `decoder` crates; tests hold both together.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor, TensorData};
use frames::{Planes, resize_bicubic, resize_bilinear};

use crate::metric::{PixelLoss, RoundTripSizes, SegmentationLoss, Segmented};

/// What [`crate::MetricOps::round_trip`] computes: resampling is two products with constant matrices, which every backend
/// can differentiate (burn's GPU backends have no backward for `interpolate`).
pub fn round_trip<B: Backend>(x: Tensor<B, 4>, sizes: RoundTripSizes) -> Tensor<B, 4> {
    let [n, c, height, width] = x.dims();
    let device = x.device();
    let ((camera_h, camera_w), (input_h, input_w)) = (sizes.camera, sizes.input);
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

/// What [`crate::MetricOps::yuv6`] computes.
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

/// What [`crate::MetricOps::segmentation`] computes.
pub fn segmentation<B: Backend>(
    logits: Tensor<B, 4>,
    classes: Tensor<B, 3, Int>,
    loss: &SegmentationLoss,
) -> Segmented<B> {
    let [n, count, h, w] = logits.dims();
    let classes: Tensor<B, 4, Int> = classes.reshape([n, 1, h, w]);
    let own = logits.clone().gather(1, classes.clone());
    let index: Vec<i32> = (0..count as i32).collect();
    let index = Tensor::<B, 4, Int>::from_data(TensorData::new(index, [1, count, 1, 1]), &logits.device());
    let others = logits.clone().mask_fill(index.clone().equal(classes.clone()), f32::MIN);
    let margin = own.clone() - others.max_dim(1);
    // Of several largest logits the first one is the class.
    let before = logits.clone().mask_fill(index.greater_equal(classes), f32::NEG_INFINITY).max_dim(1);
    let right = margin.clone().greater_equal_elem(0.0).bool_and(own.clone().greater(before));
    let wrong = right.bool_not().int().reshape([n, h * w]).sum_dim(1).reshape([n]);
    let mut losses = match loss.pixel {
        PixelLoss::CrossEntropy => {
            let largest = logits.clone().max_dim(1).detach();
            (logits - largest.clone()).exp().sum_dim(1).log() + largest - own
        }
        PixelLoss::Softplus { tau } => {
            // softplus(x) = max(x, 0) + log(1 + exp(-|x|)), which no margin overflows.
            let x = margin.clone() / -tau;
            (x.clone().clamp_min(0.0) + (x.abs().neg().exp() + 1.0).log()) * tau
        }
        PixelLoss::Sigmoid { tau } => burn_core::tensor::activation::sigmoid(margin.clone() / -tau),
    };
    if let Some(hard) = loss.hard {
        let near = margin.lower_elem(hard.threshold).float();
        losses = losses * (near * hard.factor + 1.0);
    }
    Segmented { loss: losses.mean(), wrong }
}

#[cfg(test)]
mod tests {
    use burn_autodiff::Autodiff;
    use burn_flex::Flex;

    use super::*;
    use crate::metric::Hard;

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
        let (native, sizes) = ([6, 8], RoundTripSizes { camera: (15, 19), input: (8, 10) });
        // A scale beyond 1 so that some values are clamped.
        let x = noise(2 * 3 * 48, 1.2);
        let found = values(round_trip(tensor(x.clone(), [2, 3, 6, 8]), sizes));
        for (frame, found) in x.chunks(3 * 48).zip(found.chunks(3 * 80)) {
            let planes = Planes::new(3, native[0], native[1], frame.iter().map(|v| v * 255.0).collect()).unwrap();
            let camera = resize_bicubic(&planes, sizes.camera.0, sizes.camera.1).to_rgb();
            let expected = camera.resize_bilinear(sizes.input.0, sizes.input.1);
            let worst = expected.data().iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "off by {worst}");
        }
    }

    #[test]
    fn the_gradient_passes_the_rounding_but_not_the_clamp() {
        let sizes = RoundTripSizes { camera: (12, 16), input: (6, 8) };
        let gradient = |level: f32| {
            let x = tensor(vec![level; 48], [1, 1, 6, 8]).require_grad();
            let gradients = round_trip(x.clone(), sizes).sum().backward();
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
        let loss = |pixel, factor| {
            let hard = (factor > 0.0).then_some(Hard { factor, threshold: 0.9 });
            let classes = Tensor::from_data(TensorData::new(vec![0, 1], [1, 1, 2]), &Default::default());
            let found = segmentation(logits(), classes, &SegmentationLoss { pixel, hard });
            assert_eq!(found.wrong.into_data().iter::<i32>().collect::<Vec<_>>(), [1]);
            f64::from(found.loss.into_scalar())
        };
        let (softened, counted) = (PixelLoss::Softplus { tau: 0.5 }, PixelLoss::Sigmoid { tau: 0.5 });
        let log_sum = |a: f64, b: f64, c: f64| (a.exp() + b.exp() + c.exp()).ln();
        let entropies = [log_sum(2.0, 1.0, -1.0) - 2.0, log_sum(3.0, 0.0, -2.0)];
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} against {b}");
        close(loss(PixelLoss::CrossEntropy, 0.0), (entropies[0] + entropies[1]) / 2.0);
        let softplus = |margin: f64| 0.5 * (1.0 + (-margin / 0.5).exp()).ln();
        close(loss(softened, 0.0), (softplus(1.0) + softplus(-3.0)) / 2.0);
        close(loss(softened, 4.0), (softplus(1.0) + 5.0 * softplus(-3.0)) / 2.0);
        let sigmoid = |margin: f64| 1.0 / (1.0 + (margin / 0.5).exp());
        close(loss(counted, 0.0), (sigmoid(1.0) + sigmoid(-3.0)) / 2.0);
    }
}
