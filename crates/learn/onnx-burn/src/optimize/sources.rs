//! A convolution reads what was put side by side or repeated for it without that being done.

use crate::graph::{Graph, Id};
use ops::frozen::{ConvSource, MAX_SOURCES, Op};

/// Lets every convolution of one group that alone reads a concatenation of channels, or repeated rows and columns, read
/// what those were made of.
pub fn attach(graph: &mut Graph) {
    for id in graph.ids() {
        let Some(conv) = graph.conv(id) else { continue };
        if conv.shape.groups != 1 || graph.uses(id) == 0 {
            continue;
        }
        let (mut inputs, mut sources) = (Vec::new(), Vec::new());
        for (&input, &source) in graph.node(id).inputs.iter().zip(&conv.shape.sources) {
            match (&graph.node(input).op, source.upsample) {
                (Op::Concat { axis: 1 }, 1) if graph.uses(input) == 1 => {
                    for &part in &graph.node(input).inputs {
                        let (part, source) = repeated(graph, part);
                        inputs.push(part);
                        sources.push(source);
                    }
                }
                (Op::Upsample { .. }, 1) => {
                    let (part, source) = repeated(graph, input);
                    inputs.push(part);
                    sources.push(source);
                }
                _ => {
                    inputs.push(input);
                    sources.push(source);
                }
            }
        }
        if inputs != graph.node(id).inputs && inputs.len() <= MAX_SOURCES {
            let mut conv = conv.clone();
            conv.shape.sources = sources;
            graph.replace(id, Op::Conv(Box::new(conv)), inputs);
        }
    }
}

/// What is repeated, if only one node reads the repetition.
fn repeated(graph: &Graph, id: Id) -> (Id, ConvSource) {
    match graph.node(id).op {
        Op::Upsample { factor } if graph.uses(id) == 1 => {
            let input = graph.node(id).inputs[0];
            (input, ConvSource { channels: graph.shape(input)[1], upsample: factor })
        }
        _ => (id, ConvSource { channels: graph.shape(id)[1], upsample: 1 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::frozen::Conv;

    #[test]
    fn a_convolution_reads_the_parts_of_what_was_put_together_for_it() {
        let mut graph = Graph::default();
        let x = graph.add(Op::Input { shape: vec![1, 2, 3, 3] }, Vec::new(), "").unwrap();
        let large = graph.add(Op::Upsample { factor: 2 }, vec![x], "").unwrap();
        let other = graph.add(Op::Upsample { factor: 2 }, vec![x], "").unwrap();
        let other = graph.add(Op::Log, vec![other], "").unwrap();
        let both = graph.add(Op::Concat { axis: 1 }, vec![large, other], "").unwrap();
        let mut conv = Conv::channelwise(vec![0.5; 4], vec![0.0]);
        (conv.shape.outputs, conv.shape.groups) = (1, 1);
        let conv = graph.add(Op::Conv(Box::new(conv)), vec![both], "").unwrap();
        graph.set_output(conv);
        attach(&mut graph);
        assert_eq!(graph.node(conv).inputs, [x, other]);
        let expected = [ConvSource { channels: 2, upsample: 2 }, ConvSource { channels: 2, upsample: 1 }];
        assert_eq!(graph.conv(conv).unwrap().shape.sources, expected);
        assert_eq!([graph.uses(both), graph.uses(large)], [0, 0]);
    }
}
