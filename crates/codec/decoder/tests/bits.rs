//! The same bytes at every instruction level and for any number of threads; and what is refused.

use std::sync::Arc;

use decoder::{Decoder, DecoderError, Level, Network, SampleInput, in_order};
use repr::{
    Architecture, Carrier, ClassMaps, Clip, ClipName, CorrectionTarget, Head, Layer, LayerTable, Nonlinearity,
    QuantizedLatents, QuantizedTensor, Refine, Representation, RepresentationParts, Residual, Sidecar, Stage, Stem,
};
use sha2::{Digest, Sha256};

/// Odd sizes, every kind of layer that the reference architecture has, and integers from a fixed formula; weights have a step
/// of `step`.
fn parts(step: f32) -> RepresentationParts {
    let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
    let layers = vec![
        stage(7, 2, 3),
        stage(7, 3, 3),
        Layer::Refine(Refine { hidden: 4, dilation: 3, gain: 0.2 }),
        stage(4, 1, 1),
        stage(8, 2, 3),
        Layer::Refine(Refine { hidden: 3, dilation: 2, gain: 0.1 }),
    ];
    parts_of(LayerTable::new(6, Stem::new(5, 3, 5), layers), step)
}

/// HNeRV's kinds: latents that are images and stand for one frame, stages without skip that end with the Gaussian error linear
/// unit, large kernels and factors, a tanh at the end; and mixtures of both families.
fn hnerv_parts(step: f32) -> RepresentationParts {
    let block = |channels, upscale, kernel, skip| {
        Layer::Stage(Stage { skip, activation: Nonlinearity::Gelu, ..Stage::new(channels, upscale, kernel) })
    };
    let layers = vec![
        block(9, 1, 1, false),
        block(8, 5, 1, false),
        block(7, 2, 3, false),
        block(7, 2, 5, true),
        Layer::Stage(Stage { skip: false, ..Stage::new(5, 1, 5) }),
        block(4, 1, 3, true),
    ];
    let stem = Stem { linear: false, ..Stem::new(3, 2, 3) };
    parts_of(LayerTable { frames: 1, head: Head::Tanh, ..LayerTable::new(18, stem, layers) }, step)
}

/// Class maps of odd sizes that feed residual blocks of every kernel and activation, far dilations, and a carrier in colour.
fn semantic_parts(step: f32) -> RepresentationParts {
    let residual =
        |hidden, kernel, dilation, activation| Layer::Residual(Residual { hidden, kernel, dilation, activation });
    let layers = vec![
        residual(9, 3, 1, Nonlinearity::Gelu),
        residual(5, 5, 8, Nonlinearity::Sin),
        residual(17, 1, 1, Nonlinearity::Gelu),
        Layer::Refine(Refine { hidden: 3, dilation: 7, gain: 0.2 }),
        Layer::Stage(Stage::new(6, 2, 3)),
        residual(2, 3, 5, Nonlinearity::Sin),
    ];
    let stem = Stem { classes: 5, ..Stem::new(7, 19, 31) };
    let carrier = Some(Carrier { coefficients: 5, height: 5, width: 7, channels: 3, bits: 12 });
    parts_of(LayerTable { carrier, ..LayerTable::new(8, stem, layers) }, step)
}

/// A grey carrier with more columns than the frame, one block as wide as the map, as many classes as there can be.
fn grey_parts(step: f32) -> RepresentationParts {
    let block = Residual { hidden: 1, kernel: 5, dilation: 3, activation: Nonlinearity::Gelu };
    let stem = Stem { classes: 255, ..Stem::new(1, 40, 3) };
    let carrier = Some(Carrier { coefficients: 1, height: 2, width: 5, channels: 1, bits: 8 });
    let layers = vec![Layer::Residual(block)];
    parts_of(LayerTable { carrier, head: Head::Tanh, ..LayerTable::new(2, stem, layers) }, step)
}

/// Maps that feed two latents of one frame each.
fn single_parts(step: f32) -> RepresentationParts {
    let block = Residual { hidden: 4, kernel: 3, dilation: 2, activation: Nonlinearity::Sin };
    let stem = Stem { classes: 3, ..Stem::new(3, 11, 17) };
    parts_of(LayerTable { frames: 1, ..LayerTable::new(2, stem, vec![Layer::Residual(block)]) }, step)
}

fn parts_of(table: LayerTable, step: f32) -> RepresentationParts {
    let architecture = Architecture::new(table).unwrap();
    let integer = |seed: usize, j: usize| (31 * j + 7919 * seed + 7) * 2_654_435_761 % 65_536 / 256;
    let tensor = |(seed, p): (usize, &repr::Parameter)| QuantizedTensor {
        values: (0..p.len()).map(|j| integer(seed, j) as i16 - 128).collect(),
        bits: 8,
        steps: vec![step],
    };
    let parameters = architecture.parameters().iter().enumerate().map(tensor).collect();
    let clip = Clip::new(ClipName::new("clip").unwrap(), 10, 47, 83).unwrap();
    let (dim, bits) = (architecture.latent_dim(), architecture.latent_bits());
    // More than 8 bits have the same range and finer steps.
    let value = |j: usize| {
        let finer = 1 << (bits[j % dim] - 8);
        (integer(99, j) * finer + j % finer) as u16
    };
    let latents = QuantizedLatents {
        minimum: vec![-1.0; dim],
        step: bits.iter().map(|bits| 1.0 / f32::from(1u16 << (bits - 1))).collect(),
        values: (0..architecture.sample_dim() * clip.samples()).map(value).collect(),
    };
    let maps = architecture.map_shape(clip.samples()).unwrap().map(|shape| {
        let class = |j: usize| (integer(7, j / 3) * shape.classes() / 256) as u8;
        let values = (0..shape.count() * shape.pixels()).map(class).collect();
        Arc::new(ClassMaps::new(shape, values).unwrap())
    });
    RepresentationParts { architecture, clip, parameters, latents, sidecar: Sidecar::default(), maps }
}

fn representation(step: f32) -> Representation {
    Representation::new(parts(step)).unwrap()
}

/// All frames one after another.
fn decode(decoder: &Decoder, threads: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = 0;
    let sink = |sample: usize, frames: &[frames::RgbFrame; 2]| {
        assert_eq!(sample, next);
        next += 1;
        frames.iter().for_each(|frame| bytes.extend_from_slice(frame.data()));
        Ok::<(), DecoderError>(())
    };
    decoder.decode_all(0..decoder.clip().samples(), threads, sink).unwrap();
    bytes
}

#[test]
fn every_level_gives_the_pinned_bytes() {
    let representation = representation(1.0 / 128.0);
    for level in Level::available() {
        let bytes = decode(&Decoder::with_level(&representation, level), 2);
        assert_eq!(bytes.len(), 10 * 47 * 83 * 3);
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "4d80c70ff72c9a1b158ced2bace7d633874b29e23f22f19b9e8203f634bf5aa1", "{level}");
    }
}

#[test]
fn every_level_gives_the_pinned_bytes_of_hnervs_kinds() {
    let representation = Representation::new(hnerv_parts(1.0 / 300.0)).unwrap();
    for (level, threads) in Level::available().into_iter().zip([2, 1, 3]) {
        let bytes = decode(&Decoder::with_level(&representation, level), threads);
        let (low, high) = (bytes.iter().min(), bytes.iter().max());
        assert!(low < Some(&50) && high > Some(&200), "flat frames: {low:?} to {high:?}");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "eff916fd14599d5b39a686be377f2e75b7cf6b7036c957e82efd46aef0374167", "{level}");
    }
}

#[test]
fn every_level_gives_the_pinned_bytes_of_class_maps() {
    let cases: [(RepresentationParts, &str); 3] = [
        (semantic_parts(1.0 / 512.0), "3c5b8721d9d7dd8a14414346a453a9e777e9358221dca13bcaeee00835f16330"),
        (grey_parts(1.0 / 128.0), "1daa1333c97e5a7a8843f0c32d4f4d1bc1382a3866d56680eac58a3567b51292"),
        (single_parts(1.0 / 64.0), "d4d829250b57a7a3370e56a3020fbbebdcd7379716cc1abfad5b86118a3b71be"),
    ];
    for (parts, expected) in cases {
        let representation = Representation::new(parts).unwrap();
        for (level, threads) in Level::available().into_iter().zip([3, 1, 2]) {
            let decoder = Decoder::with_level(&representation, level);
            let bytes = decode(&decoder, threads);
            for frame in bytes.chunks(47 * 83 * 3) {
                let (low, high) = frame.iter().fold((255, 0), |(l, h), &v| (v.min(l), v.max(h)));
                assert!(high - low > 40, "a flat frame: {low} to {high}");
            }
            let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, expected, "{level}");
        }
    }
}

/// Single samples, ranges, the last one first: as in all.
#[test]
fn a_sample_of_class_maps_does_not_depend_on_what_was_decoded_before() {
    let pair = 2 * 47 * 83 * 3;
    for parts in [semantic_parts(1.0 / 512.0), grey_parts(1.0 / 128.0), single_parts(1.0 / 64.0)] {
        let decoder = Decoder::new(&Representation::new(parts).unwrap());
        let all = decode(&decoder, 1);
        for threads in [2, 3, 8] {
            assert!(decode(&decoder, threads) == all, "{threads} threads");
        }
        for samples in [4..5, 1..3, 0..5, 2..2] {
            let mut next = samples.start;
            let sink = |sample: usize, frames: &[frames::RgbFrame; 2]| {
                assert_eq!(sample, next);
                next += 1;
                let bytes = frames.each_ref().map(|frame| frame.data()).concat();
                assert!(bytes == all[sample * pair..][..pair], "sample {sample} of {samples:?}");
                Ok::<(), DecoderError>(())
            };
            decoder.decode_all(samples.clone(), 2, sink).unwrap();
            assert_eq!(next, samples.end);
        }
        let samples: Vec<&[u8]> = all.chunks(pair).collect();
        assert!(samples.windows(2).all(|two| two[0] != two[1]), "samples are alike");
    }
}

/// The second frame is made of the map and the latent's first values, the first one of its last values.
#[test]
fn a_carrier_and_a_map_move_a_frame_each() {
    let good = semantic_parts(1.0 / 512.0);
    let native = |parts: RepresentationParts| {
        let [first, second] = Decoder::new(&Representation::new(parts).unwrap()).decode_native(2).unwrap();
        (first.into_data(), second.into_data())
    };
    let (first, second) = native(good.clone());
    let with_latent = |dimension: usize, value: u16| {
        let mut parts = good.clone();
        parts.latents.values[2 * 8 + dimension] = value;
        native(parts)
    };
    for dimension in 0..8 {
        let (other_first, other_second) = with_latent(dimension, 3);
        assert_eq!((other_first != first, other_second != second), (dimension >= 3, dimension < 3), "{dimension}");
    }
    let with_class = |pixel: usize| {
        let mut parts = good.clone();
        let shape = *parts.maps.as_ref().unwrap().shape();
        let mut values = parts.maps.as_ref().unwrap().values().to_vec();
        values[pixel] = (values[pixel] + 1) % 5;
        parts.maps = Some(Arc::new(ClassMaps::new(shape, values).unwrap()));
        native(parts)
    };
    let pixels = 19 * 31;
    for (pixel, moves) in [(2 * pixels + 300, true), (2 * pixels - 1, false), (3 * pixels, false)] {
        let (other_first, other_second) = with_class(pixel);
        assert_eq!((other_first == first, other_second != second), (true, moves), "pixel {pixel}");
    }
    // Twelve bits: a step of the last one is a 2048th, and is seen.
    let before = good.latents.values[2 * 8 + 7];
    assert!(with_latent(7, before ^ 1).0 != first);
    let mut moved = good.clone();
    moved.sidecar.set(2, CorrectionTarget::Latent { dimension: 7 }, 1);
    assert_eq!(native(moved), with_latent(7, before + 1));
    let mut moved = good.clone();
    moved.sidecar.set(2, CorrectionTarget::Frame { frame: 0, channel: 1, cosine: 0 }, 4);
    moved.sidecar.set(2, CorrectionTarget::Frame { frame: 1, channel: 0, cosine: 0 }, -2);
    let (moved_first, moved_second) = native(moved);
    let plane = 38 * 62;
    for (at, (moved, before)) in moved_first.iter().zip(&first).enumerate() {
        assert_eq!(*moved, before + if at / plane == 1 { 2.0 } else { 0.0 });
    }
    for (at, (moved, before)) in moved_second.iter().zip(&second).enumerate() {
        assert_eq!(*moved, before + if at / plane == 0 { -1.0 } else { 0.0 });
    }
}

/// A frame of a latent of its own does not depend on the other one, and is corrected by itself.
#[test]
fn single_frames_are_made_of_their_own_latents() {
    let good = Representation::new(hnerv_parts(1.0 / 300.0)).unwrap();
    let before = Decoder::new(&good).decode_native(2).unwrap();
    let mut moved = good.into_parts();
    moved.sidecar.set(2, CorrectionTarget::Latent { dimension: 18 + 4 }, 9);
    moved.sidecar.set(2, CorrectionTarget::Frame { frame: 0, channel: 2, cosine: 0 }, 4);
    let after = Decoder::new(&Representation::new(moved).unwrap()).decode_native(2).unwrap();
    for channel in 0..3 {
        let offset = if channel == 2 { 2.0 } else { 0.0 };
        let planes = after[0].plane(channel).iter().zip(before[0].plane(channel));
        assert!(planes.into_iter().all(|(a, b)| *a == b + offset), "the first frame, channel {channel}");
    }
    assert!(after[1].data() != before[1].data(), "the second frame");
}

/// Sums overflow here: infinities and NaN run through every layer.
#[test]
fn huge_weights_give_the_same_bytes_at_every_level() {
    for step in [1e6, 1e3, 1e-6, 1e-38] {
        for parts in [parts(step), hnerv_parts(step), semantic_parts(step), grey_parts(step), single_parts(step)] {
            let representation = Representation::new(parts).unwrap();
            let scalar = decode(&Decoder::with_level(&representation, Level::SCALAR), 1);
            for level in Level::available() {
                assert!(decode(&Decoder::with_level(&representation, level), 1) == scalar, "step {step}, {level}");
            }
        }
    }
}

#[test]
fn the_thread_count_does_not_change_a_byte() {
    let decoder = Decoder::new(&representation(1.0 / 128.0));
    let one = decode(&decoder, 1);
    for threads in [2, 3, 8] {
        assert!(decode(&decoder, threads) == one, "{threads} threads");
    }
    let frame = 47 * 83 * 3;
    for sample in [4, 0, 2] {
        let [first, second] = decoder.decode(sample).unwrap();
        assert_eq!(first.data(), &one[2 * sample * frame..][..frame]);
        assert_eq!(second.data(), &one[(2 * sample + 1) * frame..][..frame]);
    }
}

#[test]
fn native_frames_lead_to_the_resampled_ones() {
    let decoder = Decoder::new(&representation(1.0 / 128.0));
    for (native, frame) in decoder.decode_native(3).unwrap().iter().zip(decoder.decode(3).unwrap()) {
        assert_eq!((native.channels(), native.height(), native.width()), (3, 36, 60));
        assert!(native.data().iter().any(|&v| v > 200.0) && native.data().iter().any(|&v| v < 55.0), "a flat frame");
        let expected = frames::resize_bicubic(native, 47, 83).to_rgb();
        assert!(frame.data().iter().zip(expected.data()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }
}

#[test]
fn both_kinds_of_frames_of_one_evaluation_are_those_of_two() {
    // Larger than the decoder's 36x60, of its size, and smaller.
    for (height, width) in [(47, 83), (36, 60), (7, 200), (120, 9), (1, 1)] {
        let clip = Clip::new(ClipName::new("clip").unwrap(), 10, height, width).unwrap();
        for parts in [parts(1.0 / 128.0), semantic_parts(1.0 / 512.0)] {
            let parts = RepresentationParts { clip: clip.clone(), sidecar: sidecar(), ..parts };
            let decoder = Decoder::new(&Representation::new(parts).unwrap());
            for sample in [4, 1] {
                let both = decoder.decode_both(sample).unwrap();
                assert!(both.native == decoder.decode_native(sample).unwrap(), "{height}x{width}");
                assert!(both.frames == decoder.decode(sample).unwrap(), "{height}x{width}");
            }
        }
    }
}

#[test]
fn the_first_error_of_the_sink_ends_decoding() {
    let decoder = Decoder::new(&representation(1.0 / 128.0));
    let refused = DecoderError::Sample { index: 77, samples: 0 };
    let sink =
        |sample: usize, _: &_| if sample == 1 { Err(DecoderError::Sample { index: 77, samples: 0 }) } else { Ok(()) };
    assert_eq!(decoder.decode_all(0..5, 2, sink), Err(refused));
    let beyond = decoder.decode_all(3..9, 2, |_, _| Ok(()));
    assert_eq!(beyond, Err(DecoderError::Sample { index: 5, samples: 5 }));
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = representation(1.0 / 128.0);
    let decoder = Decoder::new(&good);
    assert_eq!(decoder.decode(5).err(), Some(DecoderError::Sample { index: 5, samples: 5 }));
    assert_eq!(decoder.decode_native(usize::MAX).err().map(|e| e.to_string().contains("only 5")), Some(true));

    for step in [f32::NAN, f32::INFINITY, 1.1e6] {
        assert!(Representation::new(parts(step)).is_err(), "step {step}");
    }

    let network = |size| Network::new(&good.dequantize(), size, Level::detect());
    let latent = network((10, 10)).unwrap().native(SampleInput::of(&[0.0; 7])).err();
    assert_eq!(latent, Some(DecoderError::Latent { found: 7, expected: 6 }));
    assert!(matches!(network((0, 10)), Err(DecoderError::Frame(_))));

    let mapped = Representation::new(semantic_parts(1.0 / 512.0)).unwrap();
    for (good, size, pixels) in [(&good, 6, 0), (&mapped, 8, 19 * 31)] {
        let network = Network::new(&good.dequantize(), (10, 10), Level::detect()).unwrap();
        for found in [0, 1, 19 * 31 - 1, 19 * 31, 19 * 31 + 1] {
            // Classes that the map cannot have are as good as any, and have nothing of their own.
            let input = SampleInput { latents: &vec![0.0; size], map: &vec![254; found], corrections: &[] };
            let refused = (found != pixels).then_some(DecoderError::Map { found, expected: pixels });
            assert_eq!(network.frames(input, None).err(), refused);
        }
    }
}

/// Whatever an archive says, threads together stay within half a gigabyte; one may need more than its share.
#[test]
fn threads_have_room_for_what_they_keep() {
    let threads = |table: LayerTable| {
        let architecture = Architecture::new(table).unwrap();
        let parameters = architecture.parameters().iter().map(|p| vec![0.0; p.len()]).collect();
        let parameters = repr::Tensors::new(&architecture, parameters).unwrap();
        Network::new(&parameters, (8, 8), Level::detect()).unwrap().threads()
    };
    assert!(threads(LayerTable::reference(36, 28)) >= 64);
    // 2^22 values behind a linear layer: 16 MB.
    assert!(threads(LayerTable::new(1, Stem::new(4, 1024, 1024), Vec::new())) <= 32);
    // A map of 16 MB.
    let mapped = Stem { classes: 2, ..Stem::new(1, 4096, 4096) };
    assert!(threads(LayerTable::new(1, mapped, Vec::new())) <= 32);
    // A coarse image of as many rows, which are kept with their columns enlarged: 200 MB.
    let carrier = Some(Carrier { coefficients: 1, height: 4096, width: 1, channels: 3, bits: 8 });
    let mapped = Stem { classes: 2, ..Stem::new(1, 1, 4096) };
    assert!(threads(LayerTable { carrier, ..LayerTable::new(2, mapped, Vec::new()) }) <= 2);
}

/// Workspaces are reused; what an earlier sample left in them must not show.
#[test]
fn samples_do_not_influence_each_other() {
    let good = representation(1.0 / 128.0);
    let fresh = Decoder::new(&good).decode(1).unwrap();
    let network = Network::new(&good.dequantize(), (47, 83), Level::detect()).unwrap();
    let decode = |latent: &[f32]| network.frames(SampleInput::of(latent), None).unwrap();
    decode(&[f32::NAN; 6]);
    network.native(SampleInput::of(&[f32::INFINITY; 6])).unwrap();
    assert_eq!(decode(&good.latents.sample(1, 6, &[]).unwrap()), fresh);

    let mut seen = 0;
    let work = |_, used: Option<_>| network.frames(SampleInput::of(&good.latents.sample(1, 6, &[]).unwrap()), used);
    in_order(0..6, 2, work, |_, frames| {
        assert_eq!(*frames, fresh);
        seen += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, 6);
}

/// Corrections of every kind, some of them on the same plane.
fn sidecar() -> Sidecar {
    let mut sidecar = Sidecar::default();
    for (i, target) in CorrectionTarget::all(6).enumerate().filter(|(i, _)| i % 3 != 1) {
        sidecar.set(1 + i as u32 % 2, target, [31, -31, 5, -2][i % 4]);
    }
    sidecar
}

#[test]
fn a_sidecar_gives_the_pinned_bytes_at_every_level_and_for_any_thread_count() {
    let corrected = Representation::new(RepresentationParts { sidecar: sidecar(), ..parts(1.0 / 128.0) }).unwrap();
    let plain = decode(&Decoder::new(&representation(1.0 / 128.0)), 1);
    for (level, threads) in Level::available().into_iter().zip([1, 3, 8]) {
        let bytes = decode(&Decoder::with_level(&corrected, level), threads);
        let pair = 2 * 47 * 83 * 3;
        for sample in 0..5 {
            let same = bytes[sample * pair..][..pair] == plain[sample * pair..][..pair];
            assert_eq!(same, !(1..3).contains(&sample), "sample {sample}, {level}");
        }
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "ac0770da2e79dd293debe1fd6e3388eedb4c1fca2d2624c1ab0ed0cecc5a9606", "{level}");
    }
}

#[test]
fn corrections_do_what_they_say() {
    let good = representation(1.0 / 128.0);
    let native = |representation: &Representation, sample| {
        Decoder::new(representation).decode_native(sample).unwrap().map(frames::Planes::into_data)
    };
    let before = native(&good, 2);
    let frame = |frame, channel, cosine| CorrectionTarget::Frame { frame, channel, cosine };

    let mut moved = good.clone().into_parts();
    moved.sidecar.set(2, frame(1, 2, 0), -3);
    // Two half waves over the rows, one over the columns.
    moved.sidecar.set(2, frame(0, 1, 8), 10);
    let after = native(&Representation::new(moved).unwrap(), 2);
    let pi = std::f64::consts::PI;
    for (i, (after, before)) in after.iter().zip(&before).enumerate() {
        for (at, (after, before)) in after.iter().zip(before).enumerate() {
            let (channel, y, x) = (at / (36 * 60), at / 60 % 36, at % 60);
            let (y, x) = ((y as f64 + 0.5) / 36.0, (x as f64 + 0.5) / 60.0);
            let expected = match (i, channel) {
                (1, 2) => -1.5,
                (0, 1) => 5.0 * (2.0 * pi * y).cos() * (pi * x).cos(),
                _ => 0.0,
            };
            assert!((f64::from(after - before) - expected).abs() < 0.01, "frame {i}, channel {channel}: {expected}");
        }
    }

    // Beyond the 8 bits of a stored latent too.
    let (mut moved, mut shifted) = (good.clone().into_parts(), good.into_parts());
    let dimension = 2 * 6 + 4;
    (moved.latents.values[dimension], shifted.latents.values[dimension]) = (250, 248);
    shifted.latents.minimum[4] += 31.0 * shifted.latents.step[4];
    moved.sidecar.set(2, CorrectionTarget::Latent { dimension: 4 }, 29);
    let [moved, shifted] = [moved, shifted].map(|parts| native(&Representation::new(parts).unwrap(), 2));
    assert!(moved == shifted);
}
