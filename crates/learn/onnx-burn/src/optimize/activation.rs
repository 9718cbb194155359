//! A program right after a convolution becomes part of it.

use crate::graph::Graph;
use ops::frozen::Op;

/// Attaches every program to the convolution before it, where nobody else reads that.
pub fn attach(graph: &mut Graph) {
    for id in graph.ids() {
        if let Op::Pointwise(program) = &graph.node(id).op
            && let &[input] = graph.node(id).inputs.as_slice()
            && let Some(conv) = graph.conv(input)
            && conv.activation.is_none()
            && graph.uses(input) == 1
        {
            let mut conv = conv.clone();
            conv.activation = Some(program.clone());
            let inputs = graph.node(input).inputs.clone();
            graph.replace(id, Op::Conv(Box::new(conv)), inputs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::frozen::{Binary, Conv};
    use ops::frozen::{Program, Step};

    #[test]
    fn a_program_joins_its_convolution_unless_that_is_read_elsewhere() {
        for shared in [false, true] {
            let mut graph = Graph::default();
            let x = graph.add(Op::Input { shape: vec![1, 2, 3, 3] }, Vec::new(), "").unwrap();
            let conv = Op::Conv(Box::new(Conv::channelwise(vec![2.0; 2], vec![1.0; 2])));
            let conv = graph.add(conv, vec![x], "").unwrap();
            let relu = Program::new(|p, x| p.push(Step::Relu(x)));
            let relu = graph.add(Op::Pointwise(relu), vec![conv], "").unwrap();
            let other = if shared { conv } else { x };
            let sum = graph.add(Op::Binary(Binary::Add), vec![relu, other], "").unwrap();
            graph.set_output(sum);
            attach(&mut graph);
            let attached = graph.conv(relu).is_some_and(|conv| conv.activation.is_some());
            assert_eq!(attached, !shared);
            assert_eq!(graph.uses(conv), if shared { 2 } else { 0 });
        }
    }
}
