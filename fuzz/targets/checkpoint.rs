//! Any bytes as a checkpoint: refused, or one whose tensors can be asked for and quantized without a panic.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use run::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = Checkpoint::parse(bytes, Path::new("last.safetensors")) {
        let _ = checkpoint.tensors();
        let _ = checkpoint.quantize(None);
        let _ = checkpoint.state();
    }
});
