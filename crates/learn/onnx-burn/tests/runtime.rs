//! Outputs against ONNX Runtime's.

use std::path::{Path, PathBuf};

use burn_autodiff::Autodiff;
use burn_core::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use onnx_burn::Network;
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

/// Batches of this many, so that an output's first dimension says something.
const BATCH: usize = 2;

/// Something like a road: smooth, with edges, in 0 to 255.
fn picture([n, channels, rows, columns]: [usize; 4]) -> Vec<f32> {
    let value = |index: usize| {
        let (column, row, plane) = (index % columns, index / columns % rows, index / columns / rows);
        let wave = ((column + 7 * plane) as f32 / 23.0).sin() * (row as f32 / 31.0).cos();
        let edge = if (row * 3 + column * 2) % 170 < 60 { 40.0 } else { 0.0 };
        (120.0 + 70.0 * wave + edge + (index * 7919 % 13) as f32).clamp(0.0, 255.0)
    };
    (0..n * channels * rows * columns).map(value).collect()
}

/// Dimensions and values of the output.
fn reference(environment: &Environment, path: &Path, input: &[f32], shape: [usize; 4]) -> (Vec<usize>, Vec<f32>) {
    let mut session = Session::builder(environment).unwrap().commit_from_file(path).unwrap();
    let outputs = session.run(ort::inputs![TensorRef::from_array_view((shape, input)).unwrap()]).unwrap();
    let (shape, values) = outputs[0].try_extract_tensor::<f32>().unwrap();
    (shape.iter().map(|&dim| dim as usize).collect(), values.to_vec())
}

fn agree<const D: usize>(environment: &Environment, path: &Path, [channels, rows, columns]: [usize; 3]) {
    let shape = [BATCH, channels, rows, columns];
    let input = picture(shape);
    let (expected_shape, expected) = reference(environment, path, &input, shape);
    let network = Network::<Autodiff<Flex>>::read(path, shape, &Default::default()).unwrap();
    assert_eq!(network.output_shape(shape).unwrap(), expected_shape);
    let input = Tensor::from_data(TensorData::new(input, shape), &Default::default());
    let output: Tensor<_, D> = network.forward(input).unwrap();
    assert_eq!(output.dims().as_slice(), expected_shape);
    let found: Vec<f32> = output.into_data().iter().collect();
    let [low, high] = [f32::min, f32::max].map(|pick| expected.iter().copied().reduce(pick).unwrap());
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{}: off by {worst:e}, range {low} to {high}", path.display());
    assert!(worst <= 1e-3 * (high - low), "{}: off by {worst}, range {low} to {high}", path.display());
}

#[test]
fn evaluators_give_what_onnx_runtime_gives() {
    let Some(library) = testdata::onnxruntime() else { return };
    let environment = ort::init_from(library).unwrap().build().unwrap();
    let found = |path: &str| testdata::shared(path);
    let segnets = [
        Some(testdata::asset("segnet-demo.onnx")),
        found("evaluators/segnet-road.onnx"),
        found("cases/u-convtranspose.onnx"),
        found("cases/u-d2s.onnx"),
    ];
    let posenets = [Some(testdata::asset("posenet-demo.onnx")), found("evaluators/posenet-road.onnx")];
    let known = |paths: &[Option<PathBuf>]| paths.iter().flatten().cloned().collect::<Vec<PathBuf>>();
    known(&segnets).into_iter().for_each(|path| agree::<4>(&environment, &path, [3, 384, 512]));
    known(&posenets).into_iter().for_each(|path| agree::<2>(&environment, &path, [12, 192, 256]));
}
