//! Functions of one variable, put together from steps.
//!
//! The steps are turned into operations on blocks of values that stay in the first-level cache. What is linear in an earlier
//! operation is no operation of its own: it scales and shifts the operand of those that take it.

use crate::math::tanh_vector;
use kernels::Aligned;
use kernels::math::{erf_exp_vector, exp_vector, logistic_vector};
use kernels::simd::{Kernel, Level, Simd};

/// Values that an operation takes at once.
const BLOCK: usize = 128;

/// A step of a [`Pointwise`] function. A `usize` is the number of an earlier step, whose value it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The variable.
    Input,
    /// The same everywhere.
    Constant(f32),
    /// Sum.
    Add(usize, usize),
    /// First minus second.
    Sub(usize, usize),
    /// Product.
    Mul(usize, usize),
    /// First divided by second.
    Div(usize, usize),
    /// The negative.
    Neg(usize),
    /// `max(x, 0)`, with slope 0 at 0.
    Relu(usize),
    /// `1 / (1 + exp(-x))`.
    Sigmoid(usize),
    /// The hyperbolic tangent, absolute error below 3e-7.
    Tanh(usize),
    /// The error function, absolute error below 5e-7.
    Erf(usize),
    /// The exponential; beyond a magnitude of 87 that of 87.
    Exp(usize),
    /// The square root.
    Sqrt(usize),
    /// A constant power.
    Pow(usize, f32),
    /// Limited to the range from the first to the second number, with slope 1 at both.
    Clip(usize, f32, f32),
}

/// A function of one variable: steps in order, each may take the values of earlier ones; the last is the result. Value and
/// derivative are computed together (forward mode), and agree with the steps up to rounding.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointwise {
    steps: Vec<Step>,
    operations: Vec<Operation>,
}

/// What is done with a block of values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    Add(Term, Term),
    Mul(Term, Term),
    Div(Term, Term),
    Reciprocal(Term),
    Relu(Term),
    Sigmoid(Term),
    Tanh(Term),
    Erf(Term),
    Exp(Term),
    Sqrt(Term),
    Pow(Term, f32),
    Clip(Term, f32, f32),
}

/// An operand: `scale * value + shift`, for the value of the input (0) or of the `value`-th operation. With scale 0 a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Term {
    value: usize,
    scale: f32,
    shift: f32,
}

impl Term {
    fn of(value: usize) -> Self {
        Self { value, scale: 1.0, shift: 0.0 }
    }

    fn constant(shift: f32) -> Self {
        Self { value: 0, scale: 0.0, shift }
    }

    fn is_constant(self) -> bool {
        self.scale == 0.0
    }

    fn linear(self, scale: f32, shift: f32) -> Self {
        Self { scale: scale * self.scale, shift: scale * self.shift + shift, ..self }
    }
}

impl Pointwise {
    /// A function of these steps.
    ///
    /// # Panics
    /// If there is no step, or one takes the value of itself or of a later one.
    pub fn new(steps: Vec<Step>) -> Self {
        let mut operations = vec![];
        let mut terms: Vec<Term> = vec![];
        for &step in &steps {
            let term = term(step, &terms, &mut operations);
            terms.push(term);
        }
        let count = operations.len();
        match *terms.last().expect("a function without steps") {
            Term { value, scale: 1.0, shift: 0.0 } if value > 0 => operations.truncate(value),
            result => match operations.last_mut() {
                // A factor of the last product is scaled.
                Some(Operation::Mul(a, _)) if result.value == count && result.shift == 0.0 => {
                    *a = a.linear(result.scale, 0.0);
                }
                _ => operations.push(Operation::Add(result, Term::constant(0.0))),
            },
        }
        Self { steps, operations }
    }

    /// The steps, as given.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// `y = f(x)`, value by value.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn apply(&self, x: &[f32], y: &mut [f32]) {
        self.apply_at(Level::detect(), x, y, None);
    }

    /// `y = f(x)` and `slope = f'(x)`, value by value.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn apply_with_slope(&self, x: &[f32], y: &mut [f32], slope: &mut [f32]) {
        self.apply_at(Level::detect(), x, y, Some(slope));
    }

    pub(super) fn apply_at(&self, level: Level, x: &[f32], y: &mut [f32], slope: Option<&mut [f32]>) {
        assert!(x.len() == y.len() && slope.as_ref().is_none_or(|slope| slope.len() == x.len()));
        let mut room = self.room();
        level.run(Apply { function: self, x, y, slope, room: &mut room });
    }

    /// Working memory for [`run`](Self::run).
    pub(super) fn room(&self) -> Room {
        let len = self.operations.len().saturating_sub(1) * BLOCK;
        Room { values: Aligned::zeros(len), slopes: Aligned::zeros(len) }
    }

    /// `y = f(x)`, and `slope = f'(x)` unless that is empty, for whole vectors. `room` must be this function's.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, x: &[f32], y: &mut [f32], slope: &mut [f32], room: &mut Room) {
        let (values, slopes) = (room.values.as_mut_slice(), room.slopes.as_mut_slice());
        let (last, inner) = self.operations.split_last().expect("every function has an operation");
        for start in (0..x.len()).step_by(BLOCK) {
            let block = start..(start + BLOCK).min(x.len());
            let x = &x[block.clone()];
            for (index, &operation) in inner.iter().enumerate() {
                let (values, value) = values.split_at_mut(index * BLOCK);
                let (slopes, slope_of) = slopes.split_at_mut(index * BLOCK);
                let slope_of = if slope.is_empty() { &mut [] } else { &mut slope_of[..x.len()] };
                run_operation(s, operation, x, values, slopes, &mut value[..x.len()], slope_of);
            }
            let slope = if slope.is_empty() { &mut [] } else { &mut slope[block.clone()] };
            run_operation(s, *last, x, values, slopes, &mut y[block], slope);
        }
    }
}

/// Values and slopes of a block after every operation but the last.
pub(super) struct Room {
    values: Aligned,
    slopes: Aligned,
}

struct Apply<'a> {
    function: &'a Pointwise,
    x: &'a [f32],
    y: &'a mut [f32],
    slope: Option<&'a mut [f32]>,
    room: &'a mut Room,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let slope = self.slope.unwrap_or_default();
        let whole = self.x.len() / BLOCK * BLOCK;
        let (x, x_rest) = self.x.split_at(whole);
        let (y, y_rest) = self.y.split_at_mut(whole);
        let (slope, slope_rest) = slope.split_at_mut(whole.min(slope.len()));
        // The rest goes through a block of its own.
        let mut block = [[0f32; BLOCK]; 3];
        block[0][..x_rest.len()].copy_from_slice(x_rest);
        let [x_block, y_block, slope_block] = &mut block;
        for (x, y, slope) in
            [(x, y, &mut *slope), (x_block, y_block, &mut slope_block[..slope_rest.len().min(1) * BLOCK])]
        {
            self.function.run(s, x, y, slope, self.room);
        }
        y_rest.copy_from_slice(&block[1][..y_rest.len()]);
        slope_rest.copy_from_slice(&block[2][..slope_rest.len()]);
    }
}

/// The term of a step, after those of the steps before it. What is not linear in an earlier operation becomes a new one.
fn term(step: Step, terms: &[Term], operations: &mut Vec<Operation>) -> Term {
    let at = |index: usize| *terms.get(index).expect("a step takes the value of an earlier one");
    let operation = match step {
        Step::Input => return Term::of(0),
        Step::Constant(value) => return Term::constant(value),
        Step::Add(a, b) => return sum(at(a), at(b), operations),
        Step::Sub(a, b) => return sum(at(a), at(b).linear(-1.0, 0.0), operations),
        Step::Mul(a, b) => return product(at(a), at(b), operations),
        Step::Div(a, b) if at(b).is_constant() => return at(a).linear(1.0 / at(b).shift, 0.0),
        Step::Div(a, b) if at(a).is_constant() => {
            return push(Operation::Reciprocal(at(b)), operations).linear(at(a).shift, 0.0);
        }
        Step::Div(a, b) => Operation::Div(at(a), at(b)),
        Step::Neg(a) => return at(a).linear(-1.0, 0.0),
        Step::Relu(a) => Operation::Relu(at(a)),
        Step::Sigmoid(a) => Operation::Sigmoid(at(a)),
        Step::Tanh(a) => Operation::Tanh(at(a)),
        Step::Erf(a) => Operation::Erf(at(a)),
        Step::Exp(a) => Operation::Exp(at(a)),
        Step::Sqrt(a) | Step::Pow(a, 0.5) => Operation::Sqrt(at(a)),
        Step::Pow(_, 0.0) => return Term::constant(1.0),
        Step::Pow(a, 1.0) => return at(a),
        Step::Pow(a, 2.0) => return product(at(a), at(a), operations),
        Step::Pow(a, 3.0) => {
            let square = product(at(a), at(a), operations);
            return product(square, at(a), operations);
        }
        Step::Pow(a, -1.0) => Operation::Reciprocal(at(a)),
        Step::Pow(a, power) => Operation::Pow(at(a), power),
        Step::Clip(a, low, high) => Operation::Clip(at(a), low, high),
    };
    push(operation, operations)
}

fn sum(a: Term, b: Term, operations: &mut Vec<Operation>) -> Term {
    if b.is_constant() {
        a.linear(1.0, b.shift)
    } else if a.is_constant() {
        b.linear(1.0, a.shift)
    } else if a.value == b.value {
        Term { value: a.value, scale: a.scale + b.scale, shift: a.shift + b.shift }
    } else {
        push(Operation::Add(a, b), operations)
    }
}

fn product(a: Term, b: Term, operations: &mut Vec<Operation>) -> Term {
    if b.is_constant() {
        a.linear(b.shift, 0.0)
    } else if a.is_constant() {
        b.linear(a.shift, 0.0)
    } else {
        push(Operation::Mul(a, b), operations)
    }
}

fn push(operation: Operation, operations: &mut Vec<Operation>) -> Term {
    let known = operations.iter().position(|&known| known == operation);
    Term::of(
        1 + known.unwrap_or_else(|| {
            operations.push(operation);
            operations.len() - 1
        }),
    )
}

/// One operation on a block. `values` and `slopes` are those of the operations before, a block each; no slope is computed into an
/// empty one.
///
/// Macros rather than closures, because only what is inlined for sure is compiled with the level's instructions; and all in one
/// function, longer than others, because they name its pointers.
#[inline(always)]
#[allow(clippy::too_many_lines, reason = "its macros name its pointers, see above")]
fn run_operation<S: Simd>(
    s: S,
    operation: Operation,
    x: &[f32],
    values: &[f32],
    slopes: &[f32],
    value: &mut [f32],
    slope: &mut [f32],
) {
    static ONES: [f32; BLOCK] = [1.0; BLOCK];
    let len = x.len();
    assert!(len <= BLOCK && len.is_multiple_of(S::LANES) && value.len() == len);
    assert!(slope.is_empty() || slope.len() == len);
    let (to, slope_to, with_slope) = (value.as_mut_ptr(), slope.as_mut_ptr(), !slope.is_empty());
    // Where value and slope of a term lie, with its scale and its shift.
    macro_rules! operand {
        ($term:expr) => {{
            let Term { value, scale, shift } = $term;
            let (from, slope) = match value.checked_sub(1) {
                None => (x, &ONES[..len]),
                Some(index) => (&values[index * BLOCK..][..len], &slopes[index * BLOCK..][..len]),
            };
            (from.as_ptr(), slope.as_ptr(), s.splat(scale), s.splat(shift))
        }};
    }
    macro_rules! for_each {
        (|$at:ident| $body:expr) => {
            for $at in (0..len).step_by(S::LANES) {
                // SAFETY: every pointer is that of a slice of `len` values, a multiple of `LANES`; `slope_to` is only used where
                // it has so many.
                unsafe { $body }
            }
        };
    }
    // The value and the derivative at `$x`.
    macro_rules! unary {
        ($a:expr, |$x:ident| $result:expr) => {{
            let (from, slope_from, scale, shift) = operand!($a);
            for_each!(|at| {
                let $x = s.fma(s.load_from(from.add(at)), scale, shift);
                let [y, derivative] = $result;
                s.store_to(y, to.add(at));
                if with_slope {
                    let slope = s.mul(scale, s.load_from(slope_from.add(at)));
                    s.store_to(s.mul(derivative, slope), slope_to.add(at));
                }
            });
        }};
    }
    // The value, and the slope from the value and both operands' slopes.
    macro_rules! binary {
        ($a:expr, $b:expr, |$x:ident, $y:ident| $value:expr, |$z:ident, $dx:ident, $dy:ident| $slope:expr) => {{
            let (x, dx, x_scale, x_shift) = operand!($a);
            let (y, dy, y_scale, y_shift) = operand!($b);
            for_each!(|at| {
                let $x = s.fma(s.load_from(x.add(at)), x_scale, x_shift);
                let $y = s.fma(s.load_from(y.add(at)), y_scale, y_shift);
                let $z = $value;
                s.store_to($z, to.add(at));
                if with_slope {
                    let $dx = s.mul(x_scale, s.load_from(dx.add(at)));
                    let $dy = s.mul(y_scale, s.load_from(dy.add(at)));
                    s.store_to($slope, slope_to.add(at));
                }
            });
        }};
    }
    let (one, zero) = (s.splat(1.0), s.splat(0.0));
    match operation {
        Operation::Add(a, b) => binary!(a, b, |x, y| s.add(x, y), |_z, dx, dy| s.add(dx, dy)),
        Operation::Mul(a, b) => binary!(a, b, |x, y| s.mul(x, y), |_z, dx, dy| s.fma(x, dy, s.mul(y, dx))),
        Operation::Div(a, b) => {
            binary!(a, b, |x, y| s.div(x, y), |z, dx, dy| s.div(s.sub(dx, s.mul(z, dy)), y));
        }
        Operation::Reciprocal(a) => unary!(a, |x| {
            let y = s.div(one, x);
            [y, s.sub(zero, s.mul(y, y))]
        }),
        Operation::Relu(a) => unary!(a, |x| [s.max(zero, x), s.select(s.at_least(zero, x), zero, one)]),
        Operation::Sigmoid(a) => unary!(a, |x| {
            let y = logistic_vector(s, 1.0, x);
            [y, s.mul(y, s.sub(one, y))]
        }),
        Operation::Tanh(a) => unary!(a, |x| {
            let y = tanh_vector(s, x);
            [y, s.sub(one, s.mul(y, y))]
        }),
        Operation::Erf(a) => unary!(a, |x| {
            let [erf, exp] = erf_exp_vector(s, x);
            [erf, s.mul(exp, s.splat(std::f32::consts::FRAC_2_SQRT_PI))]
        }),
        Operation::Exp(a) => unary!(a, |x| [exp_vector(s, x); 2]),
        Operation::Sqrt(a) => unary!(a, |x| {
            let y = s.sqrt(x);
            [y, s.div(s.splat(0.5), y)]
        }),
        Operation::Pow(a, power) => {
            unary!(a, |x| [powf(s, x, power), s.mul(s.splat(power), powf(s, x, power - 1.0))]);
        }
        Operation::Clip(a, low, high) => {
            let (low, high) = (s.splat(low), s.splat(high));
            unary!(a, |x| {
                let within = s.both(s.at_least(x, low), s.at_least(high, x));
                [s.max(low, s.min(high, x)), s.select(within, one, zero)]
            });
        }
    }
}

/// A power, lane by lane.
#[inline(always)]
fn powf<S: Simd>(s: S, x: S::V, power: f32) -> S::V {
    let mut lanes = [0f32; kernels::simd::MAX_LANES];
    let lanes = &mut lanes[..S::LANES];
    s.store(x, lanes);
    for lane in &mut *lanes {
        *lane = lane.powf(power);
    }
    s.load(lanes)
}
