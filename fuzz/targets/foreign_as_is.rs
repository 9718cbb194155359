//! The import of public archives as it is: the control, which mostly fuzzes Brotli.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(representation) = archive::import(input, "clip") {
        representation.validate().expect("what was imported is valid");
    }
});
