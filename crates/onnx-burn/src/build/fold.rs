//! Constants computed at load: shape arithmetic, and what exporters leave of weights to be prepared.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Fault, Result};
use crate::constant::{Constant, Data, DataType, elements};
use crate::graph::{Binary, Op, Reduction, broadcast};
use crate::proto;

/// The result of those of the file's operations that are known for constants alone, and of those that must be exact for
/// integers; none for any other.
pub fn compute(node: &proto::Node, inputs: &[Option<Arc<Constant>>]) -> Result<Option<Constant>> {
    let given: Vec<&Constant> = inputs.iter().flatten().map(|value| &**value).collect();
    let op = node.op_type.as_str();
    Ok(Some(match (op, given.as_slice()) {
        ("Constant", []) => literal(node)?,
        ("ConstantOfShape", [shape]) => filled(node, shape)?,
        ("Range", [start, limit, step]) => range(start, limit, step)?,
        ("Where", [condition, yes, no]) => choose(condition, yes, no)?,
        (_, [a, b]) if comparison(op).is_some() => compare(op, a, b)?,
        (_, [a, b]) if integer(op).is_some() && [a, b].iter().all(|x| x.as_ints().is_some()) => integers(op, a, b)?,
        ("Pow", [a, b]) => pairs(a, b, f32::powf)?,
        ("Max", [a, b]) => pairs(a, b, f32::max)?,
        ("Min", [a, b]) => pairs(a, b, f32::min)?,
        (_, [x]) if function(op).is_some() => map(op, x)?,
        _ => return Ok(None),
    }))
}

/// The result of an operation of the graph on constants; none where that is left to the graph.
pub fn apply(op: &Op, inputs: &[&Constant]) -> Result<Option<Constant>> {
    Ok(match (op, inputs) {
        (Op::Reshape { shape }, [x]) if elements(shape) == elements(&x.shape) => {
            Some(Constant { shape: shape.clone(), data: x.data.clone() })
        }
        (Op::Transpose { order }, [x]) if order.iter().all(|&axis| axis < x.shape.len()) => {
            let all = offsets(&x.shape, |_, dim| (0..dim).collect());
            Some(pick(x, order.iter().map(|&axis| all[axis].clone()).collect())?)
        }
        (Op::Slice { axis, start, size }, [x]) if x.shape.get(*axis).is_some_and(|&dim| start + size <= dim) => {
            let chosen = |at, dim| if at == *axis { (*start..start + size).collect() } else { (0..dim).collect() };
            Some(pick(x, offsets(&x.shape, chosen))?)
        }
        (Op::Select { axis, indices }, [x])
            if x.shape.get(*axis).is_some_and(|dim| indices.iter().all(|index| index < dim)) =>
        {
            let chosen = |at, dim| if at == *axis { indices.clone() } else { (0..dim).collect() };
            Some(pick(x, offsets(&x.shape, chosen))?)
        }
        (Op::Expand { shape }, [x]) if broadcast(&x.shape, shape).as_ref() == Some(shape) => Some(expand(x, shape)?),
        (Op::Concat { axis }, inputs) => concat(*axis, inputs),
        (Op::Binary(binary), [a, b]) if broadcast(&a.shape, &b.shape).is_some() => match binary {
            Binary::Add => Some(pairs(a, b, |a, b| a + b)?),
            Binary::Sub => Some(pairs(a, b, |a, b| a - b)?),
            Binary::Mul => Some(pairs(a, b, |a, b| a * b)?),
            Binary::Div => Some(pairs(a, b, |a, b| a / b)?),
        },
        (Op::Log, [Constant { shape, data: Data::Float(values) }]) => {
            Some(Constant { shape: shape.clone(), data: Data::Float(values.iter().map(|x| x.ln()).collect()) })
        }
        (Op::Reduce { reduction, axes }, [x]) => Some(reduce(*reduction, axes, x)),
        _ => None,
    })
}

/// Offsets of each axis's indices into a row-major tensor.
fn offsets(shape: &[usize], indices: impl Fn(usize, usize) -> Vec<usize>) -> Vec<Vec<usize>> {
    let mut stride = 1;
    let mut found: Vec<Vec<usize>> = Vec::with_capacity(shape.len());
    for (axis, &dim) in shape.iter().enumerate().rev() {
        found.push(indices(axis, dim).into_iter().map(|index| index * stride).collect());
        stride *= dim;
    }
    found.reverse();
    found
}

/// The elements at all sums of one offset of each axis.
fn pick(x: &Constant, offsets: Vec<Vec<usize>>) -> Result<Constant> {
    let shape: Vec<usize> = offsets.iter().map(Vec::len).collect();
    let count = elements(&shape).ok_or_else(|| too_large(&shape))?;
    let mut positions = Vec::with_capacity(count);
    positions.push(0);
    for axis in &offsets {
        positions = positions.iter().flat_map(|base| axis.iter().map(move |offset| base + offset)).collect();
    }
    let data = match &x.data {
        Data::Float(values) => Data::Float(positions.iter().map(|&at| values[at]).collect()),
        Data::Int(values) => Data::Int(positions.iter().map(|&at| values[at]).collect()),
    };
    Ok(Constant { shape, data })
}

fn too_large(shape: &[usize]) -> Fault {
    format!("a constant of {shape:?} is too large").into()
}

/// `x` with its dimensions of 1 repeated; `shape` must fit it.
fn expand(x: &Constant, shape: &[usize]) -> Result<Constant> {
    let repeat = |axis: usize, dim: usize| if dim == 1 { vec![0; shape[axis]] } else { (0..dim).collect() };
    elements(shape).ok_or_else(|| too_large(shape))?;
    pick(x, offsets(&x.shape, repeat))
}

fn concat(axis: usize, inputs: &[&Constant]) -> Option<Constant> {
    let first = inputs.first()?;
    let (outer, rest) = first.shape.split_at_checked(axis)?;
    let (_, inner) = rest.split_first()?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for input in inputs {
        let (found, rest) = input.shape.split_at_checked(axis)?;
        let (along, found_inner) = rest.split_first()?;
        if (found, found_inner) != (outer, inner) {
            return None;
        }
        shape[axis] += along;
    }
    elements(&shape)?;
    let blocks: usize = outer.iter().product();
    let inner: usize = inner.iter().product();
    let join = |block: usize| {
        inputs.iter().map(move |input| (input, block * input.shape[axis] * inner, input.shape[axis] * inner))
    };
    let data = if inputs.iter().all(|input| input.as_ints().is_some()) {
        let pieces = (0..blocks).flat_map(join).filter_map(|(x, at, size)| x.as_ints()?.get(at..at + size));
        Data::Int(pieces.flatten().copied().collect())
    } else {
        inputs.iter().all(|input| input.as_floats().is_some()).then_some(())?;
        let pieces = (0..blocks).flat_map(join).filter_map(|(x, at, size)| x.as_floats()?.get(at..at + size));
        Data::Float(pieces.flatten().copied().collect())
    };
    Some(Constant { shape, data })
}

fn reduce(reduction: Reduction, axes: &[usize], x: &Constant) -> Constant {
    let count: usize = axes.iter().map(|&axis| x.shape[axis]).product();
    let shape: Vec<usize> =
        x.shape.iter().enumerate().map(|(axis, &dim)| if axes.contains(&axis) { 1 } else { dim }).collect();
    let target = offsets(&shape, |_, dim| (0..dim).collect());
    let index = |mut at: usize| -> usize {
        let mut found = 0;
        for (axis, &dim) in x.shape.iter().enumerate().rev() {
            found += if axes.contains(&axis) { 0 } else { target[axis][at % dim] };
            at /= dim;
        }
        found
    };
    let size: usize = shape.iter().product();
    let data = match &x.data {
        Data::Float(values) => {
            let mut sums = vec![0.0; size];
            values.iter().enumerate().for_each(|(at, value)| sums[index(at)] += value);
            if reduction == Reduction::Mean {
                sums.iter_mut().for_each(|sum| *sum /= count as f32);
            }
            Data::Float(sums)
        }
        Data::Int(values) => {
            let mut sums = vec![0i64; size];
            values.iter().enumerate().for_each(|(at, &value)| sums[index(at)] = sums[index(at)].wrapping_add(value));
            if reduction == Reduction::Mean {
                sums.iter_mut().for_each(|sum| *sum /= (count as i64).max(1));
            }
            Data::Int(sums)
        }
    };
    Constant { shape, data }
}

/// Values of an attribute.
fn literal(node: &proto::Node) -> Result<Constant> {
    let Some(attribute) = node.attribute.first() else { return Err("it has no value".into()) };
    let list = |data: Data, count| Constant { shape: vec![count], data };
    Ok(match (attribute.name.as_str(), &attribute.t, attribute.f, attribute.i) {
        ("value", Some(tensor), ..) => Constant::read(tensor)?,
        ("value_float", _, Some(value), _) => Constant { shape: Vec::new(), data: Data::Float(vec![value]) },
        ("value_int", _, _, Some(value)) => Constant { shape: Vec::new(), data: Data::Int(vec![value]) },
        ("value_floats", ..) => list(Data::Float(attribute.floats.clone()), attribute.floats.len()),
        ("value_ints", ..) => list(Data::Int(attribute.ints.clone()), attribute.ints.len()),
        (name, ..) => return Err(format!("its value is a '{name}', which is not supported").into()),
    })
}

/// One value everywhere, 0 unless an attribute gives another.
fn filled(node: &proto::Node, shape: &Constant) -> Result<Constant> {
    let shape: Option<Vec<usize>> =
        shape.as_ints().and_then(|dims| dims.iter().map(|&dim| usize::try_from(dim).ok()).collect());
    let shape = shape.ok_or("its dimensions are no list of sizes")?;
    let count = elements(&shape).ok_or_else(|| too_large(&shape))?;
    let value = node.attribute.iter().find(|attribute| attribute.name == "value").and_then(|found| found.t.as_ref());
    let data = match value.map(Constant::read).transpose()?.map(|value| value.data) {
        None => Data::Float(vec![0.0; count]),
        Some(Data::Float(values)) => Data::Float(vec![values.first().copied().unwrap_or_default(); count]),
        Some(Data::Int(values)) => Data::Int(vec![values.first().copied().unwrap_or_default(); count]),
    };
    Ok(Constant { shape, data })
}

/// Integers from `start` up or down to `limit`, which is left out.
fn range(start: &Constant, limit: &Constant, step: &Constant) -> Result<Constant> {
    let (Some(&[start]), Some(&[limit]), Some(&[step])) = (start.as_ints(), limit.as_ints(), step.as_ints()) else {
        return Err("only ranges of integers are supported".into());
    };
    let distance = i128::from(limit) - i128::from(start);
    if step == 0 {
        return Err("its step is 0".into());
    }
    let step = i128::from(step);
    let count = ((distance + step - step.signum()) / step).max(0);
    let count = usize::try_from(count).ok().filter(|&count| elements(&[count]).is_some()).ok_or("it is too long")?;
    // All of them lie between start and limit.
    Ok(Constant::ints((0..count as i128).map(|i| (i128::from(start) + i * step) as i64).collect()))
}

/// `step` of every pair of elements, dimensions of 1 repeated.
fn paired<A: Copy, B: Copy, T>(
    (a, a_shape): (&[A], &[usize]),
    (b, b_shape): (&[B], &[usize]),
    step: impl Fn(A, B) -> T,
) -> Result<(Vec<usize>, Vec<T>)> {
    let rank = a_shape.len().max(b_shape.len());
    let [wide_a, wide_b] = [a_shape, b_shape].map(|shape| widen(shape, rank));
    let shape =
        broadcast(&wide_a, &wide_b).ok_or_else(|| format!("inputs of {a_shape:?} and {b_shape:?} do not fit"))?;
    elements(&shape).ok_or_else(|| too_large(&shape))?;
    let [a_at, b_at] = [wide_a, wide_b].map(|from| {
        let index = Constant::ints((0..from.iter().product::<usize>() as i64).collect());
        expand(&Constant { shape: from, ..index }, &shape)
    });
    let (a_at, b_at) = (a_at?, b_at?);
    let positions = a_at.as_ints().into_iter().flatten().zip(b_at.as_ints().into_iter().flatten());
    let values = positions.map(|(&at_a, &at_b)| step(a[at_a as usize], b[at_b as usize])).collect();
    Ok((shape, values))
}

/// Dimensions with 1 put before them.
pub fn widen(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut wide = vec![1; rank.saturating_sub(shape.len())];
    wide.extend(shape);
    wide
}

/// Of two constants of floating point.
fn pairs(a: &Constant, b: &Constant, step: impl Fn(f32, f32) -> f32) -> Result<Constant> {
    let (Some(x), Some(y)) = (a.as_floats(), b.as_floats()) else { return Err(MIXED.into()) };
    let (shape, values) = paired((x, &a.shape), (y, &b.shape), step)?;
    Ok(Constant { shape, data: Data::Float(values) })
}

const MIXED: &str = "its inputs are of types that do not go together";

/// Arithmetic on integers; none of a quotient by 0 and the like.
fn integer(op: &str) -> Option<fn(i64, i64) -> Option<i64>> {
    Some(match op {
        "Add" => i64::checked_add,
        "Sub" => i64::checked_sub,
        "Mul" => i64::checked_mul,
        "Div" => i64::checked_div,
        "Mod" => |a, b| a.checked_rem(b)?.checked_add(b)?.checked_rem(b),
        "Pow" => |a, b| a.checked_pow(b.try_into().ok()?),
        "Max" => |a, b| Some(a.max(b)),
        "Min" => |a, b| Some(a.min(b)),
        "And" => |a, b| Some(a & b),
        "Or" => |a, b| Some(a | b),
        _ => return None,
    })
}

fn integers(op: &str, a: &Constant, b: &Constant) -> Result<Constant> {
    let (Some(x), Some(y), Some(step)) = (a.as_ints(), b.as_ints(), integer(op)) else { return Err(MIXED.into()) };
    let (shape, values) = paired((x, &a.shape), (y, &b.shape), step)?;
    let values: Option<Vec<i64>> = values.into_iter().collect();
    Ok(Constant { shape, data: Data::Int(values.ok_or("a result that is no integer of 64 bits")?) })
}

/// Which orders make a comparison true.
fn comparison(op: &str) -> Option<&'static [Ordering]> {
    Some(match op {
        "Equal" => &[Ordering::Equal],
        "Less" => &[Ordering::Less],
        "Greater" => &[Ordering::Greater],
        "LessOrEqual" => &[Ordering::Less, Ordering::Equal],
        "GreaterOrEqual" => &[Ordering::Greater, Ordering::Equal],
        _ => return None,
    })
}

fn compare(op: &str, a: &Constant, b: &Constant) -> Result<Constant> {
    let wanted = comparison(op).unwrap_or_default();
    let truth = |order: Option<Ordering>| i64::from(order.is_some_and(|order| wanted.contains(&order)));
    let (shape, values) = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => paired((x, &a.shape), (y, &b.shape), |x, y| truth(x.partial_cmp(&y)))?,
        (Data::Int(x), Data::Int(y)) => paired((x, &a.shape), (y, &b.shape), |x, y| truth(x.partial_cmp(&y)))?,
        _ => return Err(MIXED.into()),
    };
    Ok(Constant { shape, data: Data::Int(values) })
}

/// `yes` where the condition is not 0, else `no`.
fn choose(condition: &Constant, yes: &Constant, no: &Constant) -> Result<Constant> {
    let truth = condition.as_ints().ok_or(MIXED)?;
    // First the two choices side by side, then the one of both.
    let (shape, data) = match (&yes.data, &no.data) {
        (Data::Float(x), Data::Float(y)) => {
            let (shape, both) = paired((x, &yes.shape), (y, &no.shape), |x, y| (x, y))?;
            let choice = |truth: i64, (x, y): (f32, f32)| if truth != 0 { x } else { y };
            let (shape, values) = paired((truth, &condition.shape), (&both, &shape), choice)?;
            (shape, Data::Float(values))
        }
        (Data::Int(x), Data::Int(y)) => {
            let (shape, both) = paired((x, &yes.shape), (y, &no.shape), |x, y| (x, y))?;
            let choice = |truth: i64, (x, y): (i64, i64)| if truth != 0 { x } else { y };
            let (shape, values) = paired((truth, &condition.shape), (&both, &shape), choice)?;
            (shape, Data::Int(values))
        }
        _ => return Err(MIXED.into()),
    };
    Ok(Constant { shape, data })
}

/// Functions of one number, for integers and for floating point where they make sense.
fn function(op: &str) -> Option<(Option<fn(i64) -> i64>, fn(f32) -> f32)> {
    Some(match op {
        "Neg" => (Some(i64::wrapping_neg), |x| -x),
        "Abs" => (Some(i64::wrapping_abs), f32::abs),
        "Not" => (Some(|x| i64::from(x == 0)), |x| x),
        "Floor" => (None, f32::floor),
        "Ceil" => (None, f32::ceil),
        "Round" => (None, f32::round_ties_even),
        "Sqrt" => (None, f32::sqrt),
        "Exp" => (None, f32::exp),
        "Log" => (None, f32::ln),
        "Reciprocal" => (None, f32::recip),
        _ => return None,
    })
}

fn map(op: &str, x: &Constant) -> Result<Constant> {
    let data = match (&x.data, function(op)) {
        (Data::Float(values), Some((_, function))) => Data::Float(values.iter().map(|&x| function(x)).collect()),
        (Data::Int(values), Some((Some(function), _))) => Data::Int(values.iter().map(|&x| function(x)).collect()),
        _ => return Err(MIXED.into()),
    };
    Ok(Constant { shape: x.shape.clone(), data })
}

/// Values as another type.
pub fn cast(x: &Constant, to: DataType) -> Constant {
    let data = match (&x.data, to.is_float()) {
        (Data::Float(values), true) => Data::Float(values.clone()),
        (Data::Float(values), false) if to == DataType::Bool => {
            Data::Int(values.iter().map(|&x| i64::from(x != 0.0)).collect())
        }
        (Data::Float(values), false) => Data::Int(values.iter().map(|&x| x as i64).collect()),
        (Data::Int(values), true) => Data::Float(values.iter().map(|&x| x as f32).collect()),
        (Data::Int(values), false) if to == DataType::Bool => {
            Data::Int(values.iter().map(|&x| i64::from(x != 0)).collect())
        }
        (Data::Int(values), false) => Data::Int(values.clone()),
    };
    Constant { shape: x.shape.clone(), data }
}
