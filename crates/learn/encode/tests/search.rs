//! The search: it finds what was hidden, pays for what it takes, and goes on where it was interrupted.

mod common;

use dataset::Dataset;
use encode::{EncodeError, Judge, Quantizer, Saved, Search, SearchState, Source, Steps};
use metric::{Distortions, PerceptionStack, SampleOutputs, evaluator_input};
use perception::{Evaluators, use_library};
use repr::{CorrectionTarget, Representation};

const KEY: [u8; 32] = [7; 32];

fn curvature(source: &Source) -> Vec<f64> {
    Quantizer::new(source).latent_curvature()
}

/// Runs a search on the pixels to its end; `between` may replace the state after each step.
fn searched(
    source: &Source,
    dataset: &Dataset,
    lambda: f64,
    between: impl Fn(SearchState) -> SearchState,
) -> (f64, f64, Representation) {
    let judge = Judge::Pixels { lambda };
    let mut search = Search::new(source.plain(), &curvature(source), dataset, judge, 2).unwrap();
    let mut state = search.begin();
    let mut start = None;
    while state.finished() < search.steps() {
        if state.finished() == source.plain().clip.samples() {
            start = Some(search.cost(&state));
        }
        search.step(&mut state).unwrap();
        state = between(state);
    }
    (start.unwrap(), search.cost(&state), state.representation().clone())
}

#[test]
fn a_brighter_original_is_met_with_offsets() {
    let source = common::source(4);
    let dataset = common::original(&source);
    let (before, after, found) = searched(&source, &dataset, 0.01, |state| state);
    // Six levels on every value of one of two frames, but for those that clip.
    assert!((12.0..19.0).contains(&before) && after < 2.0, "{before} to {after}");
    for sample in 0..4 {
        for channel in 0..3 {
            let amount = found.sidecar.amount(sample, CorrectionTarget::Frame { frame: 0, channel, cosine: 0 });
            assert!((8..=13).contains(&amount), "sample {sample}, channel {channel}: {amount} half levels");
        }
    }
    // Frames that inflate gives, not an estimate.
    let mut exact = 0.0;
    let decoder = decoder::Decoder::new(&found);
    for sample in 0..4 {
        for (i, frame) in decoder.decode_native(sample).unwrap().iter().enumerate() {
            let original = dataset.frame(2 * sample + i).unwrap();
            let pairs = frame.data().iter().zip(original);
            exact += pairs.map(|(v, o)| f64::from((v.round_ties_even() as u8).abs_diff(*o)).powi(2)).sum::<f64>();
        }
    }
    assert!((exact / dataset.frames().len() as f64 - after).abs() < 1e-9);
}

#[test]
fn corrections_that_cost_more_than_they_gain_are_left() {
    let source = common::source(4);
    let dataset = common::original(&source);
    let (_, _, found) = searched(&source, &dataset, 1e6, |state| state);
    assert_eq!(found.sidecar.corrections(), []);
}

#[test]
fn a_search_that_was_interrupted_ends_like_one_that_was_not() {
    let source = common::source(4);
    let dataset = common::original(&source);
    let whole = searched(&source, &dataset, 0.01, |state| state);
    let broken = searched(&source, &dataset, 0.01, |state| {
        let bytes = state.encode(&KEY);
        SearchState::decode(&bytes, &KEY).unwrap()
    });
    assert_eq!(whole.1, broken.1);
    assert_eq!(archive::encode(&whole.2), archive::encode(&broken.2));
}

#[test]
fn a_state_is_taken_whole_and_for_its_own_inputs_or_not_at_all() {
    let source = common::source(3);
    let dataset = common::original(&source);
    let mut search =
        Search::new(source.plain(), &curvature(&source), &dataset, Judge::Pixels { lambda: 0.01 }, 1).unwrap();
    let mut state = search.begin();
    (0..4).for_each(|_| search.step(&mut state).unwrap());
    let bytes = state.encode(&KEY);
    assert_eq!(SearchState::decode(&bytes, &KEY), Some(state));
    assert_eq!(SearchState::decode(&bytes, &[8; 32]), None);
    for length in 0..bytes.len() {
        assert_eq!(SearchState::decode(&bytes[..length], &KEY), None, "cut to {length}");
    }
    for bit in (0..bytes.len() * 8).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SearchState::decode(&flipped, &KEY), None, "bit {bit}");
    }
}

#[test]
fn another_clip_is_refused() {
    let source = common::source(3);
    let dataset = common::original(&common::source(4));
    let refused = Search::new(source.plain(), &curvature(&source), &dataset, Judge::Pixels { lambda: 0.01 }, 1);
    assert!(matches!(refused, Err(EncodeError::Original { .. })));
}

#[test]
fn the_metric_falls_on_the_frames_that_inflate_gives() {
    let Some(library) = testdata::onnxruntime() else { return };
    use_library(&library).unwrap();
    let source = common::source(3);
    let dataset = common::original(&source);
    let model = |name: &str| testdata::asset_of("metric/perception", name);
    let mut evaluators = Evaluators::load(&model("segnet.onnx"), &model("posenet.onnx"), 1).unwrap();
    let mut outputs = |representation: &Representation, shift: f32| -> Vec<SampleOutputs> {
        let decoder = decoder::Decoder::new(representation);
        let evaluate = |sample| {
            let [first, second] = decoder.decode(sample).unwrap().map(|frame| evaluator_input(&frame));
            let mut outputs = evaluators.evaluate([&first, &second]).unwrap();
            outputs.pose.iter_mut().for_each(|v| *v += shift);
            outputs
        };
        (0..3).map(evaluate).collect()
    };
    // A pose that the plain frames miss.
    let originals = outputs(source.plain(), 0.02);
    let mut evaluators = Evaluators::load(&model("segnet.onnx"), &model("posenet.onnx"), 1).unwrap();
    let judge = Judge::Metric {
        stack: &mut evaluators,
        originals: &originals,
        clip_bytes: std::num::NonZeroU64::new(10_000_000).unwrap(),
    };
    let mut search = Search::new(source.plain(), &curvature(&source), &dataset, judge, 8).unwrap();
    let mut state = search.begin();
    (0..3).for_each(|_| search.step(&mut state).unwrap());
    let before = search.cost(&state);
    while state.finished() < search.steps() {
        search.step(&mut state).unwrap();
    }
    let after = search.cost(&state);
    assert!(after < before * 0.8, "{before} to {after}");
    let found = state.representation().clone();
    let mut evaluators = Evaluators::load(&model("segnet.onnx"), &model("posenet.onnx"), 1).unwrap();
    let mut distortions = Distortions::default();
    let decoder = decoder::Decoder::new(&found);
    for (sample, original) in originals.iter().enumerate() {
        let [first, second] = decoder.decode(sample).unwrap().map(|frame| evaluator_input(&frame));
        distortions.add(original, &evaluators.evaluate([&first, &second]).unwrap());
    }
    let exact = metric::score(distortions.segnet(), distortions.posenet(), 0.0);
    assert!((exact - after).abs() < 1e-12, "{exact} against {after}");
}
