//! Constants computed at load: shape arithmetic, and what exporters leave of weights to be prepared.

use std::cmp::Ordering;
use std::sync::Arc;

use gradients::frozen::Pointwise;

use super::fault::{Fault, Result};
use crate::constant::{Constant, Data, DataType};
use crate::proto;
use ops::frozen::elements;
use ops::frozen::{Binary, Op, Reduction, broadcast};

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
        ("Max", [a, b]) => pairs(a, b, f32::max)?,
        ("Min", [a, b]) => pairs(a, b, f32::min)?,
        (_, [x]) if function(op).is_some() => map(op, x)?,
        _ => return Ok(None),
    }))
}

/// The result of an operation of the graph on constants; none where that is left to the graph.
pub fn apply(op: &Op, inputs: &[&Constant]) -> Result<Option<Constant>> {
    let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape.as_slice()).collect();
    let shape = op.shape(&shapes)?;
    elements(&shape).ok_or_else(|| too_large(&shape))?;
    let all = |_: usize, dim: usize| (0..dim).collect();
    let along = |chosen: usize, indices: Vec<usize>| {
        move |axis: usize, dim: usize| if axis == chosen { indices.clone() } else { (0..dim).collect() }
    };
    Ok(Some(match (op, inputs) {
        (Op::Reshape { .. }, [x]) => Constant { shape, data: x.data.clone() },
        (Op::Transpose { order }, [x]) => {
            let by_axis = offsets(&x.shape, all);
            pick(x, order.iter().map(|&axis| by_axis[axis].clone()).collect())
        }
        (Op::Slice { axis, start, size }, [x]) => {
            pick(x, offsets(&x.shape, along(*axis, (*start..start + size).collect())))
        }
        (Op::Select { axis, indices }, [x]) => pick(x, offsets(&x.shape, along(*axis, indices.clone()))),
        (Op::Expand { shape }, [x]) => pick(x, repeated(&x.shape, shape)),
        (Op::Concat { axis }, inputs) => Constant { data: concat(*axis, inputs)?, shape },
        (Op::Binary(Binary::Add), [a, b]) => pairs(a, b, |a, b| a + b)?,
        (Op::Binary(Binary::Sub), [a, b]) => pairs(a, b, |a, b| a - b)?,
        (Op::Binary(Binary::Mul), [a, b]) => pairs(a, b, |a, b| a * b)?,
        (Op::Binary(Binary::Div), [a, b]) => pairs(a, b, |a, b| a / b)?,
        (Op::Pointwise(program), [Constant { data: Data::Float(values), .. }]) => {
            let mut results = vec![0.0; values.len()];
            Pointwise::new(program.steps().to_vec()).apply(values, &mut results);
            Constant { shape, data: Data::Float(results) }
        }
        (Op::Log, [Constant { data: Data::Float(values), .. }]) => {
            Constant { shape, data: Data::Float(values.iter().map(|x| x.ln()).collect()) }
        }
        (Op::Reduce { reduction, axes }, [x]) => reduce(*reduction, axes, x),
        _ => return Ok(None),
    }))
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

/// All sums of one offset of each axis, the last axis's fastest.
fn sums(offsets: &[Vec<usize>]) -> Vec<usize> {
    offsets
        .iter()
        .fold(vec![0], |sums, axis| sums.iter().flat_map(|sum| axis.iter().map(move |offset| sum + offset)).collect())
}

/// The elements at those sums.
fn pick(x: &Constant, offsets: Vec<Vec<usize>>) -> Constant {
    let positions = sums(&offsets).into_iter();
    let data = match &x.data {
        Data::Float(values) => Data::Float(positions.map(|at| values[at]).collect()),
        Data::Int(values) => Data::Int(positions.map(|at| values[at]).collect()),
    };
    Constant { shape: offsets.iter().map(Vec::len).collect(), data }
}

fn too_large(shape: &[usize]) -> Fault {
    format!("a constant of {shape:?} is too large").into()
}

/// Offsets into a tensor whose dimensions of 1 are repeated to `to`.
fn repeated(from: &[usize], to: &[usize]) -> Vec<Vec<usize>> {
    offsets(from, |axis, dim| if dim == 1 { vec![0; to[axis]] } else { (0..dim).collect() })
}

/// Constants that fit, one after another along an axis.
fn concat(axis: usize, inputs: &[&Constant]) -> Result<Data> {
    let blocks: usize = inputs[0].shape[..axis].iter().product();
    let size = |input: &Constant| input.shape[axis..].iter().product::<usize>();
    let pieces =
        (0..blocks).flat_map(|block| inputs.iter().map(move |input| (input, block * size(input), size(input))));
    let mut joined = inputs[0].clone();
    match &mut joined.data {
        Data::Float(values) => values.clear(),
        Data::Int(values) => values.clear(),
    }
    for (input, start, size) in pieces {
        match (&mut joined.data, &input.data) {
            (Data::Float(values), Data::Float(more)) => values.extend_from_slice(&more[start..start + size]),
            (Data::Int(values), Data::Int(more)) => values.extend_from_slice(&more[start..start + size]),
            _ => return Err(MIXED.into()),
        }
    }
    Ok(joined.data)
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
    let [a_at, b_at] = [wide_a, wide_b].map(|from| sums(&repeated(&from, &shape)));
    let values = a_at.into_iter().zip(b_at).map(|(a_at, b_at)| step(a[a_at], b[b_at])).collect();
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

/// A function of one number; of integers only where that makes sense.
struct Function {
    ints: Option<fn(i64) -> i64>,
    floats: fn(f32) -> f32,
}

fn function(op: &str) -> Option<Function> {
    let floats = |floats| Function { ints: None, floats };
    Some(match op {
        "Neg" => Function { ints: Some(i64::wrapping_neg), floats: |x| -x },
        "Abs" => Function { ints: Some(i64::wrapping_abs), floats: f32::abs },
        "Not" => Function { ints: Some(|x| i64::from(x == 0)), floats: |x| x },
        "Floor" => floats(f32::floor),
        "Ceil" => floats(f32::ceil),
        "Round" => floats(f32::round_ties_even),
        "Sqrt" => floats(f32::sqrt),
        "Exp" => floats(f32::exp),
        "Log" => floats(f32::ln),
        "Reciprocal" => floats(f32::recip),
        _ => return None,
    })
}

fn map(op: &str, x: &Constant) -> Result<Constant> {
    let function = function(op).ok_or(MIXED)?;
    let data = match (&x.data, function.ints) {
        (Data::Float(values), _) => Data::Float(values.iter().map(|&x| (function.floats)(x)).collect()),
        (Data::Int(values), Some(step)) => Data::Int(values.iter().map(|&x| step(x)).collect()),
        (Data::Int(_), None) => return Err(MIXED.into()),
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
