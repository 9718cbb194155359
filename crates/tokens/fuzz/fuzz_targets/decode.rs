//! Any bytes as an archive, with checksums mended so that they reach the decoder, and as a .npy file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokens::{Archive, Npy, decode, mend};

/// Most tokens that are decoded: a short archive may well say that millions follow, and mean it.
const MOST: usize = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(npy) = Npy::parse(bytes) {
        assert_eq!(npy.to_bytes(), bytes);
    }
    let Some(mended) = mend(bytes) else { return };
    let Ok(archive) = Archive::open(&mended, None) else { return };
    if archive.entries().map(tokens::Entry::tokens).sum::<usize>() <= MOST {
        let _ = decode(&mended, None);
    }
});
