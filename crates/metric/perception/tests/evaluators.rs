//! Evaluators run by ONNX Runtime, on the tiny models in `assets`.

use std::fs;
use std::path::{Path, PathBuf};

use frames::RgbFrame;
use metric::{PIXELS, PerceptionStack, SampleOutputs, StackError, evaluator_input};
use perception::{Evaluators, PerceptionError, use_library};

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets").join(name)
}

/// False where the library is not installed.
fn runtime() -> bool {
    let library = testdata::onnxruntime();
    library.inspect(|path| use_library(path).unwrap()).is_some()
}

fn load(segnet: &str, posenet: &str) -> Result<Evaluators, PerceptionError> {
    Evaluators::load(&model(segnet), &model(posenet), 1)
}

fn refusal(segnet: &str, posenet: &str) -> String {
    let message = load(segnet, posenet).unwrap_err().to_string();
    assert!(!message.contains('\n') && message.contains("assets/"), "{message}");
    message
}

/// What both say of two frames.
fn evaluate(evaluators: &mut Evaluators, pair: [&RgbFrame; 2]) -> Result<SampleOutputs, StackError> {
    let [first, second] = pair.map(evaluator_input);
    evaluators.evaluate([&first, &second])
}

fn plain(color: [u8; 3]) -> RgbFrame {
    RgbFrame::new(40, 30, color.repeat(1200)).unwrap()
}

#[test]
fn classes_come_from_the_second_frame_and_the_pose_from_both() {
    if !runtime() {
        return;
    }
    let mut evaluators = load("segnet.onnx", "posenet.onnx").unwrap();
    let (red, grey) = (plain([200, 0, 0]), plain([50, 50, 50]));
    let outputs = evaluate(&mut evaluators, [&grey, &red]).unwrap();
    assert_eq!(outputs.classes, vec![1; PIXELS]);
    // The first six planes are the first frame's: Y four times, U, V.
    for (found, expected) in outputs.pose.iter().zip([0.5, 0.5, 0.5, 0.5, 1.28, 1.28]) {
        assert!((found - expected).abs() < 1e-4, "{:?}", outputs.pose);
    }
    let outputs = evaluate(&mut evaluators, [&red, &grey]).unwrap();
    assert_eq!(outputs.classes, vec![0; PIXELS]);
    // Y = .299 * 200, U = (0 - Y) / 1.772 + 128, V = (200 - Y) / 1.402 + 128.
    for (found, expected) in outputs.pose.iter().zip([0.598, 0.598, 0.598, 0.598, 0.94253, 2.28]) {
        assert!((found - expected).abs() < 1e-4, "{:?}", outputs.pose);
    }
    let planes = [evaluator_input(&red), evaluator_input(&grey)];
    let small = red.resize_bilinear(192, 256);
    let message = evaluators.classes(&small).unwrap_err().to_string();
    assert!(message.contains("[3, 192, 256]") && message.contains("[3, 384, 512]"), "{message}");
    assert!(evaluators.pose([&planes[0], &small]).is_err());
}

#[test]
fn models_that_do_not_fit_are_named_with_what_they_have_and_what_is_needed() {
    if !runtime() {
        return;
    }
    let message = refusal("posenet.onnx", "segnet.onnx");
    assert!(message.contains("float32 [?,12,192,256] -> float32 [?,12]"), "{message}");
    assert!(message.contains("float32 [n,3,384,512] -> float32 [n,classes,384,512]"), "{message}");
    assert!(message.contains("swapped"), "{message}");
    let message = refusal("segnet-half-size.onnx", "posenet.onnx");
    assert!(message.contains("-> float32 [?,4,192,256]") && !message.contains("swapped"), "{message}");
    assert!(refusal("segnet-double.onnx", "posenet.onnx").contains("f64 [?,3,384,512]"));
    let message = refusal("segnet-two-inputs.onnx", "posenet.onnx");
    assert!(message.contains("float32 [?,3,384,512], float32 [?,3,384,512] ->"), "{message}");
    let message = refusal("segnet.onnx", "posenet-five-values.onnx");
    assert!(message.contains("float32 [?,5]") && message.contains("at least 6"), "{message}");
}

#[test]
fn files_that_are_no_models_are_refused() {
    if !runtime() {
        return;
    }
    assert!(refusal("make.py", "posenet.onnx").contains("not an ONNX model"));
    assert!(refusal("absent.onnx", "posenet.onnx").contains("cannot read"));
    assert!(refusal("segnet-weights-beside.onnx", "posenet.onnx").contains("weights inside the file"));
    assert!(refusal("", "posenet.onnx").contains("not a regular file"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    let whole = fs::read(model("segnet.onnx")).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(Evaluators::load(&path, &model("posenet.onnx"), 1).is_err(), "cut to {length}");
    }
}

#[test]
fn outputs_are_checked_where_the_file_does_not_state_them() {
    if !runtime() {
        return;
    }
    let message = refusal("segnet-unknown-half-size.onnx", "posenet.onnx");
    assert!(message.contains("[1, 4, 192, 256]") && message.contains("384"), "{message}");
    assert!(refusal("segnet.onnx", "posenet-of-two.onnx").contains("running this model as PoseNet"));
    let mut evaluators = load("segnet.onnx", "posenet-of-one.onnx").unwrap();
    evaluate(&mut evaluators, [&plain([0, 90, 0]), &plain([0, 90, 0])]).unwrap();
    let mut evaluators = load("segnet-not-a-number.onnx", "posenet.onnx").unwrap();
    let message = evaluate(&mut evaluators, [&plain([0, 90, 0]), &plain([0, 90, 0])]).unwrap_err().to_string();
    assert!(message.contains("segnet-not-a-number.onnx") && message.contains("not a number"), "{message}");
}
