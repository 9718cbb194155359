//! The operations of a frozen network, whose weights never change: an evaluator that a loss looks through.

mod op;
mod pointwise;
mod shape;

use burn_core::tensor::backend::Backend;
use burn_core::tensor::ops::FloatTensor;

pub use gradients::frozen::{ConvShape, ConvSource, Step};
pub use op::{Binary, Conv, MAX_SOURCES, Op, Reduction};
pub use pointwise::{Builder, Program};
pub use shape::{MAX_ELEMENTS, broadcast, elements};

/// An operation made ready: its inputs' tensors in, its tensor out, of the dimensions that [`Op::shape`] says.
pub type Prepared<B> = Box<dyn Fn(Vec<FloatTensor<B>>) -> FloatTensor<B> + Send + Sync>;

/// A backend that runs frozen networks.
pub trait FrozenOps: Backend {
    /// Makes an operation with a result of `shape` ready, its weights on `device`.
    fn prepare(op: &Op, shape: &[usize], device: &Self::Device) -> Prepared<Self>;
}
