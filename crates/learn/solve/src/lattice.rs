//! Whole steps on a grid that a linear model says meet a target: least change, damped, rounded one value after the other.

use metric::POSE_LEN;

/// What the outputs miss, or by how much they change.
pub(crate) type Outputs = [f64; POSE_LEN];

/// Single steps that are tried on the rounded change.
const STRIDES: [i32; 4] = [1, -1, 2, -2];
/// Most of them that are taken.
const MOVES: usize = 64;

/// Integers that move, and what a change of one by 1 does to the outputs.
pub(crate) struct Lattice<'a> {
    /// One entry for each integer.
    pub slopes: &'a [Outputs],
    /// The integers.
    pub values: &'a [i32],
    /// Their largest value; the smallest is 0.
    pub last: i32,
}

impl Lattice<'_> {
    /// The integers that bring `residual + slopes * change` near zero with a small change: the least one in the damped sense
    /// (Levenberg 1944), rounded one integer after the other, the strongest first, while those that are left make up for it;
    /// then single steps that help.
    pub fn near_zero(&self, residual: Outputs, damping: f64) -> Vec<i32> {
        let mut order: Vec<usize> = (0..self.slopes.len()).collect();
        order.sort_by(|&a, &b| square(&self.slopes[b]).total_cmp(&square(&self.slopes[a])));
        let mean = self.slopes.iter().map(square).sum::<f64>() / POSE_LEN as f64;
        let mut values = self.values.to_vec();
        let mut rest = residual;
        let mut settle = |k: usize, value: f64, rest: &mut Outputs| {
            let moved = value.round().clamp(0.0, f64::from(self.last)) as i32;
            *rest = added(rest, &self.slopes[k], f64::from(moved - values[k]));
            values[k] = moved;
        };
        let wanted = |k: usize, dual: &Outputs| f64::from(self.values[k]) - dot(&self.slopes[k], dual);
        // Those that would leave the grid stop at its ends, and the others make up for it.
        loop {
            let dual = self.dual(&order, &rest, damping * mean);
            let out = |&k: &usize| !(0.0..=f64::from(self.last)).contains(&wanted(k, &dual));
            let (outside, inside): (Vec<usize>, Vec<usize>) = order.iter().partition(|&k| out(k));
            if outside.is_empty() {
                break;
            }
            outside.into_iter().for_each(|k| settle(k, wanted(k, &dual), &mut rest));
            order = inside;
        }
        for (at, &k) in order.iter().enumerate() {
            let dual = self.dual(&order[at..], &rest, damping * mean);
            settle(k, wanted(k, &dual), &mut rest);
        }
        self.descend(&mut values, rest, damping * mean);
        values
    }

    /// What each single step would leave of `residual`, squared, the best first, each with its integer and stride.
    pub fn steps(&self, residual: &Outputs) -> Vec<(f64, usize, i32)> {
        let places = (0..self.slopes.len()).flat_map(|k| STRIDES.map(|stride| (k, stride)));
        let fits = places.filter(|&(k, stride)| self.within(self.values[k] + stride) == self.values[k] + stride);
        let mut steps: Vec<_> =
            fits.map(|(k, stride)| (square(&added(residual, &self.slopes[k], stride.into())), k, stride)).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        steps
    }

    fn within(&self, value: i32) -> i32 {
        value.clamp(0, self.last)
    }

    /// Single steps, as long as they help, each change at its price.
    fn descend(&self, values: &mut [i32], mut rest: Outputs, damping: f64) {
        let price = |k: usize, value: i32| damping * f64::from((value - self.values[k]).pow(2));
        for _ in 0..MOVES {
            let places = (0..values.len()).flat_map(|k| STRIDES.map(|stride| (k, self.within(values[k] + stride))));
            let costs = places.map(|(k, value)| {
                let left = added(&rest, &self.slopes[k], f64::from(value - values[k]));
                (square(&left) + price(k, value) - price(k, values[k]), k, value)
            });
            match costs.min_by(|a, b| a.0.total_cmp(&b.0)) {
                Some((cost, k, value)) if cost < square(&rest) => {
                    rest = added(&rest, &self.slopes[k], f64::from(value - values[k]));
                    values[k] = value;
                }
                _ => return,
            }
        }
    }

    /// `(J J^T + damping I)^-1 rest` over the integers in `free`, by Cholesky's decomposition; the least change is `-J^T` times it.
    fn dual(&self, free: &[usize], rest: &Outputs, damping: f64) -> Outputs {
        let mut matrix = [[0.0; POSE_LEN]; POSE_LEN];
        for &k in free {
            let slope = &self.slopes[k];
            matrix.iter_mut().zip(slope).for_each(|(row, a)| row.iter_mut().zip(slope).for_each(|(m, b)| *m += a * b));
        }
        (0..POSE_LEN).for_each(|i| matrix[i][i] += damping.max(1e-300));
        let mut lower = [[0.0; POSE_LEN]; POSE_LEN];
        for i in 0..POSE_LEN {
            for j in 0..=i {
                let rest = matrix[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
                lower[i][j] = if i == j { rest.max(1e-300).sqrt() } else { rest / lower[j][j] };
            }
        }
        let mut x = *rest;
        for i in 0..POSE_LEN {
            x[i] = (x[i] - (0..i).map(|k| lower[i][k] * x[k]).sum::<f64>()) / lower[i][i];
        }
        for i in (0..POSE_LEN).rev() {
            x[i] = (x[i] - (i + 1..POSE_LEN).map(|k| lower[k][i] * x[k]).sum::<f64>()) / lower[i][i];
        }
        x
    }
}

pub(crate) fn square(x: &Outputs) -> f64 {
    dot(x, x)
}

fn dot(a: &Outputs, b: &Outputs) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `a + factor * b`.
pub(crate) fn added(a: &Outputs, b: &Outputs, factor: f64) -> Outputs {
    std::array::from_fn(|i| a[i] + factor * b[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slopes(count: usize) -> Vec<Outputs> {
        let value = |k: usize, i: usize| ((k * 29 + i * 17 + k * i * 7) % 23) as f64 / 23.0 - 0.5;
        (0..count).map(|k| std::array::from_fn(|i| 0.01 * value(k, i))).collect()
    }

    fn left(slopes: &[Outputs], change: &[i32], residual: Outputs) -> Outputs {
        slopes.iter().zip(change).fold(residual, |rest, (slope, &change)| added(&rest, slope, change.into()))
    }

    #[test]
    fn twelve_integers_meet_six_outputs() {
        let slopes = slopes(12);
        let residual = [0.3, -0.2, 0.1, 0.25, -0.05, 0.15];
        let values = [500; 12];
        let found = Lattice { slopes: &slopes, values: &values, last: 1023 }.near_zero(residual, 1e-6);
        let change: Vec<i32> = found.iter().zip(values).map(|(a, b)| a - b).collect();
        let rest = left(&slopes, &change, residual);
        assert!(square(&rest) < 1e-4 * square(&residual), "{rest:?} after {change:?}");
        // Rounding alone, without making up for it, leaves more.
        assert!(change.iter().map(|c| f64::from(c * c)).sum::<f64>() < 1e5, "{change:?}");
    }

    #[test]
    fn integers_stay_within_their_range_and_no_slopes_are_no_harm() {
        let slopes = slopes(3);
        let lattice = Lattice { slopes: &slopes, values: &[0, 5, 255], last: 255 };
        for scale in [1.0, 1e9] {
            let found = lattice.near_zero([scale; 6], 1e-3);
            assert!(found.iter().all(|value| (0..=255).contains(value)), "{found:?}");
        }
        let flat = Lattice { slopes: &[[0.0; 6]; 2], values: &[1, 2], last: 255 };
        assert_eq!(flat.near_zero([1.0; 6], 1e-3), [1, 2]);
        assert!(Lattice { slopes: &[], values: &[], last: 255 }.near_zero([1.0; 6], 1e-3).is_empty());
    }
}
