//! Frames and their arithmetic, as the official harness defines it: [`yuv420_to_rgb`] for decoded video,
//! [`resize_bilinear`] for the evaluators' input, [`resize_bicubic`] for the decoder's output, [`yuv6`] for the pose
//! evaluator, [`RawReader`] and [`RawWriter`] for raw frames from and to any stream, [`SquaredError`] and [`psnr`]. No
//! files here: who has one opens it.
//!
//! Two forms of a frame: [`RgbFrame`], 8-bit and interleaved, as it is stored; [`Planes`], f32 and planar, as it is
//! computed with. Every sum here has a fixed order and no fused multiply-add, so results do not depend on the machine.

mod error;
mod planes;
mod quality;
mod raw;
mod resize;
mod rgb;
mod yuv;

pub use error::FrameError;
pub use planes::Planes;
pub use quality::{SquaredError, psnr};
pub use raw::{RawError, RawReader, RawWriter};
pub use resize::{resize_bicubic, resize_bilinear};
pub use rgb::RgbFrame;
pub use yuv::{Plane8, yuv6, yuv420_to_rgb};
