//! The way from frames to the evaluators and to a loss.

use burn_core::tensor::{Int, Tensor, TensorData};
use gradients::{RoundTrip, Segmentation, Yuv6};

use super::autodiff::{Cpu, Values, flex, register};
use crate::metric::{MetricOps, RoundTripSizes, SegmentationLoss, Segmented};

/// Gradient of a loss by a logit below which it counts as none; that of a doubtful pixel is 1e-6 and more.
const NEGLIGIBLE: f32 = 1e-18;

impl MetricOps for Cpu {
    fn round_trip(x: Tensor<Self, 4>, sizes: RoundTripSizes) -> Tensor<Self, 4> {
        let [n, channels, height, width] = x.dims();
        let shape = RoundTrip { native: (height, width), camera: sizes.camera, input: sizes.input, round: true };
        let (output, kept) = shape.forward(n * channels, Values::inner(&x).as_slice());
        let pullback = move |gradient: &[f32]| {
            vec![flex(shape.backward(n * channels, &kept, gradient), [n, channels, height, width])]
        };
        register([x.into_primitive()], output, [n, channels, sizes.input.0, sizes.input.1], pullback)
    }

    fn yuv6(x: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let [n, channels, height, width] = x.dims();
        let (shape, input) = (Yuv6 { height, width }, Values::inner(&x));
        let output = shape.forward(n, input.as_slice());
        let pullback = move |gradient: &[f32]| {
            vec![flex(shape.backward(n, input.as_slice(), gradient), [n, channels, height, width])]
        };
        register([x.into_primitive()], output, [n, 2 * channels, height / 2, width / 2], pullback)
    }

    fn segmentation(
        logits: Tensor<Self, 4>,
        classes: Tensor<Self, 3, Int>,
        loss: &SegmentationLoss,
    ) -> Segmented<Self> {
        let dims @ [n, count, height, width] = logits.dims();
        let device = logits.device();
        let SegmentationLoss { pixel, hard } = *loss;
        let shape = Segmentation { classes: count, height, width, loss: pixel, hard };
        let classes: Vec<u8> = classes.into_data().iter().collect();
        let found = shape.value_and_gradient(n, Values::inner(&logits).as_slice(), &classes);
        let (loss, slope) = (found.loss.iter().sum::<f64>() / n as f64, found.gradient);
        let pullback = move |gradient: &[f32]| {
            // The kernel's gradient is that of the sum over samples.
            let factor = gradient.first().copied().unwrap_or_default() / n as f32;
            // Pixels that are beyond doubt would send denormals through the whole network, which cost many times other values.
            let scaled = |value: &f32| if (value * factor).abs() < NEGLIGIBLE { 0.0 } else { value * factor };
            vec![flex(slope.iter().map(scaled).collect(), dims)]
        };
        let wrong: Vec<i64> = found.wrong.iter().map(|&count| count as i64).collect();
        Segmented {
            loss: register([logits.into_primitive()], vec![loss as f32], [1], pullback),
            wrong: Tensor::from_data(TensorData::new(wrong, [n]), &device),
        }
    }
}
