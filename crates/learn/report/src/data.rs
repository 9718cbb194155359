//! What report.json holds.

use std::num::NonZeroU64;

use archive::Budget;
use recipe::tables::RecipeTable;
use serde::{Deserialize, Serialize};

use crate::epoch::EpochLine;

/// A finished run: what report.json holds and the page is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Name of the clip.
    pub clip: String,
    /// Its frames.
    pub frames: usize,
    /// Its pairs.
    pub samples: usize,
    /// Parameters of the decoder, latents not counted.
    pub parameters: usize,
    /// Floating-point operations of a pair, in units of 10^9.
    pub gflop_per_pair: f64,
    /// Bytes of the clip's file.
    pub original_bytes: NonZeroU64,
    /// Bytes of the archive.
    pub archive_bytes: usize,
    /// The challenge's figures, where there are evaluators.
    #[serde(flatten)]
    pub metric: Option<MetricFigures>,
    /// Over all values of all frames at the decoder's resolution, in dB; infinite (null) where all are the same.
    #[serde(deserialize_with = "decibels")]
    pub psnr: f64,
    /// That of the clip's mean frame in place of every frame: what a decoder reaches that ignores its latents.
    #[serde(deserialize_with = "decibels")]
    pub mean_frame_psnr: f64,
    /// Seconds of training, over all starts.
    pub training_seconds: f64,
    /// One entry a pair.
    pub pairs: Vec<PairFigures>,
    /// The pairs that the page shows.
    #[serde(default)]
    pub pictures: Vec<Picture>,
    /// Where the archive's bytes are.
    pub budget: Budget,
    /// One entry an epoch.
    pub epochs: Vec<EpochLine>,
    /// The resolved recipe.
    pub config: RecipeTable,
}

/// JSON knows no infinity: it stands as null.
fn decibels<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// The challenge's figures, under the names that the `score` command gives them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricFigures {
    /// Lower is better.
    pub score: f64,
    /// Mean share of pixels whose class differs.
    pub segnet_distortion: f64,
    /// Mean squared error of the pose.
    pub posenet_distortion: f64,
    /// Bytes of the archive over those of the clip.
    pub rate: f64,
}

/// One pair of frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairFigures {
    /// At the decoder's resolution, in dB; infinite (null) where all values are the same.
    #[serde(deserialize_with = "decibels")]
    pub psnr: f64,
    /// What the evaluators make of it, where there are some.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// A pair that the page shows. Its images lie in the run's folder `report`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Best, median or worst.
    pub label: String,
    /// Number of the pair.
    pub sample: usize,
    /// Pixels of the original's second frame that have each class, from class 0; absent without evaluators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_pixels: Option<Vec<usize>>,
}

impl Picture {
    /// Name of one of its images in the run folder's `report`.
    pub(crate) fn file(&self, image: &str) -> String {
        format!("pair-{}-{image}.png", self.sample)
    }
}

/// What the evaluators make of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Share of pixels whose class differs.
    pub segnet_distortion: f64,
    /// Mean squared error of the pose.
    pub posenet_distortion: f64,
    /// The pair's part of `100 * segnet`, in units of the score: the mean over all pairs is that term.
    pub segnet_term: f64,
    /// Its part of `sqrt(10 * posenet)` likewise; the root is of the mean, so pairs share it by their squared errors.
    pub posenet_term: f64,
}

impl Seen {
    /// Of all pairs, from the distortions `[segnet, posenet]` of each.
    pub fn all(distortions: &[[f64; 2]]) -> Vec<Self> {
        let mean = distortions.iter().map(|[_, posenet]| posenet).sum::<f64>() / distortions.len().max(1) as f64;
        let seen = |&[segnet, posenet]: &[f64; 2]| Self {
            segnet_distortion: segnet,
            posenet_distortion: posenet,
            segnet_term: metric::segnet_term(segnet),
            posenet_term: metric::posenet_part(posenet, mean),
        };
        distortions.iter().map(seen).collect()
    }

    /// What the pair adds to the score, the rate aside.
    pub fn score(&self) -> f64 {
        self.segnet_term + self.posenet_term
    }
}

/// Best, median and worst of `pairs`, one that is two of them only once: by what they add to the score, without evaluators by
/// their PSNR. Label and number of each.
pub fn choose(pairs: &[PairFigures]) -> Vec<(&'static str, usize)> {
    let cost = |&index: &usize| pairs[index].seen.map_or(-pairs[index].psnr, |seen| seen.score());
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    order.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let chosen = [("Best", order.first()), ("Median", order.get(order.len() / 2)), ("Worst", order.last())];
    let mut chosen: Vec<_> = chosen.into_iter().filter_map(|(label, sample)| Some((label, *sample?))).collect();
    chosen.dedup_by_key(|(_, sample)| *sample);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_terms_average_to_those_of_the_score() {
        let seen = Seen::all(&[[0.01, 0.3], [0.03, 0.1], [0.0, 0.0]]);
        let mean = |term: fn(&Seen) -> f64| seen.iter().map(term).sum::<f64>() / 3.0;
        assert!((mean(|pair| pair.segnet_term) - 100.0 * 0.04 / 3.0).abs() < 1e-12);
        assert!((mean(|pair| pair.posenet_term) - (10.0_f64 * 0.4 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Seen::all(&[[0.5, 0.0]])[0].score(), 50.0);
        assert_eq!(Seen::all(&[]), []);
    }

    #[test]
    fn pairs_are_chosen_by_the_score_or_else_by_psnr() {
        let psnr = |psnr| PairFigures { psnr, seen: None };
        let chosen = choose(&[30.0, 10.0, f64::INFINITY, 20.0].map(psnr));
        assert_eq!(chosen, [("Best", 2), ("Median", 3), ("Worst", 1)]);
        assert_eq!(choose(&[psnr(3.0)]), [("Best", 0)]);
        assert_eq!(choose(&[]), []);
        // By the sum of both terms, whatever the pixels say.
        let distortions = [[0.001, 0.2], [0.02, 0.0], [0.0, 0.0]];
        let seen = Seen::all(&distortions).into_iter();
        let pairs: Vec<PairFigures> =
            seen.zip([40.0, 30.0, 20.0]).map(|(seen, psnr)| PairFigures { psnr, seen: Some(seen) }).collect();
        assert_eq!(choose(&pairs), [("Best", 2), ("Median", 1), ("Worst", 0)]);
    }
}
