//! Room on the grids of coefficients.

use repr::{QuantizedLatents, Representation, RepresentationError};

/// What is added to a coefficient's range on either side, as a share of it.
const MARGIN: f32 = 0.25;

/// The representation with grids of its coefficients that reach beyond the values that they have, which gradient descent left
/// where it stopped; values move by at most half a step.
///
/// # Errors
///
/// None that a valid representation can cause.
pub fn widen(representation: Representation) -> Result<Representation, RepresentationError> {
    let mut parts = representation.into_parts();
    let (dim, coefficients) = (parts.architecture.latent_dim(), parts.architecture.coefficients());
    let bits = parts.architecture.latent_bits();
    for d in dim - coefficients..dim {
        let QuantizedLatents { minimum, step, values } = &mut parts.latents;
        let (old_minimum, old_step) = (minimum[d], step[d]);
        let column = || values.iter().skip(d).step_by(dim).map(|&q| f32::from(q) * old_step + old_minimum);
        let low = column().fold(f32::INFINITY, f32::min);
        let range = column().fold(f32::NEG_INFINITY, f32::max) - low;
        let last = f32::from((1u16 << bits[d]) - 1);
        let wide = range * (1.0 + 2.0 * MARGIN) / last;
        if !wide.is_normal() || low.abs() + range > 1e5 {
            continue;
        }
        (minimum[d], step[d]) = (low - MARGIN * range, wide);
        for q in values.iter_mut().skip(d).step_by(dim) {
            let value = f32::from(*q) * old_step + old_minimum;
            *q = ((value - minimum[d]) / wide).round_ties_even().clamp(0.0, last) as u16;
        }
    }
    Representation::new(parts)
}
