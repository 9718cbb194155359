//! What a representation is worth: its frames, through the decoder that `inflate` runs, against the originals.

use decoder::{Decoder, DecoderError};
use perception::targets::Targets;
use repr::Representation;
use thiserror::Error;

use crate::pairs::pair;

/// Why an evaluation failed.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// The representation cannot be decoded.
    #[error(transparent)]
    Decoder(#[from] DecoderError),
}

/// Quality at the decoder's resolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// PSNR over all values of all frames, in dB.
    pub psnr: f64,
    /// Mean squared error of each pair, on RGB in 0..255.
    pub pair_mse: Vec<f64>,
}

/// Decodes every pair and compares it with the original, both as 8-bit RGB at the decoder's resolution.
pub fn evaluate(representation: &Representation, targets: &Targets) -> Result<Evaluation, EvaluateError> {
    let decoder = Decoder::new(representation)?;
    let mut pair_mse = Vec::new();
    for sample in 0..representation.clip.samples() {
        let decoded = decoder.decode_native(sample)?;
        let (mut sum, mut count) = (0u64, 0usize);
        for (frame, original) in decoded.iter().zip(pair(targets, sample)) {
            let error = |(&value, &original): (&f32, &u8)| {
                // A cast saturates, and maps NaN to 0, as the last step of inflate does.
                let difference = i64::from(value.round_ties_even() as u8) - i64::from(original);
                (difference * difference) as u64
            };
            sum += frame.data().iter().zip(original).map(error).sum::<u64>();
            count += original.len();
        }
        pair_mse.push(sum as f64 / count.max(1) as f64);
    }
    let mean = pair_mse.iter().sum::<f64>() / pair_mse.len().max(1) as f64;
    Ok(Evaluation { psnr: frames::psnr(mean), pair_mse })
}
