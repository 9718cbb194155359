//! The integers of a real public archive, against the size they have there.

use brotli::Decompressor;
use half::f16;
use repr::{Architecture, Clip, QuantizedLatents, QuantizedTensor, Representation};
use std::io::Read;

/// The public archive's content under our names.
fn public() -> Option<(usize, Representation)> {
    let bytes = std::fs::read(testdata::shared("archives/hnerv-muon-public.bin")?).unwrap();
    let mut rest = bytes.as_slice();
    let [_, weights, latents] = [(); 3].map(|()| {
        let length = word(&mut rest) as usize;
        let mut out = Vec::new();
        Decompressor::new(take(&mut rest, length), 1 << 16).read_to_end(&mut out).unwrap();
        out
    });
    let architecture = Architecture::reference(36, 28);

    let mut rest = weights.as_slice();
    let count = word(&mut rest);
    let mut tensors: Vec<QuantizedTensor> = (0..count).map(|_| tensor(&mut rest)).collect();
    let parameters = architecture.parameters();
    tensors.sort_by_key(|tensor| parameters.iter().position(|parameter| parameter.name == tensor.name));

    let clip = Clip { name: "0".into(), frames: 1200, height: 874, width: 1164 };
    let representation =
        Representation { architecture, clip, parameters: tensors, latents: public_latents(latents.as_slice()) };
    Some((bytes.len(), representation))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

fn word(rest: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(rest, 4).try_into().unwrap())
}

fn unzigzag(v: i32) -> i32 {
    if v % 2 == 0 { v / 2 } else { -(v / 2) - 1 }
}

fn tensor(rest: &mut &[u8]) -> QuantizedTensor {
    let length = word(rest) as usize;
    let name = String::from_utf8(take(rest, length).to_vec()).unwrap();
    let rank = word(rest);
    let shape = (0..rank).map(|_| word(rest) as usize).collect();
    let step = f32::from_bits(word(rest));
    let count = word(rest) as usize;
    let values = take(rest, count).iter().map(|&b| unzigzag(i32::from(b)) as i16).collect();
    QuantizedTensor { name, shape, bits: 8, steps: vec![step], values }
}

fn public_latents(mut rest: &[u8]) -> QuantizedLatents {
    let (n, dim) = (word(&mut rest) as usize, word(&mut rest) as usize);
    let mut halves = || -> Vec<f32> {
        let bytes = take(&mut rest, 2 * dim);
        bytes.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
    };
    let (minimum, step) = (halves(), halves());
    let (low, high) = rest.split_at(n * dim);
    let mut values: Vec<u8> =
        low.iter().zip(high).map(|(&low, &high)| unzigzag(i32::from(high) << 8 | i32::from(low)) as u8).collect();
    for i in dim..values.len() {
        values[i] = values[i].wrapping_add(values[i - dim]);
    }
    QuantizedLatents { minimum, step, values }
}

#[test]
fn the_public_archive_shrinks_without_loss() {
    let Some((bytes, representation)) = public() else { return };
    let archive = archive::encode(&representation).unwrap();
    assert_eq!(archive::decode(&archive).unwrap(), representation);

    let budget = archive::budget(&archive).unwrap();
    for share in &budget.shares {
        println!(
            "{:20} {:7} {:9.1} bytes {:6.3} bits each, entropy {:9.1}",
            share.name,
            share.values,
            share.bytes,
            share.bits_per_value(),
            share.entropy_bytes
        );
    }
    println!("{} bytes, {bytes} in the public archive", budget.bytes);
    assert!(archive.len() < 176_000 && archive.len() < bytes, "{}", archive.len());

    let overhead: f64 = budget.shares.iter().filter(|share| share.values == 0).map(|share| share.bytes).sum();
    assert!(overhead < 64.0, "{overhead} bytes of header and framing");
}
