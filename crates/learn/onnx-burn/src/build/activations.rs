//! Functions of a value that networks put behind their sums, step by step.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use ops::frozen::{Builder, Step};

/// Of [`selu`], where the file names no other.
pub const SELU_ALPHA: f32 = 1.673_263_2;
/// Of [`selu`], where the file names no other.
pub const SELU_GAMMA: f32 = 1.050_701;

/// |x|.
pub fn absolute(p: &mut Builder, x: usize) -> usize {
    let (negative, positive) = (p.push(Step::Neg(x)), p.push(Step::Relu(x)));
    let negative = p.push(Step::Relu(negative));
    p.push(Step::Add(positive, negative))
}

/// `alpha * x + beta`, within 0 and 1.
pub fn hard_sigmoid(p: &mut Builder, x: usize, alpha: f32, beta: f32) -> usize {
    let (alpha, beta) = (p.constant(alpha), p.constant(beta));
    let scaled = p.push(Step::Mul(alpha, x));
    let shifted = p.push(Step::Add(scaled, beta));
    p.push(Step::Clip(shifted, 0.0, 1.0))
}

/// x times that of x / 6 + 1 / 2 (Howard et al. 2019).
pub fn hard_swish(p: &mut Builder, x: usize) -> usize {
    let gate = hard_sigmoid(p, x, 1.0 / 6.0, 0.5);
    p.push(Step::Mul(x, gate))
}

/// How far x is below 0.
pub fn below_zero(p: &mut Builder, x: usize) -> usize {
    let negative = p.push(Step::Neg(x));
    p.push(Step::Relu(negative))
}

/// x above 0, `slope * x` below.
pub fn leaky_relu(p: &mut Builder, x: usize, slope: f32) -> usize {
    let (above, below) = (p.push(Step::Relu(x)), below_zero(p, x));
    let slope = p.constant(slope);
    let below = p.push(Step::Mul(slope, below));
    p.push(Step::Sub(above, below))
}

/// x above 0, `alpha * (exp(rate * x) - 1)` below (Clevert, Unterthiner, Hochreiter 2016; with a rate of 1 / alpha the slope has
/// no jump, Barron 2017).
pub fn elu(p: &mut Builder, x: usize, alpha: f32, rate: f32) -> usize {
    // Cut at 0 first: what lies above must not overflow.
    let (above, below) = (p.push(Step::Relu(x)), p.push(Step::Clip(x, f32::NEG_INFINITY, 0.0)));
    let (alpha, rate, one) = (p.constant(alpha), p.constant(rate), p.constant(1.0));
    let scaled = p.push(Step::Mul(rate, below));
    let power = p.push(Step::Exp(scaled));
    let power = p.push(Step::Sub(power, one));
    let below = p.push(Step::Mul(alpha, power));
    p.push(Step::Add(above, below))
}

/// `gamma` times [`elu`] (Klambauer et al. 2017).
pub fn selu(p: &mut Builder, x: usize, alpha: f32, gamma: f32) -> usize {
    let (elu, gamma) = (elu(p, x, alpha, 1.0), p.constant(gamma));
    p.push(Step::Mul(gamma, elu))
}

/// x / (1 + |x|).
pub fn softsign(p: &mut Builder, x: usize) -> usize {
    let (size, one) = (absolute(p, x), p.constant(1.0));
    let size = p.push(Step::Add(size, one));
    p.push(Step::Div(x, size))
}

/// x * tanh(log(1 + exp(x))) (Misra 2020): with e = exp(x) the gate is e (e + 2) / (e (e + 2) + 2).
pub fn mish(p: &mut Builder, x: usize) -> usize {
    // From here on the gate is 1.
    let (below, two) = (p.push(Step::Clip(x, f32::NEG_INFINITY, 20.0)), p.constant(2.0));
    let power = p.push(Step::Exp(below));
    let more = p.push(Step::Add(power, two));
    let product = p.push(Step::Mul(power, more));
    let whole = p.push(Step::Add(product, two));
    let gate = p.push(Step::Div(product, whole));
    p.push(Step::Mul(x, gate))
}

/// x * (1 + erf(x / sqrt(2))) / 2 (Hendrycks and Gimpel 2016).
pub fn gelu_erf(p: &mut Builder, x: usize) -> usize {
    let scale = p.constant(FRAC_1_SQRT_2);
    let scaled = p.push(Step::Mul(x, scale));
    let curve = p.push(Step::Erf(scaled));
    half_of_one_plus(p, x, curve)
}

/// Its approximation x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2.
pub fn gelu_tanh(p: &mut Builder, x: usize) -> usize {
    let square = p.push(Step::Mul(x, x));
    let cube = p.push(Step::Mul(square, x));
    let (weight, scale) = (p.constant(0.044_715), p.constant(FRAC_2_PI.sqrt()));
    let cube = p.push(Step::Mul(weight, cube));
    let sum = p.push(Step::Add(x, cube));
    let sum = p.push(Step::Mul(scale, sum));
    let curve = p.push(Step::Tanh(sum));
    half_of_one_plus(p, x, curve)
}

fn half_of_one_plus(p: &mut Builder, x: usize, curve: usize) -> usize {
    let (one, half) = (p.constant(1.0), p.constant(0.5));
    let gate = p.push(Step::Add(curve, one));
    let gate = p.push(Step::Mul(half, gate));
    p.push(Step::Mul(x, gate))
}
