//! From a file's nodes to the graph that runs: shapes worked out, shape arithmetic computed, many operations made of few.
//!
//! Every input dimension is known here, the batch included, so whatever a file computes from shapes is a constant. A value
//! is a constant until it depends on the network's input; [`Call::emit`] computes the one and adds a node for the other, so
//! each operation is written once for both.

mod activations;
mod arithmetic;
mod call;
mod convolution;
mod einsum;
mod fault;
mod fold;
mod normalization;
mod resize;
mod shapes;
mod transposed;

use std::collections::HashMap;
use std::sync::Arc;

use crate::constant::Constant;
use crate::error::Problem;
use crate::graph::Graph;
use crate::model::{Model, is_onnx, listed, name_of};
use crate::proto;
use call::{Call, Value};
use fault::{Fault, Result};
use ops::frozen::MAX_ELEMENTS;
use ops::frozen::Op;

/// The graph of a model for one input of `shape`.
pub fn build(model: &Model, shape: &[usize]) -> std::result::Result<Graph, Problem> {
    let mut graph = Graph::default();
    let misfit = || Problem::Input { takes: listed(&model.inputs), given: shape.into() };
    let [input] = model.inputs.as_slice() else { return Err(misfit()) };
    if !input.takes(shape) {
        return Err(misfit());
    }
    let node = graph.add(Op::Input { shape: shape.into() }, Vec::new(), &input.name).map_err(Problem::Damaged)?;
    let constants = model.constants.iter().map(|(name, value)| (name.as_str(), Value::Constant(value.clone())));
    let mut values: HashMap<&str, Value> = constants.collect();
    values.insert(&input.name, Value::Node(node));
    let mut budget = MAX_ELEMENTS;
    for node in &model.nodes {
        let inputs = node.input.iter().map(|name| values.get(name.as_str()).cloned()).collect();
        let mut call = Call { node, inputs, opset: model.opset, graph: &mut graph, budget: &mut budget };
        let made = call.run().map_err(|fault| problem(node, fault))?;
        values.extend(node.output.iter().map(String::as_str).zip(made).filter(|(name, _)| !name.is_empty()));
    }
    let output = model.outputs.first().and_then(|output| values.get(output.name.as_str()));
    match output {
        Some(&Value::Node(id)) => graph.set_output(id),
        _ => return Err(Problem::Damaged("its output does not depend on its input".into())),
    }
    graph.sweep();
    Ok(graph)
}

fn problem(node: &proto::Node, fault: Fault) -> Problem {
    let (name, operation) = (name_of(node).to_owned(), node.op_type.clone());
    match fault {
        Fault::Detail(detail) => Problem::Node { node: name, operation, detail },
        Fault::Unknown if is_onnx(&node.domain) => Problem::Unknown { node: name, operation },
        Fault::Unknown => Problem::Unknown { node: name, operation: format!("{}.{operation}", node.domain) },
    }
}

impl Call<'_> {
    /// The node's outputs, in its order; those that nobody may use can be left out.
    fn run(&mut self) -> Result<Vec<Value>> {
        if !is_onnx(&self.node.domain) {
            return Err(Fault::Unknown);
        }
        if self.node.op_type == "Split" {
            return self.split();
        }
        if let Some(used) = self.node.output.get(1).filter(|name| !name.is_empty()) {
            // Masks, indices and running means, which inference does not need.
            if !matches!(self.node.op_type.as_str(), "Dropout" | "BatchNormalization") {
                return Err(format!("its output '{used}' is not supported").into());
            }
        }
        let constants = self.inputs.iter().map(|input| match input {
            None => Some(None),
            Some(Value::Constant(value)) => Some(Some(value.clone())),
            Some(Value::Node(_)) => None,
        });
        if let Some(constants) = constants.collect::<Option<Vec<Option<Arc<Constant>>>>>()
            && let Some(value) = fold::compute(self.node, &constants)?
        {
            return Ok(vec![self.constant(value)?]);
        }
        let op = self.node.op_type.as_str();
        let value = match op {
            "Identity" => self.input(0),
            "Dropout" => self.dropout(),
            "Cast" => self.cast(),
            "Shape" => self.shape_of(),
            "Size" => self.size_of(),
            "Reshape" => self.reshape(),
            "Flatten" => self.flatten(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Transpose" => self.transpose(),
            "Expand" => self.expand(),
            "Concat" => self.concat(),
            "Slice" => self.slice(),
            "Gather" => self.gather(),
            "Pad" => self.pad(),
            "DepthToSpace" => self.depth_to_space(),
            "SpaceToDepth" => self.space_to_depth(),
            "Conv" => self.conv(),
            "ConvTranspose" => self.conv_transpose(),
            "MaxPool" => self.max_pool(),
            "AveragePool" => self.average_pool(),
            "GlobalAveragePool" => self.global_average_pool(),
            "Resize" | "Upsample" => self.resize(),
            "BatchNormalization" => self.batch_normalization(),
            "InstanceNormalization" => self.instance_normalization(),
            "LayerNormalization" => self.layer_normalization(),
            "Softmax" => self.softmax(),
            "ReduceMean" | "ReduceSum" => self.reduce(),
            "MatMul" => self.matmul(),
            "Gemm" => self.gemm(),
            "Einsum" => self.einsum(),
            "PRelu" => self.prelu(),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" => self.binary(),
            _ => self.unary(),
        };
        Ok(vec![value?])
    }
}
