//! The search for corrections: sample after sample, each by its true effect.
//!
//! A sample is decoded and judged once for every candidate; those that help are put together, as many as still help
//! together, and the rest is tried again one by one on top of them. What a correction costs in bytes is what the archive's coder
//! says about the corrections so far.

use decoder::{Level, Network};
use perception::targets::Targets;
use repr::{Representation, Sidecar, Target, Tensor, Tensors};

use crate::EncodeError;
use crate::candidates::{Move, frame_moves, latent_moves};
use crate::chain::Chain;
use crate::judge::{Judge, Stage, Terms, Variant};

/// Error, in mean squared levels, that a latent's move makes in a pass: coarse moves first.
const REACH: [f64; 3] = [2.0, 0.5, 8.0];
/// Cosines that a sample is tried with in a pass.
const COSINE_TRIALS: usize = 8;
/// Amount of a cosine's move.
const COSINE_AMOUNT: i8 = 2;
/// Single moves that are tried again after those that were put together.
const RETRIES: usize = 6;
/// How often in a search prices are taken anew.
const PRICINGS: usize = 16;
/// Bits of a correction, and how many corrections that guess counts for, before there are any.
const FIRST_PRICE: (f64, f64) = (14.0, 16.0);

/// A search over one representation. It keeps no state of its own: see [`SearchState`].
pub struct Search<'a> {
    judge: Judge<'a>,
    stage: Stage<'a>,
    chain: Chain,
    start: Representation,
    curvature: Vec<f64>,
    passes: usize,
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchState {
    /// Finished steps: each sample is measured, then corrected in every pass.
    pub next: usize,
    /// Distortions of the samples measured so far.
    pub(crate) terms: Vec<Terms>,
    /// Bits of a correction.
    pub(crate) price: f64,
    /// The representation with all corrections so far.
    pub(crate) representation: Representation,
}

impl SearchState {
    /// The representation with all corrections so far.
    pub fn representation(&self) -> &Representation {
        &self.representation
    }

    /// Finished steps, of [`Search::steps`].
    pub fn finished(&self) -> usize {
        self.next
    }
}

impl<'a> Search<'a> {
    /// A search from `start` against `targets`, `passes` times over all samples. `curvature` is that of
    /// [`Quantizer::latent_curvature`](crate::Quantizer::latent_curvature).
    pub fn new(
        start: &Representation,
        curvature: &[f64],
        targets: &'a Targets,
        judge: Judge<'a>,
        passes: usize,
    ) -> Result<Self, EncodeError> {
        start.validate()?;
        let (architecture, clip) = (&start.architecture, &start.clip);
        let (height, width) = architecture.output_size();
        let found = (targets.frame_count(), targets.info.width, targets.info.height);
        if found != (clip.frames, width, height) {
            let text = |(frames, width, height)| format!("{frames} frames of {width}x{height}");
            return Err(EncodeError::Original { found: text(found), needed: text((clip.frames, width, height)) });
        }
        let tensor =
            |t: &repr::QuantizedTensor| (t.name.clone(), Tensor { shape: t.shape.clone(), values: t.dequantize() });
        let parameters = Tensors(start.parameters.iter().map(tensor).collect());
        let chain = Chain::new(architecture, &parameters)?;
        let network = Network::new(architecture, &parameters, (clip.height, clip.width), Level::detect())?;
        let stage = Stage { network, latents: start.latents.clone(), targets };
        Ok(Self { judge, stage, chain, start: start.clone(), curvature: curvature.to_vec(), passes })
    }

    /// Where a search begins.
    pub fn begin(&self) -> SearchState {
        SearchState { next: 0, terms: Vec::new(), price: FIRST_PRICE.0, representation: self.start.clone() }
    }

    /// Number of steps of the whole search.
    pub fn steps(&self) -> usize {
        (1 + self.passes) * self.start.clip.samples()
    }

    /// What the samples measured so far cost on average, without the bytes: the score, or the mean squared error.
    pub fn cost(&self, state: &SearchState) -> f64 {
        self.judge.total(sum(&state.terms), state.terms.len())
    }

    /// Takes the next step: measures a sample, or looks for its corrections. Nothing once all are done.
    pub fn step(&mut self, state: &mut SearchState) -> Result<(), EncodeError> {
        let (samples, dim) = (self.start.clip.samples(), self.start.latents.dim());
        if state.next >= self.steps() {
            return Ok(());
        }
        let (pass, sample) = (state.next / samples, state.next % samples);
        let row = state.representation.latents.values[sample * dim..][..dim].to_vec();
        let mut sidecar = Sidecar::default();
        for c in state.representation.sidecar.of(sample) {
            sidecar.set(c.sample, c.target, c.amount);
        }
        let now = Variant { row, sidecar };
        if pass == 0 {
            state.terms.extend(self.judge.measure(&self.stage, sample, &[now], None)?);
        } else {
            if state.next.is_multiple_of(samples.div_ceil(PRICINGS)) {
                state.price = price(&state.representation)?;
            }
            let (best, terms) = self.correct(state, pass - 1, sample, now)?;
            state.terms[sample] = terms;
            state.representation.latents.values[sample * dim..][..dim].copy_from_slice(&best.row);
            for c in best.sidecar.corrections() {
                state.representation.sidecar.set(c.sample, c.target, c.amount);
            }
        }
        state.next += 1;
        Ok(())
    }

    /// The best variant of a sample that was found, and its terms.
    fn correct(
        &mut self,
        state: &SearchState,
        pass: usize,
        sample: usize,
        mut now: Variant,
    ) -> Result<(Variant, Terms), EncodeError> {
        let id = sample as u32;
        let samples = self.start.clip.samples();
        let mut terms = state.terms[sample];
        let others: Terms = std::array::from_fn(|i| sum(&state.terms)[i] - terms[i]);
        let bit = self.judge.bit();
        let judge_total = |judge: &Judge<'_>, terms: Terms, variant: &Variant| {
            let corrections = variant.sidecar.corrections().len() as f64;
            judge.total([others[0] + terms[0], others[1] + terms[1]], samples) + bit * state.price * corrections
        };

        // What each move does alone.
        let moves: Vec<(Move, Variant)> = self.moves(state, pass, sample, &now)?;
        let variants: Vec<Variant> = moves.iter().map(|(_, variant)| variant.clone()).collect();
        let measured = self.judge.measure(&self.stage, sample, &variants, Some((&now, terms)))?;
        let before = judge_total(&self.judge, terms, &now);
        let mut helpful = Vec::new();
        for ((step, variant), after) in moves.iter().zip(measured) {
            let change = judge_total(&self.judge, after, variant) - before;
            // What harms one way should help the other way, though less, distortions being curved.
            let helps =
                if change < 0.0 { (change, *step) } else { (-0.5 * change, Move { amount: -step.amount, ..*step }) };
            helpful.push(helps);
        }
        helpful.sort_by(|a, b| a.0.total_cmp(&b.0));

        // As many of the best as help together.
        let mut taken = 0;
        let mut count = helpful.len();
        let mut prefixes = Vec::new();
        while count > 0 {
            let together = helpful[..count].iter().fold(now.clone(), |v, (_, step)| v.moved(id, *step).unwrap_or(v));
            prefixes.push((count, together));
            count /= 2;
        }
        let variants: Vec<Variant> = prefixes.iter().map(|(_, variant)| variant.clone()).collect();
        let measured = self.judge.measure(&self.stage, sample, &variants, Some((&now, terms)))?;
        let mut cost = before;
        for ((count, variant), after) in prefixes.into_iter().zip(measured) {
            let total = judge_total(&self.judge, after, &variant);
            if total < cost {
                (cost, taken, now, terms) = (total, count, variant, after);
            }
        }
        // The rest, one by one on top.
        for (_, step) in helpful[taken..].iter().take(RETRIES) {
            let Some(variant) = now.moved(id, *step) else { continue };
            let after =
                self.judge.measure(&self.stage, sample, std::slice::from_ref(&variant), Some((&now, terms)))?[0];
            let total = judge_total(&self.judge, after, &variant);
            if total < cost {
                (cost, now, terms) = (total, variant, after);
            }
        }
        Ok((now, terms))
    }

    /// The moves that a sample is tried with, and what they lead to.
    fn moves(
        &self,
        state: &SearchState,
        pass: usize,
        sample: usize,
        now: &Variant,
    ) -> Result<Vec<(Move, Variant)>, EncodeError> {
        let latent = self.stage.latent(now);
        let moves = match self.judge {
            Judge::Pixels { .. } => {
                let original = self.stage.original(sample);
                let decoded = self.stage.network.native(&latent, now.sidecar.corrections())?;
                let mut moves = frame_moves(&decoded, original);
                moves.sort_by(|a, b| b.gain.total_cmp(&a.gain));
                moves.truncate(COSINE_TRIALS);
                moves.extend(latent_moves(&self.chain, &latent, &self.start.latents, &self.curvature, original));
                moves
            }
            Judge::Metric { .. } => {
                let reach = REACH[pass % REACH.len()];
                let dimensions = (0u16..).zip(self.curvature.iter().zip(&self.start.latents.step));
                let mut moves: Vec<Move> = dimensions
                    .map(|(dimension, (curvature, step))| {
                        let amount = ((reach / curvature).sqrt() / f64::from(*step)).round().clamp(1.0, 31.0) as i8;
                        Move { target: Target::Latent { dimension }, amount, gain: 0.0 }
                    })
                    .collect();
                let cosines: Vec<Target> = Target::all(0).collect();
                let first = state.next * COSINE_TRIALS;
                moves.extend((first..first + COSINE_TRIALS).map(|i| Move {
                    target: cosines[i % cosines.len()],
                    amount: COSINE_AMOUNT,
                    gain: 0.0,
                }));
                moves
            }
        };
        Ok(moves.into_iter().filter_map(|step| Some((step, now.moved(sample as u32, step)?))).collect())
    }
}

fn sum(terms: &[Terms]) -> Terms {
    terms.iter().fold([0.0; 2], |sum, terms| [sum[0] + terms[0], sum[1] + terms[1]])
}

/// Bits of one of the corrections so far, beside a guess for the first ones.
fn price(representation: &Representation) -> Result<f64, EncodeError> {
    let count = representation.sidecar.corrections().len() as f64;
    let behind_latents = representation.parameters.len() + 1;
    let bits: f64 = archive::cost(representation)?.iter().skip(behind_latents).sum();
    let (guess, weight) = FIRST_PRICE;
    Ok((bits + guess * weight) / (count + weight))
}
