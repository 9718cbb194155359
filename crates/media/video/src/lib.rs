//! Decoding clips to RGB frames through FFmpeg: [`Clip::open`], then iterate. HEVC, H.264 and AV1 in Matroska, MP4, MPEG-TS, AVI,
//! FLV or a bare stream, 8-bit 4:2:0.
//!
//! A clip is decoded in full or with an error. FFmpeg conceals what it cannot decode; here a damaged or cut-off clip ends
//! in a [`VideoError`], because distortions computed on fewer or patched frames would look official and be wrong. What no
//! decoder can tell stays unseen: flipped bits that decode to other pixels, and the cut end of a stream that states no length.
//!
//! ```
//! let mut clip = video::Clip::open(testdata::asset("demo.mkv"), 0)?;
//! assert_eq!((clip.width(), clip.height()), (1164, 874));
//! let first = clip.next().expect("a clip has frames")?;
//! assert_eq!(first.data().len(), 3 * 1164 * 874);
//! # Ok::<(), video::VideoError>(())
//! ```

mod clip;
mod container;
mod error;
mod ffi;
mod nal;

pub use clip::Clip;
pub use error::{MAX_SIDE, VideoError};
