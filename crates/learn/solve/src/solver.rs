//! One sample after the other.

use decoder::{Level, Network, SampleInput, in_order};
use frames::Planes;
use metric::{POSE_LEN, PerceptionStack, SampleOutputs, evaluator_input};
use repr::{QuantizedLatents, Representation, Sidecar};

use crate::error::SolveError;
use crate::lattice::{Lattice, Outputs, added, square};

/// Share of a coefficient's grid by which slopes are measured.
const DIFFERENCE: i32 = 96;
/// Steps of a solution, each along measured or corrected slopes.
const ROUNDS: usize = 12;
/// Dampings that are tried in each, as shares of the slopes' mean square.
const DAMPINGS: [f64; 5] = [1e-4, 1e-3, 1e-2, 0.1, 1.0];
/// Mean squared error that is as good as none: its term of the score is 0.001.
const ENOUGH: f64 = 1e-7;
/// Error beyond which other starts are tried: how many of how many, and how often over a whole clip.
const POOR: f64 = 1e-5;
const STARTS: usize = 2;
const SPREAD: usize = 24;
const REPEATS: usize = 1;
/// Fall of the error below which the slopes are measured anew.
const STALE: f64 = 0.25;
/// Single steps of the grid that are tried at the end, at once and how often.
const SINGLES: usize = 6;
const SINGLE_ROUNDS: usize = 2;

/// Mean squared errors of a sample's pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// As it was.
    pub before: f64,
    /// As it is now, never more.
    pub after: f64,
}

/// Solves for the coefficients of samples of one representation. The decoder is that of the representation it was made from;
/// class maps and latents are those of the one that is solved.
pub struct Solver<'a> {
    network: Network,
    originals: &'a [SampleOutputs],
    coefficients: usize,
    last: i32,
}

/// A point and what PoseNet misses there.
#[derive(Clone)]
struct Point {
    values: Vec<i32>,
    residual: Outputs,
}

impl Point {
    fn error(&self) -> f64 {
        square(&self.residual) / POSE_LEN as f64
    }
}

/// One sample as it is solved.
struct Sample<'a> {
    network: &'a Network,
    /// Of one sample.
    latents: QuantizedLatents,
    map: Vec<u8>,
    sidecar: Sidecar,
    coefficients: usize,
    second: Planes,
    target: [f32; POSE_LEN],
}

impl<'a> Solver<'a> {
    /// A solver for representations with this decoder; none where it has no carrier. `originals` are what the evaluators say of
    /// the original, one for each sample.
    ///
    /// # Errors
    ///
    /// A decoder that cannot be built.
    pub fn new(representation: &Representation, originals: &'a [SampleOutputs]) -> Result<Option<Self>, SolveError> {
        let (architecture, clip) = (&representation.architecture, &representation.clip);
        let Some(carrier) = architecture.table().carrier else { return Ok(None) };
        let network = Network::new(&representation.dequantize(), (clip.height(), clip.width()), Level::detect())?;
        let last = (1 << carrier.bits) - 1;
        Ok(Some(Self { network, originals, coefficients: carrier.coefficients, last }))
    }

    /// Solves every sample that has an original, then those again that are left poor, as the others are solved by now.
    /// `each` hears of every sample, and ends the work where it says no. Returns the means over the samples, or nothing where it
    /// was ended.
    ///
    /// # Errors
    ///
    /// The stack's, or a sample that cannot be decoded.
    pub fn all(
        &self,
        representation: &mut Representation,
        stack: &mut (dyn PerceptionStack + '_),
        mut each: impl FnMut(usize) -> bool,
    ) -> Result<Option<Pose>, SolveError> {
        let samples = representation.clip.samples().min(self.originals.len());
        let mut poses = Vec::new();
        for sample in 0..samples {
            poses.push(self.attempt(representation, sample, 0, stack)?);
            if !each(sample) {
                return Ok(None);
            }
        }
        for _ in 0..REPEATS {
            for sample in (0..samples).filter(|&sample| poses[sample].after > POOR).collect::<Vec<_>>() {
                poses[sample].after = self.attempt(representation, sample, STARTS, stack)?.after;
                if !each(sample) {
                    return Ok(None);
                }
            }
        }
        let mean = |of: fn(&Pose) -> f64| poses.iter().map(of).sum::<f64>() / samples.max(1) as f64;
        Ok(Some(Pose { before: mean(|pose| pose.before), after: mean(|pose| pose.after) }))
    }

    /// Solves one sample: its coefficients become the best that are found from where they are, or stay.
    ///
    /// # Errors
    ///
    /// The stack's, or a sample that cannot be decoded.
    pub fn solve(
        &self,
        representation: &mut Representation,
        sample: usize,
        stack: &mut (dyn PerceptionStack + '_),
    ) -> Result<Pose, SolveError> {
        self.attempt(representation, sample, 0, stack)
    }

    /// The same, where that leaves it poor also from where other samples are, at `most` so many.
    fn attempt(
        &self,
        representation: &mut Representation,
        sample: usize,
        most: usize,
        stack: &mut (dyn PerceptionStack + '_),
    ) -> Result<Pose, SolveError> {
        let Some(original) = self.originals.get(sample) else { return Ok(Pose { before: 0.0, after: 0.0 }) };
        let subject = self.subject(representation, sample, original.pose)?;
        let own = |sample: usize| self.coefficients_of(representation, sample);
        let start = subject.best(vec![own(sample)], stack)?;
        let before = start.error();
        let mut best = self.descend(&subject, start, stack)?;
        if best.error() > POOR && most > 0 {
            // Where others are, near ones and some from the whole clip, the best ones first.
            let samples = representation.clip.samples();
            let near = [sample.checked_sub(1), Some(sample + 1), sample.checked_sub(2), Some(sample + 2)];
            let spread = (0..samples).step_by(samples.div_ceil(SPREAD)).map(Some);
            let others = near.into_iter().chain(spread).flatten().filter(|&other| other < samples && other != sample);
            let mut starts = subject.points(others.map(own).collect(), stack)?;
            starts.sort_by(|a, b| a.error().total_cmp(&b.error()));
            starts.dedup_by(|a, b| a.values == b.values);
            for start in starts.into_iter().take(most) {
                if best.error() <= POOR {
                    break;
                }
                let other = self.descend(&subject, start, stack)?;
                best = if other.error() < best.error() { other } else { best };
            }
        }
        let after = best.error();
        if after < before {
            let mut row = subject.latents.values;
            let at = row.len() - self.coefficients;
            row[at..].iter_mut().zip(&best.values).for_each(|(q, &value)| *q = value as u16);
            representation.set_sample(sample, &row, &subject.sidecar)?;
        }
        Ok(Pose { before, after })
    }

    fn coefficients_of(&self, representation: &Representation, sample: usize) -> Vec<i32> {
        let dim = representation.architecture.latent_dim();
        let own = &representation.latents.values[sample * dim..][dim - self.coefficients..dim];
        own.iter().map(|&q| q.into()).collect()
    }

    fn subject<'b>(
        &'b self,
        representation: &Representation,
        sample: usize,
        target: [f32; POSE_LEN],
    ) -> Result<Sample<'b>, SolveError> {
        let dim = representation.architecture.latent_dim();
        let mut sidecar = Sidecar::default();
        representation.sidecar.of(sample).iter().for_each(|c| sidecar.set(c.sample, c.target, c.amount));
        let (minimum, step) = (representation.latents.minimum.clone(), representation.latents.step.clone());
        let values = representation.latents.values[sample * dim..][..dim].to_vec();
        let latents = QuantizedLatents { minimum, step, values };
        let floats = latents.sample(0, dim, sidecar.corrections()).unwrap_or_default();
        let map = representation.map(sample).to_vec();
        let input = SampleInput { latents: &floats, map: &map, corrections: sidecar.corrections() };
        let [_, second] = self.network.frames(input, None)?;
        let (network, coefficients, second) = (&self.network, self.coefficients, evaluator_input(&second));
        Ok(Sample { network, latents, map, sidecar, coefficients, second, target })
    }

    fn descend(
        &self,
        subject: &Sample<'_>,
        mut best: Point,
        stack: &mut (dyn PerceptionStack + '_),
    ) -> Result<Point, SolveError> {
        let mut slopes = self.slopes(subject, &best, stack)?;
        let mut fresh = true;
        for _ in 0..ROUNDS {
            if best.error() < ENOUGH {
                break;
            }
            let lattice = Lattice { slopes: &slopes, values: &best.values, last: self.last };
            let mut candidates = DAMPINGS.map(|damping| lattice.near_zero(best.residual, damping)).to_vec();
            candidates.dedup();
            let found = subject.best(candidates, stack)?;
            let fall = found.error() / best.error();
            if fall < 1.0 {
                correct(&mut slopes, &best, &found);
                best = found;
                fresh = false;
            } else if fresh {
                break;
            }
            if fall > STALE {
                slopes = self.slopes(subject, &best, stack)?;
                fresh = true;
            }
        }
        for _ in 0..SINGLE_ROUNDS {
            let lattice = Lattice { slopes: &slopes, values: &best.values, last: self.last };
            let steps = lattice.steps(&best.residual).into_iter().take(SINGLES).map(|(_, k, stride)| {
                let mut values = best.values.clone();
                values[k] += stride;
                values
            });
            let found = subject.best(steps.collect(), stack)?;
            if best.error() < ENOUGH || found.error() >= best.error() {
                break;
            }
            best = found;
        }
        Ok(best)
    }

    /// What one level of each coefficient does to the outputs, by differences.
    fn slopes(
        &self,
        subject: &Sample<'_>,
        at: &Point,
        stack: &mut (dyn PerceptionStack + '_),
    ) -> Result<Vec<Outputs>, SolveError> {
        let width = (self.last + 1) / DIFFERENCE;
        let stride = |value: i32| if value + width <= self.last { width } else { -width };
        let moved = (0..at.values.len()).map(|k| {
            let mut values = at.values.clone();
            values[k] += stride(values[k]);
            values
        });
        let points = subject.points(moved.collect(), stack)?;
        let slope = |(k, point): (usize, &Point)| {
            let difference = added(&point.residual, &at.residual, -1.0);
            added(&[0.0; POSE_LEN], &difference, 1.0 / f64::from(stride(at.values[k])))
        };
        Ok(points.iter().enumerate().map(slope).collect())
    }
}

/// Broyden's correction (1965): the least change of the slopes that explains what a step did.
fn correct(slopes: &mut [Outputs], from: &Point, to: &Point) {
    let step: Vec<f64> = from.values.iter().zip(&to.values).map(|(a, b)| f64::from(b - a)).collect();
    let length: f64 = step.iter().map(|s| s * s).sum();
    if length == 0.0 {
        return;
    }
    let expected = slopes.iter().zip(&step).fold(from.residual, |sum, (slope, step)| added(&sum, slope, *step));
    let surprise = added(&to.residual, &expected, -1.0);
    slopes.iter_mut().zip(&step).for_each(|(slope, step)| *slope = added(slope, &surprise, step / length));
}

impl Sample<'_> {
    /// The best of some coefficients.
    fn best(&self, candidates: Vec<Vec<i32>>, stack: &mut (dyn PerceptionStack + '_)) -> Result<Point, SolveError> {
        let nowhere = Point { values: Vec::new(), residual: [f64::INFINITY; POSE_LEN] };
        let points = self.points(candidates, stack)?;
        Ok(points.into_iter().min_by(|a, b| a.error().total_cmp(&b.error())).unwrap_or(nowhere))
    }

    /// Asks PoseNet about coefficients, each through the frame that they make.
    fn points(
        &self,
        candidates: Vec<Vec<i32>>,
        stack: &mut (dyn PerceptionStack + '_),
    ) -> Result<Vec<Point>, SolveError> {
        let mut poses = Vec::new();
        let work = |i: usize, _: Option<Planes>| -> Result<Planes, SolveError> {
            let mut latents = self.latents.clone();
            let dim = latents.dim();
            let own = latents.values[dim - self.coefficients..].iter_mut();
            own.zip(&candidates[i]).for_each(|(own, &value)| *own = value as u16);
            let floats = latents.sample(0, dim, self.sidecar.corrections()).unwrap_or_default();
            let input = SampleInput { latents: &floats, map: &self.map, corrections: self.sidecar.corrections() };
            match self.network.carried(input)? {
                Some(first) => Ok(evaluator_input(&first)),
                None => Ok(self.second.clone()),
            }
        };
        in_order(0..candidates.len(), rayon::current_num_threads(), work, |_, first| {
            poses.push(stack.pose([first, &self.second])?);
            Ok::<_, SolveError>(())
        })?;
        let residual = |pose: [f32; POSE_LEN]| std::array::from_fn(|i| f64::from(pose[i]) - f64::from(self.target[i]));
        let point = |(values, pose)| Point { values, residual: residual(pose) };
        Ok(candidates.into_iter().zip(poses).map(point).collect())
    }
}
