//! The search over class maps, with evaluators made for it: it finds what was planted, never raises the score, claims what is so,
//! and goes on where it was interrupted.

use std::cell::RefCell;
use std::num::NonZeroU64;

use dataset::{Dataset, DatasetInfo};
use encode::{EncodeError, Judge, MapSearch, MapSearchState, Resolve, Saved, Steps};
use frames::{Planes, RgbFrame};
use metric::{
    Distortions, NetworkHashes, POSE_LEN, PerceptionStack, SampleOutputs, StackError, StackIdentity, evaluator_input,
};
use repr::{
    Architecture, Carrier, ClassMaps, Clip, ClipName, LayerTable, MapShape, Representation, RepresentationParts,
    Sidecar, Stem, quantize_latents, quantize_tensor,
};

mod common;

const ROWS: usize = 48;
const COLUMNS: usize = 64;
const SAMPLES: usize = 3;
const KEY: [u8; 32] = [5; 32];

/// SegNet by brightness, dark to light; PoseNet by how much brighter the second frame is, times something.
#[derive(Clone, Copy)]
struct Brightness {
    pose: f32,
}

impl PerceptionStack for Brightness {
    fn identity(&self) -> StackIdentity {
        let networks = NetworkHashes { segnet: [1; 32], posenet: [2; 32] };
        StackIdentity { networks, runtime: "brightness".into() }
    }

    fn classes(&mut self, frame: &Planes) -> Result<Vec<u8>, StackError> {
        Ok(frame.plane(0).iter().map(|&v| u8::from(v > 85.0) + u8::from(v > 170.0)).collect())
    }

    fn pose(&mut self, [first, second]: [&Planes; 2]) -> Result<[f32; POSE_LEN], StackError> {
        let mean = |frame: &Planes| frame.data().iter().sum::<f32>() / frame.data().len() as f32;
        Ok([self.pose * (mean(second) - mean(first)); POSE_LEN])
    }
}

/// A renderer in which classes are grey levels, a little blurred, fed with `maps`.
fn representation(maps: Vec<u8>) -> Representation {
    let stem = Stem { classes: 3, ..Stem::new(1, ROWS, COLUMNS) };
    let mut table = LayerTable::new(3, stem, Vec::new());
    table.carrier = Some(Carrier { coefficients: 2, height: 3, width: 4, channels: 1, bits: 8 });
    let architecture = Architecture::new(table).unwrap();
    let values = |(seed, parameter): (usize, &repr::Parameter)| -> Vec<f32> {
        let fill = |i: usize| match parameter.name.as_str() {
            "stem.weight" => [-1.0, 0.0, 1.0].get(i).copied().unwrap_or(0.0),
            name if name.starts_with("rgb") && name.ends_with("weight") => {
                if i % 9 == 4 {
                    1.6
                } else {
                    0.15
                }
            }
            name if name.starts_with("carrier") => 0.2 * common::noise(seed, i),
            _ => 0.0,
        };
        (0..parameter.len()).map(fill).collect()
    };
    let values: Vec<Vec<f32>> = architecture.parameters().iter().enumerate().map(values).collect();
    let quantized = values.iter().map(|values| quantize_tensor("t", values, 8).unwrap()).collect();
    let latents: Vec<f32> = (0..3 * SAMPLES).map(|i| common::noise(99, i)).collect();
    let shape = MapShape::new(SAMPLES, ROWS, COLUMNS, 3).unwrap();
    let parts = RepresentationParts {
        maps: Some(ClassMaps::new(shape, maps).unwrap().into()),
        latents: quantize_latents(&latents, &architecture.latent_bits()).unwrap(),
        clip: Clip::new(ClipName::new("clip").unwrap(), 2 * SAMPLES, ROWS, COLUMNS).unwrap(),
        architecture,
        parameters: quantized,
        sidecar: Sidecar::default(),
    };
    Representation::new(parts).unwrap()
}

/// Three areas that move.
fn truth() -> Vec<u8> {
    let class = |at: usize| {
        let (t, y, x) = (at / (ROWS * COLUMNS), at / COLUMNS % ROWS, at % COLUMNS);
        u8::from(y > 14 + x / 9 + t) + u8::from(x > 20 + y / 3 + 2 * t && y > 14 + x / 9 + t)
    };
    (0..SAMPLES * ROWS * COLUMNS).map(class).collect()
}

/// The same with holes beside its edges.
fn spoiled() -> Vec<u8> {
    let mut maps = truth();
    for at in COLUMNS..maps.len() - COLUMNS {
        if truth()[at] != truth()[at - COLUMNS] && at % COLUMNS % 8 == 3 {
            maps[at] = truth()[at - COLUMNS];
        }
    }
    maps
}

/// What the evaluators say of a representation.
fn outputs(representation: &Representation, mut stack: Brightness) -> Vec<SampleOutputs> {
    let decoder = decoder::Decoder::new(representation);
    let evaluate = |sample| {
        let [first, second] = decoder.decode(sample).unwrap().map(|frame| evaluator_input(&frame));
        stack.evaluate([&first, &second]).unwrap()
    };
    (0..SAMPLES).map(evaluate).collect()
}

fn dataset(samples: usize) -> Dataset {
    let info = DatasetInfo {
        name: "clip".parse().unwrap(),
        clip_bytes: NonZeroU64::new(10_000).unwrap(),
        clip_height: ROWS,
        clip_width: COLUMNS,
        height: ROWS,
        width: COLUMNS,
    };
    let mut dataset = Dataset::new(info).unwrap();
    let frame = RgbFrame::new(COLUMNS, ROWS, vec![0; 3 * ROWS * COLUMNS]).unwrap();
    (0..2 * samples).for_each(|_| dataset.push(&frame).unwrap());
    dataset
}

/// The true score, from the frames and the bytes.
fn score(representation: &Representation, originals: &[SampleOutputs], stack: Brightness, clip_bytes: u64) -> f64 {
    let mut distortions = Distortions::default();
    outputs(representation, stack).iter().zip(originals).for_each(|(now, original)| distortions.add(original, now));
    let rate = archive::encode(representation).len() as f64 / clip_bytes as f64;
    metric::score(distortions.segnet(), distortions.posenet(), rate)
}

struct Bench {
    start: Representation,
    originals: Vec<SampleOutputs>,
    stack: Brightness,
    clip_bytes: u64,
}

impl Bench {
    fn new(pose: f32, clip_bytes: u64) -> Self {
        let stack = Brightness { pose };
        let mut originals = outputs(&representation(truth()), stack);
        let start = representation(spoiled());
        // The pose is met as it is.
        for (original, now) in originals.iter_mut().zip(outputs(&start, stack)) {
            original.pose = now.pose;
        }
        Self { start, originals, stack, clip_bytes }
    }

    fn score(&self, representation: &Representation) -> f64 {
        score(representation, &self.originals, self.stack, self.clip_bytes)
    }

    /// Searches to the end; `between` may replace the state after each step.
    fn search(&self, resolve: Box<Resolve<'_>>, between: impl Fn(MapSearchState) -> MapSearchState) -> MapSearchState {
        let (dataset, mut stack) = (dataset(SAMPLES), self.stack);
        let clip_bytes = NonZeroU64::new(self.clip_bytes).unwrap();
        let judge = Judge::Metric { stack: &mut stack, originals: &self.originals, clip_bytes };
        let mut search = MapSearch::new(&self.start, &dataset, judge, resolve).unwrap();
        let mut state = MapSearch::begin(&self.start);
        while !search.is_finished(&state) {
            search.step(&mut state).unwrap();
            state = between(state);
        }
        let claimed = search.cost(&state)
            + metric::rate_term(archive::encode(state.representation()).len() as f64 / self.clip_bytes as f64);
        let exact = self.score(state.representation());
        assert!((claimed - exact).abs() < 1e-12, "{claimed} is claimed, {exact} is true");
        state
    }
}

fn nothing() -> Box<Resolve<'static>> {
    hook(|_, _| Ok(()))
}

fn hook<'a>(mut resolve: impl FnMut(&mut Representation, usize) -> Result<(), EncodeError> + 'a) -> Box<Resolve<'a>> {
    Box::new(move |representation, sample, _| resolve(representation, sample))
}

#[test]
fn planted_improvements_are_found_where_bytes_are_cheap() {
    let bench = Bench::new(0.0, 1_000_000);
    let state = bench.search(nothing(), |state| state);
    let (before, after) = (bench.score(&bench.start), bench.score(state.representation()));
    let rate = metric::rate_term(archive::encode(state.representation()).len() as f64 / 1e6);
    assert!(after - rate < 0.3 * (before - rate), "{before} to {after}, of which {rate} are bytes");
    assert!(state.edits() >= 10);
}

#[test]
fn the_score_never_rises_whatever_bytes_cost() {
    for clip_bytes in [1, 300, 3000, 100_000] {
        let bench = Bench::new(0.0, clip_bytes);
        let state = bench.search(nothing(), |state| state);
        let (before, after) = (bench.score(&bench.start), bench.score(state.representation()));
        assert!(after <= before, "{clip_bytes}: {before} to {after}");
    }
}

#[test]
fn a_search_that_was_interrupted_ends_like_one_that_was_not() {
    // With latents that change on the way.
    let bench = Bench::new(0.0, 1_000_000);
    let resolve = |representation: &mut Representation, sample: usize| {
        let mut row = representation.latents.values[3 * sample..][..3].to_vec();
        row[2] ^= 1;
        Ok(representation.set_sample(sample, &row, &Sidecar::default())?)
    };
    let whole = bench.search(hook(resolve), |state| state);
    let again = |state: MapSearchState| MapSearchState::decode(&state.encode(&KEY), &KEY).unwrap();
    assert_eq!(whole, bench.search(hook(resolve), again));
    assert!(whole.edits() > 0 && whole.representation().latents != bench.start.latents);
}

#[test]
fn samples_that_have_changed_are_resolved_and_judged_as_pairs() {
    // Every sample is asked for, and only once its map has changed.
    let bench = Bench::new(0.0, 1_000_000);
    let calls = RefCell::new(Vec::new());
    let record = |representation: &mut Representation, sample: usize| {
        assert_ne!(representation.map(sample), bench.start.map(sample));
        calls.borrow_mut().push(sample);
        Ok(())
    };
    let state = bench.search(hook(record), |state| state);
    let changed = (0..SAMPLES).filter(|&sample| state.representation().map(sample) != bench.start.map(sample));
    assert!(changed.clone().count() > 0 && changed.clone().all(|sample| calls.borrow().contains(&sample)));

    // Poses that no edit is worth: all is as it was, the latents that were moved on the way too.
    let bench = Bench::new(10.0, 1_000_000);
    let spoil = |representation: &mut Representation, sample: usize| {
        Ok(representation.set_sample(sample, &[0, 0, 255], &Sidecar::default())?)
    };
    let state = bench.search(hook(spoil), |state| state);
    assert_eq!(*state.representation(), bench.start);

    // An error ends the search.
    let dataset = dataset(SAMPLES);
    let (mut stack, clip_bytes) = (bench.stack, NonZeroU64::new(1_000_000).unwrap());
    let judge = Judge::Metric { stack: &mut stack, originals: &bench.originals, clip_bytes };
    let mut search =
        MapSearch::new(&bench.start, &dataset, judge, hook(|_, _| Err(EncodeError::OtherEvaluators))).unwrap();
    let mut state = MapSearch::begin(&bench.start);
    let error = std::iter::repeat_with(|| search.step(&mut state)).take(10).find_map(Result::err);
    assert!(matches!(error, Some(EncodeError::OtherEvaluators)));
}

#[test]
fn a_state_is_taken_whole_and_for_its_own_inputs_or_not_at_all() {
    let bench = Bench::new(0.0, 1_000_000);
    let state = bench.search(nothing(), |state| state);
    let bytes = state.encode(&KEY);
    assert_eq!(MapSearchState::decode(&bytes, &KEY), Some(state));
    assert_eq!(MapSearchState::decode(&bytes, &[8; 32]), None);
    for length in (0..bytes.len()).step_by(3) {
        assert_eq!(MapSearchState::decode(&bytes[..length], &KEY), None, "cut to {length}");
    }
    for bit in (0..bytes.len() * 8).step_by(29) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(MapSearchState::decode(&flipped, &KEY), None, "bit {bit}");
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let bench = Bench::new(0.0, 1000);
    let refusal = |start: &Representation, judge: Judge<'_>, samples: usize| {
        MapSearch::new(start, &dataset(samples), judge, nothing()).err().map(|error| error.to_string())
    };
    let originals = &bench.originals;
    let (mut a, mut b, mut c) = (bench.stack, bench.stack, bench.stack);
    fn metric<'a>(stack: &'a mut Brightness, originals: &'a [SampleOutputs]) -> Judge<'a> {
        Judge::Metric { stack, originals, clip_bytes: NonZeroU64::MIN }
    }
    let latent = common::source(SAMPLES);
    assert!(refusal(latent.plain(), metric(&mut a, originals), SAMPLES).unwrap().contains("class maps"));
    assert!(refusal(&bench.start, Judge::Pixels { lambda: 1.0 }, SAMPLES).unwrap().contains("--segnet"));
    assert!(refusal(&bench.start, metric(&mut b, originals), 4).unwrap().contains("8 frames"));
    assert_eq!(refusal(&bench.start, metric(&mut c, originals), SAMPLES), None);
}
