//! Linear operations one after another, or side by side on the same tensor, become one convolution: batch normalization and
//! layer scale folded into the convolution before or after it, parallel branches added up to one kernel (RepVGG, Ding et al.
//! 2021).

use crate::graph::{Graph, Id};
use ops::frozen::{Binary, Conv, ConvShape, Op};

/// Folds until there is nothing left to fold.
pub fn fold(graph: &mut Graph) {
    let mut changed = true;
    while std::mem::take(&mut changed) {
        for id in graph.ids() {
            while graph.uses(id) > 0
                && let Some((conv, inputs)) = affine(graph, id)
                    .or_else(|| before(graph, id))
                    .or_else(|| after(graph, id))
                    .or_else(|| parallel(graph, id))
            {
                graph.replace(id, Op::Conv(Box::new(conv)), inputs);
                changed = true;
            }
        }
    }
}

type Folded = Option<(Conv, Vec<Id>)>;

/// A program `scale * x + shift` on an image.
fn affine(graph: &Graph, id: Id) -> Folded {
    let node = graph.node(id);
    let (Op::Pointwise(program), &[_, channels, _, _]) = (&node.op, node.shape.as_slice()) else { return None };
    let (scale, shift) = program.affine()?;
    Some((Conv::channelwise(vec![scale; channels], vec![shift; channels]), node.inputs.clone()))
}

/// The convolution that a node is, with its one input, if it is linear and nobody else reads it.
fn linear(graph: &Graph, id: Id) -> Option<(&Conv, Id)> {
    let conv = graph.conv(id).filter(|conv| conv.activation.is_none() && graph.uses(id) == 1)?;
    match (graph.node(id).inputs.as_slice(), conv.shape.sources.as_slice()) {
        (&[input], [source]) if source.upsample == 1 => Some((conv, input)),
        _ => None,
    }
}

/// A scale and shift of channels after a convolution.
fn after(graph: &Graph, id: Id) -> Folded {
    let scaling = graph.conv(id).filter(|conv| conv.is_channelwise())?;
    let (conv, _) = linear(graph, graph.node(id).inputs[0])?;
    let mut conv = conv.clone();
    let size = conv.weight.len() / conv.shape.outputs;
    for (channel, weight) in conv.weight.chunks_exact_mut(size).enumerate() {
        weight.iter_mut().for_each(|weight| *weight *= scaling.weight[channel]);
        conv.bias[channel] = conv.bias[channel] * scaling.weight[channel] + scaling.bias[channel];
    }
    Some((conv, graph.node(graph.node(id).inputs[0]).inputs.clone()))
}

/// A scale and shift of channels before a convolution; a shift only where no zeros are put around the image, since those
/// would be shifted, too.
fn before(graph: &Graph, id: Id) -> Folded {
    let conv = graph.conv(id)?;
    let &[input] = graph.node(id).inputs.as_slice() else { return None };
    let (scaling, root) = linear(graph, input).filter(|(scaling, _)| scaling.is_channelwise())?;
    let exact = conv.shape.padding == [0; 4] || scaling.bias.iter().all(|&shift| shift == 0.0);
    if !exact || conv.shape.sources[0].upsample != 1 {
        return None;
    }
    let mut conv = conv.clone();
    let [area, inputs, outputs] = [
        conv.shape.kernel[0] * conv.shape.kernel[1],
        conv.inputs() / conv.shape.groups,
        conv.shape.outputs / conv.shape.groups,
    ];
    for (output, weight) in conv.weight.chunks_exact_mut(area * inputs).enumerate() {
        let first = output / outputs * inputs;
        let mut shift = 0.0;
        for (channel, kernel) in (first..).zip(weight.chunks_exact_mut(area)) {
            shift += kernel.iter().sum::<f32>() * scaling.bias[channel];
            kernel.iter_mut().for_each(|weight| *weight *= scaling.weight[channel]);
        }
        conv.bias[output] += shift;
    }
    Some((conv, vec![root]))
}

/// The sum or difference of two convolutions of the same tensor, or of one and the tensor itself.
fn parallel(graph: &Graph, id: Id) -> Folded {
    let node = graph.node(id);
    let sign = match node.op {
        Op::Binary(Binary::Add) => 1.0,
        Op::Binary(Binary::Sub) => -1.0,
        _ => return None,
    };
    let (&[a, b], &[_, channels, _, _]) = (node.inputs.as_slice(), node.shape.as_slice()) else { return None };
    if graph.shape(a) != graph.shape(b) {
        return None;
    }
    let itself = Conv::channelwise(vec![1.0; channels], vec![0.0; channels]);
    let (first, second, root) = match (linear(graph, a), linear(graph, b)) {
        (Some((first, root)), Some((second, other))) if root == other => (first, second, root),
        (Some((first, root)), _) if root == b => (first, &itself, root),
        (_, Some((second, root))) if root == a => (&itself, second, root),
        _ => return None,
    };
    let (large, small, signs) =
        if area(first) >= area(second) { (first, second, [1.0, sign]) } else { (second, first, [sign, 1.0]) };
    let mut sum = regrouped(large, small.shape.groups.min(large.shape.groups))?;
    for value in sum.weight.iter_mut().chain(&mut sum.bias) {
        *value *= signs[0];
    }
    let small = regrouped(small, sum.shape.groups)?;
    if small.shape.stride != sum.shape.stride {
        return None;
    }
    let [top, left] = [offset(&sum, &small, 0)?, offset(&sum, &small, 1)?];
    let ([rows, columns], width) = (small.shape.kernel, sum.shape.kernel[1]);
    let kernels =
        sum.weight.chunks_exact_mut(sum.shape.kernel[0] * width).zip(small.weight.chunks_exact(rows * columns));
    for (into, from) in kernels {
        for (row, values) in from.chunks_exact(columns).enumerate() {
            let start = (top + row) * width + left;
            into[start..start + columns].iter_mut().zip(values).for_each(|(into, from)| *into += signs[1] * from);
        }
    }
    sum.bias.iter_mut().zip(&small.bias).for_each(|(into, from)| *into += signs[1] * from);
    Some((sum, vec![root]))
}

fn area(conv: &Conv) -> usize {
    conv.shape.kernel[0] * conv.shape.kernel[1]
}

/// Where the kernel of `small` lies in that of `large`, along an axis.
fn offset(large: &Conv, small: &Conv, axis: usize) -> Option<usize> {
    if small.shape.kernel[axis] > 1 && small.shape.dilation[axis] != large.shape.dilation[axis] {
        return None;
    }
    let distance = large.shape.padding[axis].checked_sub(small.shape.padding[axis])?;
    let steps = distance / large.shape.dilation[axis];
    let fits = distance.is_multiple_of(large.shape.dilation[axis])
        && steps + small.shape.kernel[axis] <= large.shape.kernel[axis];
    fits.then_some(steps)
}

/// The same convolution with fewer groups, which must divide its own: zeros where there were no weights.
fn regrouped(conv: &Conv, groups: usize) -> Option<Conv> {
    if groups == conv.shape.groups {
        return Some(conv.clone());
    }
    // Many weights for few: worth it only from channel by channel, as normalizations and depthwise branches are.
    if conv.shape.groups != conv.shape.outputs
        || conv.shape.groups != conv.inputs()
        || !conv.shape.groups.is_multiple_of(groups)
    {
        return None;
    }
    let (size, area) = (conv.shape.groups / groups, area(conv));
    let mut weight = vec![0.0; conv.shape.outputs * size * area];
    for (output, kernel) in conv.weight.chunks_exact(area).enumerate() {
        let start = (output * size + output % size) * area;
        weight[start..start + area].copy_from_slice(kernel);
    }
    let shape = ConvShape { groups, ..conv.shape.clone() };
    Some(Conv { shape, weight, ..conv.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::frozen::ConvSource;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 101) as f32 / 50.0 - 1.0).collect()
    }

    fn conv(channels: usize, outputs: usize, kernel: usize, padding: usize, groups: usize) -> Conv {
        let shape = ConvShape {
            sources: vec![ConvSource { channels, upsample: 1 }],
            outputs,
            kernel: [kernel; 2],
            stride: [1, 1],
            padding: [padding; 4],
            dilation: [1, 1],
            groups,
        };
        Conv {
            shape,
            weight: numbers(outputs * channels / groups * kernel * kernel, kernel + outputs),
            bias: numbers(outputs, kernel),
            activation: None,
        }
    }

    /// A convolution by its definition, `x` of one image.
    fn run(conv: &Conv, x: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
        let [height, width] = conv.shape.output_size([rows, columns]).unwrap();
        let (inputs, outputs) = (conv.inputs() / conv.shape.groups, conv.shape.outputs / conv.shape.groups);
        let mut y = Vec::new();
        for output in 0..conv.shape.outputs {
            for at in 0..height * width {
                let mut sum = conv.bias[output];
                for index in 0..inputs * area(conv) {
                    let (channel, k) = (output / outputs * inputs + index / area(conv), index % area(conv));
                    let row = at / width * conv.shape.stride[0] + k / conv.shape.kernel[1] * conv.shape.dilation[0];
                    let column = at % width * conv.shape.stride[1] + k % conv.shape.kernel[1] * conv.shape.dilation[1];
                    let inside = (conv.shape.padding[0]..rows + conv.shape.padding[0]).contains(&row)
                        && (conv.shape.padding[1]..columns + conv.shape.padding[1]).contains(&column);
                    if inside {
                        let pixel =
                            (channel * rows + row - conv.shape.padding[0]) * columns + column - conv.shape.padding[1];
                        sum += conv.weight[output * inputs * area(conv) + index] * x[pixel];
                    }
                }
                y.push(sum);
            }
        }
        y
    }

    fn add(graph: &mut Graph, conv: &Conv, x: Id) -> Id {
        graph.add(Op::Conv(Box::new(conv.clone())), vec![x], "").unwrap()
    }

    /// Adds `build`'s nodes to a graph whose input has `channels`, folds, and returns the one convolution left.
    fn folded(channels: usize, build: impl FnOnce(&mut Graph, Id) -> Id) -> Option<Conv> {
        let mut graph = Graph::default();
        let x = graph.add(Op::Input { shape: vec![1, channels, 5, 6] }, Vec::new(), "").unwrap();
        let output = build(&mut graph, x);
        graph.set_output(output);
        fold(&mut graph);
        graph.conv(output).filter(|_| graph.node(output).inputs == [x]).cloned()
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
    }

    const SIZE: [usize; 2] = [5, 6];

    #[test]
    fn scales_and_shifts_go_into_convolutions_before_and_after() {
        let x = numbers(4 * 30, 1);
        let scaling = |seed| Conv::channelwise(numbers(4, seed), numbers(4, seed + 1));
        for main in [conv(4, 4, 3, 0, 1), conv(4, 4, 3, 0, 2), conv(4, 4, 3, 0, 4)] {
            let found = folded(4, |graph, x| {
                let first = add(graph, &scaling(3), x);
                let second = add(graph, &main, first);
                add(graph, &scaling(5), second)
            });
            let expected = run(&main, &run(&scaling(3), &x, SIZE), SIZE);
            let size = main.shape.output_size(SIZE).unwrap();
            close(&run(&found.unwrap(), &x, SIZE), &run(&scaling(5), &expected, size));
        }
    }

    #[test]
    fn a_shift_stays_before_a_padded_convolution_and_a_scale_does_not() {
        let main = conv(4, 4, 3, 1, 1);
        for shift in [0.0, 0.5] {
            let scaling = Conv::channelwise(numbers(4, 3), vec![shift; 4]);
            let found = folded(4, |graph, x| {
                let first = add(graph, &scaling, x);
                add(graph, &main, first)
            });
            assert_eq!(found.is_some(), shift == 0.0);
            if let Some(found) = found {
                let x = numbers(120, 1);
                close(&run(&found, &x, SIZE), &run(&main, &run(&scaling, &x, SIZE), SIZE));
            }
        }
    }

    #[test]
    fn parallel_branches_become_one_kernel() {
        let x = numbers(4 * 30, 1);
        let mut dilated = conv(4, 4, 3, 2, 1);
        dilated.shape.dilation = [2, 2];
        let cases = [
            (conv(4, 4, 3, 1, 4), conv(4, 4, 1, 0, 4)),
            (conv(4, 4, 1, 0, 4), conv(4, 4, 3, 1, 1)),
            (conv(4, 4, 5, 2, 1), conv(4, 4, 3, 1, 4)),
            (dilated, conv(4, 4, 1, 0, 2)),
        ];
        for (a, b) in cases {
            let found = folded(4, |graph, x| {
                let (first, second) = (add(graph, &a, x), add(graph, &b, x));
                let difference = graph.add(Op::Binary(Binary::Sub), vec![first, second], "").unwrap();
                graph.add(Op::Binary(Binary::Add), vec![x, difference], "").unwrap()
            });
            if a.shape.groups == 1 && b.shape.groups == 2 {
                assert!(found.is_none());
                continue;
            }
            let (first, second) = (run(&a, &x, SIZE), run(&b, &x, SIZE));
            let expected: Vec<f32> = first.iter().zip(&second).zip(&x).map(|((a, b), x)| a - b + x).collect();
            close(&run(&found.unwrap(), &x, SIZE), &expected);
        }
    }

    #[test]
    fn what_is_read_elsewhere_is_not_computed_twice() {
        let found = folded(4, |graph, x| {
            let main = add(graph, &conv(4, 4, 3, 1, 1), x);
            let scaled = add(graph, &Conv::channelwise(numbers(4, 3), numbers(4, 4)), main);
            graph.add(Op::Binary(Binary::Mul), vec![main, scaled], "").unwrap()
        });
        assert!(found.is_none());
    }
}
