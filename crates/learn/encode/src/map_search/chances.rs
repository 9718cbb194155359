//! What proposals of a kind have done so far, and so what one is worth trying.

use super::proposals::KINDS;

/// Changes of the number of wrong pixels that are told apart: more, the same, one less, and so on.
pub(super) const OUTCOMES: usize = 8;
/// What is expected of a kind before it was tried: of so many trials, how many came to which outcome.
const EXPECTED: [f64; OUTCOMES] = [3.0, 2.0, 1.2, 0.7, 0.4, 0.2, 0.1, 0.1];

/// For each kind how often which outcome came.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chances(pub Vec<[u32; OUTCOMES]>);

impl Chances {
    /// Nothing was tried.
    pub fn new() -> Self {
        Self(vec![[0; OUTCOMES]; KINDS])
    }

    /// A proposal of a kind was tried, and so many pixels less were wrong.
    pub fn learn(&mut self, kind: usize, gain: i32) {
        let outcome = (gain + 1).clamp(0, OUTCOMES as i32 - 1) as usize;
        let count = &mut self.0[kind][outcome];
        *count = count.saturating_add(1);
    }

    /// What trying a proposal brings on average, where one wrong pixel less is worth 1 and the proposal costs `price`: it is not
    /// taken where it brings less than that.
    pub fn promise(&self, kind: usize, price: f64) -> f64 {
        let counts = self.0[kind].iter().zip(EXPECTED).map(|(&count, expected)| f64::from(count) + expected);
        let (mut sum, mut all) = (0.0, 0.0);
        for (outcome, count) in counts.enumerate() {
            sum += count * (outcome as f64 - 1.0 - price).max(0.0);
            all += count;
        }
        sum / all
    }
}
