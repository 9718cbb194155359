//! Whatever is written is read back, and what it costs is known.

mod common;

use std::sync::Arc;

use archive::{Section, Share, budget, cost, decode, encode, encode_beside, encode_maps, header, level_costs};
use common::{clip, semantic, small};
use proptest::prelude::*;
use repr::{
    Architecture, Carrier, ClassMaps, Clip, CorrectionTarget, Head, Layer, LayerTable, MAX_AMOUNT, MapShape,
    Nonlinearity, QuantizedLatents, QuantizedTensor, Refine, Representation, RepresentationParts, Residual, Sidecar,
    Stage, Stem,
};

/// How the integers of a tensor or the latents are spread.
#[derive(Clone, Copy)]
enum Shape {
    /// Every value is the same.
    Constant,
    /// Only the two ends of the range.
    Extremes,
    /// Everything alike.
    Uniform,
    /// Around the middle.
    Peaked,
}

impl Shape {
    fn draw(rng: &mut impl Rng) -> Self {
        [Self::Constant, Self::Extremes, Self::Uniform, Self::Peaked][rng.random_range(0..4)]
    }

    /// A value from `low..=high`.
    fn value(self, rng: &mut impl Rng, low: i32, high: i32) -> i32 {
        match self {
            Self::Constant => low,
            Self::Extremes => [low, high][rng.random_range(0..2)],
            Self::Uniform => rng.random_range(low..=high),
            Self::Peaked => (0..4).map(|_| rng.random_range(low..=high)).sum::<i32>().div_euclid(4),
        }
    }
}

fn finite(rng: &mut impl Rng) -> f32 {
    [0.0, -0.0, 1e6, -1e6, f32::MIN_POSITIVE / 2.0, rng.random_range(-1.0..1.0)][rng.random_range(0..6)]
}

fn tensor(rng: &mut impl Rng, parameter: &repr::Parameter) -> QuantizedTensor {
    let bits = rng.random_range(2..=8u8);
    let (shape, half) = (Shape::draw(rng), 1 << (bits - 1));
    let steps = if rng.random_range(0..2) == 0 { 1 } else { parameter.shape[0] };
    QuantizedTensor {
        bits,
        steps: (0..steps).map(|_| finite(rng)).collect(),
        values: (0..parameter.len()).map(|_| shape.value(rng, -half, half - 1) as i16).collect(),
    }
}

/// Fills a layer table with random parameters and latents.
fn fill(architecture: Architecture, clip: Clip, rng: &mut impl Rng) -> Representation {
    let parameters = architecture.parameters().iter().map(|parameter| tensor(rng, parameter)).collect();
    let (dim, shape) = (architecture.latent_dim(), Shape::draw(rng));
    let (sample_dim, bits) = (architecture.sample_dim(), architecture.latent_bits());
    let latents = QuantizedLatents {
        minimum: (0..dim).map(|_| finite(rng)).collect(),
        step: (0..dim).map(|_| finite(rng)).collect(),
        values: (0..sample_dim * clip.samples())
            .map(|i| shape.value(rng, 0, (1 << bits[i % dim]) - 1) as u16)
            .collect(),
    };
    let sidecar = sidecar(rng, clip.samples(), sample_dim);
    let maps = architecture.map_shape(clip.samples()).unwrap().map(|shape| Arc::new(maps(rng, shape)));
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps }).unwrap()
}

/// Maps in which runs of pixels, of any length, are of one class each.
fn maps(rng: &mut impl Rng, shape: MapShape) -> ClassMaps {
    let (spread, longest) = (Shape::draw(rng), [1, 5, 300][rng.random_range(0..3)]);
    let mut values = Vec::new();
    while values.len() < shape.count() * shape.pixels() {
        let class = spread.value(rng, 0, shape.classes() as i32 - 1) as u8;
        values.resize(values.len() + rng.random_range(1..=longest), class);
    }
    values.truncate(shape.count() * shape.pixels());
    ClassMaps::new(shape, values).unwrap()
}

/// Nothing, a few corrections, or nearly all there can be.
fn sidecar(rng: &mut impl Rng, samples: usize, dim: usize) -> Sidecar {
    let mut sidecar = Sidecar::default();
    let targets: Vec<CorrectionTarget> = CorrectionTarget::all(dim).collect();
    for _ in 0..[0, 5, 4 * samples * targets.len()][rng.random_range(0..3)] {
        let (sample, target) = (rng.random_range(0..samples as u32), targets[rng.random_range(0..targets.len())]);
        sidecar.set(sample, target, rng.random_range(-MAX_AMOUNT..=MAX_AMOUNT));
    }
    sidecar
}

/// Any layer that a version of the format has.
fn layer(version: u8) -> impl Strategy<Value = Layer> {
    let plain = (1..6usize, 1..=4usize, prop_oneof![Just(1usize), Just(3)]);
    let plain = plain.prop_map(|(channels, upscale, kernel)| Stage::new(channels, upscale, kernel));
    let kernel = || prop_oneof![Just(1usize), Just(3), Just(5)];
    // Class maps are large already.
    let any = (1..6usize, 1..=if version == 4 { 2usize } else { 5 }, kernel(), any::<bool>(), activation());
    let any = any.prop_map(|(channels, upscale, kernel, skip, activation)| Stage {
        skip,
        activation,
        ..Stage::new(channels, upscale, kernel)
    });
    let stage = if version == 2 { plain.boxed() } else { any.boxed() };
    let refine = (1..5usize, 1..=if version == 4 { 8usize } else { 4 }, -1e6f32..1e6);
    let residual = (1..6usize, kernel(), 1..=8usize, activation());
    let residual = residual.prop_map(|(hidden, kernel, dilation, activation)| {
        Layer::Residual(Residual { hidden, kernel, dilation, activation })
    });
    prop_oneof![
        3 => stage.prop_map(Layer::Stage),
        1 => refine.prop_map(|(hidden, dilation, gain)| Layer::Refine(Refine { hidden, dilation, gain })),
        if version == 4 { 6 } else { 0 } => residual,
    ]
}

fn activation() -> impl Strategy<Value = Nonlinearity> {
    prop_oneof![Just(Nonlinearity::Sin), Just(Nonlinearity::Gelu)]
}

fn head() -> impl Strategy<Value = Head> {
    prop_oneof![Just(Head::Sigmoid), Just(Head::Tanh)]
}

/// A table without class maps; half of them the oldest version can hold.
fn latent_table() -> impl Strategy<Value = LayerTable> {
    let stem = (1..6usize, 1..4usize, 1..4usize);
    let stem = stem.prop_map(|(channels, height, width)| Stem::new(channels, height, width));
    let ends = (any::<bool>(), 1..=2usize, head());
    (any::<bool>(), 1..9usize, stem, ends).prop_flat_map(|(old, latent_dim, stem, ends)| {
        let (linear, frames, head) = if old { (true, 2, Head::Sigmoid) } else { ends };
        prop::collection::vec(layer(if old { 2 } else { 3 }), 0..5).prop_map(move |layers| {
            let latent_dim = if linear { latent_dim } else { stem.channels * stem.height * stem.width };
            LayerTable { frames, head, ..LayerTable::new(latent_dim, Stem { linear, ..stem }, layers) }
        })
    })
}

/// A table with class maps; half of them have a carrier.
fn semantic_table() -> impl Strategy<Value = LayerTable> {
    let classes = prop_oneof![3 => 2..8usize, 1 => Just(1usize), 1 => Just(255usize)];
    let stem = (classes, 1..5usize, 1..20usize, 1..20usize);
    let stem =
        stem.prop_map(|(classes, channels, height, width)| Stem { classes, ..Stem::new(channels, height, width) });
    let bits = prop_oneof![Just(8u8), Just(10), Just(12)];
    let carrier = (1..6usize, 1..5usize, 1..5usize, prop_oneof![Just(1usize), Just(3)], bits);
    let carrier = carrier.prop_map(|(coefficients, height, width, channels, bits)| Carrier {
        coefficients,
        height,
        width,
        channels,
        bits,
    });
    let ends = (prop::option::of(carrier), 1..=2usize, head());
    (1..6usize, stem, prop::collection::vec(layer(4), 0..5), ends).prop_map(|(numbers, stem, layers, ends)| {
        let (carrier, frames, head) = ends;
        let latent_dim = numbers + carrier.map_or(0, |carrier| carrier.coefficients);
        let frames = if carrier.is_some() { 2 } else { frames };
        LayerTable { frames, head, carrier, ..LayerTable::new(latent_dim, stem, layers) }
    })
}

/// Any small representation, of one frame and of more, odd numbers too.
fn representation() -> impl Strategy<Value = Representation> {
    let table = prop_oneof![latent_table(), semantic_table()];
    let frames = prop_oneof![1 => Just(1usize), 9 => 1..80usize];
    let shot = ("[a-zA-Z0-9 .é_-]{1,12}[a-z]", frames, 1..=4096usize, 1..=4096usize);
    (table, shot).prop_perturb(|(table, (name, frames, height, width)), mut rng| {
        fill(Architecture::new(table).unwrap(), clip(&name, frames, height, width), &mut rng)
    })
}

#[test]
fn what_levels_cost_is_what_the_archive_takes() {
    let representation = small();
    let found = level_costs(&representation);
    let costs = cost(&representation);
    let own = |costs: &archive::ValueCosts, values: &[i32]| -> f64 {
        values.iter().enumerate().map(|(i, &value)| f64::from(costs.bits(i, value))).sum()
    };
    for ((tensor, found), &whole) in representation.parameters.iter().zip(&found.tensors).zip(&costs) {
        let values: Vec<i32> = tensor.values.iter().map(|&value| value.into()).collect();
        let bits = own(found, &values);
        // A width, a flag and a step or some are the rest.
        assert!(bits <= whole + 1e-3 && bits > whole - 45.0 * tensor.steps.len() as f64, "{bits} of {whole}");
        // All levels within reach are there and less likely together than certain.
        let reach: Vec<i32> = (values[0] - 4..=values[0] + 4).collect();
        let chance: f64 = reach.iter().map(|&level| (-f64::from(found.bits(0, level))).exp2()).sum();
        assert!(chance > 0.0 && chance < 1.0 + 1e-6, "{chance}");
        assert_eq!(found.bits(0, values[0] + 9), found.bits(0, values[0] + 4));
        assert_eq!(found.bits(values.len(), 0), 0.0);
    }
    let values: Vec<i32> = representation.latents.values.iter().map(|&value| value.into()).collect();
    let (bits, whole) = (own(&found.latents, &values), costs[representation.parameters.len()]);
    assert!(bits <= whole + 1e-3 && bits > whole - 90.0 * representation.latents.dim() as f64, "{bits} of {whole}");
    // Changing the last latent costs what was said, as nothing comes after it but the sidecar.
    let last = values.len() - 1;
    for level in
        [values[last] - 1, values[last] + 1, values[last] + 3].into_iter().filter(|level| (0..256).contains(level))
    {
        let mut changed = representation.clone().into_parts();
        changed.latents.values[last] = level as u16;
        let whole_then = cost(&Representation::new(changed).unwrap())[representation.parameters.len()];
        let said = f64::from(found.latents.bits(last, level) - found.latents.bits(last, values[last]));
        assert!((whole_then - whole - said).abs() < 1e-3, "{whole_then} instead of {whole}, said {said}");
    }
}

/// The bits of a coefficient below those that are predicted are taken for what they are: noise of a bit each.
#[test]
fn what_coefficients_cost_is_about_what_the_archive_takes() {
    let representation = semantic();
    let (latents, bits) = (&representation.latents, representation.architecture.latent_bits());
    assert_eq!(bits, [8, 8, 10, 10]);
    let (found, costs) = (level_costs(&representation).latents, cost(&representation));
    let tensors = representation.parameters.len();
    for (first, whole) in [(0, costs[tensors]), (2, costs[tensors + 1])] {
        let own: f64 = (0..latents.values.len())
            .filter(|i| i % 4 / 2 == first / 2)
            .map(|i| f64::from(found.bits(i, latents.values[i].into())))
            .sum();
        // Four floats are the rest, and what the low bits of twelve coefficients teach.
        assert!((whole - own - 64.0).abs() < 70.0, "{own} of {whole}");
    }
    // Levels that differ in the low bits alone cost the same; the others lie beside each other.
    let (at, value) = (4 * 3 + 2, i32::from(latents.values[4 * 3 + 2]));
    let costs: Vec<f32> = (-4..=4).map(|off| found.bits(at, value + off)).collect();
    for (off, pair) in (-4..).zip(costs.windows(2)) {
        assert_eq!((value + off) >> 2 == (value + off + 1) >> 2, pair[0] == pair[1], "{value} {costs:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(representation in representation()) {
        let archive = encode(&representation);
        prop_assert_eq!(&decode(&archive).unwrap(), &representation);
        prop_assert_eq!(header(&archive).unwrap(), (representation.architecture.clone(), representation.clip.clone()));

        let budget = budget(&archive).unwrap();
        prop_assert_eq!(budget.bytes, archive.len());
        let sum: f64 = budget.shares.iter().map(|share| share.bytes).sum();
        prop_assert!((sum - archive.len() as f64).abs() < 1e-6, "{} bytes of {}", sum, archive.len());
        // Length, checksum and the end of a range coder with 16-bit words; a count that drifted would show here.
        let framing = budget.shares.last().unwrap().bytes;
        prop_assert!((5.0..=11.0).contains(&framing), "{} bytes of framing", framing);
        let costs: f64 = cost(&representation).iter().sum();
        let apart = |share: &&Share| !matches!(share.section, Section::Header | Section::Maps | Section::Framing);
        let coded = budget.shares.iter().filter(apart);
        // A sidecar without corrections has no share, its one bit counts as framing.
        prop_assert!((coded.map(|share| share.bytes).sum::<f64>() - costs / 8.0).abs() < 0.126);

        let maps = encode_maps(&representation);
        prop_assert_eq!(&encode_beside(&representation, &maps), &archive);
        let share = budget.shares.iter().find(|share| share.section == Section::Maps);
        prop_assert_eq!(share.map(|share| share.bytes), representation.maps.as_ref().map(|_| maps.len() as f64));
        let table = representation.architecture.table();
        prop_assert!(archive[4] == 4 || table.stem.classes == 0, "version {}", archive[4]);
        let coefficients = budget.shares.iter().find(|share| share.section == Section::Coefficients);
        prop_assert_eq!(
            coefficients.map(|share| (share.bits, share.values)),
            table.carrier.map(|carrier| (carrier.bits, carrier.coefficients * representation.clip.samples()))
        );
    }
}

#[test]
fn the_format_stays_what_it_is() {
    // Archives live longer than programs. If this fails, archives written before are no longer read: undo the change, or
    // give the format a new version.
    let pinned = |representation| {
        let archive = encode(&representation);
        (archive.len(), crc32fast::hash(&archive[..archive.len() - 4]))
    };
    assert_eq!([small(), semantic()].map(pinned), [(305, 2_336_690_197), (362, 1_936_835_969)]);
}

#[test]
fn a_budget_names_every_tensor() {
    for representation in [small(), semantic()] {
        let budget = budget(&encode(&representation)).unwrap();
        let tensors: Vec<_> = budget.shares.iter().filter(|share| share.section == Section::Tensor).collect();
        assert_eq!(tensors.len(), representation.parameters.len());
        let parameters = representation.architecture.parameters();
        for ((share, tensor), parameter) in tensors.iter().zip(&representation.parameters).zip(parameters) {
            assert_eq!((&share.name, share.bits, share.values), (&parameter.name, tensor.bits, tensor.values.len()));
            assert!(share.bits_per_value() > 0.0 && share.entropy_bytes <= share.values as f64);
        }
        let others: Vec<&Share> = budget.shares.iter().filter(|share| share.section != Section::Tensor).collect();
        let sections: Vec<Section> = others.iter().map(|share| share.section).collect();
        let expected = [Section::Header, Section::Latents, Section::Sidecar, Section::Framing];
        let Some(maps) = &representation.maps else {
            assert_eq!(sections, expected);
            continue;
        };
        let [header, latents, sidecar, framing] = expected;
        assert_eq!(sections, [header, latents, Section::Coefficients, sidecar, Section::Maps, framing]);
        assert_eq!((others[1].bits, others[1].values), (8, 12));
        assert_eq!((others[2].bits, others[2].values), (10, 12));
        assert!(others[2].entropy_bytes > 0.0 && others[2].entropy_bytes < others[2].bytes);
        assert_eq!(
            (others[4].values, others[4].bytes),
            (maps.values().len(), encode_maps(&representation).len() as f64)
        );
        assert!(others[4].bytes < others[4].entropy_bytes, "areas are dearer than noise");
    }
}

#[test]
fn repetition_costs_next_to_nothing() {
    let mut parts = small().into_parts();
    parts.clip = clip("clip", 20_000, 8, 10);
    parts.latents.values = vec![77; 20_000];
    let representation = Representation::new(parts).unwrap();
    let archive = encode(&representation);
    assert!(archive.len() < 400, "{}", archive.len());
    assert_eq!(decode(&archive).unwrap(), representation);
}
