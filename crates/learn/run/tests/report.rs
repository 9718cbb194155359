//! What a run with evaluators tells of itself.

mod common;

use std::path::PathBuf;

use common::{Watch, recipe, run_on, scene_of};
use dataset::{Dataset, OriginalOutputs};
use frames::RgbFrame;
use metric::{PerceptionStack, evaluator_input};
use perception::{Evaluators, use_library};
use recipe::tables::{EvaluatorsTable, LossTable, StageTable};
use report::{Metrics, RunFolder};
use run::{Device, Outcome};

/// Tiny evaluators, made for tests.
fn model(name: &str) -> PathBuf {
    testdata::asset_of("metric/perception", name)
}

/// Frame `index` as the clip has it.
fn frame(dataset: &Dataset, index: usize) -> RgbFrame {
    let (planes, info) = (dataset.frame(index).unwrap(), dataset.info());
    let pixels = info.height * info.width;
    let data = (0..pixels).flat_map(|i| [planes[i], planes[pixels + i], planes[2 * pixels + i]]).collect();
    RgbFrame::new(info.width, info.height, data).unwrap()
}

#[test]
fn the_report_of_a_run_with_evaluators_has_the_metric_and_the_class_maps() {
    let Some(library) = testdata::onnxruntime() else { return };
    use_library(&library).unwrap();
    let paths = EvaluatorsTable { segnet: model("segnet.onnx"), posenet: model("posenet.onnx"), source: None };
    let mut evaluators = Evaluators::load(&paths.segnet, &paths.posenet, 1).unwrap();
    let dataset = scene_of("<scene> & \"co\"", 10);
    let mut samples = Vec::new();
    for index in (0..10).step_by(2) {
        let pair = [index, index + 1].map(|index| evaluator_input(&frame(&dataset, index)));
        samples.push(evaluators.evaluate(pair.each_ref()).unwrap());
    }
    let networks = evaluators.identity().networks;
    let dataset = dataset.with_outputs(OriginalOutputs { networks, samples }).unwrap();
    let mut config = recipe();
    config.evaluators = Some(paths);
    let loss = LossTable { pose: 1.0, ..LossTable::default() };
    config.stage = vec![config.stage[0].clone(), StageTable { epochs: 2, ..StageTable::new("pose & more", loss) }];

    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    let mut watch = Watch::default();
    let outcome = run_on(Device::Cpu, &config, &dataset, Some(&mut evaluators), &folder, false, &mut watch).unwrap();
    let Outcome::Finished { evaluation, archive_bytes, .. } = outcome else { panic!("{outcome:?}") };
    let score = evaluation.score.unwrap();

    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.report_json()).unwrap()).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    assert_eq!([number("score"), number("segnet_distortion")], [score.score, score.segnet]);
    assert_eq!([number("posenet_distortion"), number("rate")], [score.posenet, archive_bytes as f64 / 100_000.0]);
    let pairs = report["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 5);
    let terms =
        |pair: &serde_json::Value| pair["segnet_term"].as_f64().unwrap() + pair["posenet_term"].as_f64().unwrap();
    let mean = pairs.iter().map(terms).sum::<f64>() / 5.0;
    assert!((mean + 25.0 * number("rate") - score.score).abs() < 1e-9);

    let page = std::fs::read_to_string(folder.report_html()).unwrap();
    assert_eq!(page.matches("data:image/png").count(), 12);
    for part in [
        "Score of the archive",
        "PoseNet distortion",
        "class 0:",
        "pose &amp; more",
        "&lt;scene&gt; &amp; &quot;co&quot;",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<scene>") && page.len() < 6 << 20);
    let lines = Metrics::read(&folder.metrics()).unwrap();
    assert!(lines.iter().all(|line| line.score.is_some() == line.epoch.is_multiple_of(2)), "{lines:?}");
    assert!(lines[5].posenet.is_some() && lines[0].posenet.is_none());
    assert!(std::fs::metadata(folder.events()).unwrap().len() > 0);
}
