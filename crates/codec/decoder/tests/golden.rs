//! Networks against torch: golden/make.py made the values, from parameters that a formula gives.

use decoder::{Level, Network};
use repr::{Architecture, Parameter, Tensors};
use serde_json::Value;

/// Value `j` of the formula in make.py.
fn noise(seed: usize, len: usize, scale: f32) -> Vec<f32> {
    let value = |j: usize| ((31 * j + 7919 * seed + 7) * 2_654_435_761 % 65_536) as f32 / 32_768.0 - 1.0;
    (0..len).map(|j| scale * value(j)).collect()
}

fn values((seed, p): (usize, &Parameter)) -> Vec<f32> {
    let scale = if p.shape.len() == 1 { 0.5 } else { (3.0 / p.fan_in() as f32).sqrt().log2().floor().exp2() };
    noise(seed, p.len(), scale)
}

#[test]
fn small_networks_match_torch() {
    let text = include_str!("../golden/networks.json");
    let Value::Array(cases) = serde_json::from_str(text).unwrap() else { panic!("an array of cases") };
    assert_eq!(cases.len(), 2);
    for case in cases {
        let architecture: Architecture = serde_json::from_value(case["architecture"].clone()).unwrap();
        let size: (usize, usize) = serde_json::from_value(case["size"].clone()).unwrap();
        let parameters = architecture.parameters().iter().enumerate().map(values).collect();
        let parameters = Tensors::new(&architecture, parameters).unwrap();
        let latent = noise(1000, architecture.latent_dim(), 2.0);
        let native: Vec<Vec<f32>> = serde_json::from_value(case["native"].clone()).unwrap();
        let camera: Vec<String> = serde_json::from_value(case["camera"].clone()).unwrap();

        let network = Network::new(&parameters, size, Level::detect()).unwrap();
        for (found, expected) in network.native(decoder::SampleInput::of(&latent)).unwrap().iter().zip(&native) {
            assert_eq!(found.data().len(), expected.len());
            let error = found.data().iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 2e-3, "native, off by {error}");
        }
        let (mut bytes, mut equal) = (0, 0);
        for (found, expected) in network.frames(decoder::SampleInput::of(&latent), None).unwrap().iter().zip(&camera) {
            assert_eq!(2 * found.data().len(), expected.len());
            for (i, &byte) in found.data().iter().enumerate() {
                let expected = u8::from_str_radix(&expected[2 * i..2 * i + 2], 16).unwrap();
                assert!(byte.abs_diff(expected) <= 1, "byte {i}: {byte}, torch {expected}");
                bytes += 1;
                equal += usize::from(byte == expected);
            }
        }
        assert!(equal * 1000 >= bytes * 998, "{equal} of {bytes} bytes equal");
    }
}
