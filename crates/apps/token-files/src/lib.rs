//! Token videos in files: what lies between the folders that people have and the crate [`tokens`], which knows bytes alone.
//!
//! - [`segment_files`]: the `.npy` files that paths mean, each a [`SegmentFile`] that can be loaded.
//! - [`extract`]: an archive's files below a folder; [`keep_apart`]: whether that would overwrite the archive itself.
//! - [`read`]: a file's bytes.
//! - [`TokenFilesError`]: what can go wrong with them.
//!
//! The binary `detokenize` restores an archive, for places that only decode.

mod error;
mod files;

pub use error::TokenFilesError;
pub use files::{SegmentFile, extract, keep_apart, read, segment_files};
