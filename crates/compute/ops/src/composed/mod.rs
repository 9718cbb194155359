//! What the operations mean, out of burn's own: any backend runs and differentiates them.

mod decoder;
mod frozen;
mod metric;
mod resample;

pub use decoder::{heads, refine, stage};
pub use frozen::prepare;
pub use metric::{round_trip, segmentation, yuv6};
