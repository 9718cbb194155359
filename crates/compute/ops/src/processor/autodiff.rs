//! Operations of our own for burn's flex backend under autodiff: one node each, forward computed by the caller, backward a
//! closure over slices.
//!
//! [`register`] makes the node, [`Values`] reads a tensor as a slice, [`flex`] makes a tensor of a vector.

use std::fmt;
use std::sync::Arc;

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_core::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};

/// The backend that the operations are for.
pub type Cpu = Autodiff<Flex>;

/// The gradients of an operation's parents, in their order, from the gradient of its output.
type PullbackFn = dyn Fn(&[f32]) -> Vec<FlexTensor> + Send + Sync;

#[derive(Clone)]
struct Pullback(Arc<PullbackFn>);

impl fmt::Debug for Pullback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pullback")
    }
}

/// An operation that knows nothing but its [`Pullback`].
#[derive(Debug)]
struct Fused;

impl<const N: usize> Backward<Flex, N> for Fused {
    type State = Pullback;

    fn backward(self, ops: Ops<Pullback, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Values::of(gradients.consume::<Flex>(&ops.node));
        for (parent, gradient) in ops.parents.into_iter().zip((ops.state.0)(gradient.as_slice())) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// A tensor `shape` of the `output` that was computed from `parents`. `pullback` takes the gradient of the output, without
/// gaps, to those of the parents, in their order and shapes; it runs only where one of them needs it.
pub fn register<const N: usize, const D: usize>(
    parents: [TensorPrimitive<Cpu>; N],
    output: Vec<f32>,
    shape: [usize; D],
    pullback: impl Fn(&[f32]) -> Vec<FlexTensor> + Send + Sync + 'static,
) -> Tensor<Cpu, D> {
    let nodes = parents.map(|parent| parent.tensor().node);
    let output = flex(output, shape);
    let output = match Fused.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(Pullback(Arc::new(pullback)), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive(TensorPrimitive::Float(output))
}

/// A tensor of `values`, row-major.
pub fn flex<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor's values, contiguous.
#[derive(Clone)]
pub struct Values(FlexTensor);

impl Values {
    /// Of a tensor of the inner backend; copied only if it has gaps.
    pub fn of(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    /// Of a tensor under autodiff.
    pub fn inner<const D: usize>(tensor: &Tensor<Cpu, D>) -> Self {
        Self::of(tensor.clone().into_primitive().tensor().primitive)
    }

    /// Row-major; empty for anything that is not f32, which the kernels refuse by its length.
    pub fn as_slice(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }
}
