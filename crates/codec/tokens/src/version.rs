/// Version of the format that this crate writes and reads.
pub const VERSION: u8 = 1;
