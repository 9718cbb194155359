//! Sizes that make no frame.

use thiserror::Error;

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
pub fn checked_len(channels: usize, width: usize, height: usize) -> Result<usize, FrameError> {
    let len = channels.checked_mul(width).and_then(|n| n.checked_mul(height));
    len.filter(|&n| n > 0).ok_or(FrameError::Size { width, height })
}

/// The length that `channels * width * height` asks for must be `found`.
pub fn check_len(channels: usize, width: usize, height: usize, found: usize) -> Result<(), FrameError> {
    let expected = checked_len(channels, width, height)?;
    if found == expected { Ok(()) } else { Err(FrameError::Length { width, height, expected, found }) }
}
