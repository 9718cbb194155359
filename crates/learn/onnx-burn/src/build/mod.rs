//! From a file's nodes to the graph that runs: shapes worked out, shape arithmetic computed, many operations made of few.
//!
//! Every input dimension is known here, the batch included, so whatever a file computes from shapes is a constant. A value
//! is a constant until it depends on the network's input; [`Call::emit`] computes the one and adds a node for the other, so
//! each operation is written once for both.

mod arithmetic;
mod convolution;
mod fold;
mod normalization;
mod resize;
mod shapes;

use std::collections::HashMap;
use std::sync::Arc;

use crate::constant::{Constant, Data};
use crate::error::Problem;
use crate::graph::{Graph, Id};
use crate::model::{Model, is_onnx, listed, name_of};
use crate::proto;
use ops::frozen::MAX_ELEMENTS;
use ops::frozen::Op;

pub use arithmetic::step;

/// A value while the graph is built.
#[derive(Clone, Debug)]
pub enum Value {
    /// Known now.
    Constant(Arc<Constant>),
    /// Computed by a node.
    Node(Id),
}

/// Why a node cannot be used; which one is added later.
#[derive(Debug)]
pub enum Fault {
    /// Its operation is not known.
    Unknown,
    /// What is wrong.
    Detail(String),
}

impl From<String> for Fault {
    fn from(detail: String) -> Self {
        Self::Detail(detail)
    }
}

impl From<&str> for Fault {
    fn from(detail: &str) -> Self {
        Self::Detail(detail.into())
    }
}

type Result<T> = std::result::Result<T, Fault>;

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

/// A node of the file with its inputs.
pub struct Call<'a> {
    node: &'a proto::Node,
    inputs: Vec<Option<Value>>,
    opset: i64,
    graph: &'a mut Graph,
    /// Elements that constants computed from here on may have together.
    budget: &'a mut usize,
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
            "Conv" => self.conv(),
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
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" => self.binary(),
            _ => self.unary(),
        };
        Ok(vec![value?])
    }

    /// An input that must be there.
    fn input(&self, index: usize) -> Result<Value> {
        self.optional(index).ok_or_else(|| format!("input {index} is missing").into())
    }

    fn optional(&self, index: usize) -> Option<Value> {
        self.inputs.get(index).cloned().flatten()
    }

    /// An input that must be constant, if it is there.
    fn constant_input(&self, index: usize) -> Result<Option<Arc<Constant>>> {
        match self.optional(index) {
            None => Ok(None),
            Some(Value::Constant(value)) => Ok(Some(value)),
            Some(Value::Node(_)) => Err(format!("input {index} must be constant").into()),
        }
    }

    /// Constant numbers of floating point, if they are there.
    fn floats(&self, index: usize) -> Result<Option<Vec<f32>>> {
        let read = |value: Arc<Constant>| match &value.data {
            Data::Float(values) => Ok(values.clone()),
            Data::Int(_) => Err(Fault::from(format!("input {index} must be of floating point"))),
        };
        self.constant_input(index)?.map(read).transpose()
    }

    /// Constant integers: an input or, as in older versions of many operations, an attribute.
    fn ints(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>> {
        match self.constant_input(index)? {
            Some(value) => {
                let ints = value.as_ints().ok_or_else(|| format!("input {index} must be integers"))?;
                Ok(Some(ints.to_vec()))
            }
            None => Ok(self.int_list(attribute)),
        }
    }

    fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(default)
    }

    fn int_list(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A text, empty where there is none.
    fn text(&self, name: &str) -> &str {
        let bytes = self.attribute(name).and_then(|attribute| attribute.s.as_deref());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// A value's dimensions.
    fn shape(&self, value: &Value) -> Vec<usize> {
        match value {
            Value::Constant(constant) => constant.shape.clone(),
            Value::Node(id) => self.graph.shape(*id).to_vec(),
        }
    }

    /// Rows and columns are the last two of four dimensions.
    fn image(&self, value: &Value) -> Result<[usize; 4]> {
        let shape = self.shape(value);
        shape.try_into().map_err(|shape| format!("an input of {shape:?}, only four dimensions are supported").into())
    }

    fn constant(&mut self, constant: Constant) -> Result<Value> {
        let count = match &constant.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        };
        let left = self.budget.checked_sub(count);
        *self.budget = left.ok_or("the constants computed up to here are too large")?;
        Ok(Value::Constant(Arc::new(constant)))
    }

    /// The result of an operation: computed now from constants alone, else a node's.
    fn emit(&mut self, op: Op, inputs: Vec<Value>) -> Result<Value> {
        let constants = inputs.iter().map(|input| match input {
            Value::Constant(value) => Some(&**value),
            Value::Node(_) => None,
        });
        if let Some(constants) = constants.collect::<Option<Vec<&Constant>>>()
            && let Some(value) = fold::apply(&op, &constants)?
        {
            return self.constant(value);
        }
        let inputs = inputs.into_iter().map(|input| self.as_node(input)).collect::<Result<_>>()?;
        Ok(Value::Node(self.graph.add(op, inputs, name_of(self.node))?))
    }

    /// The node that makes a value.
    fn as_node(&mut self, value: Value) -> Result<Id> {
        match value {
            Value::Node(id) => Ok(id),
            Value::Constant(constant) => {
                let values = constant.as_floats().ok_or("integers are only supported as constants for shapes")?;
                let op = Op::Constant { shape: constant.shape.clone(), values: values.to_vec() };
                Ok(self.graph.add(op, Vec::new(), name_of(self.node))?)
            }
        }
    }
}

/// An axis counted from the front.
fn axis(axis: i64, rank: usize) -> Result<usize> {
    let counted = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("axis {axis} of {rank} dimensions").into())
}

/// Axes counted from the front, ascending, each once.
fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut found = list.iter().map(|&one| axis(one, rank)).collect::<Result<Vec<_>>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("axes {list:?} name one twice").into());
    }
    Ok(found)
}
