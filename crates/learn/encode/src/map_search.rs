//! The search over class maps: which pixels to change so that the frame that is rendered from a map shows SegNet what it saw in the
//! original.
//!
//! Sweep after sweep, sample after sample: proposals around the pixels that SegNet gets wrong are ranked by what those of their
//! kind did so far and what they cost by the coder's prices. Many that lie far apart are judged by one look of SegNet at the
//! whole frame, each by the pixels around it; those that bring more than they cost are put together and judged once more. Then the
//! pair is judged as a whole, its first frame included, and what does not lower the score is taken back. At the end of a sweep all
//! maps are encoded, and samples whose edits do not pay are taken back too.

mod chances;
mod frames;
mod proposals;
mod ranked;
mod settle;
mod spread;
mod state;
mod visit;

use dataset::Dataset;
use decoder::{Level, Network};
use maps::Prices;
use metric::PerceptionStack;
use repr::Representation;
use solve::Solver;

use crate::error::EncodeError;
use crate::judge::Judge;
use crate::resume::Steps;
use frames::{Frames, total, total_with};
use proposals::Grid;
use settle::settle;
pub use state::MapSearchState;
use state::latents;
use visit::{Edited, Visit, surprise};

/// Most sweeps over all samples.
const SWEEPS: usize = 50;

/// Makes the latents of a sample fit a second frame that has changed; all else that it does is not taken over.
pub type Resolve<'a> =
    dyn FnMut(&mut Representation, usize, &mut (dyn PerceptionStack + '_)) -> Result<(), EncodeError> + 'a;

/// What solves the coefficients of a carrier again, where `start` has one.
///
/// # Errors
///
/// A decoder that cannot be built.
pub fn solving<'a>(start: &Representation, dataset: &'a Dataset) -> Result<Box<Resolve<'a>>, EncodeError> {
    let solver = dataset.originals().map(|originals| Solver::new(start, originals)).transpose()?.flatten();
    Ok(Box::new(move |representation, sample, stack| {
        solver.as_ref().map(|solver| solver.solve(representation, sample, stack)).transpose()?;
        Ok(())
    }))
}

/// A search over the class maps of one representation. It keeps no state of its own: see [`MapSearchState`].
pub struct MapSearch<'a> {
    frames: Frames<'a>,
    prices: Prices,
    grid: Grid,
    classes: usize,
    resolve: Box<Resolve<'a>>,
}

impl<'a> MapSearch<'a> {
    /// A search from `start`, that of the state for one that goes on, against `dataset`. Wherever the second frame of a sample has
    /// changed, `resolve` is called before the pair is judged.
    ///
    /// # Errors
    ///
    /// A representation without class maps, a judge other than the metric, and originals of another clip.
    pub fn new(
        start: &Representation,
        dataset: &Dataset,
        judge: Judge<'a>,
        resolve: Box<Resolve<'a>>,
    ) -> Result<Self, EncodeError> {
        let (Some(maps), Judge::Metric { stack, originals, clip_bytes }) = (&start.maps, judge) else {
            return Err(EncodeError::Maps);
        };
        let samples = start.clip.samples();
        if dataset.frame_count() != start.clip.frames() || originals.len() != samples {
            let found = format!("{} frames", dataset.frame_count());
            return Err(EncodeError::Original { found, needed: start.clip.frames().to_string() });
        }
        let clip = (start.clip.height(), start.clip.width());
        let network = Network::new(&start.dequantize(), clip, Level::detect())?;
        let shape = maps.shape();
        Ok(Self {
            frames: Frames { network, stack, originals, clip_bytes },
            prices: Prices::of(maps),
            grid: Grid { rows: shape.rows(), columns: shape.columns() },
            classes: shape.classes(),
            resolve,
        })
    }

    /// Where a search from `start` begins.
    pub fn begin(start: &Representation) -> MapSearchState {
        MapSearchState::new(start)
    }

    /// What the samples measured so far cost on average, without the bytes.
    pub fn cost(&self, state: &MapSearchState) -> f64 {
        total(&state.terms)
    }

    /// Takes back the edits of samples that do not pay, if by a real encoding that lowers the score. What is left is never worth
    /// less than what the search began with, which it still is where not all samples have been measured.
    pub fn settle(&self, state: &mut MapSearchState) -> Result<(), EncodeError> {
        settle(state, &self.frames).map(|_| ())
    }

    /// Edits the map of a sample, as far as that lowers the score.
    fn visit(&mut self, state: &mut MapSearchState, sample: usize) -> Result<(), EncodeError> {
        let before = state.representation.clone();
        let map = before.map(sample).to_vec();
        let seen = self.frames.classes(&before, sample, std::slice::from_ref(&map))?;
        let seen = seen.into_iter().next().unwrap_or_default();
        let edited = Edited { map, seen, bits: 0.0, taken: Vec::new() };
        let tried = state.tried[sample].clone();
        let Some(prices) = before.maps.as_ref().and_then(|maps| self.prices.at(maps, sample)) else { return Ok(()) };
        let visit = Visit {
            frames: &mut self.frames,
            prices,
            grid: self.grid,
            classes: self.classes,
            representation: &before,
            sample,
            tried: &mut state.tried[sample],
            chances: &mut state.chances,
            edited,
        };
        let Edited { map, bits, taken, .. } = visit.edit()?;
        if taken.is_empty() {
            return Ok(());
        }
        state.representation.set_map(sample, &map)?;
        let mut resolved = state.representation.clone();
        (self.resolve)(&mut resolved, sample, &mut *self.frames.stack)?;
        state.set_latents(sample, latents(&resolved, sample))?;
        let terms = self.frames.measure(&state.representation, sample)?;
        let cost = self.frames.bit() * surprise(bits);
        if total_with(&state.terms, sample, terms) + cost < total(&state.terms) {
            state.terms[sample] = terms;
            state.bits[sample] += bits;
        } else {
            state.representation = before;
            // The edits around which others were worth another trial are none, and came to nothing themselves.
            state.tried[sample] = tried;
            state.tried[sample].extend(taken);
            state.tried[sample].sort_unstable();
            state.tried[sample].dedup();
        }
        Ok(())
    }
}

impl Steps for MapSearch<'_> {
    type State = MapSearchState;

    /// It ends sooner where a sweep finds nothing more.
    fn steps(&self) -> usize {
        let samples = self.frames.originals.len();
        samples + SWEEPS * (samples + 1)
    }

    fn is_finished(&self, state: &MapSearchState) -> bool {
        state.done || state.next >= self.steps()
    }

    /// Measures a sample, edits it, or settles a sweep.
    fn step(&mut self, state: &mut MapSearchState) -> Result<(), EncodeError> {
        if self.is_finished(state) {
            return Ok(());
        }
        let samples = self.frames.originals.len();
        match state.next.checked_sub(samples).map(|next| next % (samples + 1)) {
            None => {
                let terms = self.frames.measure(&state.representation, state.next)?;
                state.first.push(terms);
                state.terms.push(terms);
            }
            Some(sample) if sample < samples => self.visit(state, sample)?,
            Some(_) => {
                let cost = settle(state, &self.frames)?;
                state.done = cost >= state.least;
                state.least = cost;
            }
        }
        state.next += 1;
        Ok(())
    }
}
