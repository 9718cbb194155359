//! What every archive begins with.

use std::ops::RangeInclusive;

/// First bytes of every archive.
pub(crate) const MAGIC: [u8; 4] = *b"HNRV";

/// Versions of the format that this crate reads. It writes the lowest one that can hold what is written, so that older
/// programs read what they can.
pub const VERSIONS: RangeInclusive<u8> = 2..=4;

/// The version that has HNeRV's kinds of layers.
pub(crate) const ALL_LAYERS: u8 = 3;

/// The version that has class maps, and what is made of them.
pub(crate) const CLASS_MAPS: u8 = 4;
