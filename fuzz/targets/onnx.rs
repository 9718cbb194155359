//! Any bytes as an ONNX model on a small image: refused, or made ready to run.

#![no_main]

use std::path::Path;

use burn_autodiff::Autodiff;
use burn_flex::Flex;
use libfuzzer_sys::fuzz_target;
use onnx_burn::Network;

fuzz_target!(|bytes: &[u8]| {
    let input = [1, 3, 8, 12];
    if let Ok(network) = Network::<Autodiff<Flex>>::parse(bytes, Path::new("model.onnx"), input, &Default::default()) {
        network.output_shape(input).expect("what is ready has a shape");
    }
});
