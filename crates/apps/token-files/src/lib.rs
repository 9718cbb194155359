//! Token videos in files: what lies between the folders that people have and the crate [`tokens`], which knows bytes alone.
//!
//! - [`segment_files`]: the `.npy` files that paths mean, each a [`SegmentFile`] that can be loaded.
//! - [`extract`]: an archive's files below a folder; [`keep_apart`]: whether that would overwrite the archive itself.
//! - [`read`]: a file's bytes.
//! - [`TokenFilesError`]: what can go wrong with them.
//!
//! The binary `detokenize` restores an archive, for places that only decode.
//!
//! ```
//! use token_files::{extract, segment_files};
//! use tokens::{Archive, Options, encode};
//!
//! # let folder = tempfile::tempdir()?;
//! # let header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 8, 16), }";
//! # let mut file = header.to_vec();
//! # file.resize(127, b' ');
//! # file.push(b'\n');
//! # file.extend([1, 2].repeat(2 * 128));
//! # output::write_whole(folder.path().join("in/drive/token.npy"), &file)?;
//! let files = segment_files(&[folder.path().join("in")])?;
//! let segments = files.iter().map(|file| file.load()).collect::<Result<Vec<_>, _>>()?;
//! let bytes = encode(&segments, &Options::DEFAULT)?;
//! extract(&Archive::open(&bytes, None)?, &folder.path().join("out"), &|_| true, &|| ())?;
//! assert_eq!(std::fs::read(folder.path().join("out/drive/token.npy"))?, file);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod files;

pub use error::TokenFilesError;
pub use files::{SegmentFile, extract, keep_apart, read, segment_files};
