//! Backends that have nothing faster.

use burn_core::tensor::backend::Backend;
use burn_core::tensor::{Int, Tensor};
use burn_flex::Flex;

use super::{decoder, frozen, metric};
use crate::decoder::{CarrierSizes, ClassInputs, ConvWeights, DecoderOps, RefineLayer, ResidualLayer, StageLayer};
use crate::frozen::{FrozenOps, Op, Prepared};
use crate::metric::{MetricOps, RoundTripSizes, SegmentationLoss, Segmented};

/// A backend all of whose operations are composed. One that gets kernels of its own implements the traits itself instead.
pub trait Composed: Backend {}

/// Without gradients nothing is worth kernels here: evaluations run in the decoder and in ONNX Runtime.
impl Composed for Flex {}

#[cfg(feature = "cuda")]
impl Composed for burn_cuda::Cuda {}

#[cfg(feature = "cuda")]
impl Composed for burn_autodiff::Autodiff<burn_cuda::Cuda> {}

#[cfg(feature = "wgpu")]
impl Composed for burn_wgpu::Wgpu {}

#[cfg(feature = "wgpu")]
impl Composed for burn_autodiff::Autodiff<burn_wgpu::Wgpu> {}

impl<B: Composed> DecoderOps for B {
    fn carrier(coefficients: Tensor<B, 2>, linear: ConvWeights<B>, sizes: CarrierSizes) -> Tensor<B, 4> {
        decoder::carrier(coefficients, linear, sizes)
    }

    fn classes(inputs: ClassInputs<B>, linear: ConvWeights<B>) -> Tensor<B, 4> {
        decoder::classes(inputs, linear)
    }

    fn residual(x: Tensor<B, 4>, layer: ResidualLayer<B>) -> Tensor<B, 4> {
        decoder::residual(x, layer)
    }

    fn stage(x: Tensor<B, 4>, layer: StageLayer<B>) -> Tensor<B, 4> {
        decoder::stage(x, layer)
    }

    fn refine(x: Tensor<B, 4>, layer: RefineLayer<B>) -> Tensor<B, 4> {
        decoder::refine(x, layer)
    }

    fn heads(x: Tensor<B, 4>, conv: ConvWeights<B>) -> Tensor<B, 4> {
        decoder::heads(x, conv)
    }
}

impl<B: Composed> MetricOps for B {
    fn round_trip(x: Tensor<B, 4>, sizes: RoundTripSizes) -> Tensor<B, 4> {
        metric::round_trip(x, sizes)
    }

    fn yuv6(x: Tensor<B, 4>) -> Tensor<B, 4> {
        metric::yuv6(x)
    }

    fn segmentation(logits: Tensor<B, 4>, classes: Tensor<B, 3, Int>, loss: &SegmentationLoss) -> Segmented<B> {
        metric::segmentation(logits, classes, loss)
    }
}

impl<B: Composed> FrozenOps for B {
    fn prepare(op: &Op, _: &[usize], device: &B::Device) -> Prepared<B> {
        frozen::prepare::<B>(op, device)
    }
}
