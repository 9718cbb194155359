//! Distortion where no original is at hand: against the decoder's own frames.

use decoder::{Decoder, DecoderError, Level, Network, SampleInput, in_order};
use repr::Representation;

use crate::source::Source;

/// Most samples that are compared, spread over the clip.
const SAMPLES: usize = 48;

/// PSNR in dB of a representation's frames against those of the source's floats, at the decoder's resolution.
pub fn fidelity(source: &Source, representation: &Representation) -> Result<f64, DecoderError> {
    let (architecture, clip) = (&source.plain().architecture, &source.plain().clip);
    let network = Network::new(source.parameters(), (clip.height(), clip.width()), Level::detect())?;
    let decoder = Decoder::new(representation);
    let (dim, samples) = (architecture.sample_dim(), clip.samples());
    let count = SAMPLES.min(samples);
    let (mut sum, mut values) = (0.0, 0usize);
    let work = |i: usize, _: Option<(f64, usize)>| {
        let sample = (2 * i + 1) * samples / (2 * count);
        let latents = source.latents().get(sample * dim..).and_then(|rest| rest.get(..dim)).unwrap_or_default();
        let pairs = network
            .native(SampleInput { latents, map: source.plain().map(sample), corrections: &[] })?
            .into_iter()
            .zip(decoder.decode_native(sample)?);
        let (mut sum, mut values) = (0.0, 0);
        for (a, b) in pairs {
            sum += a.data().iter().zip(b.data()).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            values += a.data().len();
        }
        Ok((sum, values))
    };
    in_order(0..count, rayon::current_num_threads(), work, |_, (squares, count)| {
        sum += squares;
        values += count;
        Ok::<_, DecoderError>(())
    })?;
    Ok(frames::psnr(sum / values.max(1) as f64))
}
