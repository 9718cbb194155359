//! Which proposals can be judged together, and which kept.

use super::proposals::Grid;
use super::ranked::{Ranked, close};

/// Rows or columns, of those that SegNet sees, between proposals that are judged by one look.
pub(super) const APART: usize = 16;
/// Between those that are kept together.
const NEAR: usize = 8;

/// Up to `count` sets of proposals, as indices, that lie apart; the most promising ones first.
pub(super) fn spread(ranked: &[Ranked], grid: Grid, count: usize) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..ranked.len()).collect();
    let mut sets = Vec::new();
    while sets.len() < count && !left.is_empty() {
        let mut places: Vec<(usize, usize)> = Vec::new();
        let (set, rest) = left.into_iter().partition(|&i: &usize| {
            let place = ranked[i].place(grid);
            let apart = !places.iter().any(|&other| close(place, other, APART));
            if apart {
                places.push(place);
            }
            apart
        });
        sets.push(set);
        left = rest;
    }
    sets
}

/// The first ones that do not lie near each other: of what is next to each other, each would undo what the other does.
pub(super) fn thinned<'r>(chosen: impl Iterator<Item = &'r Ranked>, grid: Grid) -> Vec<&'r Ranked> {
    let mut kept: Vec<&Ranked> = Vec::new();
    for ranked in chosen {
        if !kept.iter().any(|other| close(ranked.place(grid), other.place(grid), NEAR)) {
            kept.push(ranked);
        }
    }
    kept
}
