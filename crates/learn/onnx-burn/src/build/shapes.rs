//! Operations that move elements without changing them.

use super::call::{Call, Value, axes, axis};
use super::fault::Result;
use super::fold;
use crate::constant::{Constant, Data, DataType};
use ops::frozen::MAX_ELEMENTS;
use ops::frozen::Op;

impl Call<'_> {
    pub(super) fn cast(&mut self) -> Result<Value> {
        let to = DataType::of(self.int("to", 0) as i32).ok_or("a type that is not supported")?;
        match self.input(0)? {
            Value::Constant(value) => self.constant(fold::cast(&value, to)),
            node if to.is_float() => Ok(node),
            Value::Node(_) => Err("casting to integers has no gradient".into()),
        }
    }

    pub(super) fn shape_of(&mut self) -> Result<Value> {
        let shape = self.shape(&self.input(0)?);
        let rank = shape.len() as i64;
        let bound = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
        let [start, end] = [self.int("start", 0), self.int("end", rank)].map(bound);
        let dims = shape.get(start..end).unwrap_or_default();
        self.constant(Constant::ints(dims.iter().map(|&dim| dim as i64).collect()))
    }

    pub(super) fn size_of(&mut self) -> Result<Value> {
        let count: usize = self.shape(&self.input(0)?).iter().product();
        self.constant(Constant { shape: Vec::new(), data: Data::Int(vec![count as i64]) })
    }

    /// `x` under other dimensions.
    pub(super) fn reshaped(&mut self, x: Value, shape: Vec<usize>) -> Result<Value> {
        if self.shape(&x) == shape { Ok(x) } else { self.emit(Op::Reshape { shape }, vec![x]) }
    }

    pub(super) fn reshape(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let from = self.shape(&x);
        let target = self.ints(1, "shape")?.ok_or("it has no shape")?;
        let zeros = self.int("allowzero", 0) != 0;
        let mut shape = Vec::with_capacity(target.len());
        for (axis, &dim) in target.iter().enumerate() {
            shape.push(match dim {
                0 if !zeros => *from.get(axis).ok_or("a 0 where the input has no dimension")?,
                -1 => 1,
                _ => usize::try_from(dim).map_err(|_| format!("a dimension of {dim}"))?,
            });
        }
        if let Some(open) = target.iter().position(|&dim| dim == -1) {
            let count: usize = from.iter().product();
            let others = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
            let size = others.filter(|&others| others > 0).map(|others| count / others);
            shape[open] = size.ok_or_else(|| format!("{from:?} cannot become {target:?}"))?;
        }
        self.reshaped(x, shape)
    }

    pub(super) fn flatten(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let at = self.int("axis", 1);
        let at = if at == shape.len() as i64 { shape.len() } else { axis(at, shape.len())? };
        let (outer, inner) = shape.split_at(at);
        self.reshaped(x, vec![outer.iter().product(), inner.iter().product()])
    }

    pub(super) fn squeeze(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let dropped = match self.ints(1, "axes")? {
            Some(list) => axes(&list, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        if dropped.iter().any(|&axis| shape[axis] != 1) {
            return Err(format!("axes {dropped:?} of {shape:?} are not all 1").into());
        }
        let left = shape.iter().enumerate().filter(|(axis, _)| !dropped.contains(axis));
        self.reshaped(x, left.map(|(_, &dim)| dim).collect())
    }

    pub(super) fn unsqueeze(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let list = self.ints(1, "axes")?.ok_or("it has no axes")?;
        let mut shape = self.shape(&x);
        for axis in axes(&list, shape.len() + list.len())? {
            shape.insert(axis, 1);
        }
        self.reshaped(x, shape)
    }

    pub(super) fn transpose(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let rank = self.shape(&x).len();
        let order = match self.int_list("perm") {
            Some(list) => list.iter().map(|&one| axis(one, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).rev().collect(),
        };
        if order.iter().copied().eq(0..rank) {
            return Ok(x);
        }
        self.emit(Op::Transpose { order }, vec![x])
    }

    pub(super) fn expand(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let from = self.shape(&x);
        let target = self.ints(1, "shape")?.ok_or("it has no shape")?;
        let target: Vec<usize> = target
            .iter()
            .map(|&dim| usize::try_from(dim).map_err(|_| format!("a dimension of {dim}")))
            .collect::<std::result::Result<_, _>>()?;
        let rank = from.len().max(target.len());
        let (from, target) = (fold::widen(&from, rank), fold::widen(&target, rank));
        let shape =
            ops::frozen::broadcast(&from, &target).ok_or_else(|| format!("{from:?} cannot become {target:?}"))?;
        let x = self.reshaped(x, from.clone())?;
        if shape == from { Ok(x) } else { self.emit(Op::Expand { shape }, vec![x]) }
    }

    pub(super) fn concat(&mut self) -> Result<Value> {
        let inputs: Vec<Value> = (0..self.inputs.len()).map(|index| self.input(index)).collect::<Result<_>>()?;
        let rank = inputs.first().map_or(0, |first| self.shape(first).len());
        let axis = axis(self.int("axis", 0), rank)?;
        match inputs.as_slice() {
            [only] => Ok(only.clone()),
            _ => self.emit(Op::Concat { axis }, inputs),
        }
    }

    pub(super) fn split(&mut self) -> Result<Vec<Value>> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let axis = axis(self.int("axis", 0), shape.len())?;
        let sizes: Vec<usize> = match self.ints(1, "split")? {
            Some(sizes) => sizes
                .iter()
                .map(|&size| usize::try_from(size).map_err(|_| format!("a size of {size}")))
                .collect::<std::result::Result<_, _>>()?,
            None => {
                let parts = self.node.output.len().max(1);
                let size = shape[axis].div_ceil(parts);
                (0..parts).map(|part| size.min(shape[axis].saturating_sub(part * size))).collect()
            }
        };
        let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        if total != Some(shape[axis]) {
            return Err(format!("parts of {sizes:?} are not the {} there are", shape[axis]).into());
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(self.emit(Op::Slice { axis, start, size }, vec![x.clone()])?);
            start += size;
        }
        Ok(parts)
    }

    pub(super) fn slice(&mut self) -> Result<Value> {
        let mut x = self.input(0)?;
        let rank = self.shape(&x).len();
        let starts = self.ints(1, "starts")?.ok_or("it has no starts")?;
        let ends = self.ints(2, "ends")?.ok_or("it has no ends")?;
        let list = self.ints(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.ints(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), list.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps are not equally many".into());
        }
        for (((start, end), at), step) in starts.into_iter().zip(ends).zip(list).zip(steps) {
            let axis = axis(at, rank)?;
            let dim = self.shape(&x)[axis];
            let indices = sliced(dim, start, end, step).ok_or("a step of 0")?;
            let first = indices.first().copied().unwrap_or_default();
            if step == 1 {
                if indices.len() < dim {
                    x = self.emit(Op::Slice { axis, start: first, size: indices.len() }, vec![x])?;
                }
            } else {
                x = self.emit(Op::Select { axis, indices }, vec![x])?;
            }
        }
        Ok(x)
    }

    pub(super) fn gather(&mut self) -> Result<Value> {
        let x = self.input(0)?;
        let shape = self.shape(&x);
        let at = axis(self.int("axis", 0), shape.len())?;
        let chosen = self.constant_input(1)?.ok_or("it has no indices")?;
        let list = chosen.as_ints().ok_or("its indices are no integers")?;
        let indices = list.iter().map(|&index| axis(index, shape[at])).collect::<Result<Vec<_>>>()?;
        let picked = self.emit(Op::Select { axis: at, indices }, vec![x])?;
        let target = [&shape[..at], &chosen.shape, &shape[at + 1..]].concat();
        self.reshaped(picked, target)
    }

    pub(super) fn pad(&mut self) -> Result<Value> {
        let mut x = self.input(0)?;
        let rank = self.shape(&x).len();
        let pads = self.ints(1, "pads")?.ok_or("it has no pads")?;
        let chosen = self.ints(3, "axes")?.unwrap_or_else(|| (0..rank as i64).collect());
        if pads.len() != 2 * chosen.len() {
            return Err(format!("{} pads for {} axes", pads.len(), chosen.len()).into());
        }
        let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
        for (index, &at) in chosen.iter().enumerate() {
            let known = |pad: i64| usize::try_from(pad).ok().filter(|&pad| pad <= MAX_ELEMENTS);
            let size = |pad: i64| known(pad).ok_or_else(|| format!("a pad of {pad} is not supported"));
            let at = axis(at, rank)?;
            (before[at], after[at]) = (size(pads[index])?, size(pads[index + chosen.len()])?);
        }
        let mode = self.text("mode");
        if matches!(mode, "" | "constant") {
            let value = match self.floats(2)? {
                Some(values) => values.first().copied().unwrap_or_default(),
                None => self.float("value", 0.0),
            };
            if before.iter().chain(&after).all(|&size| size == 0) {
                return Ok(x);
            }
            return self.emit(Op::Pad { before, after, value }, vec![x]);
        }
        let reflect = match mode {
            "reflect" => true,
            "edge" => false,
            _ => return Err(format!("mode '{mode}' is not supported").into()),
        };
        for at in (0..rank).filter(|&at| before[at] + after[at] > 0) {
            let dim = self.shape(&x)[at];
            if reflect && before[at].max(after[at]) >= dim {
                return Err(format!("{} elements are too few to be reflected", dim).into());
            }
            let last = dim as i64 - 1;
            let source = |index: i64| match (reflect, index) {
                (true, ..0) => -index,
                (true, _) if index > last => 2 * last - index,
                _ => index.clamp(0, last),
            };
            let range = -(before[at] as i64)..(dim + after[at]) as i64;
            let indices = range.map(|index| source(index) as usize).collect();
            x = self.emit(Op::Select { axis: at, indices }, vec![x])?;
        }
        Ok(x)
    }
}

/// The indices that a slice of `dim` elements takes, none for a step of 0.
fn sliced(dim: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let size = dim as i64;
    let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (start, end) = (counted(start), counted(end));
    let steps = usize::try_from(step.unsigned_abs()).ok().filter(|&step| step > 0)?;
    Some(if step > 0 {
        let (start, end) = (start.clamp(0, size), end.clamp(0, size));
        (start as usize..(end.max(start)) as usize).step_by(steps).collect()
    } else {
        let (start, end) = (start.clamp(-1, size - 1), end.clamp(-1, size - 1));
        // Down to the index after `end`.
        ((end + 1) as usize..(start + 1).max(end + 1) as usize).rev().step_by(steps).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::sliced;

    #[test]
    fn slices_follow_numpy() {
        let cases: [(i64, i64, i64, &[usize]); 8] = [
            (0, i64::MAX, 1, &[0, 1, 2, 3, 4]),
            (1, -1, 1, &[1, 2, 3]),
            (-2, 9, 1, &[3, 4]),
            (3, 1, 1, &[]),
            (0, 5, 2, &[0, 2, 4]),
            (-1, i64::MIN, -1, &[4, 3, 2, 1, 0]),
            (3, 0, -2, &[3, 1]),
            (0, 3, -1, &[]),
        ];
        for (start, end, step, expected) in cases {
            assert_eq!(sliced(5, start, end, step).unwrap(), expected, "{start}:{end}:{step}");
        }
        assert_eq!(sliced(5, 0, 5, 0), None);
        assert_eq!(sliced(0, 0, 5, -1).unwrap(), [0usize; 0]);
    }
}
