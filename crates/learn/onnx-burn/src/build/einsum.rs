//! Sums of products by letters, as matrix products.

use std::collections::BTreeMap;

use super::call::{Call, Value};
use super::fault::Result;
use ops::frozen::elements;
use ops::frozen::{Binary, Op, Reduction};

/// An axis: a letter, or one of those that an ellipsis stands for, counted from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Rest(usize),
    Letter(char),
}

/// A tensor with a label for each axis, none twice.
struct Labelled {
    value: Value,
    labels: Vec<Label>,
}

/// The labels of a term such as `b...ij`, for a tensor of `rank` dimensions; without one, an ellipsis stands for `rest` of them.
fn labels(term: &str, rank: Option<usize>, rest: usize) -> Result<Vec<Label>> {
    let wrong = || format!("'{term}' does not fit its input");
    let (before, after) = match term.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (term, None),
    };
    let letters = |text: &str| -> Result<Vec<Label>> {
        if text.chars().all(|c| c.is_ascii_alphabetic()) {
            Ok(text.chars().map(Label::Letter).collect())
        } else {
            Err(wrong().into())
        }
    };
    let (mut found, after_letters) = (letters(before)?, letters(after.unwrap_or_default())?);
    let named = found.len() + after_letters.len();
    let open = match (after, rank) {
        (None, _) => 0,
        (Some(_), None) => rest,
        (Some(_), Some(rank)) => rank.checked_sub(named).ok_or_else(wrong)?,
    };
    found.extend((0..open).rev().map(Label::Rest));
    found.extend(after_letters);
    if rank.is_some_and(|rank| rank != found.len()) { Err(wrong().into()) } else { Ok(found) }
}

impl Call<'_> {
    pub(super) fn einsum(&mut self) -> Result<Value> {
        let equation: String = self.text("equation").split_whitespace().collect();
        let (left, right) = match equation.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (equation.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != self.inputs.len() {
            return Err(format!("'{equation}' is not of {} inputs", self.inputs.len()).into());
        }
        let mut operands = Vec::with_capacity(terms.len());
        let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
        for (index, term) in terms.into_iter().enumerate() {
            let value = self.input(index)?;
            let labels = labels(term, Some(self.shape(&value).len()), 0)?;
            labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1);
            operands.push(self.diagonal(Labelled { value, labels })?);
        }
        let rest = counts.keys().filter(|label| matches!(label, Label::Rest(_))).count();
        let output = match right {
            Some(term) => labels(term, None, rest)?,
            // Without an arrow: the ellipsis, then the letters that come once, in the alphabet's order.
            None => {
                let once = counts.iter().filter(|&(label, &count)| matches!(label, Label::Letter(_)) && count == 1);
                (0..rest).rev().map(Label::Rest).chain(once.map(|(&label, _)| label)).collect()
            }
        };
        let mut sorted = output.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.iter().any(|label| !counts.contains_key(label)) {
            return Err(format!("the result of '{equation}' has an axis twice, or one that no input has").into());
        }
        self.same_sizes(&mut operands)?;
        let mut operands = operands.into_iter();
        let mut result = operands.next().ok_or("it has no inputs")?;
        while let Some(next) = operands.next() {
            let later: Vec<Label> = operands.as_slice().iter().flat_map(|one| one.labels.iter().copied()).collect();
            result = self.contract(result, next, |label| output.contains(&label) || later.contains(&label))?;
        }
        let summed = self.summed(result, |label| output.contains(&label))?;
        Ok(self.ordered(summed, &output)?.value)
    }

    /// Axes of the same label made one: the elements that have the same index in both.
    fn diagonal(&mut self, mut x: Labelled) -> Result<Labelled> {
        while let Some((first, second)) = (0..x.labels.len()).find_map(|first| {
            let second = (first + 1..x.labels.len()).find(|&second| x.labels[second] == x.labels[first])?;
            Some((first, second))
        }) {
            let shape = self.shape(&x.value);
            let size = shape[first];
            if shape[second] != size {
                return Err(format!("an input of {shape:?} has two sizes of the same letter").into());
            }
            // Both to the front, as one axis of which every (size + 1)-th element is chosen.
            let others = (0..shape.len()).filter(|&axis| axis != first && axis != second);
            let order: Vec<usize> = [first, second].into_iter().chain(others).collect();
            let mut dims: Vec<usize> = order.iter().skip(2).map(|&axis| shape[axis]).collect();
            dims.insert(0, elements(&[size, size]).ok_or("its input is too large")?);
            let labels = order.iter().skip(1).map(|&axis| x.labels[axis]).collect();
            let front = self.emit(Op::Transpose { order }, vec![x.value])?;
            let flat = self.reshaped(front, dims)?;
            let indices = (0..size).map(|i| i * (size + 1)).collect();
            x = Labelled { value: self.emit(Op::Select { axis: 0, indices }, vec![flat])?, labels };
        }
        Ok(x)
    }

    /// Dimensions of 1 repeated, so that a label has one size everywhere.
    fn same_sizes(&mut self, operands: &mut [Labelled]) -> Result<()> {
        let mut sizes: BTreeMap<Label, usize> = BTreeMap::new();
        for operand in operands.iter() {
            for (&label, size) in operand.labels.iter().zip(self.shape(&operand.value)) {
                let known = sizes.entry(label).or_insert(size);
                if *known == 1 {
                    *known = size;
                } else if size != 1 && size != *known {
                    return Err(format!("an axis has {known} elements in one input and {size} in another").into());
                }
            }
        }
        for operand in operands {
            let shape: Vec<usize> = operand.labels.iter().map(|label| sizes[label]).collect();
            if self.shape(&operand.value) != shape {
                operand.value = self.emit(Op::Expand { shape }, vec![operand.value.clone()])?;
            }
        }
        Ok(())
    }

    /// Sums over the axes that nobody needs any more.
    fn summed(&mut self, x: Labelled, needed: impl Fn(Label) -> bool) -> Result<Labelled> {
        let axes: Vec<usize> = (0..x.labels.len()).filter(|&axis| !needed(x.labels[axis])).collect();
        if axes.is_empty() {
            return Ok(x);
        }
        let labels: Vec<Label> = x.labels.iter().copied().filter(|&label| needed(label)).collect();
        let shape = self.shape(&x.value);
        let kept = (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect();
        let sum = self.emit(Op::Reduce { reduction: Reduction::Sum, axes }, vec![x.value])?;
        Ok(Labelled { value: self.reshaped(sum, kept)?, labels })
    }

    /// The same with its axes in another order.
    fn ordered(&mut self, x: Labelled, labels: &[Label]) -> Result<Labelled> {
        let order: Vec<usize> =
            labels.iter().filter_map(|label| x.labels.iter().position(|known| known == label)).collect();
        let labels = labels.to_vec();
        if order.iter().copied().eq(0..order.len()) {
            return Ok(Labelled { labels, ..x });
        }
        Ok(Labelled { value: self.emit(Op::Transpose { order }, vec![x.value])?, labels })
    }

    /// The product of two tensors, summed over the axes that nobody needs.
    fn contract(&mut self, a: Labelled, b: Labelled, needed: impl Fn(Label) -> bool) -> Result<Labelled> {
        // What only one of them has and nobody needs goes first.
        let (a_labels, b_labels) = (a.labels.clone(), b.labels.clone());
        let a = self.summed(a, |label| needed(label) || b_labels.contains(&label))?;
        let b = self.summed(b, |label| needed(label) || a_labels.contains(&label))?;
        let chosen = |labels: &[Label], choose: &dyn Fn(Label) -> bool| -> Vec<Label> {
            labels.iter().copied().filter(|&label| choose(label)).collect()
        };
        let batch = chosen(&a.labels, &|label| b.labels.contains(&label) && needed(label));
        let inner = chosen(&a.labels, &|label| b.labels.contains(&label) && !needed(label));
        let rows = chosen(&a.labels, &|label| !b.labels.contains(&label));
        let columns = chosen(&b.labels, &|label| !a.labels.contains(&label));
        let a = self.ordered(a, &[batch.as_slice(), &rows, &inner].concat())?;
        let b = self.ordered(b, &[batch.as_slice(), &inner, &columns].concat())?;
        let (a_shape, b_shape) = (self.shape(&a.value), self.shape(&b.value));
        let (batch_dims, row_dims) = (&a_shape[..batch.len()], &a_shape[batch.len()..][..rows.len()]);
        let column_dims = &b_shape[batch.len() + inner.len()..];
        let count = |dims: &[usize]| dims.iter().product::<usize>();
        let sizes =
            [count(batch_dims), count(row_dims), count(&a_shape[batch.len() + rows.len()..]), count(column_dims)];
        let [batches, row_count, inner_count, column_count] = sizes;
        let shape = [batch_dims, row_dims, column_dims].concat();
        let x = self.reshaped(a.value, vec![batches, row_count, inner_count])?;
        let y = self.reshaped(b.value, vec![batches, inner_count, column_count])?;
        // With nothing to sum over, products of many small matrices would be slow.
        let product =
            if inner.is_empty() { self.combine(Binary::Mul, x, y)? } else { self.emit(Op::MatMul, vec![x, y])? };
        let labels = [batch, rows, columns].concat();
        Ok(Labelled { value: self.reshaped(product, shape)?, labels })
    }
}
