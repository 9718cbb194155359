//! The import of public archives as it is: the control, which mostly fuzzes Brotli.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // What is imported is valid by its type; none of it may panic.
    let _ = archive::import(input, "clip");
});
