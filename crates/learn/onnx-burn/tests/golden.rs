//! Losses and gradients of both evaluators against PyTorch's.

use burn_autodiff::Autodiff;
use burn_core::tensor::activation::log_softmax;
use burn_core::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use frames::RgbFrame;
use metric::{INPUT_HEIGHT, INPUT_WIDTH, evaluator_input};
use onnx_burn::Network;
use serde_json::Value;
use video::Clip;

type B = Autodiff<Flex>;

const PAIR: [usize; 4] = [2, 3, INPUT_HEIGHT, INPUT_WIDTH];

/// Frames 60 and 61 of a clip at the evaluators' size.
fn pair(clip: &str) -> Option<Tensor<B, 4>> {
    let clip = Clip::open(testdata::shared(clip)?, 0).unwrap();
    let frames: Vec<RgbFrame> = clip.skip(60).take(2).map(Result::unwrap).collect();
    let values: Vec<f32> = frames.iter().flat_map(|frame| evaluator_input(frame).into_data()).collect();
    Some(Tensor::from_data(TensorData::new(values, PAIR), &Default::default()))
}

fn network(name: &str, input: [usize; 4]) -> Option<Network<B>> {
    Some(Network::read(&testdata::shared(name)?, input, &Default::default()).unwrap())
}

/// The metric's planes, `[2, 3, h, w]` to `[1, 12, h / 2, w / 2]`.
fn yuv6(frames: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, _, h, w] = frames.dims();
    let [r, g, b] = [0, 1, 2].map(|channel| frames.clone().narrow(1, channel, 1));
    let y = (r.clone() * 0.299 + g * 0.587 + b.clone() * 0.114).clamp(0.0, 255.0);
    let u = ((b - y.clone()) / 1.772 + 128.0).clamp(0.0, 255.0);
    let v = ((r - y.clone()) / 1.402 + 128.0).clamp(0.0, 255.0);
    let phase = |plane: &Tensor<B, 4>, row: usize, column: usize| -> Tensor<B, 4> {
        let split: Tensor<B, 6> = plane.clone().reshape([n, 1, h / 2, 2, w / 2, 2]);
        split.narrow(3, row, 1).narrow(5, column, 1).reshape([n, 1, h / 2, w / 2])
    };
    let mean = |plane: &Tensor<B, 4>| {
        (phase(plane, 0, 0) + phase(plane, 0, 1) + phase(plane, 1, 0) + phase(plane, 1, 1)) / 4.0
    };
    let luma = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(row, column)| phase(&y, row, column));
    Tensor::cat(luma.into_iter().chain([mean(&u), mean(&v)]).collect(), 1).reshape([1, 12, h / 2, w / 2])
}

/// Checks a loss and its gradient with respect to the frames.
fn check(key: &str, frames: &Tensor<B, 4>, loss: Tensor<B, 1>) {
    let text = std::fs::read_to_string(testdata::shared("golden/gradients.json").unwrap()).unwrap();
    let golden = &serde_json::from_str::<Value>(&text).unwrap()[key];
    let number = |key: &str| golden[key].as_f64().unwrap();
    let near = |name: &str, found: f64, tolerance: f64| {
        let expected = number(name);
        println!("{key} {name}: {found:e}, golden {expected:e}");
        assert!((found - expected).abs() <= tolerance * expected.abs(), "{name}: {found} for {expected}");
    };
    near("loss", loss.clone().into_scalar().into(), 1e-3);
    let gradient: Vec<f32> = frames.grad(&loss.backward()).unwrap().into_data().iter().collect();
    let length = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    near("grad_l1", gradient.iter().map(|&v| f64::from(v.abs())).sum(), 1e-3);
    near("grad_l2", length(&gradient), 1e-3);
    let (first, second) = gradient.split_at(gradient.len() / 2);
    near("grad_l2_frame0", length(first), 1e-3);
    near("grad_l2_frame1", length(second), 1e-3);
    let points = golden["points"].as_array().unwrap();
    assert!(!points.is_empty());
    let mut worst = 0.0f64;
    for point in points {
        let at = |key: &str| point[key].as_u64().unwrap() as usize;
        let index = ((at("frame") * 3 + at("channel")) * INPUT_HEIGHT + at("row")) * INPUT_WIDTH + at("column");
        worst = worst.max((f64::from(gradient[index]) - point["grad"].as_f64().unwrap()).abs());
    }
    println!("{key}: points off by at most {:e} of the largest", worst / number("grad_max"));
    assert!(worst <= 1e-3 * number("grad_max"));
}

#[test]
fn segnets_cross_entropy_has_pytorchs_gradient() {
    let (Some(frames), Some(original)) = (pair("clips/road-crf35.mkv"), pair("clips/road.mkv")) else { return };
    let Some(segnet) = network("evaluators/segnet-road.onnx", [1, 3, INPUT_HEIGHT, INPUT_WIDTH]) else { return };
    let frames = frames.require_grad();
    let logits: Tensor<B, 4> = segnet.forward(frames.clone().narrow(0, 1, 1)).unwrap();
    let target = segnet.forward::<4>(original.narrow(0, 1, 1)).unwrap().argmax(1);
    let loss = log_softmax(logits, 1).gather(1, target).mean().neg();
    check("segnet_cross_entropy", &frames, loss);
}

#[test]
fn posenets_squared_error_has_pytorchs_gradient() {
    let (Some(frames), Some(original)) = (pair("clips/road-crf35.mkv"), pair("clips/road.mkv")) else { return };
    let Some(posenet) = network("evaluators/posenet-road.onnx", [1, 12, INPUT_HEIGHT / 2, INPUT_WIDTH / 2]) else {
        return;
    };
    let frames = frames.require_grad();
    let pose = |frames: Tensor<B, 4>| posenet.forward::<2>(yuv6(frames)).unwrap().narrow(1, 0, 6);
    let difference = pose(frames.clone()) - pose(original).detach();
    check("posenet_mse", &frames, (difference.clone() * difference).mean());
}
