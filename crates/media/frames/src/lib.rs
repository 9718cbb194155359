//! Frames and their arithmetic, as the official harness defines it: [`yuv420_to_rgb`] for decoded video,
//! [`resize_bilinear`] for the evaluators' input, [`resize_bicubic`] for the decoder's output, [`yuv6`] for the pose
//! evaluator, [`RawReader`] and [`RawWriter`] for raw frames from and to any stream, [`SquaredError`] and [`psnr`]. No
//! files here: who has one opens it.
//!
//! Two forms of a frame: [`RgbFrame`], 8-bit and interleaved, as it is stored; [`Planes`], f32 and planar, as it is
//! computed with. Every sum here has a fixed order and no fused multiply-add, so results do not depend on the machine.
//!
//! ```
//! use frames::{RgbFrame, SquaredError, psnr, yuv6};
//!
//! let frame = RgbFrame::new(4, 2, (0..24).map(|i| 10 * i).collect())?;
//! let darker = RgbFrame::new(4, 2, frame.data().iter().map(|v| v.saturating_sub(2)).collect())?;
//! assert!(psnr(SquaredError::of_frames(&frame, &darker).mean()) > 40.0);
//!
//! let view = yuv6(&frame.resize_bilinear(8, 16));
//! assert_eq!((view.channels(), view.height(), view.width()), (6, 4, 8));
//! # Ok::<(), frames::FrameError>(())
//! ```

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
