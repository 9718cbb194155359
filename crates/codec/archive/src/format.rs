//! What every archive begins with.

use std::ops::RangeInclusive;

/// First bytes of every archive.
pub(crate) const MAGIC: [u8; 4] = *b"HNRV";

/// Versions of the format that this crate reads. It writes the lowest one that can hold what is written, so that older
/// programs read what they can.
pub const VERSIONS: RangeInclusive<u8> = 2..=3;

/// The version that has every kind of layer.
pub(crate) const ALL_LAYERS: u8 = 3;
