//! Which backend runs what.

use burn_autodiff::Autodiff;
use burn_core::tensor::{Int, Tensor};
use burn_flex::{Flex, FlexDevice};

use crate::decoder::{ConvWeights, DecoderOps};
use crate::frozen::{FrozenOps, Op, Prepared};
use crate::metric::{MetricOps, RoundTripSizes, SegmentationLoss, Segmented};
use crate::{composed, processor};

/// All operations of a backend out of one module's functions; `prepare` is named with the backend, which nothing else tells.
macro_rules! run_by {
    ($module:ident, $backend:ty, $device:ty, $prepare:expr) => {
        impl DecoderOps for $backend {
            fn stage(
                x: Tensor<Self, 4>,
                conv: ConvWeights<Self>,
                skip: Option<ConvWeights<Self>>,
                kernel: usize,
                upscale: usize,
            ) -> Tensor<Self, 4> {
                $module::stage(x, conv, skip, kernel, upscale)
            }

            fn refine(
                x: Tensor<Self, 4>,
                first: ConvWeights<Self>,
                second: ConvWeights<Self>,
                dilation: usize,
                gain: f32,
            ) -> Tensor<Self, 4> {
                $module::refine(x, first, second, dilation, gain)
            }

            fn heads(x: Tensor<Self, 4>, conv: ConvWeights<Self>) -> Tensor<Self, 4> {
                $module::heads(x, conv)
            }
        }

        impl MetricOps for $backend {
            fn round_trip(x: Tensor<Self, 4>, sizes: RoundTripSizes) -> Tensor<Self, 4> {
                $module::round_trip(x, sizes)
            }

            fn yuv6(x: Tensor<Self, 4>) -> Tensor<Self, 4> {
                $module::yuv6(x)
            }

            fn segmentation(
                logits: Tensor<Self, 4>,
                classes: Tensor<Self, 3, Int>,
                loss: &SegmentationLoss,
            ) -> Segmented<Self> {
                $module::segmentation(logits, classes, loss)
            }
        }

        impl FrozenOps for $backend {
            fn prepare(op: &Op, shape: &[usize], device: &$device) -> Prepared<Self> {
                $prepare(op, shape, device)
            }
        }
    };
}

// Without gradients nothing is worth kernels here: evaluations run in the decoder and in ONNX Runtime.
run_by!(composed, Flex, FlexDevice, composed::prepare::<Flex>);
run_by!(processor, Autodiff<Flex>, FlexDevice, processor::prepare);

#[cfg(feature = "cuda")]
run_by!(composed, burn_cuda::Cuda, burn_cuda::CudaDevice, composed::prepare::<burn_cuda::Cuda>);
#[cfg(feature = "cuda")]
run_by!(composed, Autodiff<burn_cuda::Cuda>, burn_cuda::CudaDevice, composed::prepare::<Autodiff<burn_cuda::Cuda>>);

#[cfg(feature = "wgpu")]
run_by!(composed, burn_wgpu::Wgpu, burn_wgpu::WgpuDevice, composed::prepare::<burn_wgpu::Wgpu>);
#[cfg(feature = "wgpu")]
run_by!(composed, Autodiff<burn_wgpu::Wgpu>, burn_wgpu::WgpuDevice, composed::prepare::<Autodiff<burn_wgpu::Wgpu>>);
