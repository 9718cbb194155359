//! The curve of rate and distortion, walked from fine to coarse.

use std::sync::Arc;

use repr::Representation;

use crate::error::EncodeError;
use crate::quantizer::Quantizer;

/// Error, in mean squared levels, of the first point: less than eight plain bits make.
const FIRST_ERROR: f64 = 0.03;
/// Ratio of the exchange rates of neighbouring points.
const STRIDE: f64 = 2.0;
/// Most points before the walk turns.
const POINTS: i32 = 14;
/// Points without a lower cost after which no more are expected.
const PATIENCE: usize = 2;
/// Share of the finest point's bytes from which on a point counts as one without a lower cost: while bytes hardly fall, so does cost.
const NOTICEABLE: f64 = 0.98;
/// Halvings of the last stride towards a number of bytes.
const HALVINGS: usize = 6;

/// Where a walk ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At an exchange rate: mean squared error, in levels of 8-bit RGB, that a kilobyte (1000 bytes) is worth.
    Lambda(f64),
    /// At the most bytes up to so many.
    Bytes(usize),
    /// At the lowest cost, bytes included, by whoever measures: the challenge's score. The plain quantization counts too.
    Cost,
}

/// A point of the curve.
#[derive(Clone, Debug)]
pub struct Point {
    /// The exchange rate, as in [`Goal::Lambda`]; none for the plain quantization.
    pub lambda: Option<f64>,
    /// Size of the archive.
    pub bytes: usize,
    /// The quantization.
    pub representation: Representation,
    /// The class maps as an archive holds them, the same in every point.
    maps: Arc<[u8]>,
}

impl Point {
    fn new(lambda: Option<f64>, representation: Representation, maps: Arc<[u8]>) -> Self {
        let bytes = archive::encode_beside(&representation, &maps).len();
        Self { lambda, bytes, representation, maps }
    }

    /// Puts another representation in the place, one with the same class maps.
    pub fn replace(&mut self, representation: Representation) {
        *self = Self::new(self.lambda, representation, self.maps.clone());
    }
}

/// Walks from the plain quantization over finer and coarser ones to the goal, and returns the point there. Each point goes
/// through `measure`, in the order of the walk, which may replace its representation and returns its cost; that matters for
/// [`Goal::Cost`] alone.
pub fn walk<E: From<EncodeError>>(
    quantizer: &Quantizer<'_>,
    goal: Goal,
    mut measure: impl FnMut(&mut Point) -> Result<f64, E>,
) -> Result<Point, E> {
    let maps: Arc<[u8]> = archive::encode_maps(quantizer.source().plain()).into();
    let mut visit = |lambda: Option<f64>| -> Result<(Point, f64), E> {
        let representation = match lambda {
            Some(lambda) => quantizer.quantize(lambda)?,
            None => quantizer.source().plain().clone(),
        };
        let mut point = Point::new(lambda, representation, maps.clone());
        let cost = measure(&mut point)?;
        Ok((point, cost))
    };
    let plain = visit(None)?;
    let first = quantizer.rate_at(FIRST_ERROR);
    let ladder = (0..POINTS).map(|i| first * STRIDE.powi(i));
    match goal {
        Goal::Lambda(lambda) => {
            for step in ladder.take_while(|&step| step * STRIDE.sqrt() < lambda) {
                visit(Some(step))?;
            }
            Ok(visit(Some(lambda))?.0)
        }
        Goal::Bytes(target) => {
            // The first point may fit by far; then what lies below it is looked at too.
            let (mut low, mut least) = (first / STRIDE.powi(8), usize::MAX);
            for high in ladder {
                let (point, _) = visit(Some(high))?;
                if point.bytes <= target {
                    return approach(point, [low, high], target, |lambda| Ok(visit(Some(lambda))?.0));
                }
                (low, least) = (high, least.min(point.bytes));
            }
            Err(EncodeError::Unreachable { target, least }.into())
        }
        Goal::Cost => {
            let finest = visit(Some(first))?;
            let noticeable = |point: &Point| point.bytes as f64 <= NOTICEABLE * finest.0.bytes as f64;
            let (mut best, mut worse) = (if finest.1 < plain.1 { finest.clone() } else { plain }, 0);
            for step in ladder.skip(1) {
                let next = visit(Some(step))?;
                if next.1 < best.1 {
                    (best, worse) = (next, 0);
                } else if noticeable(&next.0) {
                    worse += 1;
                }
                if worse == PATIENCE {
                    break;
                }
            }
            let Some(middle) = best.0.lambda else { return Ok(best.0) };
            for beside in [middle / STRIDE.sqrt(), middle * STRIDE.sqrt()] {
                let next = visit(Some(beside))?;
                if next.1 < best.1 {
                    best = next;
                }
            }
            Ok(best.0)
        }
    }
}

/// The largest point met that fits, between an exchange rate that gives too many bytes and that of `point`, which fits.
fn approach<E>(
    mut point: Point,
    [mut low, mut high]: [f64; 2],
    target: usize,
    mut visit: impl FnMut(f64) -> Result<Point, E>,
) -> Result<Point, E> {
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        let next = visit(middle)?;
        if next.bytes > target {
            low = middle;
            continue;
        }
        high = middle;
        if next.bytes > point.bytes {
            point = next;
        }
    }
    Ok(point)
}
