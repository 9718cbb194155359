//! A model, ready to run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use burn_core::tensor::{Tensor, TensorPrimitive};

use crate::build::build;
use crate::error::{OnnxError, Problem};
use crate::graph::{Graph, Id};
use crate::model::{Model, Signature};
use crate::optimize::optimize;
use ops::FrozenOps;
use ops::frozen::Prepared;

/// Batch sizes that a network keeps itself ready for.
const MAX_PLANS: usize = 3;

/// A model whose one input is four-dimensional, on a device. Its weights are constants: gradients flow to its input alone.
pub struct Network<B: FrozenOps> {
    path: PathBuf,
    model: Model,
    device: B::Device,
    /// Ready graphs, the latest used last.
    plans: Mutex<Vec<Arc<Plan<B>>>>,
}

impl<B: FrozenOps> fmt::Debug for Network<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<B: FrozenOps> Network<B> {
    /// Reads an ONNX file and makes it ready for inputs `[n, channels, rows, columns]` of these sizes; [`Self::forward`]
    /// takes other `n`, too. Weights must be inside the file.
    pub fn read(path: &Path, input: [usize; 4], device: &B::Device) -> Result<Self, OnnxError> {
        let failed = |problem| OnnxError { path: path.into(), problem };
        let model = Model::read(path).map_err(failed)?;
        let network = Self { path: path.into(), model, device: device.clone(), plans: Mutex::default() };
        network.plan(network.chunk(input)).map_err(failed)?;
        Ok(network)
    }

    /// What the file says that the model takes.
    pub fn input(&self) -> &Signature {
        &self.model.inputs[0]
    }

    /// Dimensions of the output for an input of `[n, channels, rows, columns]`.
    pub fn output_shape(&self, input: [usize; 4]) -> Result<Vec<usize>, OnnxError> {
        let chunk = self.chunk(input);
        let mut shape = self.plan(chunk).map_err(|problem| self.failed(problem))?.output_shape.clone();
        if let Some(batch) = shape.first_mut() {
            *batch *= input[0] / chunk[0];
        }
        Ok(shape)
    }

    /// The graph that runs for inputs of these sizes, to look at.
    pub fn graph(&self, input: [usize; 4]) -> Result<Graph, OnnxError> {
        optimized(&self.model, self.chunk(input)).map_err(|problem| self.failed(problem))
    }

    /// The model's first output for `input` `[n, channels, rows, columns]`. A file made for one batch size is run on as many
    /// parts of that size as there are.
    pub fn forward<const D: usize>(&self, input: Tensor<B, 4>) -> Result<Tensor<B, D>, OnnxError> {
        let shape = input.dims();
        let chunk = self.chunk(shape);
        let plan = self.plan(chunk).map_err(|problem| self.failed(problem))?;
        if plan.output_shape.len() != D {
            return Err(self.failed(Problem::Output { found: plan.output_shape.clone(), rank: D }));
        }
        if chunk == shape {
            return Ok(plan.run(input));
        }
        let parts = input.split(chunk[0], 0).into_iter().map(|part| plan.run(part));
        Ok(Tensor::cat(parts.collect(), 0))
    }

    fn failed(&self, problem: Problem) -> OnnxError {
        OnnxError { path: self.path.clone(), problem }
    }

    /// The part of an input that runs at once.
    fn chunk(&self, mut input: [usize; 4]) -> [usize; 4] {
        let batch = self.model.inputs.first().and_then(Signature::batch);
        if let Some(batch) = batch.filter(|&batch| batch > 0 && input[0].is_multiple_of(batch)) {
            input[0] = batch;
        }
        input
    }

    fn plan(&self, input: [usize; 4]) -> Result<Arc<Plan<B>>, Problem> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plans.iter().position(|plan| plan.input == input);
        let plan = match known {
            Some(index) => plans.remove(index),
            None => Arc::new(Plan::new(&self.model, input, &self.device)?),
        };
        if plans.len() >= MAX_PLANS {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }
}

fn optimized(model: &Model, input: [usize; 4]) -> Result<Graph, Problem> {
    let mut graph = build(model, &input)?;
    optimize(&mut graph);
    Ok(graph)
}

/// A graph made ready for one input shape.
struct Plan<B: FrozenOps> {
    input: [usize; 4],
    output_shape: Vec<usize>,
    /// In the graph's order.
    steps: Vec<Step<B>>,
    /// Where the input goes, and where the output is found.
    ends: [Id; 2],
    /// How many values there are, those of dropped nodes included.
    values: usize,
}

struct Step<B: FrozenOps> {
    id: Id,
    run: Prepared<B>,
    /// What it reads, and whether nobody reads that later.
    inputs: Vec<(Id, bool)>,
}

impl<B: FrozenOps> Plan<B> {
    fn new(model: &Model, input: [usize; 4], device: &B::Device) -> Result<Self, Problem> {
        let graph = optimized(model, input)?;
        let mut steps: Vec<Step<B>> = Vec::new();
        let mut read = vec![false; graph.ids().len()];
        read[graph.output()] = true;
        for id in graph.live().rev().filter(|&id| id != graph.input()) {
            let node = graph.node(id);
            let last = node.inputs.iter().rev().map(|&input| (input, !std::mem::replace(&mut read[input], true)));
            let mut inputs: Vec<(Id, bool)> = last.collect();
            inputs.reverse();
            steps.push(Step { id, run: B::prepare(&node.op, &node.shape, device), inputs });
        }
        steps.reverse();
        let output_shape = graph.shape(graph.output()).to_vec();
        Ok(Self { input, output_shape, steps, ends: [graph.input(), graph.output()], values: read.len() })
    }

    fn run<const D: usize>(&self, input: Tensor<B, 4>) -> Tensor<B, D> {
        let mut values = vec![None; self.values];
        values[self.ends[0]] = Some(input.into_primitive().tensor());
        for step in &self.steps {
            let inputs = step.inputs.iter();
            let inputs = inputs.filter_map(|&(id, last)| if last { values[id].take() } else { values[id].clone() });
            let inputs = inputs.collect();
            values[step.id] = Some((step.run)(inputs));
        }
        let output = values.swap_remove(self.ends[1]);
        Tensor::from_primitive(TensorPrimitive::Float(output.expect("every node runs")))
    }
}
