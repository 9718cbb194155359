//! Corrections of single samples, found after training by what they do to the metric.

use crate::FRAMES_PER_SAMPLE;

/// Cosines that a frame's channel can be moved by, see [`cosine`].
pub const COSINES: usize = 10;
/// Largest magnitude of a correction's amount.
pub const MAX_AMOUNT: i8 = 31;

/// What a correction moves. The order is the one in which an archive holds a sample's corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// One value of the sample's latent, by that dimension's quantization steps.
    Latent {
        /// The dimension.
        dimension: u16,
    },
    /// One channel of a decoded frame, before it is resampled: the amount is the height of a cosine over the frame, in half
    /// levels of 8-bit RGB.
    Frame {
        /// The first frame of the pair, 0, or the second, 1.
        frame: u8,
        /// Red, green or blue: 0, 1 or 2.
        channel: u8,
        /// Which [`cosine`]; 0 is the constant one, an offset.
        cosine: u8,
    },
}

impl Target {
    /// Every target of one sample, in order, for latents of `latent_dim` values.
    pub fn all(latent_dim: usize) -> impl Iterator<Item = Self> {
        let frames = (0..FRAMES_PER_SAMPLE as u8).flat_map(|frame| (0..3).map(move |channel| (frame, channel)));
        let channels = frames
            .flat_map(|(frame, channel)| (0..COSINES as u8).map(move |cosine| Self::Frame { frame, channel, cosine }));
        (0..latent_dim as u16).map(|dimension| Self::Latent { dimension }).chain(channels)
    }

    fn exists(self, latent_dim: usize) -> bool {
        match self {
            Self::Latent { dimension } => usize::from(dimension) < latent_dim,
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
    pub target: Target,
    /// By how many steps, `1..=MAX_AMOUNT` in magnitude.
    pub amount: i8,
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
    pub fn amount(&self, sample: u32, target: Target) -> i8 {
        self.find(sample, target).map_or(0, |at| self.corrections[at].amount)
    }

    /// Moves a sample's target by `amount` in all; 0 takes the correction away.
    pub fn set(&mut self, sample: u32, target: Target, amount: i8) {
        match (self.find(sample, target), amount) {
            (Ok(at), 0) => drop(self.corrections.remove(at)),
            (Ok(at), _) => self.corrections[at].amount = amount,
            (Err(_), 0) => {}
            (Err(at), _) => self.corrections.insert(at, Correction { sample, target, amount }),
        }
    }

    fn find(&self, sample: u32, target: Target) -> Result<usize, usize> {
        self.corrections.binary_search_by_key(&(sample, target), |c| (c.sample, c.target))
    }

    /// A correction that no representation of `samples` latents of `latent_dim` values can have, if there is one.
    pub(crate) fn misfit(&self, samples: usize, latent_dim: usize) -> Option<&Correction> {
        self.corrections.iter().find(|c| {
            let amount = (-MAX_AMOUNT..=MAX_AMOUNT).contains(&c.amount) && c.amount != 0;
            c.sample as usize >= samples || !c.target.exists(latent_dim) || !amount
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_stay_sorted_and_unique() {
        let offset = Target::Frame { frame: 1, channel: 0, cosine: 0 };
        let latent = Target::Latent { dimension: 3 };
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
        let with = |sample, target, amount| Sidecar { corrections: vec![Correction { sample, target, amount }] };
        let latent = Target::Latent { dimension: 5 };
        let frame = |frame, channel, cosine| Target::Frame { frame, channel, cosine };
        for good in [with(9, latent, 31), with(0, frame(1, 2, 9), -31)] {
            assert_eq!(good.misfit(10, 6), None);
        }
        let targets = [frame(2, 0, 0), frame(0, 3, 0), frame(0, 0, 10), Target::Latent { dimension: 6 }];
        let bad = targets.map(|target| with(0, target, 1));
        for bad in bad.into_iter().chain([with(10, latent, 1), with(0, latent, 0), with(0, latent, 32)]) {
            assert!(bad.misfit(10, 6).is_some(), "{bad:?}");
        }
        assert!(Target::all(6).all(|target| target.exists(6)) && Target::all(6).is_sorted());
        assert_eq!(Target::all(6).count(), 66);
    }

    #[test]
    fn cosines_come_by_the_sum_of_their_half_waves() {
        let first: Vec<_> = (0..6).map(cosine).collect();
        assert_eq!(first, [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]);
        assert_eq!(cosine(COSINES as u8 - 1), (3, 0));
    }
}
