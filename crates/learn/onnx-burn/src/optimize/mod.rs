//! Fewer and larger nodes that make the same, up to rounding.
//!
//! Each pass replaces nodes in place and drops what nobody reads any more. Passes run in an order in which each finds what
//! the ones before it make.

mod activation;
mod chains;
mod linear;
mod sources;

use crate::graph::Graph;

/// All passes.
pub fn optimize(graph: &mut Graph) {
    chains::collapse(graph);
    linear::fold(graph);
    activation::attach(graph);
    sources::attach(graph);
}
