//! A node of the file on its way into the graph: its inputs and attributes, and what it emits.

use std::sync::Arc;

use ops::frozen::Op;

use super::fault::{Fault, Result};
use super::fold;
use crate::constant::{Constant, Data};
use crate::graph::{Graph, Id};
use crate::model::name_of;
use crate::proto;

/// A value while the graph is built.
#[derive(Clone, Debug)]
pub enum Value {
    /// Known now.
    Constant(Arc<Constant>),
    /// Computed by a node.
    Node(Id),
}

/// A node of the file with its inputs.
pub struct Call<'a> {
    pub node: &'a proto::Node,
    pub inputs: Vec<Option<Value>>,
    pub opset: i64,
    pub graph: &'a mut Graph,
    /// Elements that constants computed from here on may have together.
    pub budget: &'a mut usize,
}

impl Call<'_> {
    /// An input that must be there.
    pub fn input(&self, index: usize) -> Result<Value> {
        self.optional(index).ok_or_else(|| format!("input {index} is missing").into())
    }

    pub fn optional(&self, index: usize) -> Option<Value> {
        self.inputs.get(index).cloned().flatten()
    }

    /// An input that must be constant, if it is there.
    pub fn constant_input(&self, index: usize) -> Result<Option<Arc<Constant>>> {
        match self.optional(index) {
            None => Ok(None),
            Some(Value::Constant(value)) => Ok(Some(value)),
            Some(Value::Node(_)) => Err(format!("input {index} must be constant").into()),
        }
    }

    /// Constant numbers of floating point, if they are there.
    pub fn floats(&self, index: usize) -> Result<Option<Vec<f32>>> {
        let read = |value: Arc<Constant>| match &value.data {
            Data::Float(values) => Ok(values.clone()),
            Data::Int(_) => Err(Fault::from(format!("input {index} must be of floating point"))),
        };
        self.constant_input(index)?.map(read).transpose()
    }

    /// Constant integers: an input or, as in older versions of many operations, an attribute.
    pub fn ints(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>> {
        match self.constant_input(index)? {
            Some(value) => {
                let ints = value.as_ints().ok_or_else(|| format!("input {index} must be integers"))?;
                Ok(Some(ints.to_vec()))
            }
            None => Ok(self.int_list(attribute)),
        }
    }

    pub fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(default)
    }

    pub fn int_list(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A text, empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        let bytes = self.attribute(name).and_then(|attribute| attribute.s.as_deref());
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// A value's dimensions.
    pub fn shape(&self, value: &Value) -> Vec<usize> {
        match value {
            Value::Constant(constant) => constant.shape.clone(),
            Value::Node(id) => self.graph.shape(*id).to_vec(),
        }
    }

    /// Rows and columns are the last two of four dimensions.
    pub fn image(&self, value: &Value) -> Result<[usize; 4]> {
        let shape = self.shape(value);
        shape.try_into().map_err(|shape| format!("an input of {shape:?}, only four dimensions are supported").into())
    }

    pub fn constant(&mut self, constant: Constant) -> Result<Value> {
        let count = match &constant.data {
            Data::Float(values) => values.len(),
            Data::Int(values) => values.len(),
        };
        self.spend(count)?;
        Ok(Value::Constant(Arc::new(constant)))
    }

    /// Sets elements that are computed now off against those that the whole file may have.
    pub fn spend(&mut self, count: usize) -> Result<()> {
        let left = self.budget.checked_sub(count);
        *self.budget = left.ok_or("the constants computed up to here are too large")?;
        Ok(())
    }

    /// The result of an operation: computed now from constants alone, else a node's.
    pub fn emit(&mut self, op: Op, inputs: Vec<Value>) -> Result<Value> {
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
    pub fn as_node(&mut self, value: Value) -> Result<Id> {
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
pub fn axis(axis: i64, rank: usize) -> Result<usize> {
    let counted = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
    found.ok_or_else(|| format!("axis {axis} of {rank} dimensions").into())
}

/// Axes counted from the front, ascending, each once.
pub fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut found = list.iter().map(|&one| axis(one, rank)).collect::<Result<Vec<_>>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("axes {list:?} name one twice").into());
    }
    Ok(found)
}
