//! Runs whose loss asks the evaluators, on the project's own ones; skipped with a word without ONNX Runtime.

mod common;

use std::path::PathBuf;

use common::{HEIGHT, WIDTH, Watch, recipe, run_on, scene};
use dataset::{Dataset, OriginalOutputs};
use evaluate::evaluate;
use frames::RgbFrame;
use metric::{NetworkHashes, PerceptionStack, evaluator_input};
use perception::{Evaluators, use_library};
use recipe::tables::{EvaluatorsTable, LossTable, MuonTable, RateTable, RecipeTable, SegmentationTable, StageTable};
use recipe::{PoseOver, RateModel, SegmentationKind, Start, Trains};
use report::{Metrics, RunFolder};
use run::{Checkpoint, Device, Outcome, RunError};

fn asset(name: &str) -> PathBuf {
    testdata::asset(name)
}

fn paths() -> EvaluatorsTable {
    EvaluatorsTable { segnet: asset("segnet-demo.onnx"), posenet: asset("posenet-demo.onnx"), source: None }
}

fn evaluators() -> Option<Evaluators> {
    use_library(&testdata::onnxruntime()?).unwrap();
    let EvaluatorsTable { segnet, posenet, .. } = paths();
    Some(Evaluators::load(&segnet, &posenet, 2).unwrap())
}

/// The scene with what the evaluators say of it.
fn dataset(evaluators: &mut Evaluators, frames: usize) -> Dataset {
    let dataset = scene(frames);
    let frame = |index: usize| {
        let planes = dataset.frame(index).unwrap();
        let pixel = |i: usize| [0, 1, 2].map(|c| planes[c * HEIGHT * WIDTH + i]);
        evaluator_input(&RgbFrame::new(WIDTH, HEIGHT, (0..HEIGHT * WIDTH).flat_map(pixel).collect()).unwrap())
    };
    let samples = (0..frames / 2).map(|i| evaluators.evaluate([&frame(2 * i), &frame(2 * i + 1)]).unwrap()).collect();
    dataset.with_outputs(OriginalOutputs { networks: evaluators.identity().networks, samples }).unwrap()
}

/// Pixels first, then all that the curriculum knows.
fn curriculum() -> RecipeTable {
    let segmentation = |kind| SegmentationTable { kind, weight: 100.0, tau: 0.3, hard: 1.0, hard_margin: 1.0 };
    let loss = |kind| LossTable { pose: 1.0, segmentation: Some(segmentation(kind)), ..LossTable::default() };
    let rate = RateTable { weight: 1.0, sigma: 0.2, model: RateModel::Coder, refresh: 1 };
    let mut config = recipe();
    config.evaluators = Some(paths());
    config.stage.truncate(1);
    config.stage[0].epochs = 30;
    config.stage.extend([
        StageTable {
            epochs: 4,
            learning_rate: 2e-3,
            muon: Some(MuonTable { learning_rate: 2e-3, weight_decay: 0.0, momentum: 0.95 }),
            batch: Some(1),
            ..StageTable::new("softplus", loss(SegmentationKind::Softplus))
        },
        StageTable {
            epochs: 2,
            start: Start::Best,
            quantized: true,
            learned_steps: true,
            ..StageTable::new("sigmoid", LossTable { rate: Some(rate), ..loss(SegmentationKind::Sigmoid) })
        },
        StageTable {
            epochs: 2,
            quantized: true,
            trains: Trains::Latents,
            adaptive: 0.5,
            ..StageTable::new("latents", LossTable { pose_over: PoseOver::Clip, ..loss(SegmentationKind::Sigmoid) })
        },
    ]);
    config
}

#[test]
fn perception_training_lowers_the_score_and_keeps_the_best() {
    let Some(mut evaluators) = evaluators() else { return };
    let dataset = dataset(&mut evaluators, 9);
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    let outcome =
        run_on(Device::Cpu, &curriculum(), &dataset, Some(&mut evaluators), &folder, false, &mut Watch::default());
    let Outcome::Finished { archive_bytes, evaluation, .. } = outcome.unwrap() else { panic!("not finished") };
    let score = evaluation.score.unwrap();
    let lines = Metrics::read(&folder.metrics()).unwrap();
    let scores: Vec<f64> = lines.iter().filter_map(|line| Some(line.score?.score)).collect();
    let after_pixels = lines[29].score.unwrap();
    assert!(score.score < 0.9 * after_pixels.score, "{score:?} after {after_pixels:?}");
    // The archive is that of the best evaluation, of the bytes that it has.
    assert_eq!(scores.iter().copied().fold(f64::INFINITY, f64::min), score.score);
    assert_eq!(std::fs::metadata(folder.archive()).unwrap().len(), archive_bytes as u64);
    assert_eq!(score.archive_bytes, archive_bytes);
    let rate = archive_bytes as f64 / dataset.info().clip_bytes.get() as f64;
    assert!((score.score - metric::score(score.segnet, score.posenet, rate)).abs() < 1e-12);
    assert_eq!(evaluation.pair_distortions.len(), 4);
    let representation = Checkpoint::read(&folder.best()).unwrap().quantize(None).unwrap();
    let again = evaluate(&representation, &dataset, Some(&mut evaluators), archive_bytes).unwrap();
    assert_eq!(again, evaluation);
    // Where the loss has no pixel terms, no PSNR is made up; where it asks no evaluators, no distortion.
    assert!(lines[0].psnr.is_some() && lines[0].segnet.is_none());
    assert!(lines[33].psnr.is_none() && lines[33].segnet.is_some() && lines[33].posenet.is_some());
}

#[test]
fn an_interrupted_perception_run_resumes_to_the_same_archive() {
    let Some(mut evaluators) = evaluators() else { return };
    let dataset = dataset(&mut evaluators, 4);
    let mut config = curriculum();
    config.stage[0].epochs = 2;
    config.stage[1].epochs = 2;
    let base = tempfile::tempdir().unwrap();
    let whole = RunFolder::new(base.path().join("whole"));
    let mut run = |folder: &RunFolder, resume: bool, watch: &mut Watch| {
        run_on(Device::Cpu, &config, &dataset, Some(&mut evaluators), folder, resume, watch).unwrap()
    };
    run(&whole, false, &mut Watch::default());
    let broken = RunFolder::new(base.path().join("broken"));
    for (index, steps) in [1, 2, 2, 1].into_iter().enumerate() {
        assert_eq!(run(&broken, index > 0, &mut Watch::stop_after(steps)), Outcome::Interrupted);
    }
    run(&broken, true, &mut Watch::default());
    assert_eq!(std::fs::read(broken.archive()).unwrap(), std::fs::read(whole.archive()).unwrap());
}

#[test]
fn a_stage_of_latents_leaves_the_decoder_as_it_is() {
    let Some(mut evaluators) = evaluators() else { return };
    let dataset = dataset(&mut evaluators, 4);
    let mut config = curriculum();
    config.stage[0].epochs = 2;
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    // Two pairs, one in a step of the second stage, else two: 2 + 8 + 2 steps, then that of an epoch of latents.
    let mut state = |resume: bool, steps: usize| {
        let mut watch = Watch::stop_after(steps);
        let outcome =
            run_on(Device::Cpu, &config, &dataset, Some(&mut evaluators), &folder, resume, &mut watch).unwrap();
        assert_eq!(outcome, Outcome::Interrupted);
        let checkpoint = Checkpoint::read(&folder.last()).unwrap();
        let position = &checkpoint.metadata.position;
        let distortions = position.distortions.clone();
        (position.stage, distortions, checkpoint.average)
    };
    let (stage, _, before) = state(false, 12);
    assert!(stage == 3 || stage == 2, "{stage}");
    let (stage, distortions, after) = state(true, 1);
    assert_eq!(stage, 3);
    assert_eq!(before.weights, after.weights);
    assert!(before.latents != after.latents && distortions.len() == 2);
    let known = |distortion: &Option<f64>| distortion.is_some_and(|value| value > 0.0);
    assert!(distortions.iter().flatten().all(known), "{distortions:?}");
}

#[test]
fn a_pose_that_was_not_asked_is_not_zero() {
    let Some(mut evaluators) = evaluators() else { return };
    let dataset = dataset(&mut evaluators, 8);
    let base = tempfile::tempdir().unwrap();
    let segmentation =
        SegmentationTable { kind: SegmentationKind::Sigmoid, weight: 100.0, tau: 0.3, hard: 0.0, hard_margin: 1.0 };
    let mut lines = |over: PoseOver| {
        let mut config = curriculum();
        config.stage.truncate(1);
        config.stage[0].epochs = 1;
        let classes = LossTable { segmentation: Some(segmentation), ..LossTable::default() };
        config.stage.push(StageTable::new("classes", classes));
        let both = LossTable { pose: 1.0, pose_over: over, ..classes };
        config.stage.push(StageTable { epochs: 2, ..StageTable::new("both", both) });
        let folder = RunFolder::new(base.path().join(format!("{over:?}")));
        run_on(Device::Cpu, &config, &dataset, Some(&mut evaluators), &folder, false, &mut Watch::default()).unwrap();
        Metrics::read(&folder.metrics()).unwrap()
    };
    let (step, clip) = (lines(PoseOver::Step), lines(PoseOver::Clip));
    assert!(clip[1].segnet.is_some() && clip[1].posenet.is_none());
    assert!(clip[2].posenet.is_some_and(|pose| pose > 0.0));
    // The first epoch that asks knows nothing of the clip and takes the step's root; the next one takes the tangent.
    assert_eq!(clip[2].loss, step[2].loss);
    assert!(clip[3].loss != step[3].loss && clip[3].loss < 10.0 * step[3].loss, "{} {}", clip[3].loss, step[3].loss);
}

#[test]
fn evaluators_made_for_one_image_are_trained_through() {
    let posenet = testdata::asset_of("metric/perception", "posenet-of-one.onnx");
    let Some(_) = evaluators() else { return };
    let mut evaluators = Evaluators::load(&paths().segnet, &posenet, 2).unwrap();
    let dataset = dataset(&mut evaluators, 6);
    let mut config = curriculum();
    config.evaluators = Some(EvaluatorsTable { posenet, ..paths() });
    config.stage.remove(0);
    config.stage.truncate(1);
    // Three pairs: a step of two, one of the one that is left.
    (config.stage[0].epochs, config.stage[0].batch) = (1, None);
    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    let mut watch = Watch::default();
    run_on(Device::Cpu, &config, &dataset, Some(&mut evaluators), &folder, false, &mut watch).unwrap();
    assert_eq!(watch.steps, 2);
}

#[test]
fn outputs_of_other_evaluators_are_refused() {
    let Some(mut evaluators) = evaluators() else { return };
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    let dataset = dataset(&mut evaluators, 2);
    let mut start = |dataset: &Dataset| {
        run_on(Device::Cpu, &curriculum(), dataset, Some(&mut evaluators), &folder, false, &mut Watch::stop_after(1))
    };
    let samples = dataset.originals().unwrap().to_vec();
    let networks = NetworkHashes { segnet: [1; 32], ..dataset.networks().unwrap() };
    let others = dataset.with_outputs(OriginalOutputs { networks, samples }).unwrap();
    assert!(matches!(start(&others), Err(RunError::OtherEvaluators { .. })));
    assert!(matches!(start(&others.without_outputs()), Err(RunError::OtherEvaluators { .. })));
    assert!(!folder.path().exists());
}

#[test]
fn a_single_frame_is_no_pair() {
    let Some(mut evaluators) = evaluators() else { return };
    let dataset = dataset(&mut evaluators, 1);
    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    let mut watch = Watch::stop_after(1);
    let found = run_on(Device::Cpu, &curriculum(), &dataset, Some(&mut evaluators), &folder, false, &mut watch);
    assert!(matches!(found, Err(RunError::NoPair(_))));
}

#[test]
fn a_run_goes_on_with_its_own_evaluators_alone() {
    let Some(mut first) = evaluators() else { return };
    let dataset = dataset(&mut first, 4);
    let base = tempfile::tempdir().unwrap();
    let folder = RunFolder::new(base.path().join("run"));
    let start = |table: &RecipeTable, resume: bool| {
        let EvaluatorsTable { segnet, posenet, .. } = table.evaluators.clone().unwrap();
        let mut evaluators = Evaluators::load(&segnet, &posenet, 2).unwrap();
        let hashes = evaluators.identity().networks;
        let samples = dataset.originals().unwrap().to_vec();
        let dataset = dataset.clone().with_outputs(OriginalOutputs { networks: hashes, samples }).unwrap();
        run_on(Device::Cpu, table, &dataset, Some(&mut evaluators), &folder, resume, &mut Watch::stop_after(1))
    };
    start(&curriculum(), false).unwrap();
    // The same networks elsewhere.
    let mut moved = curriculum();
    let paths = EvaluatorsTable { segnet: base.path().join("s.onnx"), posenet: base.path().join("p.onnx"), ..paths() };
    std::fs::copy(asset("segnet-demo.onnx"), &paths.segnet).unwrap();
    std::fs::copy(asset("posenet-demo.onnx"), &paths.posenet).unwrap();
    moved.evaluators = Some(paths.clone());
    start(&moved, true).unwrap();
    // Another byte at the end: a field that no reader knows.
    for (path, role) in [(&paths.posenet, "PoseNet"), (&paths.segnet, "SegNet")] {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, [bytes.as_slice(), &[0xa0, 0x06, 0x01]].concat()).unwrap();
        let refused = start(&moved, true).unwrap_err();
        assert!(matches!(refused, RunError::OtherNetwork { role: found, .. } if found == role), "{refused}");
    }
}
