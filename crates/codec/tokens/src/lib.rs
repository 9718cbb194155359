//! Lossless coding of VQ token videos, such as commaVQ's: a minute as (1200, 8, 16) indices of 10 bits.
//!
//! - [`encode`], [`decode`]: [`Segment`]s in memory into an archive and back. `docs/tokens-format.md` writes the format down, its
//!   version is [`VERSION`].
//! - [`compress`], [`Archive`]: the same for thousands of segments, some at a time, which a [`Load`] gives and a [`Sink`] takes.
//! - [`train`]: makes a [`Prior`]. [`Npy`]: a token video. [`mend`]: for tests that damage archives.
//!
//! Bytes in, bytes out: what is below which folder is none of this crate's business.
//!
//! Inside, from the outside in:
//!
//! - the container (`format`): header, groups of segments, index, checksums;
//! - the file (`npy`): what NumPy saves, byte for byte;
//! - the codebook's order (`order`): codes in which similar tokens begin alike;
//! - the model (`model`): how likely each bit of the next code is. It is built from the crate `mixing`, whose coders it is
//!   run with to write, to read or to count.
//!
//! All probabilities are integers and come from integers: an archive decodes to the same files on every machine.
//!
//! ```
//! use tokens::{Npy, Options, Segment, decode, encode};
//!
//! // A .npy file of 100 frames of 8x16 tokens, all of them 513.
//! let header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i2', 'fortran_order': False, 'shape': (100, 8, 16), }";
//! let mut file = header.to_vec();
//! file.resize(127, b' ');
//! file.push(b'\n');
//! file.extend([1, 2].repeat(100 * 128));
//!
//! let segment = Segment { name: "drive/token.npy".into(), npy: Npy::parse(&file)? };
//! let archive = encode(&[segment], &Options::DEFAULT)?;
//! assert!(archive.len() < 500);
//! assert_eq!(decode(&archive, None)?, [("drive/token.npy".to_string(), file)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod error;
mod format;
mod model;
mod npy;
mod order;
mod prior;
mod version;

pub use archive::{Archive, Load, Options, Segment, Sink, Summary, compress, decode, encode, packed_bytes, train};
pub use error::TokensError;
pub use format::{Entry, mend};
pub use npy::{Npy, NpyError};
pub use prior::Prior;
pub use version::VERSION;
