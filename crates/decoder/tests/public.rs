//! A real public archive of the reference architecture against torch.

use std::io::Read;

use brotli::Decompressor;
use decoder::Decoder;
use half::f16;
use repr::{Architecture, Clip, QuantizedLatents, QuantizedTensor, Representation};
use serde_json::Value;

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    rest.split_off(..count).unwrap()
}

fn word(rest: &mut &[u8]) -> usize {
    u32::from_le_bytes(take(rest, 4).try_into().unwrap()) as usize
}

fn section(rest: &mut &[u8]) -> Vec<u8> {
    let length = word(rest);
    let mut out = Vec::new();
    Decompressor::new(take(rest, length), 4096).read_to_end(&mut out).unwrap();
    out
}

fn unzigzag(v: i32) -> i32 {
    if v % 2 == 0 { v / 2 } else { -(v / 2) - 1 }
}

fn tensor(rest: &mut &[u8]) -> QuantizedTensor {
    let length = word(rest);
    let name = String::from_utf8(take(rest, length).to_vec()).unwrap();
    let shape = (0..word(rest)).map(|_| word(rest)).collect();
    let step = f32::from_bits(word(rest) as u32);
    let count = word(rest);
    let values = take(rest, count).iter().map(|&b| unzigzag(i32::from(b)) as i16).collect();
    QuantizedTensor { name, shape, bits: 8, steps: vec![step], values }
}

fn latents(mut rest: &[u8]) -> QuantizedLatents {
    let (samples, dim) = (word(&mut rest), word(&mut rest));
    let mut halves = || -> Vec<f32> {
        take(&mut rest, 2 * dim).chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
    };
    let (minimum, step) = (halves(), halves());
    let (low, high) = rest.split_at(samples * dim);
    let delta = |(&low, &high): (&u8, &u8)| unzigzag(i32::from(high) << 8 | i32::from(low)) as u8;
    let mut values: Vec<u8> = low.iter().zip(high).map(delta).collect();
    for i in dim..values.len() {
        values[i] = values[i].wrapping_add(values[i - dim]);
    }
    QuantizedLatents { minimum, step, values }
}

fn public(bytes: &[u8]) -> Representation {
    let mut rest = bytes;
    let [_, weights, latent_bytes] = [(); 3].map(|()| section(&mut rest));
    let architecture = Architecture::reference(36, 28);
    let mut rest = weights.as_slice();
    let mut parameters: Vec<_> = (0..word(&mut rest)).map(|_| tensor(&mut rest)).collect();
    let order = architecture.parameters();
    parameters.sort_by_key(|tensor| order.iter().position(|p| p.name == tensor.name));
    let clip = Clip { name: "0".into(), frames: 1200, height: 874, width: 1164 };
    Representation { architecture, clip, parameters, latents: latents(&latent_bytes) }
}

#[test]
fn the_public_archive_decodes_as_in_torch() {
    let (Some(archive), Some(golden)) =
        (testdata::shared("archives/hnerv-muon-public.bin"), testdata::shared("golden/decoder.json"))
    else {
        return;
    };
    let representation = public(&std::fs::read(archive).unwrap());
    let decoder = Decoder::new(&representation).unwrap();
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let (mut worst, mut points, mut equal) = (0f64, 0, 0);
    for pair in golden["pairs"].as_array().unwrap() {
        let sample = pair["pair"].as_u64().unwrap() as usize;
        let latent = representation.latents.row(sample).unwrap();
        for (found, expected) in latent.iter().zip(pair["latent"].as_array().unwrap()) {
            assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-6, "latent of {sample}");
        }
        let native = decoder.decode_native(sample).unwrap();
        let camera = decoder.decode(sample).unwrap();
        let place =
            |point: &Value| ["frame", "channel", "row", "column"].map(|key| point[key].as_u64().unwrap() as usize);
        for point in pair["native"].as_array().unwrap() {
            let [frame, channel, y, x] = place(point);
            let found = native[frame].plane(channel)[y * native[frame].width() + x];
            worst = worst.max((f64::from(found) - point["value"].as_f64().unwrap()).abs());
        }
        for point in pair["camera"].as_array().unwrap() {
            let [frame, channel, y, x] = place(point);
            let found = u64::from(camera[frame].data()[(y * 1164 + x) * 3 + channel]);
            let expected = point["value"].as_u64().unwrap();
            assert!(found.abs_diff(expected) <= 1, "sample {sample} {point}: {found}");
            points += 1;
            equal += usize::from(found == expected);
        }
        let mean = |sum: f64, count: usize| sum / count as f64;
        let sum: f64 = native.iter().flat_map(|planes| planes.data()).map(|&v| f64::from(v)).sum();
        let found = mean(sum, 6 * 384 * 512);
        assert!((found - pair["native_mean"].as_f64().unwrap()).abs() < 2e-3, "native mean of {sample}: {found}");
        let sum: f64 = camera.iter().flat_map(|frame| frame.data()).map(|&v| f64::from(v)).sum();
        let found = mean(sum, 6 * 874 * 1164);
        assert!((found - pair["camera_mean"].as_f64().unwrap()).abs() < 2e-3, "camera mean of {sample}: {found}");
    }
    eprintln!("largest error of a native value {worst:.2e} of 255; {equal} of {points} camera bytes equal");
    assert!(worst <= 1e-3 * 255.0, "native values are off by {worst}");
    assert!(equal * 1000 >= points * 998, "{equal} of {points} camera bytes equal");
}
