//! What every archive begins with.

/// First bytes of every archive.
pub(crate) const MAGIC: [u8; 4] = *b"HNRV";

/// Version of the format that this crate writes and reads.
pub const VERSION: u8 = 2;
