//! Corrections of single samples, found after training by what they do to the metric.

use crate::table::FRAMES_PER_SAMPLE;

/// Half waves that a cosine can make along one axis of a frame: 0 to one less than this.
pub const HALF_WAVES: usize = 4;
/// Cosines that a frame's channel can be moved by, see [`cosine`].
pub const COSINES: usize = HALF_WAVES * (HALF_WAVES + 1) / 2;
/// What one step of a frame's correction is, in levels of 8-bit RGB.
pub const FRAME_STEP: f32 = 0.5;
/// Largest magnitude of a correction's amount.
pub const MAX_AMOUNT: i8 = 31;

/// What a correction moves. The order is the one in which an archive holds a sample's corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CorrectionTarget {
    /// One value of the sample's latents, by that dimension's quantization steps.
    Latent {
        /// The dimension.
        dimension: u16,
    },
    /// One channel of a decoded frame, before it is resampled: the amount is the height of a cosine over the frame, in
    /// [`FRAME_STEP`]s.
    Frame {
        /// The first frame of the pair, 0, or the second, 1.
        frame: u8,
        /// Red, green or blue: 0, 1 or 2.
        channel: u8,
        /// Which [`cosine`]; 0 is the constant one, an offset.
        cosine: u8,
    },
}

impl CorrectionTarget {
    /// Every target of one sample whose latents have `sample_dim` values, in order.
    pub fn all(sample_dim: usize) -> impl Iterator<Item = Self> {
        let frames = (0..FRAMES_PER_SAMPLE as u8).flat_map(|frame| (0..3).map(move |channel| (frame, channel)));
        let channels = frames
            .flat_map(|(frame, channel)| (0..COSINES as u8).map(move |cosine| Self::Frame { frame, channel, cosine }));
        (0..sample_dim as u16).map(|dimension| Self::Latent { dimension }).chain(channels)
    }

    fn exists(self, sample_dim: usize) -> bool {
        match self {
            Self::Latent { dimension } => usize::from(dimension) < sample_dim,
            Self::Frame { frame, channel, cosine } => {
                usize::from(frame) < FRAMES_PER_SAMPLE && channel < 3 && usize::from(cosine) < COSINES
            }
        }
    }
}

/// Half waves that a cosine makes over the rows and over the columns of a frame; lower sums first.
pub fn cosine(index: u8) -> (usize, usize) {
    let sum = (0..).find(|sum| (sum + 1) * (sum + 2) / 2 > usize::from(index)).unwrap_or_default();
    let rows = usize::from(index) - sum * (sum + 1) / 2;
    (rows, sum - rows)
}

/// One correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Correction {
    /// The sample.
    pub sample: u32,
    /// What is moved.
    pub target: CorrectionTarget,
    /// By how many steps, `1..=MAX_AMOUNT` in magnitude.
    pub amount: i8,
}

impl Correction {
    /// Whether a representation of so many samples, each with `sample_dim` latent values, can have it.
    pub(crate) fn fits(&self, samples: usize, sample_dim: usize) -> bool {
        let amount = (-MAX_AMOUNT..=MAX_AMOUNT).contains(&self.amount) && self.amount != 0;
        (self.sample as usize) < samples && self.target.exists(sample_dim) && amount
    }
}

/// The corrections of a clip: sorted, at most one for each target of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sidecar {
    corrections: Vec<Correction>,
}

impl Sidecar {
    /// All corrections, by sample, then by target.
    pub fn corrections(&self) -> &[Correction] {
        &self.corrections
    }

    /// Those of one sample, by target.
    pub fn of(&self, sample: usize) -> &[Correction] {
        let before = |limit: usize| self.corrections.partition_point(|c| (c.sample as usize) < limit);
        &self.corrections[before(sample)..before(sample.saturating_add(1))]
    }

    /// The amount by which a sample's target is moved; 0 where it is not.
    pub fn amount(&self, sample: u32, target: CorrectionTarget) -> i8 {
        self.find(sample, target).map_or(0, |at| self.corrections[at].amount)
    }

    /// Moves a sample's target by `amount` in all; 0 takes the correction away.
    pub fn set(&mut self, sample: u32, target: CorrectionTarget, amount: i8) {
        match (self.find(sample, target), amount) {
            (Ok(at), 0) => drop(self.corrections.remove(at)),
            (Ok(at), _) => self.corrections[at].amount = amount,
            (Err(_), 0) => {}
            (Err(at), _) => self.corrections.insert(at, Correction { sample, target, amount }),
        }
    }

    fn find(&self, sample: u32, target: CorrectionTarget) -> Result<usize, usize> {
        self.corrections.binary_search_by_key(&(sample, target), |c| (c.sample, c.target))
    }

    /// Puts `corrections`, all of one sample, in the place of those that it has.
    pub(crate) fn replace(&mut self, sample: usize, corrections: &[Correction]) {
        let before = |limit: usize| self.corrections.partition_point(|c| (c.sample as usize) < limit);
        let own = before(sample)..before(sample.saturating_add(1));
        self.corrections.splice(own, corrections.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_stay_sorted_and_unique() {
        let offset = CorrectionTarget::Frame { frame: 1, channel: 0, cosine: 0 };
        let latent = CorrectionTarget::Latent { dimension: 3 };
        let mut sidecar = Sidecar::default();
        for (sample, target, amount) in
            [(4, offset, 2), (1, latent, -1), (4, latent, 5), (4, offset, -7), (9, latent, 1)]
        {
            sidecar.set(sample, target, amount);
        }
        sidecar.set(9, latent, 0);
        sidecar.set(0, latent, 0);
        let expected = [(1, latent, -1), (4, latent, 5), (4, offset, -7)].map(|(sample, target, amount)| Correction {
            sample,
            target,
            amount,
        });
        assert_eq!(sidecar.corrections(), expected);
        assert_eq!(sidecar.of(4), &expected[1..]);
        assert!(sidecar.of(0).is_empty() && sidecar.of(usize::MAX).is_empty());
        assert_eq!((sidecar.amount(4, offset), sidecar.amount(1, offset)), (-7, 0));
    }

    #[test]
    fn what_fits_nowhere_is_found() {
        let with = |sample, target, amount| Correction { sample, target, amount };
        let latent = CorrectionTarget::Latent { dimension: 5 };
        let frame = |frame, channel, cosine| CorrectionTarget::Frame { frame, channel, cosine };
        for good in [with(9, latent, 31), with(0, frame(1, 2, 9), -31)] {
            assert!(good.fits(10, 6), "{good:?}");
        }
        let targets = [frame(2, 0, 0), frame(0, 3, 0), frame(0, 0, 10), CorrectionTarget::Latent { dimension: 6 }];
        let bad = targets.map(|target| with(0, target, 1));
        for bad in bad.into_iter().chain([with(10, latent, 1), with(0, latent, 0), with(0, latent, 32)]) {
            assert!(!bad.fits(10, 6), "{bad:?}");
        }
        assert!(CorrectionTarget::all(6).all(|target| target.exists(6)) && CorrectionTarget::all(6).is_sorted());
        assert_eq!(CorrectionTarget::all(6).count(), 66);
    }

    #[test]
    fn cosines_come_by_the_sum_of_their_half_waves() {
        let first: Vec<_> = (0..6).map(cosine).collect();
        assert_eq!(first, [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]);
        assert_eq!(cosine(COSINES as u8 - 1), (3, 0));
    }
}
