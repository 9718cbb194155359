//! report.json and report.html: how a finished run went, what its frames are worth and where its bytes are, as data and as
//! one self-contained page.

mod chart;
mod page;
mod picks;

use archive::Budget;
use perception::Evaluators;
use perception::targets::Targets;
use repr::Representation;
use serde::Serialize;
use thiserror::Error;

use crate::config::Config;
use crate::evaluate::Evaluation;
use crate::metrics::{EpochLine, Metrics};
use crate::run::{RunFolder, TrainError};

/// Why a report cannot be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A chart or an image cannot be drawn.
    #[error("the run's report cannot be drawn: {0}; archive.bin and the checkpoints are whole")]
    Drawing(String),
}

fn drawing(error: impl std::fmt::Display) -> ReportError {
    ReportError::Drawing(error.to_string())
}

/// A finished run.
pub struct Finished<'a> {
    /// Its recipe.
    pub config: &'a Config,
    /// Its clip.
    pub targets: &'a Targets,
    /// What it came to.
    pub representation: &'a Representation,
    /// The same as an archive.
    pub bytes: &'a [u8],
    /// What that is worth.
    pub evaluation: &'a Evaluation,
    /// Seconds of training.
    pub seconds: f64,
}

/// What report.json holds.
#[derive(Serialize)]
struct Report<'a> {
    clip: &'a str,
    frames: usize,
    samples: usize,
    parameters: usize,
    gflop_per_pair: f64,
    original_bytes: u64,
    archive_bytes: usize,
    #[serde(flatten)]
    metric: Option<Metric>,
    psnr: f64,
    mean_frame_psnr: f64,
    training_seconds: f64,
    pairs: Vec<Pair>,
    budget: &'a Budget,
    epochs: &'a [EpochLine],
    config: &'a Config,
}

/// The challenge's figures, under the names that the `score` command gives them.
#[derive(Serialize)]
struct Metric {
    score: f64,
    segnet_distortion: f64,
    posenet_distortion: f64,
    rate: f64,
}

/// One pair of frames.
#[derive(Serialize)]
struct Pair {
    /// At the decoder's resolution, in dB.
    psnr: f64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    seen: Option<Seen>,
}

/// What the evaluators make of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Seen {
    segnet_distortion: f64,
    posenet_distortion: f64,
    /// The pair's part of `100 * segnet`, in units of the score: the mean over all pairs is that term.
    segnet_term: f64,
    /// Its part of `sqrt(10 * posenet)` likewise; the root is of the mean, so pairs share it by their squared errors.
    posenet_term: f64,
}

impl Seen {
    fn all(distortions: &[[f64; 2]]) -> Vec<Self> {
        let mean = distortions.iter().map(|[_, posenet]| posenet).sum::<f64>() / distortions.len().max(1) as f64;
        // sqrt(10 * mean) * posenet / mean, defined for a mean of zero too.
        let factor = if mean > 0.0 { (10.0 / mean).sqrt() } else { 0.0 };
        let seen = |&[segnet, posenet]: &[f64; 2]| Self {
            segnet_distortion: segnet,
            posenet_distortion: posenet,
            segnet_term: 100.0 * segnet,
            posenet_term: factor * posenet,
        };
        distortions.iter().map(seen).collect()
    }

    fn score(&self) -> f64 {
        self.segnet_term + self.posenet_term
    }
}

/// Writes both files into the run folder. `evaluators` are asked for the class maps of the pairs shown, if there are any.
pub fn write(
    folder: &RunFolder,
    finished: &Finished<'_>,
    evaluators: Option<&mut Evaluators>,
) -> Result<(), TrainError> {
    let budget = archive::budget(finished.bytes)?;
    let epochs = Metrics::read(&folder.metrics())?;
    let report = report(finished, &budget, &epochs);
    let json = serde_json::to_string_pretty(&report).map_err(drawing)?;
    output::write_whole(folder.report_json(), json.as_bytes())?;
    let picks = picks::picks(&report.pairs, finished.representation, finished.targets, evaluators)?;
    let page = page::page(&report, &picks)?;
    Ok(output::write_whole(folder.report_html(), page.as_bytes())?)
}

fn report<'a>(finished: &Finished<'a>, budget: &'a Budget, epochs: &'a [EpochLine]) -> Report<'a> {
    let Finished { config, targets, representation, bytes, evaluation, seconds } = finished;
    let original_bytes = targets.info.clip_bytes;
    let rate = bytes.len() as f64 / original_bytes.max(1) as f64;
    let metric = evaluation.score.map(|score| Metric {
        score: score.score,
        segnet_distortion: score.segnet,
        posenet_distortion: score.posenet,
        rate,
    });
    let mut seen = Seen::all(&evaluation.pair_distortions).into_iter();
    let pair = |&mse: &f64| Pair { psnr: frames::psnr(mse), seen: seen.next() };
    Report {
        clip: &representation.clip.name,
        frames: representation.clip.frames,
        samples: representation.clip.samples(),
        parameters: config.decoder.parameter_count(),
        gflop_per_pair: config.decoder.flops() as f64 / 1e9,
        original_bytes,
        archive_bytes: bytes.len(),
        metric,
        psnr: evaluation.psnr,
        mean_frame_psnr: mean_frame_psnr(targets),
        training_seconds: *seconds,
        pairs: evaluation.pair_mse.iter().map(pair).collect(),
        budget,
        epochs,
        config,
    }
}

/// PSNR in dB of the clip's mean frame, unrounded, in place of every frame: the floor, which a decoder reaches that ignores
/// its latents.
fn mean_frame_psnr(targets: &Targets) -> f64 {
    let (count, length) = (targets.frame_count() as u64, targets.info.frame_len());
    let mut sums = vec![(0, 0); length];
    for frame in targets.frames().chunks_exact(length) {
        for ((sum, squares), &value) in sums.iter_mut().zip(frame) {
            let value = u64::from(value);
            *sum += value;
            *squares += value * value;
        }
    }
    // In integers, as the difference of two large sums would lose digits.
    let spread: f64 = sums.iter().map(|&(sum, squares)| (count * squares - sum * sum) as f64).sum();
    frames::psnr(spread / (count * count) as f64 / length as f64)
}

#[cfg(test)]
mod tests {
    use frames::RgbFrame;
    use perception::targets::TargetInfo;

    use super::*;

    #[test]
    fn the_mean_frame_s_psnr_is_that_of_the_spread_around_it() {
        let size =
            TargetInfo { name: "clip".into(), clip_bytes: 1, clip_height: 1, clip_width: 2, height: 1, width: 2 };
        let mut targets = Targets::new(size);
        for level in [0, 10, 50] {
            targets.push(&RgbFrame::new(2, 1, vec![level, 7, 0, 0, 0, 0]).unwrap()).unwrap();
        }
        // One value of six spreads around its mean of 20, by 400, 100 and 900.
        assert!((mean_frame_psnr(&targets) - frames::psnr(1400.0 / 18.0)).abs() < 1e-12);
    }

    #[test]
    fn the_pairs_terms_average_to_those_of_the_score() {
        let seen = Seen::all(&[[0.01, 0.3], [0.03, 0.1], [0.0, 0.0]]);
        let mean = |term: fn(&Seen) -> f64| seen.iter().map(term).sum::<f64>() / 3.0;
        assert!((mean(|pair| pair.segnet_term) - 100.0 * 0.04 / 3.0).abs() < 1e-12);
        assert!((mean(|pair| pair.posenet_term) - (10.0_f64 * 0.4 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(Seen::all(&[[0.5, 0.0]])[0].score(), 50.0);
        assert_eq!(Seen::all(&[]), []);
    }
}
