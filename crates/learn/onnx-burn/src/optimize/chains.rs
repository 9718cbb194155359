//! Chains of functions of the same tensor's elements become one program: `x * sigmoid(x)`, GELU and the like.

use crate::graph::{Graph, Id};
use ops::frozen::Op;
use ops::frozen::Program;

/// Longest program that is made of shorter ones.
const MAX_STEPS: usize = 64;

/// Joins every function of one tensor with the functions it is made of, where nobody else reads those.
pub fn collapse(graph: &mut Graph) {
    for id in graph.ids() {
        if graph.uses(id) == 0 {
            continue;
        }
        if let Op::Binary(binary) = graph.node(id).op
            && let &[a, b] = graph.node(id).inputs.as_slice()
            && let Some((root, a, b)) = common(graph, id, a, b)
        {
            let program = Program::combine(&a, &b, |p, a, b| p.push(binary.step(a, b)));
            replace(graph, id, program, root);
        }
        while let Op::Pointwise(outer) = &graph.node(id).op
            && let &[input] = graph.node(id).inputs.as_slice()
            && let Op::Pointwise(inner) = &graph.node(input).op
            && graph.uses(input) == 1
        {
            let (program, root) = (outer.after(inner), graph.node(input).inputs[0]);
            if !replace(graph, id, program, root) {
                break;
            }
        }
    }
}

/// Whether the program was short enough.
fn replace(graph: &mut Graph, id: Id, program: Program, root: Id) -> bool {
    let short = program.steps().len() <= MAX_STEPS;
    if short {
        graph.replace(id, Op::Pointwise(program), vec![root]);
    }
    short
}

/// The tensor that both operands of `reader` are functions of, with the functions.
fn common(graph: &Graph, reader: Id, a: Id, b: Id) -> Option<(Id, Program, Program)> {
    let reads = graph.node(reader).inputs.as_slice();
    // What somebody else reads has to be computed anyway, and is better read than computed again.
    let views = |id: Id| {
        let inner = match &graph.node(id).op {
            Op::Pointwise(program) if graph.uses(id) == reads.iter().filter(|&&read| read == id).count() => {
                Some((graph.node(id).inputs[0], program.clone()))
            }
            _ => None,
        };
        std::iter::once((id, Program::identity())).chain(inner)
    };
    let pairs = views(a).flat_map(|a| views(b).map(move |b| (a.clone(), b)));
    let mut same = pairs.filter(|(a, b)| a.0 == b.0);
    // Operands of one shape only: otherwise the smaller one is repeated.
    same.next().filter(|_| graph.shape(a) == graph.shape(b)).map(|((root, a), (_, b))| (root, a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::frozen::Binary;
    use ops::frozen::Step;

    fn unary(graph: &mut Graph, step: fn(usize) -> Step, x: Id) -> Id {
        graph.add(Op::Pointwise(Program::new(|p, x| p.push(step(x)))), vec![x], "").unwrap()
    }

    fn start() -> (Graph, Id) {
        let mut graph = Graph::default();
        let x = graph.add(Op::Input { shape: vec![1, 2, 3, 3] }, Vec::new(), "").unwrap();
        (graph, x)
    }

    fn collapsed(mut graph: Graph, output: Id) -> Graph {
        graph.set_output(output);
        graph.sweep();
        collapse(&mut graph);
        graph
    }

    #[test]
    fn silu_of_relu_becomes_one_program() {
        let (mut graph, x) = start();
        let relu = unary(&mut graph, Step::Relu, x);
        let gate = unary(&mut graph, Step::Sigmoid, relu);
        let silu = graph.add(Op::Binary(Binary::Mul), vec![relu, gate], "").unwrap();
        let graph = collapsed(graph, silu);
        assert_eq!(graph.node(silu).inputs, [x]);
        let Op::Pointwise(program) = &graph.node(silu).op else { panic!("{:?}", graph.node(silu).op) };
        assert_eq!(program.steps(), [Step::Input, Step::Relu(0), Step::Sigmoid(1), Step::Mul(1, 2)]);
        assert_eq!([graph.uses(relu), graph.uses(gate)], [0, 0]);
    }

    #[test]
    fn what_others_read_stays() {
        let (mut graph, x) = start();
        let relu = unary(&mut graph, Step::Relu, x);
        let gate = unary(&mut graph, Step::Sigmoid, relu);
        let log = graph.add(Op::Log, vec![relu], "").unwrap();
        let sum = graph.add(Op::Binary(Binary::Add), vec![log, gate], "").unwrap();
        let graph = collapsed(graph, sum);
        assert_eq!(graph.node(gate).inputs, [relu]);
        assert_eq!(graph.node(sum).inputs, [log, gate]);
        assert_eq!(graph.uses(relu), 2);
    }

    #[test]
    fn a_tensor_and_its_repetition_are_not_one() {
        let mut graph = Graph::default();
        let x = graph.add(Op::Input { shape: vec![1, 4] }, Vec::new(), "").unwrap();
        let row = graph.add(Op::Reshape { shape: vec![4, 1] }, vec![x], "").unwrap();
        let table = graph.add(Op::Binary(Binary::Add), vec![x, row], "").unwrap();
        let graph = collapsed(graph, table);
        assert_eq!(graph.node(table).op, Op::Binary(Binary::Add));
    }
}
