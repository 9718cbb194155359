//! Which tensors an operation takes, and the dimensions of what it makes.

use gradients::frozen::ConvShape;

use super::op::{Conv, MAX_SOURCES, Op};

/// Most elements of a tensor: a gibibyte.
pub const MAX_ELEMENTS: usize = 1 << 28;

/// Number of elements, if a tensor may have that many.
pub fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).filter(|&count| count <= MAX_ELEMENTS)
}

impl Op {
    /// The result's dimensions, or what is wrong with the inputs. Whatever passes here runs.
    pub fn shape(&self, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
        let misfit = || format!("inputs of {inputs:?} do not fit");
        match (self, inputs) {
            (Self::Input { shape }, []) => Ok(shape.clone()),
            (Self::Constant { shape, values }, []) if elements(shape) == Some(values.len()) => Ok(shape.clone()),
            (Self::Conv(conv), inputs) => conv_shape(conv, inputs).ok_or_else(misfit),
            (Self::Pointwise(_) | Self::Log, [x]) => Ok(x.to_vec()),
            (Self::Binary(_), [a, b]) if a.len() == b.len() => broadcast(a, b).ok_or_else(misfit),
            (Self::MatMul, [[a @ .., rows, inner], [b @ .., inner_b, columns]])
                if inner == inner_b && a.len() == b.len() =>
            {
                let mut shape = broadcast(a, b).ok_or_else(misfit)?;
                shape.extend([rows, columns]);
                Ok(shape)
            }
            (Self::Reduce { axes, .. }, [x]) if axes.iter().all(|&axis| axis < x.len()) => {
                Ok(x.iter().enumerate().map(|(axis, &dim)| if axes.contains(&axis) { 1 } else { dim }).collect())
            }
            (Self::MaxPool { kernel, stride, padding, dilation }, [[n, channels, rows, columns]]) => {
                // Of a window with nothing but border there is no maximum.
                let inside = (0..2).all(|axis| 2 * padding[axis] <= kernel[axis]);
                let [above, left] = *padding;
                let window = ConvShape {
                    kernel: *kernel,
                    stride: *stride,
                    padding: [above, left, above, left],
                    dilation: *dilation,
                    ..Conv::channelwise(Vec::new(), Vec::new()).shape
                };
                let [rows, columns] = window.output_size([*rows, *columns]).filter(|_| inside).ok_or_else(misfit)?;
                Ok(vec![*n, *channels, rows, columns])
            }
            (Self::Upsample { factor }, [[n, channels, rows, columns]]) => {
                let sides = [rows, columns].map(|side| side.checked_mul(*factor));
                let [Some(rows), Some(columns)] = sides else { return Err(misfit()) };
                Ok(vec![*n, *channels, rows, columns])
            }
            (Self::Interpolate { axis, size, matrix }, [x]) => match x.get(*axis) {
                Some(&before) if elements(&[*size, before]) == Some(matrix.len()) => Ok(with(x, *axis, *size)),
                _ => Err(misfit()),
            },
            (Self::Concat { axis }, [first, rest @ ..]) if *axis < first.len() => {
                let fits = |x: &&[usize]| x.len() == first.len() && with(x, *axis, 0) == with(first, *axis, 0);
                if !rest.iter().all(fits) {
                    return Err(misfit());
                }
                let total = inputs.iter().try_fold(0usize, |sum, x| sum.checked_add(x[*axis]));
                Ok(with(first, *axis, total.ok_or_else(misfit)?))
            }
            (Self::Slice { axis, start, size }, [x]) => {
                let fits = x.get(*axis).is_some_and(|&dim| start.checked_add(*size).is_some_and(|end| end <= dim));
                if fits { Ok(with(x, *axis, *size)) } else { Err(misfit()) }
            }
            (Self::Select { axis, indices }, [x]) => {
                let fits = x.get(*axis).is_some_and(|&dim| indices.iter().all(|&index| index < dim));
                if fits { Ok(with(x, *axis, indices.len())) } else { Err(misfit()) }
            }
            (Self::Pad { before, after, .. }, [x]) if before.len() == x.len() && after.len() == x.len() => {
                let padded = x.iter().zip(before).zip(after).map(|((x, b), a)| x.checked_add(*b)?.checked_add(*a));
                padded.collect::<Option<_>>().ok_or_else(misfit)
            }
            (Self::Reshape { shape }, [x]) if elements(shape) == elements(x) => Ok(shape.clone()),
            (Self::Transpose { order }, [x]) => {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.into_iter().eq(0..x.len()) {
                    return Err(misfit());
                }
                Ok(order.iter().map(|&axis| x[axis]).collect())
            }
            (Self::Expand { shape }, [x]) if x.len() == shape.len() => {
                let fits = x.iter().zip(shape).all(|(x, shape)| x == shape || *x == 1);
                if fits { Ok(shape.clone()) } else { Err(misfit()) }
            }
            (Self::Softmax { axis }, [x]) if *axis < x.len() => Ok(x.to_vec()),
            _ => Err(misfit()),
        }
    }
}

fn conv_shape(conv: &Conv, inputs: &[&[usize]]) -> Option<Vec<usize>> {
    let shape = &conv.shape;
    let mut seen: Option<(usize, [usize; 2])> = None;
    for (&input, source) in inputs.iter().zip(&shape.sources) {
        let &[n, channels, rows, columns] = input else { return None };
        let size = [rows.checked_mul(source.upsample)?, columns.checked_mul(source.upsample)?];
        if channels != source.channels || seen.is_some_and(|seen| seen != (n, size)) {
            return None;
        }
        seen = Some((n, size));
    }
    let (n, size) = seen.filter(|_| inputs.len() == shape.sources.len() && inputs.len() <= MAX_SOURCES)?;
    let [per_group, outputs_per_group] = [conv.inputs(), shape.outputs].map(|count| count.checked_div(shape.groups));
    let weight = [shape.outputs, per_group?, shape.kernel[0], shape.kernel[1]];
    let fits = per_group? * shape.groups == conv.inputs()
        && outputs_per_group? * shape.groups == shape.outputs
        && elements(&weight)? == conv.weight.len()
        && conv.bias.len() == shape.outputs
        && shape.dilation.iter().all(|&step| step > 0);
    let [rows, columns] = shape.output_size(size).filter(|_| fits)?;
    Some(vec![n, shape.outputs, rows, columns])
}

/// The dimensions that two tensors of the same rank have together.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    a.iter().zip(b).map(|(&a, &b)| (a == b || a == 1 || b == 1).then_some(if a == 1 { b } else { a })).collect()
}

/// The same dimensions, one of them changed.
fn with(shape: &[usize], axis: usize, size: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    shape[axis] = size;
    shape
}
