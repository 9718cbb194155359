//! An ONNX file, read and checked as far as that goes without looking at its operations.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use prost::Message;

use crate::constant::{Constant, DataType};
use crate::error::Problem;
use crate::proto;

/// Largest file, the limit of the format itself.
const MAX_BYTES: u64 = 1 << 31;
/// Oldest version of the operations whose meaning this crate knows.
const MIN_OPSET: i64 = 7;

/// Name and dimensions of an input or output; dimensions that the file leaves open are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name in the file.
    pub name: String,
    /// Its dimensions; none at all where the file does not say how many there are.
    pub shape: Option<Vec<Option<usize>>>,
}

/// A model as stored.
#[derive(Debug)]
pub struct Model {
    /// Operations in an order in which they can run.
    pub nodes: Vec<proto::Node>,
    /// Constants by name.
    pub constants: HashMap<String, Arc<Constant>>,
    /// What it takes, constants left out.
    pub inputs: Vec<Signature>,
    /// What it gives.
    pub outputs: Vec<Signature>,
    /// Version of ONNX's operations.
    pub opset: i64,
}

impl Model {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Problem::Read(io::Error::other("not a regular file")));
        }
        if metadata.len() > MAX_BYTES {
            return Err(Problem::Damaged(format!("{} bytes, at most {MAX_BYTES} are possible", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Self::decode(&bytes)
    }

    /// Reads a file's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Problem> {
        let model = proto::Model::decode(bytes).map_err(|error| Problem::Damaged(error.to_string()))?;
        let graph = model.graph.ok_or_else(|| Problem::Damaged("it has no graph".into()))?;
        let onnx = model.opset_import.iter().find(|set| is_onnx(&set.domain));
        let opset = onnx.map_or(1, |set| set.version);
        if opset < MIN_OPSET {
            let detail = format!("its operations are of version {opset}, at least {MIN_OPSET} is needed");
            return Err(Problem::Damaged(detail));
        }
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            let constant = Constant::read(tensor).map_err(Problem::Damaged)?;
            constants.insert(tensor.name.clone(), Arc::new(constant));
        }
        let inputs = graph.input.iter().filter(|input| !constants.contains_key(&input.name));
        let inputs = inputs.map(Signature::read).collect::<Result<Vec<_>, _>>().map_err(Problem::Damaged)?;
        let outputs = graph.output.iter().map(Signature::read).collect::<Result<_, _>>().map_err(Problem::Damaged)?;
        let known = inputs.iter().map(|input| &input.name).chain(constants.keys());
        check_order(&graph.node, known.map(String::as_str)).map_err(Problem::Damaged)?;
        Ok(Self { nodes: graph.node, constants, inputs, outputs, opset })
    }
}

/// Whether a domain is that of ONNX's own operations.
pub fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

impl Signature {
    fn read(info: &proto::ValueInfo) -> Result<Self, String> {
        let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let tensor = tensor.ok_or_else(|| format!("'{}' is no tensor", info.name))?;
        if !DataType::of(tensor.elem_type).is_some_and(DataType::is_float) {
            return Err(format!("'{}' is no tensor of floating point", info.name));
        }
        let dim = |dim: &proto::Dimension| dim.dim_value.and_then(|value| usize::try_from(value).ok());
        let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(dim).collect());
        Ok(Self { name: info.name.clone(), shape })
    }

    /// Whether a tensor of `shape` fits, its first dimension (the batch) left out.
    pub fn takes(&self, shape: &[usize]) -> bool {
        self.shape.as_ref().is_none_or(|known| {
            let pairs = || known.iter().zip(shape).skip(1);
            known.len() == shape.len() && pairs().all(|(known, given)| known.is_none_or(|known| known == *given))
        })
    }

    /// The batch that the file was made for, if it was made for one.
    pub fn batch(&self) -> Option<usize> {
        self.shape.as_ref()?.first().copied().flatten()
    }
}

/// Names and dimensions.
pub fn listed(signatures: &[Signature]) -> String {
    let texts: Vec<String> = signatures.iter().map(Signature::to_string).collect();
    if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shape) = &self.shape else { return f.write_str(&self.name) };
        let dims = shape.iter().map(|dim| dim.map_or_else(|| "?".into(), |dim| dim.to_string()));
        write!(f, "{} [{}]", self.name, dims.collect::<Vec<String>>().join(", "))
    }
}

/// Every name is made once, before it is used.
fn check_order<'a>(nodes: &'a [proto::Node], known: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut known: HashSet<&str> = known.collect();
    for node in nodes {
        if let Some(missing) = node.input.iter().find(|name| !name.is_empty() && !known.contains(name.as_str())) {
            return Err(format!("node '{}' uses '{missing}', which nothing before it makes", name_of(node)));
        }
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if !known.insert(output) {
                return Err(format!("'{output}' is made twice"));
            }
        }
    }
    Ok(())
}

/// A node's name, or that of its first output.
pub fn name_of(node: &proto::Node) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}
