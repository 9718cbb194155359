//! Tiny models made here, through everything from the file to the gradient.

mod damage;
mod networks;
mod operations;

use std::sync::OnceLock;

use burn_autodiff::Autodiff;
use burn_core::tensor::{Tensor, TensorData};
use burn_flex::Flex;
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use prost::Message;

use crate::proto::{self, Attribute};
use crate::{Network, OnnxError};

type B = Autodiff<Flex>;

/// A model of one input `x` and one output `y`.
#[derive(Clone)]
struct Tiny {
    opset: i64,
    input: [usize; 4],
    nodes: Vec<proto::Node>,
    constants: Vec<proto::Tensor>,
    /// Whether `x` must be larger than 0.
    positive: bool,
}

/// Its nodes read `x`, each other's outputs and constants; the last one makes `y`.
fn tiny(nodes: Vec<proto::Node>, constants: Vec<proto::Tensor>) -> Tiny {
    Tiny { opset: 18, input: [2, 4, 6, 7], nodes, constants, positive: false }
}

/// `inputs` by name, a dash for one that is left out.
fn node(op_type: &str, inputs: &str, output: &str, attribute: Vec<Attribute>) -> proto::Node {
    let names = |list: &str| list.split_whitespace().map(|name| name.trim_matches('-').to_owned()).collect();
    let (input, output) = (names(inputs), names(output));
    proto::Node { input, output, op_type: op_type.into(), attribute, ..Default::default() }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(value), kind: 2, ..Default::default() }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { name: name.into(), f: Some(value), kind: 1, ..Default::default() }
}

fn text(name: &str, value: &str) -> Attribute {
    Attribute { name: name.into(), s: Some(value.into()), kind: 3, ..Default::default() }
}

fn list(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.into(), ints: ints.into(), kind: 7, ..Default::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> proto::Tensor {
    proto::Tensor {
        name: name.into(),
        dims: dims.into(),
        data_type: 1,
        float_data: values.into(),
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> proto::Tensor {
    let dims = vec![values.len() as i64];
    proto::Tensor { name: name.into(), dims, data_type: 7, int64_data: values.into(), ..Default::default() }
}

/// Numbers between -1 and 1 without an order.
fn noise(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| (((i + 1) * 7919 + seed * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
}

/// A constant of noise.
fn weights(name: &str, dims: &[i64]) -> proto::Tensor {
    floats(name, dims, &noise(name.len() + dims.len(), dims.iter().product::<i64>() as usize))
}

fn info(name: &str, dims: Option<Vec<proto::Dimension>>) -> proto::ValueInfo {
    let shape = dims.map(|dim| proto::TensorShape { dim });
    let tensor_type = Some(proto::TensorType { elem_type: 1, shape });
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type }) }
}

/// The bytes of a file.
fn encode(tiny: &Tiny) -> Vec<u8> {
    let mut dims: Vec<_> = tiny.input.iter().map(|&dim| proto::Dimension { dim_value: Some(dim as i64) }).collect();
    dims[0].dim_value = None;
    let graph = proto::Graph {
        name: "tiny".into(),
        node: tiny.nodes.clone(),
        initializer: tiny.constants.clone(),
        input: vec![info("x", Some(dims))],
        output: vec![info("y", None)],
    };
    let sets = vec![proto::OperatorSet { domain: String::new(), version: tiny.opset }];
    proto::Model { ir_version: 8, graph: Some(graph), opset_import: sets }.encode_to_vec()
}

fn read(bytes: &[u8], input: [usize; 4]) -> Result<Network<B>, OnnxError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Network::read(file.path(), input, &Default::default())
}

/// Dimensions and values of the output, and the gradient of the input for the output's `gradient`.
fn run(network: &Network<B>, x: &[f32], input: [usize; 4], weight: Option<&[f32]>) -> (Vec<usize>, Vec<f32>, Vec<f32>) {
    let shape = network.output_shape(input).unwrap();
    match shape.len() {
        1 => ranked::<1>(network, x, input, weight),
        2 => ranked::<2>(network, x, input, weight),
        3 => ranked::<3>(network, x, input, weight),
        4 => ranked::<4>(network, x, input, weight),
        _ => ranked::<5>(network, x, input, weight),
    }
}

fn ranked<const D: usize>(
    network: &Network<B>,
    x: &[f32],
    input: [usize; 4],
    weight: Option<&[f32]>,
) -> (Vec<usize>, Vec<f32>, Vec<f32>) {
    let device = Default::default();
    let x = Tensor::<B, 4>::from_data(TensorData::new(x.to_vec(), input), &device);
    let x = if weight.is_some() { x.require_grad() } else { x };
    let y: Tensor<B, D> = network.forward(x.clone()).unwrap();
    let values = y.to_data().iter().collect();
    let shape = y.dims();
    let gradient = weight.map_or_else(Vec::new, |weight| {
        let weight = Tensor::from_data(TensorData::new(weight.to_vec(), shape), &device);
        x.grad(&(y * weight).sum().backward()).unwrap().into_data().iter().collect()
    });
    (shape.into(), values, gradient)
}

/// ONNX Runtime's environment; a process may have one. None where the library is not installed.
fn environment() -> Option<&'static Environment> {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    let library = testdata::onnxruntime()?;
    Some(ENVIRONMENT.get_or_init(|| ort::init_from(library).unwrap().build().unwrap()))
}

/// ONNX Runtime's output.
fn reference(environment: &Environment, bytes: &[u8], x: &[f32], input: [usize; 4]) -> (Vec<usize>, Vec<f32>) {
    let mut session = Session::builder(environment).unwrap().commit_from_memory(bytes).unwrap();
    let outputs = session.run(ort::inputs![TensorRef::from_array_view((input, x)).unwrap()]).unwrap();
    let (shape, values) = outputs[0].try_extract_tensor::<f32>().unwrap();
    (shape.iter().map(|&dim| dim as usize).collect(), values.to_vec())
}
