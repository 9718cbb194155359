//! The search for corrections: sample after sample, each by its true effect.
//!
//! A sample is decoded and judged once for every candidate; those that help are put together, as many as still help
//! together, and the rest is tried again one by one on top of them. What a correction costs in bytes is what the archive's coder
//! says about the corrections so far.

use dataset::Dataset;
use decoder::{Level, Network};
use repr::{CorrectionTarget, MAX_AMOUNT, Representation, Sidecar};

use crate::candidates::{Move, frame_moves, latent_moves};
use crate::differentiable::DifferentiableDecoder;
use crate::error::EncodeError;
use crate::judge::{Judge, Projection, Terms, Variant};
use crate::resume::Steps;

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
    projection: Projection<'a>,
    decoder: DifferentiableDecoder,
    start: Representation,
    curvature: Vec<f64>,
    passes: usize,
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchState {
    /// Finished steps: each sample is measured, then corrected in every pass.
    pub(crate) next: usize,
    /// Distortions of the samples measured so far.
    pub(crate) terms: Vec<Terms>,
    /// Bits of a correction.
    pub(crate) price: f64,
    /// What the search has taken.
    pub(crate) seconds: f64,
    /// The representation with all corrections so far.
    pub(crate) representation: Representation,
}

impl SearchState {
    /// The representation with all corrections so far.
    pub fn representation(&self) -> &Representation {
        &self.representation
    }
}

impl<'a> Search<'a> {
    /// A search from `start` against `dataset`, `passes` times over all samples. `curvature` is that of
    /// [`Quantizer::latent_curvature`](crate::Quantizer::latent_curvature).
    pub fn new(
        start: &Representation,
        curvature: &[f64],
        dataset: &'a Dataset,
        judge: Judge<'a>,
        passes: usize,
    ) -> Result<Self, EncodeError> {
        let (architecture, clip) = (&start.architecture, &start.clip);
        let (height, width) = architecture.output_size();
        let found = (dataset.frame_count(), dataset.info().width, dataset.info().height);
        if found != (clip.frames(), width, height) {
            let text = |(frames, width, height)| format!("{frames} frames of {width}x{height}");
            return Err(EncodeError::Original { found: text(found), needed: text((clip.frames(), width, height)) });
        }
        let parameters = start.dequantize();
        let network = Network::new(&parameters, (clip.height(), clip.width()), Level::detect())?;
        let projection = Projection { network, latents: start.latents.clone(), maps: start.maps.clone(), dataset };
        let decoder = DifferentiableDecoder::new(&parameters);
        Ok(Self { judge, projection, decoder, start: start.clone(), curvature: curvature.to_vec(), passes })
    }

    /// Where a search begins.
    pub fn begin(&self) -> SearchState {
        SearchState {
            next: 0,
            terms: Vec::new(),
            price: FIRST_PRICE.0,
            seconds: 0.0,
            representation: self.start.clone(),
        }
    }

    /// What the samples measured so far cost on average, without the bytes: the score, or the mean squared error.
    pub fn cost(&self, state: &SearchState) -> f64 {
        self.judge.total(sum(&state.terms), state.terms.len())
    }

    /// The best variant of a sample that was found.
    fn correct(
        &mut self,
        state: &SearchState,
        pass: usize,
        sample: usize,
        variant: Variant,
    ) -> Result<Measured, EncodeError> {
        let terms = state.terms[sample];
        let now = Measured { cost: self.cost_of(state, sample, &variant, terms), variant, terms };
        let bits = self.start.architecture.latent_bits();
        let go = |variant: &Variant, step: Move| variant.moved(sample as u32, step, &bits);

        // Every move alone.
        let moves = self.moves(state, pass, sample, &now.variant)?.into_iter();
        let (moves, variants): (Vec<Move>, Vec<Variant>) =
            moves.filter_map(|step| Some((step, go(&now.variant, step)?))).unzip();
        let alone = self.measured(state, sample, variants, &now)?;
        let promise = |(step, then): (Move, Measured)| {
            let change = then.cost - now.cost;
            // What harms one way should help the other way, though less, distortions being curved.
            if change < 0.0 { (change, step) } else { (-0.5 * change, Move { amount: -step.amount, ..step }) }
        };
        let mut promising: Vec<(f64, Move)> = moves.into_iter().zip(alone).map(promise).collect();
        promising.sort_by(|a, b| a.0.total_cmp(&b.0));

        // As many of the best as help together.
        let halved = std::iter::successors(Some(promising.len()), |count| Some(count / 2));
        let counts: Vec<usize> = halved.take_while(|&count| count > 0).collect();
        let together = |&count: &usize| {
            let steps = promising[..count].iter();
            steps.fold(now.variant.clone(), |variant, (_, step)| go(&variant, *step).unwrap_or(variant))
        };
        let together = self.measured(state, sample, counts.iter().map(together).collect(), &now)?;
        let best = counts.into_iter().zip(together).min_by(|a, b| a.1.cost.total_cmp(&b.1.cost));
        let (taken, mut now) = best.filter(|(_, then)| then.cost < now.cost).unwrap_or((0, now));

        // The next ones, one by one on top.
        for (_, step) in promising[taken..].iter().take(RETRIES) {
            let Some(variant) = go(&now.variant, *step) else { continue };
            let then = self.measured(state, sample, vec![variant], &now)?;
            now = then.into_iter().find(|then| then.cost < now.cost).unwrap_or(now);
        }
        Ok(now)
    }

    /// Measures variants of a sample; `now` saves work where they share its second frame.
    fn measured(
        &mut self,
        state: &SearchState,
        sample: usize,
        variants: Vec<Variant>,
        now: &Measured,
    ) -> Result<Vec<Measured>, EncodeError> {
        let all = self.judge.measure(&self.projection, sample, &variants, Some((&now.variant, now.terms)))?;
        let measured = |(variant, terms): (Variant, Terms)| {
            let cost = self.cost_of(state, sample, &variant, terms);
            Measured { variant, terms, cost }
        };
        Ok(variants.into_iter().zip(all).map(measured).collect())
    }

    /// What the clip costs with this variant of a sample, the bytes of the sample's corrections included.
    fn cost_of(&self, state: &SearchState, sample: usize, variant: &Variant, terms: Terms) -> f64 {
        let (all, before) = (sum(&state.terms), state.terms[sample]);
        let sums = std::array::from_fn(|i| all[i] - before[i] + terms[i]);
        let bits = state.price * variant.sidecar.corrections().len() as f64;
        self.judge.total(sums, state.terms.len()) + self.judge.bit() * bits
    }

    /// The moves that a sample is tried with. On pixels, those that should lead nearest to the original, and how far; the metric
    /// does not say where to go, so every dimension of the latent goes a stride, and some of the cosines, others each time.
    fn moves(&self, state: &SearchState, pass: usize, sample: usize, now: &Variant) -> Result<Vec<Move>, EncodeError> {
        if let Judge::Pixels { .. } = self.judge {
            let (latent, original) = (self.projection.latent(now), self.projection.dataset.pair(sample));
            let decoded = self.projection.network.native(self.projection.input(sample, &latent, now))?;
            let mut moves = frame_moves(&decoded, original);
            moves.sort_by(|a, b| b.gain.total_cmp(&a.gain));
            moves.truncate(COSINE_TRIALS);
            moves.extend(latent_moves(
                &self.decoder,
                &latent,
                self.start.map(sample),
                &self.start.latents,
                &self.curvature,
                original,
            ));
            return Ok(moves);
        }
        let reach = REACH[pass % REACH.len()];
        let stride = |(dimension, (curvature, step)): (u16, (&f64, &f32))| {
            let amount = ((reach / curvature).sqrt() / f64::from(*step)).round().clamp(1.0, MAX_AMOUNT.into()) as i8;
            Move { target: CorrectionTarget::Latent { dimension }, amount, gain: 0.0 }
        };
        let latent = (0..).zip(self.curvature.iter().zip(self.start.latents.step.iter().cycle())).map(stride);
        let cosines: Vec<CorrectionTarget> = CorrectionTarget::all(0).collect();
        let cosine = |i: usize| Move { target: cosines[i % cosines.len()], amount: COSINE_AMOUNT, gain: 0.0 };
        let first = state.next * COSINE_TRIALS;
        Ok(latent.chain((first..first + COSINE_TRIALS).map(cosine)).collect())
    }
}

impl Steps for Search<'_> {
    type State = SearchState;

    fn steps(&self) -> usize {
        (1 + self.passes) * self.start.clip.samples()
    }

    fn is_finished(&self, state: &SearchState) -> bool {
        state.next >= self.steps()
    }

    /// Measures a sample, or looks for its corrections.
    fn step(&mut self, state: &mut SearchState) -> Result<(), EncodeError> {
        let (samples, dim) = (self.start.clip.samples(), self.start.architecture.sample_dim());
        if self.is_finished(state) {
            return Ok(());
        }
        let (pass, sample) = (state.next / samples, state.next % samples);
        let row = state.representation.latents.values[sample * dim..][..dim].to_vec();
        let mut sidecar = Sidecar::default();
        for c in state.representation.sidecar.of(sample) {
            sidecar.set(c.sample, c.target, c.amount);
        }
        let variant = Variant { row, sidecar };
        if pass == 0 {
            state.terms.extend(self.judge.measure(&self.projection, sample, &[variant], None)?);
        } else {
            if state.next.is_multiple_of(samples.div_ceil(PRICINGS)) {
                state.price = price(&state.representation);
            }
            let found = self.correct(state, pass - 1, sample, variant)?;
            state.terms[sample] = found.terms;
            state.representation.set_sample(sample, &found.variant.row, &found.variant.sidecar)?;
        }
        state.next += 1;
        Ok(())
    }
}

/// A variant and what was measured of it.
struct Measured {
    variant: Variant,
    terms: Terms,
    /// What the clip costs with it.
    cost: f64,
}

fn sum(terms: &[Terms]) -> Terms {
    terms.iter().fold([0.0; 2], |sum, terms| [sum[0] + terms[0], sum[1] + terms[1]])
}

/// Bits of one of the corrections so far, beside a guess for the first ones.
fn price(representation: &Representation) -> f64 {
    let count = representation.sidecar.corrections().len() as f64;
    let bits = archive::cost(representation).last().copied().unwrap_or_default();
    let (guess, weight) = FIRST_PRICE;
    (bits + guess * weight) / (count + weight)
}
