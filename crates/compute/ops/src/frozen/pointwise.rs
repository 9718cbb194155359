//! Programs: functions of one value, applied to every element of a tensor.

use gradients::frozen::Step;

/// Indices of the steps that a step takes.
fn operands(step: Step) -> impl Iterator<Item = usize> {
    let operands = match step {
        Step::Input | Step::Constant(_) => [None, None],
        Step::Add(a, b) | Step::Sub(a, b) | Step::Mul(a, b) | Step::Div(a, b) => [Some(a), Some(b)],
        Step::Neg(a) | Step::Relu(a) | Step::Sigmoid(a) | Step::Tanh(a) | Step::Erf(a) => [Some(a), None],
        Step::Exp(a) | Step::Sqrt(a) | Step::Pow(a, _) | Step::Clip(a, ..) => [Some(a), None],
    };
    operands.into_iter().flatten()
}

/// The same step with its operands renamed.
fn renamed(step: Step, rename: impl Fn(usize) -> usize) -> Step {
    match step {
        Step::Input | Step::Constant(_) => step,
        Step::Add(a, b) => Step::Add(rename(a), rename(b)),
        Step::Sub(a, b) => Step::Sub(rename(a), rename(b)),
        Step::Mul(a, b) => Step::Mul(rename(a), rename(b)),
        Step::Div(a, b) => Step::Div(rename(a), rename(b)),
        Step::Neg(a) => Step::Neg(rename(a)),
        Step::Relu(a) => Step::Relu(rename(a)),
        Step::Sigmoid(a) => Step::Sigmoid(rename(a)),
        Step::Tanh(a) => Step::Tanh(rename(a)),
        Step::Erf(a) => Step::Erf(rename(a)),
        Step::Exp(a) => Step::Exp(rename(a)),
        Step::Sqrt(a) => Step::Sqrt(rename(a)),
        Step::Pow(a, exponent) => Step::Pow(rename(a), exponent),
        Step::Clip(a, min, max) => Step::Clip(rename(a), min, max),
    }
}

/// A function of one value, without a step twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    steps: Vec<Step>,
}

impl Program {
    /// The identity.
    pub fn identity() -> Self {
        Self { steps: vec![Step::Input] }
    }

    /// `build` adds steps and returns the result's; `x` is the input's.
    pub fn new(build: impl FnOnce(&mut Builder, usize) -> usize) -> Self {
        let mut builder = Builder::default();
        let input = builder.push(Step::Input);
        let result = build(&mut builder, input);
        builder.finish(result)
    }

    /// The steps; the last one is the result.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the result is the input.
    pub fn is_identity(&self) -> bool {
        self.steps == [Step::Input]
    }

    /// This after `inner`.
    pub fn after(&self, inner: &Self) -> Self {
        let mut builder = Builder::default();
        let input = builder.append(inner, None);
        let result = builder.append(self, Some(input));
        builder.finish(result)
    }

    /// `a` and `b` of the same value, combined by `step`.
    pub fn combine(a: &Self, b: &Self, step: impl FnOnce(&mut Builder, usize, usize) -> usize) -> Self {
        let mut builder = Builder::default();
        let a = builder.append(a, None);
        let b = builder.append(b, None);
        let result = step(&mut builder, a, b);
        builder.finish(result)
    }

    /// Scale and shift, if the program is `scale * x + shift`.
    pub fn affine(&self) -> Option<(f32, f32)> {
        let mut found: Vec<(f64, f64)> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            found.push(match *step {
                Step::Input => (1.0, 0.0),
                Step::Constant(value) => (0.0, value.into()),
                Step::Add(a, b) => (found[a].0 + found[b].0, found[a].1 + found[b].1),
                Step::Sub(a, b) => (found[a].0 - found[b].0, found[a].1 - found[b].1),
                Step::Neg(a) => (-found[a].0, -found[a].1),
                Step::Mul(a, b) if found[a].0 == 0.0 => (found[a].1 * found[b].0, found[a].1 * found[b].1),
                Step::Mul(a, b) if found[b].0 == 0.0 => (found[b].1 * found[a].0, found[b].1 * found[a].1),
                Step::Div(a, b) if found[b].0 == 0.0 => (found[a].0 / found[b].1, found[a].1 / found[b].1),
                _ => return None,
            });
        }
        found.last().map(|&(scale, shift)| (scale as f32, shift as f32))
    }
}

/// Makes a [`Program`].
#[derive(Debug, Default)]
pub struct Builder {
    steps: Vec<Step>,
}

impl Builder {
    /// Adds a step unless it is there already or does nothing; returns the index of the result. Operands must be indices
    /// that this builder returned.
    pub fn push(&mut self, step: Step) -> usize {
        let constant = |index: usize, value: f32| self.steps[index] == Step::Constant(value);
        match step {
            Step::Add(a, b) if constant(b, 0.0) => return a,
            Step::Add(a, b) if constant(a, 0.0) => return b,
            Step::Sub(a, b) if constant(b, 0.0) => return a,
            Step::Mul(a, b) | Step::Div(a, b) if constant(b, 1.0) => return a,
            Step::Mul(a, b) if constant(a, 1.0) => return b,
            _ => {}
        }
        self.steps.iter().position(|known| *known == step).unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        })
    }

    /// Adds a number.
    pub fn constant(&mut self, value: f32) -> usize {
        self.push(Step::Constant(value))
    }

    /// Adds a program's steps, its input replaced by `input`.
    fn append(&mut self, program: &Program, input: Option<usize>) -> usize {
        let mut found = Vec::with_capacity(program.steps.len());
        for &step in &program.steps {
            let index = match (step, input) {
                (Step::Input, Some(input)) => input,
                _ => self.push(renamed(step, |operand| found[operand])),
            };
            found.push(index);
        }
        found.last().copied().unwrap_or_default()
    }

    /// The steps that `result` needs.
    fn finish(self, result: usize) -> Program {
        let mut needed = vec![false; self.steps.len()];
        needed[result] = true;
        for index in (0..=result).rev() {
            if needed[index] {
                operands(self.steps[index]).for_each(|operand| needed[operand] = true);
            }
        }
        let mut found = vec![0; self.steps.len()];
        let mut steps = Vec::new();
        for (index, &step) in self.steps.iter().enumerate().filter(|&(index, _)| needed[index]) {
            found[index] = steps.len();
            steps.push(renamed(step, |operand| found[operand]));
        }
        Program { steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silu() -> Program {
        Program::new(|p, x| {
            let gate = p.push(Step::Sigmoid(x));
            p.push(Step::Mul(x, gate))
        })
    }

    #[test]
    fn programs_compose_without_double_or_idle_steps() {
        assert_eq!(silu().steps(), [Step::Input, Step::Sigmoid(0), Step::Mul(0, 1)]);
        let shifted = Program::new(|p, x| {
            let one = p.constant(1.0);
            let (zero, same) = (p.constant(0.0), p.push(Step::Mul(x, one)));
            let same = p.push(Step::Add(zero, same));
            p.push(Step::Add(same, one))
        });
        assert_eq!(shifted.steps(), [Step::Input, Step::Constant(1.0), Step::Add(0, 1)]);
        let both = silu().after(&shifted);
        let expected = [Step::Input, Step::Constant(1.0), Step::Add(0, 1), Step::Sigmoid(2), Step::Mul(2, 3)];
        assert_eq!(both.steps(), expected);
        let twice = Program::combine(&silu(), &silu(), |p, a, b| p.push(Step::Add(a, b)));
        assert_eq!(twice.steps(), [Step::Input, Step::Sigmoid(0), Step::Mul(0, 1), Step::Add(2, 2)]);
        assert!(Program::identity().after(&Program::identity()).is_identity());
    }

    #[test]
    fn what_is_affine_is_found() {
        let affine = Program::new(|p, x| {
            let (half, three) = (p.constant(0.5), p.constant(3.0));
            let scaled = p.push(Step::Div(x, half));
            let shifted = p.push(Step::Sub(three, scaled));
            p.push(Step::Add(shifted, x))
        });
        assert_eq!(affine.affine(), Some((-1.0, 3.0)));
        assert_eq!(silu().affine(), None);
        let inverse = Program::new(|p, x| {
            let one = p.constant(1.0);
            p.push(Step::Div(one, x))
        });
        assert_eq!(inverse.affine(), None);
    }
}
