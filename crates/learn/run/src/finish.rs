//! What a run leaves at its end: the archive of its best checkpoint, and the report.

use std::time::Instant;

use dataset::Dataset;
use decoder::{Decoded, Decoder};
use evaluate::{Evaluation, evaluate};
use frames::Planes;
use metric::{PerceptionStack, evaluator_input};
use report::{ClassMaps, MetricFigures, PairFigures, ReportError, RunReport, Seen, Subject};
use repr::Representation;
use solve::{Pose, Solver};

use crate::checkpoint::Checkpoint;
use crate::error::RunError;
use crate::observer::Observer;
use crate::open::Task;

/// Writes the archive and the report; returns nothing where the observer interrupts before, else the archive's bytes, what it is
/// worth, and the seconds of training with those that the archive took.
pub(crate) fn finish(
    task: Task<'_>,
    mut evaluators: Option<&mut (dyn PerceptionStack + '_)>,
    seconds: f64,
    observer: &mut dyn Observer,
) -> Result<Option<(usize, Evaluation, f64)>, RunError> {
    let started = Instant::now();
    let best = Checkpoint::read(&task.folder.best())?;
    let plain = best.quantize(None)?;
    let Some(representation) = solved(plain, task.dataset, evaluators.as_deref_mut(), observer)? else {
        return Ok(None);
    };
    let bytes = archive::encode_beside(&representation, &best.maps);
    output::write_whole(task.folder.archive(), &bytes)?;
    let seconds = seconds + started.elapsed().as_secs_f64();
    let evaluation = evaluate(&representation, task.dataset, evaluators.as_deref_mut(), bytes.len())?;
    let report = report(task, &representation, &bytes, &evaluation, seconds)?;
    let subjects = subjects(&report.pairs, &representation, task.dataset, evaluators)?;
    report::write(task.folder, report, &subjects)?;
    Ok(Some((bytes.len(), evaluation, seconds)))
}

/// With the coefficients of a carrier solved for what PoseNet says of the original, where there are a carrier and a PoseNet;
/// nothing where the observer interrupts.
fn solved(
    representation: Representation,
    dataset: &Dataset,
    evaluators: Option<&mut (dyn PerceptionStack + '_)>,
    observer: &mut dyn Observer,
) -> Result<Option<Representation>, RunError> {
    let (Some(stack), Some(originals)) = (evaluators, dataset.originals()) else { return Ok(Some(representation)) };
    let Some(solver) = Solver::new(&representation, originals)? else { return Ok(Some(representation)) };
    let mut representation = solve::widen(representation)?;
    let found = solver.all(&mut representation, stack, |sample| {
        observer.solved(sample + 1, originals.len());
        !observer.interrupted()
    })?;
    let Some(Pose { before, after }) = found else { return Ok(None) };
    observer.note(&format!("coefficients solved, PoseNet {before:.6} before, {after:.6} after"));
    Ok(Some(representation))
}

fn report(
    task: Task<'_>,
    representation: &Representation,
    bytes: &[u8],
    evaluation: &Evaluation,
    seconds: f64,
) -> Result<RunReport, RunError> {
    let Task { recipe, dataset, folder } = task;
    let original_bytes = dataset.info().clip_bytes;
    let rate = bytes.len() as f64 / original_bytes.get() as f64;
    let metric = evaluation.score.map(|score| MetricFigures {
        score: score.score,
        segnet_distortion: score.segnet,
        posenet_distortion: score.posenet,
        rate,
    });
    let mut seen = Seen::all(&evaluation.pair_distortions).into_iter();
    let pair = |&mse: &f64| PairFigures { psnr: frames::psnr(mse), seen: seen.next() };
    Ok(RunReport {
        clip: representation.clip.name().to_string(),
        frames: representation.clip.frames(),
        samples: representation.clip.samples(),
        parameters: recipe.decoder().graph().parameter_count(),
        gflop_per_pair: recipe.decoder().flops() as f64 / 1e9,
        original_bytes,
        archive_bytes: bytes.len(),
        metric,
        psnr: evaluation.psnr,
        mean_frame_psnr: mean_frame_psnr(dataset),
        training_seconds: seconds,
        pairs: evaluation.pair_mse.iter().map(pair).collect(),
        pictures: Vec::new(),
        budget: archive::budget(bytes)?,
        epochs: report::Metrics::read(&folder.metrics())?,
        config: recipe.table().clone(),
    })
}

/// The pairs that the page shows, with SegNet's view of them where there are evaluators.
fn subjects(
    pairs: &[PairFigures],
    representation: &Representation,
    dataset: &Dataset,
    mut evaluators: Option<&mut (dyn PerceptionStack + '_)>,
) -> Result<Vec<Subject>, RunError> {
    let decoder = Decoder::new(representation);
    let subject = |(label, sample)| -> Result<Subject, RunError> {
        let [_, original] = dataset.pair(sample);
        let (height, width) = dataset.size();
        let original = original.iter().map(|&value| f32::from(value)).collect();
        let drawing = |error: frames::FrameError| ReportError::Drawing(error.to_string());
        let original = Planes::new(3, height, width, original).map_err(drawing)?;
        let Decoded { native: [_, reconstruction], frames: [_, seen] } = decoder.decode_both(sample)?;
        let known = dataset.originals().and_then(|samples| samples.get(sample));
        let classes = match (&mut evaluators, known) {
            (Some(evaluators), Some(outputs)) => {
                let seen = evaluator_input(&seen);
                let reconstruction = evaluators.classes(&seen)?;
                Some(ClassMaps { original: outputs.classes.clone(), reconstruction, seen: seen.to_rgb() })
            }
            _ => None,
        };
        Ok(Subject { label, sample, original, reconstruction, classes })
    };
    report::choose(pairs).into_iter().map(subject).collect()
}

/// PSNR in dB of the clip's mean frame, unrounded, in place of every frame: the floor, which a decoder reaches that ignores
/// its latents.
fn mean_frame_psnr(dataset: &Dataset) -> f64 {
    let (count, length) = (dataset.frame_count() as u64, dataset.info().frame_len());
    let mut sums = vec![(0, 0); length];
    for frame in dataset.frames().chunks_exact(length) {
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
    use std::num::NonZeroU64;

    use dataset::DatasetInfo;
    use frames::RgbFrame;

    use super::*;

    #[test]
    fn the_mean_frame_s_psnr_is_that_of_the_spread_around_it() {
        let size = DatasetInfo {
            name: "clip".parse().unwrap(),
            clip_bytes: NonZeroU64::MIN,
            clip_height: 1,
            clip_width: 2,
            height: 1,
            width: 2,
        };
        let mut dataset = Dataset::new(size).unwrap();
        for level in [0, 10, 50] {
            dataset.push(&RgbFrame::new(2, 1, vec![level, 7, 0, 0, 0, 0]).unwrap()).unwrap();
        }
        // One value of six spreads around its mean of 20, by 400, 100 and 900.
        assert!((mean_frame_psnr(&dataset) - frames::psnr(1400.0 / 18.0)).abs() < 1e-12);
    }
}
