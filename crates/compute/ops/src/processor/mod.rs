//! The operations on the processor under autodiff: one node each, forward and backward through [`gradients`].

mod autodiff;
mod decoder;
mod frozen;
mod metric;

pub use decoder::{heads, refine, stage};
pub use frozen::prepare;
pub use metric::{round_trip, segmentation, yuv6};
