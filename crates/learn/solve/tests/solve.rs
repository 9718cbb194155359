//! Coefficients of a random decoder, solved for a PoseNet that looks at six parts of the first frame.

use std::sync::Arc;

use frames::Planes;
use metric::{NetworkHashes, POSE_LEN, PerceptionStack, SampleOutputs, StackError, StackIdentity};
use repr::{
    Architecture, Carrier, ClassMaps, Clip, ClipName, LayerTable, QuantizedTensor, Representation, RepresentationParts,
    Sidecar, Stem, quantize_latents,
};
use solve::{Solver, widen};

const SAMPLES: usize = 3;

/// Six values, each bent: how bright a sixth of the first frame is, and a little of the second frame.
struct Sixths;

impl PerceptionStack for Sixths {
    fn identity(&self) -> StackIdentity {
        StackIdentity { networks: NetworkHashes { segnet: [0; 32], posenet: [0; 32] }, runtime: String::new() }
    }

    fn classes(&mut self, _: &Planes) -> Result<Vec<u8>, StackError> {
        panic!("coefficients change nothing that SegNet sees")
    }

    fn pose(&mut self, [first, second]: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError> {
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32 / 255.0;
        let shade = mean(second.data());
        // Thirds of the rows, halves of the columns, of the green plane.
        let (rows, half) = (first.height() / 3, first.width() / 2);
        let part = |i: usize| {
            let rows = first.plane(1).chunks_exact(2 * half).skip(i / 2 * rows).take(rows);
            rows.map(|row| mean(&row[i % 2 * half..][..half])).sum::<f32>() / (first.height() / 3) as f32
        };
        Ok(std::array::from_fn(|i| {
            (3.0 * (part(i) - 0.5)).sin() + 0.3 * part((i + 1) % POSE_LEN).powi(2) + 0.1 * shade
        }))
    }
}

fn noise(i: usize, seed: usize) -> f32 {
    let x = ((i + 1) * 7919 + seed * 104_729) % 65_537;
    ((x * x) % 65_537) as f32 / 65_537.0 - 0.5
}

/// A decoder of `channels` of a coarse image with `coefficients` of 10 bits.
fn representation(coefficients: usize, channels: usize) -> Representation {
    with_latents(coefficients, channels, 0.0)
}

/// The same with latents that are moved a part of their range.
fn with_latents(coefficients: usize, channels: usize, shift: f32) -> Representation {
    let stem = Stem { classes: 3, ..Stem::new(2, 6, 8) };
    let carrier = Carrier { coefficients, height: 3, width: 4, channels, bits: 10 };
    let table = LayerTable { carrier: Some(carrier), ..LayerTable::new(2 + coefficients, stem, Vec::new()) };
    let architecture = Architecture::new(table).unwrap();
    let parameters = architecture.parameters().iter().enumerate().map(|(seed, parameter)| {
        let values = (0..parameter.len()).map(|i| (127.0 * 2.0 * noise(i, seed)) as i16).collect();
        QuantizedTensor { bits: 8, steps: vec![0.002], values }
    });
    let latents: Vec<f32> =
        (0..SAMPLES * architecture.latent_dim()).map(|i| noise(i, 99) + shift * noise(i, 5)).collect();
    let latents = quantize_latents(&latents, &architecture.latent_bits()).unwrap();
    let shape = architecture.map_shape(SAMPLES).unwrap().unwrap();
    let values = (0..SAMPLES * 6 * 8).map(|i| (i * i % 3) as u8).collect();
    let maps = Some(Arc::new(ClassMaps::new(shape, values).unwrap()));
    let clip = Clip::new(ClipName::new("clip").unwrap(), 2 * SAMPLES, 24, 32).unwrap();
    let parameters = parameters.collect();
    let sidecar = Sidecar::default();
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps }).unwrap()
}

/// What is said of other coefficients: it can be reached.
fn originals(channels: usize) -> Vec<SampleOutputs> {
    let other = with_latents(12, channels, 0.5);
    (0..SAMPLES).map(|sample| SampleOutputs { classes: Vec::new(), pose: pose(&other, sample) }).collect()
}

fn pose(representation: &Representation, sample: usize) -> [f32; POSE_LEN] {
    let decoded = decoder::Decoder::new(representation).decode_both(sample).unwrap();
    let [first, second] = decoded.frames.map(|frame| metric::evaluator_input(&frame));
    Sixths.pose([&first, &second]).unwrap()
}

#[test]
fn a_dozen_coefficients_meet_six_outputs_and_nothing_else_changes() {
    for channels in [1, 3] {
        let plain = representation(12, channels);
        let originals = originals(channels);
        let mut solved = widen(plain.clone()).unwrap();
        let mut heard = Vec::new();
        let solver = Solver::new(&solved, &originals).unwrap().unwrap();
        let each = |sample| {
            heard.push(sample);
            true
        };
        let pose = solver.all(&mut solved, &mut Sixths, each).unwrap().unwrap();
        assert!(pose.before > 1e-2 && pose.after < 1e-3 * pose.before, "{channels}: {pose:?}");
        assert!(heard.starts_with(&[0, 1, 2]), "{heard:?}");
        let dim = plain.architecture.latent_dim();
        for (solved, plain) in solved.latents.values.chunks(dim).zip(plain.latents.values.chunks(dim)) {
            assert_eq!(solved[..2], plain[..2], "numbers of the second frame");
        }
        assert_eq!((&solved.parameters, &solved.maps), (&plain.parameters, &plain.maps));

        // What was claimed is what an evaluation of the whole finds.
        let mut sum = 0.0;
        for (sample, original) in originals.iter().enumerate() {
            let found = self::pose(&solved, sample);
            let errors = found.iter().zip(original.pose).map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2));
            sum += errors.sum::<f64>() / (POSE_LEN * SAMPLES) as f64;
        }
        assert!((sum - pose.after).abs() < 1e-9, "{sum} against {pose:?}");
    }
}

#[test]
fn too_few_coefficients_do_what_they_can_and_nothing_gets_worse() {
    let originals = originals(3);
    let mut solved = representation(2, 3);
    let solver = Solver::new(&solved, &originals).unwrap().unwrap();
    for sample in 0..SAMPLES {
        let first = solver.solve(&mut solved, sample, &mut Sixths).unwrap();
        let again = solver.solve(&mut solved, sample, &mut Sixths).unwrap();
        assert!(first.after <= first.before && again.after <= first.after, "{first:?}, then {again:?}");
        assert!((again.before - first.after).abs() < 1e-12);
    }
}

#[test]
fn it_ends_when_told_to_and_leaves_alone_what_has_no_carrier() {
    let originals = originals(1);
    let mut solved = representation(12, 1);
    let solver = Solver::new(&solved, &originals).unwrap().unwrap();
    let mut stack = Sixths;
    assert_eq!(solver.all(&mut solved, &mut stack, |sample| sample == 0).unwrap(), None);
    let plain = representation(12, 1).into_parts();
    assert_eq!(solved.latents.values[2 * 14..], plain.latents.values[2 * 14..], "the third sample was not reached");

    let latent =
        archive::decode(&std::fs::read(testdata::asset_of("codec/archive", "version-2.bin")).unwrap()).unwrap();
    assert!(Solver::new(&latent, &originals).unwrap().is_none());
    assert_eq!(widen(latent.clone()).unwrap(), latent);
}

#[test]
fn widening_moves_coefficients_by_half_a_step_and_leaves_room_on_both_sides() {
    let plain = representation(4, 3);
    let wide = widen(plain.clone()).unwrap();
    let (dim, bits) = (plain.architecture.latent_dim(), 10);
    let (before, after) = (plain.latents.dequantize(), wide.latents.dequantize());
    for (i, (a, b)) in before.iter().zip(&after).enumerate() {
        let d = i % dim;
        assert!((a - b).abs() <= 0.501 * wide.latents.step[d], "{i}: {a} against {b}");
        if d >= dim - 4 {
            let q = wide.latents.values[i];
            assert!(q > (1 << bits) / 8 && q < (1 << bits) - (1 << bits) / 8, "{q}");
        }
    }
    assert_eq!(before[..2], after[..2]);
}
