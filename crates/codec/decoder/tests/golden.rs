//! Networks against torch: golden/make.py made the values, from parameters that a formula gives. And against sums in f64, as
//! `repr::LayerTable` defines them.

mod reference;

use decoder::{Decoder, Level, Network, SampleInput};
use frames::{Planes, RgbFrame};
use repr::{Architecture, Parameter, Representation, Sidecar, Tensors};
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

/// What the keys that have a default leave out; all kernels, activations, heads and carriers.
const SEMANTIC: [&str; 4] = [
    r#"{"latent_dim":7,"stem":{"channels":5,"height":9,"width":13,"classes":4},"layers":[
        {"kind":"residual","hidden":6},{"kind":"residual","hidden":3,"kernel":5,"dilation":8,"activation":"gelu"},
        {"kind":"stage","channels":4},{"kind":"residual","hidden":9,"kernel":1,"activation":"gelu"}],
        "carrier":{"coefficients":4,"height":3,"width":5}}"#,
    r#"{"latent_dim":4,"stem":{"channels":3,"height":17,"width":19,"classes":255},"head":"tanh","layers":[
        {"kind":"residual","hidden":2,"dilation":7,"activation":"sin"},{"kind":"refine","hidden":2,"dilation":6}],
        "carrier":{"coefficients":2,"height":1,"width":1,"channels":1,"bits":12}}"#,
    r#"{"latent_dim":2,"frames":1,"stem":{"channels":4,"height":1,"width":40,"classes":1},"layers":[
        {"kind":"residual","hidden":5,"kernel":5,"dilation":3,"activation":"gelu"}]}"#,
    r#"{"latent_dim":2,"stem":{"channels":2,"height":23,"width":11,"classes":3},"layers":[],
        "carrier":{"coefficients":1,"height":30,"width":26,"channels":1,"bits":8}}"#,
];

/// Compares the frames of a sample, at both sizes, with the sums in f64; `tolerance` is a part of the range of values.
fn compare(expected: &reference::Sample, native: &[Planes; 2], frames: &[RgbFrame; 2], tolerance: f64, what: &str) {
    let (mut bytes, mut equal) = (0, 0);
    for (frame, expected) in expected.iter().enumerate() {
        let (found, wide) = (native[frame].data(), expected.data.iter().map(|value| value.abs()).fold(255.0, f64::max));
        assert_eq!(found.len(), expected.data.len());
        let worst = found.iter().zip(&expected.data).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < tolerance * wide, "{what}, frame {frame}: off by {worst}");
        let size = (frames[frame].height(), frames[frame].width());
        let camera = expected.bicubic(size);
        for (i, &found) in frames[frame].data().iter().enumerate() {
            let value = camera.data[i % 3 * size.0 * size.1 + i / 3].clamp(0.0, 255.0).round_ties_even() as u8;
            assert!(found.abs_diff(value) <= 1, "{what}, frame {frame}, byte {i}: {found}, not {value}");
            bytes += 1;
            equal += usize::from(found == value);
        }
    }
    assert!(equal * 1000 >= bytes * 998, "{what}: {equal} of {bytes} bytes equal");
}

#[test]
fn semantic_networks_match_sums_in_f64() {
    for (case, text) in SEMANTIC.into_iter().enumerate() {
        let architecture: Architecture = serde_json::from_str(text).unwrap();
        let again = serde_json::to_string(&architecture).unwrap();
        assert_eq!(serde_json::from_str::<Architecture>(&again).unwrap(), architecture, "{again}");
        let parameters = architecture.parameters().iter().enumerate().map(values).collect();
        let parameters = Tensors::new(&architecture, parameters).unwrap();
        let shape = architecture.map_shape(1).unwrap().unwrap();
        let map: Vec<u8> = noise(77 + case, shape.pixels(), 1.0)
            .iter()
            .map(|value| ((value + 1.0) / 2.0 * shape.classes() as f32) as usize % shape.classes())
            .map(|class| class as u8)
            .collect();
        let latents = noise(1000 + case, architecture.sample_dim(), 1.0);
        let input = SampleInput { latents: &latents, map: &map, corrections: &[] };
        let expected = reference::frames(&parameters, &latents, &map);
        for size in [(27, 41), (7, 60)] {
            let network = Network::new(&parameters, size, Level::detect()).unwrap();
            let native = network.native(input).unwrap();
            let spread = |values: &[f32]| {
                values.iter().copied().fold(f32::MIN, f32::max) - values.iter().copied().fold(f32::MAX, f32::min)
            };
            assert!(spread(native[1].data()) > 1.0, "case {case}: a flat frame");
            compare(&expected, &native, &network.frames(input, None).unwrap(), 2e-6, &format!("case {case}"));
        }
    }
}

/// Archives of every version, the newest of which has all that came with class maps.
#[test]
fn archives_match_sums_in_f64() {
    for version in archive::VERSIONS {
        let bytes = std::fs::read(testdata::asset_of("codec/archive", &format!("version-{version}.bin"))).unwrap();
        let mut parts = archive::decode(&bytes).unwrap().into_parts();
        // What corrections do is held elsewhere.
        parts.sidecar = Sidecar::default();
        let representation = Representation::new(parts).unwrap();
        let decoder = Decoder::new(&representation);
        for sample in [0, 2, representation.clip.samples() - 1] {
            let dim = representation.architecture.sample_dim();
            let latents = representation.latents.sample(sample, dim, &[]).unwrap();
            let expected = reference::frames(&representation.dequantize(), &latents, representation.map(sample));
            let both = decoder.decode_both(sample).unwrap();
            for frame in &both.frames {
                let (low, high) = frame.data().iter().fold((255, 0), |(l, h), &v| (v.min(l), v.max(h)));
                assert!(high - low > 30, "version {version}, a flat frame: {low} to {high}");
            }
            // Their weights are large, so that sines see sums of which the last digits are lost.
            compare(&expected, &both.native, &both.frames, 2e-5, &format!("version {version}, sample {sample}"));
        }
    }
}
