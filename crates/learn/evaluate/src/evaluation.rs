//! The evaluation of a whole clip.

use dataset::Dataset;
use decoder::{Decoded, Decoder, DecoderError, in_order};
use frames::{Planes, SquaredError};
use metric::{Distortions, PerceptionStack, Score, StackError, evaluator_input};
use repr::{FRAMES_PER_SAMPLE, Representation};
use thiserror::Error;

/// Why an evaluation failed.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The representation cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// The perception stack failed.
    #[error(transparent)]
    Stack(#[from] StackError),
}

/// Quality of a representation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// PSNR over all values of all frames at the decoder's resolution, in dB.
    pub psnr: f64,
    /// Mean squared error of each pair, on RGB in 0..255.
    pub pair_mse: Vec<f64>,
    /// The metric, where a stack was given.
    pub score: Option<Score>,
    /// SegNet's and PoseNet's distortion of each pair likewise.
    pub pair_distortions: Vec<[f64; 2]>,
}

/// A decoded sample: its error, and what the evaluators are to see.
struct Judged {
    error: SquaredError,
    inputs: Option<[Planes; FRAMES_PER_SAMPLE]>,
}

/// Of a sample's decoded frames, 0 to 255, against the original's `[3, height, width]`, at the decoder's resolution.
pub fn squared_error(decoded: &[Planes; FRAMES_PER_SAMPLE], originals: [&[u8]; FRAMES_PER_SAMPLE]) -> SquaredError {
    decoded.iter().zip(originals).map(|(frame, original)| SquaredError::of_planes(frame, original)).sum()
}

/// Decodes every pair and compares it with the original, as 8-bit RGB at the decoder's resolution; with a `stack` also
/// through the metric, for an archive of `archive_bytes`. Its outputs on the originals come from `dataset`; where that holds
/// none, nothing is asked.
pub fn evaluate(
    representation: &Representation,
    dataset: &Dataset,
    stack: Option<&mut (dyn PerceptionStack + '_)>,
    archive_bytes: usize,
) -> Result<Evaluation, EvaluateError> {
    let decoder = Decoder::new(representation);
    let mut judged = stack.zip(dataset.originals());
    let asked = judged.is_some();
    let work = |sample: usize, _: Option<Judged>| -> Result<Judged, EvaluateError> {
        let error = |native: &[Planes; FRAMES_PER_SAMPLE]| squared_error(native, dataset.pair(sample));
        if !asked {
            return Ok(Judged { error: error(&decoder.decode_native(sample)?), inputs: None });
        }
        let Decoded { native, frames } = decoder.decode_both(sample)?;
        Ok(Judged { error: error(&native), inputs: Some(frames.each_ref().map(evaluator_input)) })
    };

    let (mut pair_mse, mut pair_distortions) = (Vec::new(), Vec::new());
    let mut total = Distortions::default();
    in_order(0..representation.clip.samples(), rayon::current_num_threads(), work, |sample, decoded| {
        pair_mse.push(decoded.error.mean());
        if let (Some((stack, originals)), Some([first, second])) = (&mut judged, &decoded.inputs)
            && let Some(original) = originals.get(sample)
        {
            let outputs = stack.evaluate([first, second])?;
            let mut own = Distortions::default();
            own.add(original, &outputs);
            total.add(original, &outputs);
            pair_distortions.push([own.segnet(), own.posenet()]);
        }
        Ok::<_, EvaluateError>(())
    })?;
    let mean = pair_mse.iter().sum::<f64>() / pair_mse.len().max(1) as f64;
    let score = asked.then(|| Score::new(&total, archive_bytes, dataset.info().clip_bytes));
    Ok(Evaluation { psnr: frames::psnr(mean), pair_mse, score, pair_distortions })
}
