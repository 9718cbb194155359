//! Lossless coding of VQ token videos, such as commaVQ's: a minute as (1200, 8, 16) indices of 10 bits.
//!
//! [`encode`] and [`decode`] turn segments in memory into an archive and back; [`compress`] and [`Archive`] do the same for
//! thousands of files, some at a time; [`train`] makes a [`Prior`]. `docs/tokens-format.md` writes the format down.
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

mod archive;
mod error;
mod files;
mod format;
mod model;
mod npy;
mod order;
mod prior;

pub use archive::{Archive, Load, Options, Segment, Sink, Summary, compress, decode, encode, packed_bytes, train};
pub use error::TokensError;
pub use files::{Source, sources};
pub use format::{Entry, VERSION, mend};
pub use npy::{Npy, NpyError};
pub use prior::Prior;
