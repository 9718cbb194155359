//! A visit to a sample: rounds of proposals, each judged by SegNet.

use maps::MapPrices;
use repr::Representation;

use super::chances::Chances;
use super::frames::Frames;
use super::proposals::{Grid, Proposal, Sight, proposals};
use super::ranked::{Ranked, close};
use super::spread::{APART, spread, thinned};
use crate::error::EncodeError;

/// Rounds of a visit.
const ROUNDS: usize = 2;
/// Sets of proposals that are judged in a round.
const SETS: usize = 6;
/// Proposals that are priced in a round, at most.
const PRICED: usize = 1200;
/// Least promise, in wrong pixels, that is worth a trial.
const LEAST: f64 = 0.02;
/// How much more the coder takes than by its frozen prices.
const SURPRISE: f64 = 1.1;
/// Rows or columns of a map around an edit in which what came to nothing is worth another trial.
const STIRRED: usize = 4;

/// A sample as it becomes.
pub(super) struct Visit<'v, 'a> {
    pub frames: &'v mut Frames<'a>,
    pub prices: MapPrices<'v>,
    pub grid: Grid,
    pub classes: usize,
    /// Before the visit.
    pub representation: &'v Representation,
    pub sample: usize,
    /// Proposals that came to nothing, in order.
    pub tried: &'v mut Vec<Proposal>,
    pub chances: &'v mut Chances,
    pub edited: Edited,
}

/// A map, and what came of it.
pub(super) struct Edited {
    pub map: Vec<u8>,
    /// What SegNet sees of it.
    pub seen: Vec<u8>,
    /// By the frozen prices, more than before the visit.
    pub bits: f64,
    /// Proposals that were taken.
    pub taken: Vec<Proposal>,
}

/// What bits by the frozen prices come to: what surprises the coder surprises it more than that, and it saves less.
pub(super) fn surprise(bits: f64) -> f64 {
    if bits > 0.0 { SURPRISE * bits } else { bits / SURPRISE }
}

impl Visit<'_, '_> {
    /// Edits the map in a few rounds, fewer where there is nothing more to try.
    pub fn edit(mut self) -> Result<Edited, EncodeError> {
        for _ in 0..ROUNDS {
            let ranked = self.rank();
            let sets = spread(&ranked, self.grid, SETS);
            if sets.is_empty() {
                break;
            }
            let chosen = self.judge(&ranked, &sets)?;
            let together = thinned(chosen.into_iter(), self.grid);
            self.keep(together)?;
        }
        Ok(self.edited)
    }

    /// What SegNet should see, and what it sees.
    fn sight<'s>(&'s self, seen: &'s [u8]) -> Sight<'s> {
        Sight { original: &self.frames.originals[self.sample].classes, seen }
    }

    /// What bits are worth, in pixels that SegNet gets wrong.
    fn price(&self, bits: f64) -> f64 {
        surprise(bits) * self.frames.bit() / self.frames.pixel()
    }

    /// The proposals that were not tried yet, the most promising first.
    fn rank(&mut self) -> Vec<Ranked> {
        let found = proposals(&self.edited.map, self.grid, self.classes, &self.sight(&self.edited.seen));
        let fresh = found.into_iter().filter(|(proposal, _)| self.tried.binary_search(proposal).is_err());
        let hoped = fresh.map(|(proposal, kind)| (self.chances.promise(kind, 0.0), proposal, kind));
        let mut found: Vec<(f64, Proposal, usize)> = hoped.collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(PRICED);
        let price = |(_, proposal, kind): (f64, Proposal, usize)| {
            let edits = proposal.edits(&self.edited.map, self.grid.columns);
            let bits = self.prices.change(&edits);
            Ranked { proposal, kind, edits, bits, promise: self.chances.promise(kind, self.price(bits)) }
        };
        let mut ranked: Vec<Ranked> = found.into_iter().map(price).collect();
        ranked.retain(|ranked| ranked.promise > LEAST);
        ranked.sort_by(|a, b| b.promise.total_cmp(&a.promise).then(a.proposal.cmp(&b.proposal)));
        ranked
    }

    /// Judges sets of proposals, each by one look at the frame. Those that bring more than they cost, the best first; the others
    /// count as tried.
    fn judge<'r>(&mut self, ranked: &'r [Ranked], sets: &[Vec<usize>]) -> Result<Vec<&'r Ranked>, EncodeError> {
        let edited = |set: &Vec<usize>| self.with(set.iter().map(|&i| &ranked[i]));
        let maps: Vec<Vec<u8>> = sets.iter().map(edited).collect();
        let all = self.frames.classes(self.representation, self.sample, &maps)?;
        let mut chosen = Vec::new();
        for (set, seen) in sets.iter().zip(&all) {
            for ranked in set.iter().map(|&i| &ranked[i]) {
                let wrong = |seen: &[u8]| self.sight(seen).wrong_near(ranked.place(self.grid), APART / 2);
                let gain = wrong(&self.edited.seen) - wrong(seen);
                let worth = f64::from(gain) - self.price(ranked.bits);
                self.chances.learn(ranked.kind, gain);
                if worth > 0.0 {
                    chosen.push((worth, ranked));
                } else {
                    self.tried.push(ranked.proposal);
                }
            }
        }
        self.tried.sort_unstable();
        chosen.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.proposal.cmp(&b.1.proposal)));
        Ok(chosen.into_iter().map(|(_, ranked)| ranked).collect())
    }

    /// The map with more edits.
    fn with<'r>(&self, ranked: impl Iterator<Item = &'r Ranked>) -> Vec<u8> {
        let mut map = self.edited.map.clone();
        ranked.flat_map(|ranked| &ranked.edits).for_each(|&(pixel, class)| map[pixel] = class);
        map
    }

    /// Keeps proposals if they help together; else the better half, which is the more certain one, and so on.
    fn keep(&mut self, mut together: Vec<&Ranked>) -> Result<(), EncodeError> {
        let wrong = self.sight(&self.edited.seen).wrong() as f64;
        while !together.is_empty() {
            let map = self.with(together.iter().copied());
            let seen = self.frames.classes(self.representation, self.sample, std::slice::from_ref(&map))?;
            let seen = seen.into_iter().next().unwrap_or_default();
            let edits: Vec<(usize, u8)> = together.iter().flat_map(|ranked| &ranked.edits).copied().collect();
            let bits = self.prices.change(&edits);
            if self.sight(&seen).wrong() as f64 + self.price(bits) < wrong {
                self.prices.apply(&edits);
                let mut taken = std::mem::take(&mut self.edited.taken);
                taken.extend(together.iter().map(|ranked| ranked.proposal));
                self.edited = Edited { map, seen, bits: self.edited.bits + bits, taken };
                let place = |pixel: usize| (pixel / self.grid.columns, pixel % self.grid.columns);
                let stirred = |proposal: &Proposal| {
                    edits.iter().any(|&(pixel, _)| close(place(pixel), place(proposal.pixel as usize), STIRRED))
                };
                self.tried.retain(|proposal| !stirred(proposal));
                return Ok(());
            }
            together.truncate(together.len() / 2);
        }
        Ok(())
    }
}
