//! Secondary estimation.

use crate::counter::Chance;
use crate::logistic::{FINE, squash};

/// Log-odds of -8, -7.5, ... 8.
const KNOTS: usize = 33;
/// Fine log-odds between two knots.
const STEP: i32 = FINE / 2;

/// Learns, for each of several contexts, what really comes when the log-odds are so-and-so: one [`Chance`] for each knot
/// of the log-odds, linear in between.
pub struct Refiner {
    contexts: Vec<[Chance; KNOTS]>,
    nearest: (usize, usize),
}

impl Refiner {
    /// For `contexts` contexts, all of which begin by changing nothing.
    pub fn new(contexts: usize) -> Self {
        let identity = std::array::from_fn(|knot| {
            let p = squash((knot as i32 - KNOTS as i32 / 2) * STEP);
            Chance::new(p.min(i32::from(u16::MAX)) as u16)
        });
        Self { contexts: vec![identity; contexts.max(1)], nearest: (0, 0) }
    }

    /// The probability in units of `2^-16` for the fine log-odds `odds` in `context`.
    #[inline(always)]
    pub fn refine(&mut self, odds: i32, context: usize) -> i32 {
        let most = STEP * (KNOTS as i32 / 2);
        let x = odds.clamp(-most, most - 1) + most;
        let (knot, part) = ((x / STEP) as usize, x % STEP);
        let knots = &self.contexts[context];
        let (low, high) = (i32::from(knots[knot].get()), i32::from(knots[knot + 1].get()));
        self.nearest = (context, knot + usize::from(part >= STEP / 2));
        low + ((high - low) * part / STEP)
    }

    /// Tells the bit that [`refine`](Self::refine) was asked for last.
    #[inline(always)]
    pub fn learn(&mut self, bit: bool) {
        self.contexts[self.nearest.0][self.nearest.1].learn::<6>(bit);
    }

    /// All chances, context after context.
    pub fn chances_mut(&mut self) -> impl Iterator<Item = &mut Chance> {
        self.contexts.as_flattened_mut().iter_mut()
    }
}
