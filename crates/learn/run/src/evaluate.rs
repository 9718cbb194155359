//! What a representation is worth: its frames, through the decoder that `inflate` runs, against the originals.

use decoder::{Decoder, DecoderError, in_order};
use frames::Planes;
use perception::targets::Targets;
use perception::{Distortions, Evaluators, PerceptionError, Score, evaluator_input};
use repr::{FRAMES_PER_SAMPLE, Representation};
use thiserror::Error;

use crate::pairs::pair;

/// Why an evaluation failed.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The representation cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
    /// An evaluator failed.
    #[error(transparent)]
    Perception(#[from] PerceptionError),
}

/// Quality of a representation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// PSNR over all values of all frames at the decoder's resolution, in dB.
    pub psnr: f64,
    /// Mean squared error of each pair, on RGB in 0..255.
    pub pair_mse: Vec<f64>,
    /// The metric, where evaluators were given.
    pub score: Option<Score>,
    /// SegNet's and PoseNet's distortion of each pair likewise.
    pub pair_distortions: Vec<[f64; 2]>,
}

/// A decoded sample: squared error and number of its values, and what the evaluators are to see.
struct Decoded {
    squares: u64,
    values: usize,
    inputs: Option<[Planes; FRAMES_PER_SAMPLE]>,
}

/// Decodes every pair and compares it with the original, as 8-bit RGB at the decoder's resolution; with `evaluators` also
/// through the metric, for an archive of `archive_bytes`. Their outputs on the originals come from `targets`; where those
/// hold none, nothing is asked.
pub fn evaluate(
    representation: &Representation,
    targets: &Targets,
    evaluators: Option<&mut Evaluators>,
    archive_bytes: usize,
) -> Result<Evaluation, EvaluateError> {
    let decoder = Decoder::new(representation)?;
    let mut evaluators = evaluators.zip(targets.outputs.as_ref());
    let asked = evaluators.is_some();
    let work = |sample: usize, _: Option<Decoded>| -> Result<Decoded, EvaluateError> {
        let (mut squares, mut values) = (0, 0);
        for (frame, original) in decoder.decode_native(sample)?.iter().zip(pair(targets, sample)) {
            let error = |(&value, &original): (&f32, &u8)| {
                // A cast saturates, and maps NaN to 0, as the last step of inflate does.
                let difference = i64::from(value.round_ties_even() as u8) - i64::from(original);
                (difference * difference) as u64
            };
            squares += frame.data().iter().zip(original).map(error).sum::<u64>();
            values += original.len();
        }
        let inputs = if asked { Some(decoder.decode(sample)?.each_ref().map(evaluator_input)) } else { None };
        Ok(Decoded { squares, values, inputs })
    };

    let (mut pair_mse, mut pair_distortions) = (Vec::new(), Vec::new());
    let mut total = Distortions::default();
    in_order(0..representation.clip.samples(), rayon::current_num_threads(), work, |sample, decoded| {
        pair_mse.push(decoded.squares as f64 / decoded.values.max(1) as f64);
        if let (Some((evaluators, originals)), Some([first, second])) = (&mut evaluators, &decoded.inputs)
            && let Some(original) = originals.samples.get(sample)
        {
            let outputs = evaluators.evaluate_planes([first, second])?;
            let mut own = Distortions::default();
            own.add(original, &outputs);
            total.add(original, &outputs);
            pair_distortions.push([own.segnet(), own.posenet()]);
        }
        Ok::<_, EvaluateError>(())
    })?;
    let mean = pair_mse.iter().sum::<f64>() / pair_mse.len().max(1) as f64;
    let score = asked.then(|| {
        let rate = archive_bytes as f64 / targets.info.clip_bytes.max(1) as f64;
        let (segnet, posenet) = (total.segnet(), total.posenet());
        Score { segnet, posenet, archive_bytes, score: perception::score(segnet, posenet, rate) }
    });
    Ok(Evaluation { psnr: frames::psnr(mean), pair_mse, score, pair_distortions })
}
