//! What a backend has to offer.

use burn_autodiff::Autodiff;
use burn_core::tensor::backend::Backend;
use burn_core::tensor::ops::FloatTensor;
use burn_flex::Flex;

use crate::composed;
use crate::fused;
use crate::graph::Node;

/// A node made ready: its inputs' tensors in, its tensor out. All tensors have the shapes that the graph says.
pub type Layer<B> = Box<dyn Fn(Vec<FloatTensor<B>>) -> FloatTensor<B> + Send + Sync>;

/// A backend that can run a graph.
pub trait Operations: Backend {
    /// Makes a node ready. The provided method composes burn's operations, so it runs and differentiates on any device, and
    /// says what a node means; a backend that has something faster overrides it.
    fn layer(node: &Node, device: &Self::Device) -> Layer<Self> {
        composed::layer::<Self>(node, device)
    }
}

/// Without gradients nothing is worth fusing here: ONNX Runtime is for that.
impl Operations for Flex {}

impl Operations for Autodiff<Flex> {
    fn layer(node: &Node, device: &Self::Device) -> Layer<Self> {
        fused::layer(node, device)
    }
}

#[cfg(feature = "cuda")]
impl Operations for burn_cuda::Cuda {}

#[cfg(feature = "cuda")]
impl Operations for Autodiff<burn_cuda::Cuda> {}

#[cfg(feature = "wgpu")]
impl Operations for burn_wgpu::Wgpu {}

#[cfg(feature = "wgpu")]
impl Operations for Autodiff<burn_wgpu::Wgpu> {}
