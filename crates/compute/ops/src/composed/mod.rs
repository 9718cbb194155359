//! What the operations mean, out of burn's own: any backend runs and differentiates them.

mod backend;
mod decoder;
mod frozen;
mod metric;
mod resample;

pub use backend::Composed;
pub use decoder::{carrier, classes, heads, refine, residual, stage};
pub(crate) use frozen::only;
pub use frozen::prepare;
pub use metric::{round_trip, segmentation, yuv6};
