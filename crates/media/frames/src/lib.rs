//! Frames and their arithmetic, as the official harness defines it: [`yuv420_to_rgb`] for decoded video,
//! [`resize_bilinear`] for the evaluators' input, [`resize_bicubic`] for the decoder's output, [`yuv6`] for the pose
//! evaluator, [`RawReader`] and [`RawWriter`] for raw frames from and to any stream, [`squared_error`] and [`psnr`]. No
//! files here: who has one opens it.
//!
//! Two forms of a frame: [`RgbFrame`], 8-bit and interleaved, as it is stored; [`Planes`], f32 and planar, as it is
//! computed with. Every sum here has a fixed order and no fused multiply-add, so results do not depend on the machine.

mod planes;
mod quality;
mod raw;
mod resize;
mod rgb;
mod yuv;

use thiserror::Error;

pub use planes::Planes;
pub use quality::{psnr, squared_error};
pub use raw::{RawError, RawReader, RawWriter};
pub use resize::{resize_bicubic, resize_bilinear};
pub use rgb::RgbFrame;
pub use yuv::{Plane8, yuv6, yuv420_to_rgb};

/// Why values do not make a frame.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// A side is 0, or the size overflows.
    #[error("a frame of {width}x{height} pixels is impossible")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The data has another length than the size asks for.
    #[error("{found} values where a frame of {width}x{height} needs {expected}")]
    Length {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// What the size asks for.
        expected: usize,
        /// What there is.
        found: usize,
    },
}

/// `channels * width * height`, or an error where that is 0 or overflows.
fn checked_len(channels: usize, width: usize, height: usize) -> Result<usize, FrameError> {
    let len = channels.checked_mul(width).and_then(|n| n.checked_mul(height));
    len.filter(|&n| n > 0).ok_or(FrameError::Size { width, height })
}

/// The length that `channels * width * height` asks for must be `found`.
fn check_len(channels: usize, width: usize, height: usize, found: usize) -> Result<(), FrameError> {
    let expected = checked_len(channels, width, height)?;
    if found == expected { Ok(()) } else { Err(FrameError::Length { width, height, expected, found }) }
}
