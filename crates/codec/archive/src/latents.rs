//! The latents: pair after pair, each value from the past of all dimensions and from the pair's values before it.
//!
//! Latents of consecutive pairs are a vector autoregressive process with much noise: a slow drift, what repeats with the
//! road (lane marks pass at a steady pace), and innovations that the dimensions share. One autoregression serves all
//! dimensions; a second regression takes out of its innovations what those of the last pairs and of the dimensions before
//! tell about them. A carrier's coefficients are coded in the same way, behind the others.

use std::ops::Range;

use mixing::Corrupt;
use repr::QuantizedLatents;

use crate::adaptive::{Adaptive, Float};
use crate::levels::{Bell, LevelMixer, Levels, mixer};
use crate::regression::{Regression, WEIGHT_BITS, limited};
use crate::value::{REACH, ValueCoder, Window};

/// Bits of an integer that are predicted, its highest ones; those below are noise.
const BITS: u8 = 8;
/// Past values that the autoregression sees.
const LAGS: usize = 20;
/// Past pairs whose innovations the second regression sees.
const PAIRS: usize = 2;
/// Dimensions whose innovations are predicted from each other; more are cut into pieces.
const PIECE: usize = 32;
/// Mean absolute deviation that is expected at first, in levels.
const SPREAD: i64 = 30;
/// Ridges of the autoregression, and for innovations of the same pair and of past ones, in values as large as that.
const RIDGES: [i64; 3] = [10, 60, 400];
/// Most values over which a spread is averaged.
const WINDOW: i64 = 600;
/// One, in units of `2^-16`.
const ONE: i64 = 1 << 16;

/// Codes minima, steps and integers of `bits` bits of some dimensions. The number of dimensions and of pairs must be right.
pub(crate) fn code(
    coder: &mut impl ValueCoder,
    latents: &mut QuantizedLatents,
    dimensions: Range<usize>,
    bits: u8,
) -> Result<(), Corrupt> {
    let dim = latents.dim();
    for values in [&mut latents.minimum, &mut latents.step] {
        let mut model = Float::new();
        for value in &mut values[dimensions.clone()] {
            *value = model.code(coder, *value)?;
        }
    }
    let mut model = LatentModel::new(dimensions.len(), bits);
    for (pair, row) in latents.values.chunks_mut(dim).enumerate() {
        model.code(coder, pair * dim + dimensions.start, &mut row[dimensions.clone()])?;
    }
    Ok(())
}

struct LatentModel {
    mixer: LevelMixer,
    past: Regression,
    pieces: Vec<Piece>,
    /// Mean over the last pairs of error over spread, in units of `2^-16`: how much more than usual is going on.
    activity: i64,
    /// Bits below those that are predicted.
    low_bits: u8,
    /// Each of them, the highest first.
    low: Vec<Adaptive>,
}

/// Dimensions that follow each other.
struct Piece {
    dimensions: Vec<Dimension>,
    /// From innovations: those of the pairs before, the last one first, then this pair's.
    innovations: Regression,
    /// Its vector.
    vector: Vec<i64>,
}

struct Dimension {
    /// The last values, the newest first.
    past: Vec<u8>,
    /// Sum of all values and their number, and as if there had been twenty in the middle of the range.
    mean: (i64, i64),
    /// Mean absolute error, in units of `2^-16`, and how many it is of, with a few imagined.
    spread: (i64, i64),
    levels: Levels,
}

impl LatentModel {
    fn new(dim: usize, bits: u8) -> Self {
        let sizes = (0..dim).step_by(PIECE).map(|start| PIECE.min(dim - start));
        let low_bits = bits.saturating_sub(BITS);
        Self {
            low_bits,
            low: vec![Adaptive::NEW; low_bits.into()],
            mixer: mixer([1 << 16, 0, 0]),
            past: Regression::new(vec![ridge(RIDGES[0]); LAGS + 1]),
            pieces: sizes.map(Piece::new).collect(),
            activity: ONE,
        }
    }

    /// Codes a pair's values, the first of which is number `start` of all.
    fn code(&mut self, coder: &mut impl ValueCoder, start: usize, row: &mut [u16]) -> Result<(), Corrupt> {
        let dim = row.len() as i64;
        let mut errors = 0;
        let loudness = (ONE + self.activity) / 2;
        for ((values, piece), before) in row.chunks_mut(PIECE).zip(&mut self.pieces).zip((start..).step_by(PIECE)) {
            piece.advance();
            for (i, value) in values.iter_mut().enumerate() {
                let mut high = (*value >> self.low_bits) as u8;
                let place = Place { dimension: i, index: before + i, value: *value, low_bits: self.low_bits };
                errors += piece.code(coder, &mut self.mixer, &mut self.past, loudness, place, &mut high)?;
                let mut coded = u16::from(high);
                for (model, shift) in self.low.iter_mut().zip((0..self.low_bits).rev()) {
                    coded = 2 * coded + u16::from(model.code(coder, *value >> shift & 1 == 1)?);
                }
                *value = coded;
            }
        }
        self.activity += (errors / dim - self.activity) * 3 / 10;
        Ok(())
    }
}

/// Where a value stands, and what it is if that is known.
#[derive(Clone, Copy)]
struct Place {
    /// Its dimension within the piece.
    dimension: usize,
    /// Its number among all.
    index: usize,
    /// All of its bits.
    value: u16,
    /// How many of them are not predicted.
    low_bits: u8,
}

impl Place {
    /// What the levels around the value cost, given what those of its predicted bits do.
    fn widened(self, window: Window) -> Window {
        let high = usize::from(self.value >> self.low_bits);
        std::array::from_fn(|i| {
            let level = (usize::from(self.value) + i).checked_sub(REACH).map(|level| level >> self.low_bits);
            let bits = level.and_then(|level| window.get(level + REACH - high));
            bits.map_or(f32::INFINITY, |bits| bits + f32::from(self.low_bits))
        })
    }
}

/// That many squares of the spread, as regressions see it.
fn ridge(values: i64) -> i64 {
    values * (SPREAD << 4) * (SPREAD << 4)
}

impl Piece {
    fn new(len: usize) -> Self {
        let mut ridges = vec![ridge(RIDGES[2]); PAIRS * len];
        ridges.resize((PAIRS + 1) * len, ridge(RIDGES[1]));
        Self {
            dimensions: std::iter::repeat_with(Dimension::new).take(len).collect(),
            innovations: Regression::new(ridges),
            vector: vec![0; (PAIRS + 1) * len],
        }
    }

    /// Another pair: what was this pair's becomes the last one's.
    fn advance(&mut self) {
        let len = self.dimensions.len();
        self.vector.rotate_right(len);
        for j in 0..PAIRS * len {
            self.innovations.learn(&self.vector[..j], self.vector[j], false);
        }
    }

    /// Codes the predicted bits of a value, given the regression on its past; returns error over spread, in units of `2^-16`.
    fn code(
        &mut self,
        coder: &mut impl ValueCoder,
        mixer: &mut LevelMixer,
        past: &mut Regression,
        loudness: i64,
        place: Place,
        value: &mut u8,
    ) -> Result<i64, Corrupt> {
        let at = PAIRS * self.dimensions.len() + place.dimension;
        let dimension = &mut self.dimensions[place.dimension];
        let mean = (dimension.mean.0 << 16) / dimension.mean.1;
        let mut before = [0; LAGS];
        for (lag, &value) in before.iter_mut().zip(&dimension.past) {
            *lag = relative(value, mean);
        }
        // The regression corrects what holds for most clips.
        let usual = (11 * before[0] + 5 * before[1]) * (1 << WEIGHT_BITS) / 20;
        let expected = usual + past.predict(&before);
        let guess = expected + self.innovations.predict(&self.vector[..at]);
        let centre = (mean + (guess >> (WEIGHT_BITS + 4 - 16))).clamp(0, (1 << (16 + u32::from(BITS))) - 1);
        let spread = dimension.spread.0 * loudness / ONE;
        let bell = Bell { centre, spread };
        coder.value(place.index, || place.widened(dimension.levels.window(mixer, bell, *value)));
        *value = dimension.levels.code(coder, mixer, bell, *value)?;

        let known = relative(*value, mean);
        for (lag, &entry) in before.iter().enumerate() {
            past.learn(&before[..lag], entry, false);
        }
        past.learn(&before, limited(known - (usual >> WEIGHT_BITS)), true);
        self.vector[at] = limited(known - (expected >> WEIGHT_BITS));
        self.innovations.learn(&self.vector[..at], self.vector[at], true);
        let error = ((i64::from(*value) << 16) - centre).abs();
        let relative_error = error * ONE / dimension.spread.0;
        dimension.learn(*value, error * ONE / loudness);
        Ok(relative_error)
    }
}

/// The distance of a value from the mean (in units of `2^-16`), as regressions see it.
fn relative(value: u8, mean: i64) -> i64 {
    ((i64::from(value) << 16) - mean) >> 12
}

impl Dimension {
    fn new() -> Self {
        Self {
            past: Vec::with_capacity(LAGS + 1),
            mean: (20 << (BITS - 1), 20),
            spread: (SPREAD << 16, 4),
            levels: Levels::new(BITS),
        }
    }

    fn learn(&mut self, value: u8, error: i64) {
        self.past.insert(0, value);
        self.past.truncate(LAGS);
        self.mean = (self.mean.0 + i64::from(value), self.mean.1 + 1);
        self.spread.1 = (self.spread.1 + 1).min(WINDOW);
        // An eighth of a level stays, so that one surprise does not undo all.
        self.spread.0 = (self.spread.0 + (error - self.spread.0) / self.spread.1).max(1 << 13);
    }
}
