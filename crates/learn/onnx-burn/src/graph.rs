//! The graph that runs: [operations](Op) with what they read.

use std::ops::Range;

use ops::frozen::{Conv, Op, elements};

/// Index of a node and of the tensor it makes.
pub type Id = usize;

/// An operation with what it reads and the dimensions it makes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The nodes it reads, all before it.
    pub inputs: Vec<Id>,
    /// Dimensions of its result.
    pub shape: Vec<usize>,
    /// Name of the file's node it was last made of.
    pub name: String,
}

/// Nodes, each after those it reads.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// How often each node is read; the output counts.
    uses: Vec<usize>,
    output: Id,
}

impl Graph {
    /// Adds a node, or says why its inputs do not fit.
    pub fn add(&mut self, op: Op, inputs: Vec<Id>, name: &str) -> Result<Id, String> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|&input| self.shape(input)).collect();
        let shape = op.shape(&shapes)?;
        match elements(&shape) {
            None => return Err(format!("a tensor of {shape:?} is too large")),
            Some(0) => return Err(format!("a tensor of {shape:?} has nothing in it")),
            Some(_) => {}
        }
        inputs.iter().for_each(|&input| self.uses[input] += 1);
        self.nodes.push(Node { op, inputs, shape, name: name.into() });
        self.uses.push(0);
        Ok(self.nodes.len() - 1)
    }

    /// The network's input, which must be added first.
    pub fn input(&self) -> Id {
        0
    }

    /// Makes a node the output.
    pub fn set_output(&mut self, output: Id) {
        self.output = output;
        self.uses[output] += 1;
    }

    /// The node that makes the output.
    pub fn output(&self) -> Id {
        self.output
    }

    /// All nodes in their order, dropped ones included.
    pub fn ids(&self) -> Range<Id> {
        0..self.nodes.len()
    }

    /// The nodes that are left, in their order.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = Id> {
        self.ids().filter(|&id| self.uses[id] > 0)
    }

    /// A node.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Dimensions of a node's result.
    pub fn shape(&self, id: Id) -> &[usize] {
        &self.nodes[id].shape
    }

    /// How often a node is read.
    pub fn uses(&self, id: Id) -> usize {
        self.uses[id]
    }

    /// The convolution that a node is.
    pub fn conv(&self, id: Id) -> Option<&Conv> {
        match &self.nodes[id].op {
            Op::Conv(conv) => Some(conv),
            _ => None,
        }
    }

    /// Replaces what a node does by something that makes the same. What nobody reads any more is dropped.
    pub fn replace(&mut self, id: Id, op: Op, inputs: Vec<Id>) {
        debug_assert_eq!(
            op.shape(&inputs.iter().map(|&input| self.shape(input)).collect::<Vec<_>>()).as_ref(),
            Ok(&self.nodes[id].shape)
        );
        inputs.iter().for_each(|&input| self.uses[input] += 1);
        self.nodes[id].op = op;
        let before = std::mem::replace(&mut self.nodes[id].inputs, inputs);
        self.release(before);
    }

    /// Drops all nodes that the output does not need.
    pub fn sweep(&mut self) {
        for id in self.ids().rev() {
            if self.uses[id] == 0 {
                let inputs = std::mem::take(&mut self.nodes[id].inputs);
                self.release(inputs);
            }
        }
    }

    fn release(&mut self, mut inputs: Vec<Id>) {
        while let Some(id) = inputs.pop() {
            self.uses[id] -= 1;
            if self.uses[id] == 0 {
                inputs.append(&mut self.nodes[id].inputs);
            }
        }
    }
}
