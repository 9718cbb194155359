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

/// The dimensions of an input and the plan that it is run by.
type Ready<B> = ([usize; 4], Arc<Plan<B>>);

/// A model whose one input is four-dimensional, on a device. Its weights are constants: gradients flow to its input alone.
pub struct Network<B: FrozenOps> {
    path: PathBuf,
    model: Model,
    device: B::Device,
    /// The latest used last.
    plans: Mutex<Vec<Ready<B>>>,
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
        let model = Model::read(path).map_err(|problem| OnnxError { path: path.into(), problem })?;
        Self::of(model, path, input, device)
    }

    /// The same of a file's bytes; `path` names them in an error.
    pub fn parse(bytes: &[u8], path: &Path, input: [usize; 4], device: &B::Device) -> Result<Self, OnnxError> {
        let model = Model::decode(bytes).map_err(|problem| OnnxError { path: path.into(), problem })?;
        Self::of(model, path, input, device)
    }

    fn of(model: Model, path: &Path, input: [usize; 4], device: &B::Device) -> Result<Self, OnnxError> {
        let network = Self { path: path.into(), model, device: device.clone(), plans: Mutex::default() };
        network.plan(input).map_err(|problem| network.failed(problem))?;
        Ok(network)
    }

    /// What the file says that the model takes.
    pub fn input(&self) -> &Signature {
        &self.model.inputs[0]
    }

    /// Dimensions of the output for an input of `[n, channels, rows, columns]`. Makes the network ready for such inputs.
    pub fn output_shape(&self, input: [usize; 4]) -> Result<Vec<usize>, OnnxError> {
        let plan = self.plan(input).map_err(|problem| self.failed(problem))?;
        Ok(plan.whole_output(input))
    }

    /// Makes the network ready for inputs of these sizes; the output must be what `fits` says, which `needed` says in words.
    pub fn expect(&self, input: [usize; 4], fits: impl Fn(&[usize]) -> bool, needed: &str) -> Result<(), OnnxError> {
        let found = self.output_shape(input)?;
        if fits(&found) { Ok(()) } else { Err(self.failed(Problem::Output { found, needed: needed.into() })) }
    }

    /// The graph that runs for inputs of these sizes, or for a part of them, to look at.
    pub fn graph(&self, input: [usize; 4]) -> Result<Graph, OnnxError> {
        let plan = self.plan(input).map_err(|problem| self.failed(problem))?;
        optimized(&self.model, plan.input).map_err(|problem| self.failed(problem))
    }

    /// The model's first output for `input` `[n, channels, rows, columns]`. A model that takes fewer images at once is run on as
    /// many parts as there are.
    pub fn forward<const D: usize>(&self, input: Tensor<B, 4>) -> Result<Tensor<B, D>, OnnxError> {
        let plan = self.plan(input.dims()).map_err(|problem| self.failed(problem))?;
        if plan.output_shape.len() != D {
            let (found, needed) = (plan.whole_output(input.dims()), format!("one of {D} dimensions"));
            return Err(self.failed(Problem::Output { found, needed }));
        }
        if plan.input == input.dims() {
            return Ok(plan.run(input));
        }
        let parts = input.split(plan.input[0], 0).into_iter().map(|part| plan.run(part));
        Ok(Tensor::cat(parts.collect(), 0))
    }

    fn failed(&self, problem: Problem) -> OnnxError {
        OnnxError { path: self.path.clone(), problem }
    }

    /// The plan that inputs of these sizes are run by: for all images at once or, where the file was made for fewer, for equal parts
    /// of them.
    fn plan(&self, input: [usize; 4]) -> Result<Arc<Plan<B>>, Problem> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plans.iter().position(|(asked, _)| *asked == input);
        let plan = match known {
            Some(index) => plans.remove(index).1,
            None => self.make_plan(input, &plans)?,
        };
        if plans.len() >= MAX_PLANS {
            plans.remove(0);
        }
        plans.push((input, plan.clone()));
        Ok(plan)
    }

    /// A plan for the largest part of an input that the model can be run on. What a file says of its batch is a hint alone: some are
    /// made for one and take any, some say nothing and hold a constant.
    fn make_plan(&self, input: [usize; 4], known: &[Ready<B>]) -> Result<Arc<Plan<B>>, Problem> {
        let [all, channels, rows, columns] = input;
        let declared = self.model.inputs.first().and_then(Signature::batch);
        let declared = declared.filter(|&batch| batch > 0 && all.is_multiple_of(batch));
        let (mut refused, mut other) = (None, None);
        for batch in [declared.unwrap_or(all), 1] {
            let part = [batch, channels, rows, columns];
            let plan = match known.iter().find(|(_, plan)| plan.input == part) {
                Some((_, plan)) => Ok(plan.clone()),
                None => Plan::new(&self.model, part, &self.device).map(Arc::new),
            };
            match plan {
                Ok(plan) if plan.output_shape.first() == Some(&batch) => return Ok(plan),
                Ok(plan) if batch == all => other = other.or(Some(plan)),
                Ok(_) => {}
                Err(problem) => refused = refused.or(Some(problem)),
            }
        }
        // An output that is not one for each image: whoever asks may want that.
        other.ok_or_else(|| refused.unwrap_or_else(|| Problem::Damaged("it takes no image alone".into())))
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

    /// Dimensions of the output for an input of which the plan's is a part.
    fn whole_output(&self, input: [usize; 4]) -> Vec<usize> {
        let mut shape = self.output_shape.clone();
        if let Some(first) = shape.first_mut() {
            *first *= input[0] / self.input[0];
        }
        shape
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
