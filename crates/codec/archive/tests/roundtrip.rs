//! Whatever is written is read back, and what it costs is known.

mod common;

use archive::{Section, budget, cost, decode, encode, header, level_costs};
use common::{clip, small};
use proptest::prelude::*;
use repr::{
    Architecture, Clip, CorrectionTarget, Head, Layer, LayerTable, MAX_AMOUNT, Nonlinearity, QuantizedLatents,
    QuantizedTensor, Refine, Representation, RepresentationParts, Sidecar, Stage, Stem,
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
    let sample_dim = architecture.sample_dim();
    let latents = QuantizedLatents {
        minimum: (0..dim).map(|_| finite(rng)).collect(),
        step: (0..dim).map(|_| finite(rng)).collect(),
        values: (0..sample_dim * clip.samples()).map(|_| shape.value(rng, 0, 255) as u8 as u16).collect(),
    };
    let sidecar = sidecar(rng, clip.samples(), sample_dim);
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: None }).unwrap()
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

/// Any layer, or one that the oldest version has.
fn layer(old: bool) -> impl Strategy<Value = Layer> {
    let plain = (1..6usize, 1..=4usize, prop_oneof![Just(1usize), Just(3)]);
    let plain = plain.prop_map(|(channels, upscale, kernel)| Stage::new(channels, upscale, kernel));
    let kernel = prop_oneof![Just(1usize), Just(3), Just(5)];
    let any = (1..6usize, 1..=5usize, kernel, any::<bool>(), any::<bool>());
    let any = any.prop_map(|(channels, upscale, kernel, skip, gelu)| {
        let activation = if gelu { Nonlinearity::Gelu } else { Nonlinearity::Sin };
        Stage { skip, activation, ..Stage::new(channels, upscale, kernel) }
    });
    let stage = if old { plain.boxed() } else { any.boxed() };
    let refine = (1..5usize, 1..=4usize, -1e6f32..1e6);
    prop_oneof![
        3 => stage.prop_map(Layer::Stage),
        1 => refine.prop_map(|(hidden, dilation, gain)| Layer::Refine(Refine { hidden, dilation, gain })),
    ]
}

/// Any small representation; half of them the oldest version can hold.
fn representation() -> impl Strategy<Value = Representation> {
    let stem = (1..6usize, 1..4usize, 1..4usize);
    let stem = stem.prop_map(|(channels, height, width)| Stem::new(channels, height, width));
    let ends = (any::<bool>(), any::<bool>(), any::<bool>());
    let table = (any::<bool>(), 1..9usize, stem, ends).prop_flat_map(|(old, latent_dim, stem, ends)| {
        let ends = if old { (true, false, false) } else { ends };
        prop::collection::vec(layer(old), 0..5).prop_map(move |layers| {
            let (linear, single, tanh) = ends;
            let latent_dim = if linear { latent_dim } else { stem.channels * stem.height * stem.width };
            LayerTable {
                frames: if single { 1 } else { 2 },
                head: if tanh { Head::Tanh } else { Head::Sigmoid },
                ..LayerTable::new(latent_dim, Stem { linear, ..stem }, layers)
            }
        })
    });
    let shot = ("[a-zA-Z0-9 .é_-]{1,12}[a-z]", 1..80usize, 1..=4096usize, 1..=4096usize);
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
        let coded = budget.shares.iter().filter(|share| !matches!(share.section, Section::Header | Section::Framing));
        // A sidecar without corrections has no share, its one bit counts as framing.
        prop_assert!((coded.map(|share| share.bytes).sum::<f64>() - costs / 8.0).abs() < 0.126);
    }
}

#[test]
fn the_format_stays_what_it_is() {
    // Archives live longer than programs. If this fails, archives written before are no longer read: undo the change, or
    // give the format a new version.
    let archive = encode(&small());
    assert_eq!((archive.len(), crc32fast::hash(&archive[..archive.len() - 4])), (305, 2_336_690_197));
}

#[test]
fn a_budget_names_every_tensor() {
    let representation = small();
    let budget = budget(&encode(&representation)).unwrap();
    let tensors: Vec<_> = budget.shares.iter().filter(|share| share.section == Section::Tensor).collect();
    assert_eq!(tensors.len(), representation.parameters.len());
    let parameters = representation.architecture.parameters();
    for ((share, tensor), parameter) in tensors.iter().zip(&representation.parameters).zip(parameters) {
        assert_eq!((&share.name, share.bits, share.values), (&parameter.name, tensor.bits, tensor.values.len()));
        assert!(share.bits_per_value() > 0.0 && share.entropy_bytes <= share.values as f64);
    }
    let others: Vec<Section> =
        budget.shares.iter().map(|share| share.section).filter(|&section| section != Section::Tensor).collect();
    assert_eq!(others, [Section::Header, Section::Latents, Section::Sidecar, Section::Framing]);
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
