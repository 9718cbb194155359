//! Which corrections of a sample are worth a trial: those that bring its frames nearest to the original.

use frames::Planes;
use repr::{
    COSINES, CorrectionTarget, FRAME_STEP, FRAMES_PER_SAMPLE, HALF_WAVES, MAX_AMOUNT, QuantizedLatents, cosine,
};

use crate::differentiable::DifferentiableDecoder;

/// What a correction's amount is a multiple of, in levels of 8-bit RGB.
const STEP: f64 = FRAME_STEP as f64;

/// A change of one target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Move {
    /// What is moved.
    pub target: CorrectionTarget,
    /// By how much, beside what it is moved by already.
    pub amount: i8,
    /// What the mean squared error of the sample should fall by.
    pub gain: f64,
}

/// The move of `target` to the best real amount, if an integer comes near it. The error falls by `2 a b - a^2 c` with the
/// `slope` b and the curvature c.
fn best(target: CorrectionTarget, slope: f64, curvature: f64) -> Option<Move> {
    let amount = (slope / curvature).round().clamp(f64::from(-MAX_AMOUNT), f64::from(MAX_AMOUNT));
    let gain = 2.0 * amount * slope - amount * amount * curvature;
    (gain > 0.0).then_some(Move { target, amount: amount as i8, gain })
}

/// `cos(pi * wave * (i + 1/2) / len)`.
fn waves(len: usize) -> [Vec<f32>; HALF_WAVES] {
    let value = |wave: usize, i: usize| (std::f64::consts::PI * wave as f64 * (i as f64 + 0.5) / len as f64).cos();
    std::array::from_fn(|wave| (0..len).map(|i| value(wave, i) as f32).collect())
}

/// Moves of single cosines, each the best for its target. `original` holds `[3, height, width]` of each frame.
pub(crate) fn frame_moves(decoded: &[Planes; FRAMES_PER_SAMPLE], original: [&[u8]; FRAMES_PER_SAMPLE]) -> Vec<Move> {
    let mut moves = Vec::new();
    for (frame, (planes, original)) in (0u8..).zip(decoded.iter().zip(original)) {
        let (height, width) = (planes.height(), planes.width());
        let (rows, columns) = (waves(height), waves(width));
        let values = (FRAMES_PER_SAMPLE * planes.data().len()) as f64;
        for channel in 0..3u8 {
            let plane = planes.plane(channel.into());
            let original = original.chunks_exact(plane.len()).nth(channel.into()).unwrap_or_default();
            let mut sums = [[0.0; HALF_WAVES]; HALF_WAVES];
            for (y, (row, original)) in plane.chunks_exact(width).zip(original.chunks_exact(width)).enumerate() {
                let along = columns.each_ref().map(|wave| {
                    let terms = row.iter().zip(original).zip(wave);
                    f64::from(terms.map(|((v, o), w)| (f32::from(*o) - v) * w).sum::<f32>())
                });
                for (sums, wave) in sums.iter_mut().zip(&rows) {
                    sums.iter_mut().zip(along).for_each(|(sum, v)| *sum += v * f64::from(wave[y]));
                }
            }
            for index in 0..COSINES as u8 {
                let (u, v) = cosine(index);
                // Squared, a wave is a half on average.
                let power = [u, v].map(|wave| if wave == 0 { 1.0 } else { 0.5 }).iter().product::<f64>();
                let (slope, curvature) =
                    (STEP * sums[u][v] / values, STEP * STEP * power * (height * width) as f64 / values);
                moves.extend(best(CorrectionTarget::Frame { frame, channel, cosine: index }, slope, curvature));
            }
        }
    }
    moves
}

/// Moves of single latent values; `curvature` is that of the sample's mean squared error in each.
pub(crate) fn latent_moves(
    decoder: &DifferentiableDecoder,
    sample: &[f32],
    map: &[u8],
    latents: &QuantizedLatents,
    curvature: &[f64],
    original: [&[u8]; FRAMES_PER_SAMPLE],
) -> Vec<Move> {
    let mut slopes = Vec::new();
    let values: usize = original.iter().map(|frame| frame.len()).sum();
    let mut originals = original.iter().flat_map(|frame| frame.iter());
    for latent in sample.chunks(latents.dim()) {
        let trace = decoder.forward(latent, map);
        let residual = trace.frames().iter().zip(&mut originals);
        let gradient: Vec<f32> = residual.map(|(v, o)| 255.0 * (f32::from(*o) - 255.0 * v) / values as f32).collect();
        slopes.extend(decoder.backward(&trace, &gradient).latent);
    }
    let dimensions = (0u16..).zip(slopes.iter().zip(curvature).zip(latents.step.iter().cycle()));
    let step = |(dimension, ((&slope, &curvature), &step)): (u16, ((&f32, &f64), &f32))| {
        let (step, target) = (f64::from(step), CorrectionTarget::Latent { dimension });
        best(target, f64::from(slope) * step, curvature * step * step)
    };
    dimensions.filter_map(step).collect()
}
