//! A proposal, what it costs, and what it is hoped to bring.

use super::proposals::{Grid, Proposal};

/// A proposal that has a price.
pub(super) struct Ranked {
    pub proposal: Proposal,
    pub kind: usize,
    /// At least one.
    pub edits: Vec<(usize, u8)>,
    /// By the frozen prices.
    pub bits: f64,
    /// What trying it brings on average, in pixels that SegNet gets wrong.
    pub promise: f64,
}

impl Ranked {
    /// Row and column of SegNet's pixel where it is.
    pub fn place(&self, grid: Grid) -> (usize, usize) {
        grid.seen(self.proposal.pixel as usize)
    }
}

/// Whether two places are fewer rows and columns apart than `distance`.
pub(super) fn close((y, x): (usize, usize), (v, u): (usize, usize), distance: usize) -> bool {
    y.abs_diff(v).max(x.abs_diff(u)) < distance
}
