//! The archive's parser as it is: the control, which hardly ever gets past the checksum.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(representation) = archive::decode(input) {
        assert_eq!(archive::encode(&representation), input);
    }
});
