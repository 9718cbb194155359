//! Any bytes as a .npy file of tokens: refused, or the same bytes again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tokens::Npy;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(npy) = Npy::parse(bytes) {
        assert_eq!(npy.to_bytes(), bytes);
    }
});
