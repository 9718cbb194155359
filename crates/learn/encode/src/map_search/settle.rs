//! The end of a sweep: what a real encoding says.

use super::frames::{Frames, total, total_with};
use super::state::MapSearchState;
use crate::error::EncodeError;

/// How many times what its edits cost a sample must gain to keep them; each is tried.
const MULTIPLIERS: [f64; 4] = [0.7, 1.0, 1.4, 2.0];

/// Takes back the edits of samples that do not pay, if by a real encoding that lowers the score; all of them if that is lower still. Returns
/// what the clip costs then, bytes included.
pub(super) fn settle(state: &mut MapSearchState, frames: &Frames<'_>) -> Result<f64, EncodeError> {
    let (samples, start_bytes) = (state.bits.len(), state.start_bytes());
    let byte = metric::byte_slope(frames.clip_bytes);
    let at_first = total(&state.first) + byte * start_bytes as f64;
    if state.terms.len() < samples || state.representation == *state.start() {
        return Ok(at_first);
    }
    let bytes = archive::encode(&state.representation).len();
    let mut least = total(&state.terms) + byte * bytes as f64;
    // Edits learn from each other: the frozen prices, set right by what all of them together cost.
    let (frozen, real) = (state.bits.iter().sum::<f64>(), 8.0 * (bytes as f64 - start_bytes as f64));
    let scale = if frozen > 0.0 { (real / frozen).clamp(0.5, 2.0) } else { 1.0 };
    let all = state.clone();
    let gains = (0..samples).map(|sample| total_with(&all.terms, sample, all.first[sample]) - total(&all.terms));
    let gains: Vec<f64> = gains.collect();
    let mut taken_back = Vec::new();
    for multiplier in MULTIPLIERS {
        let pays = |sample: usize| gains[sample] >= multiplier * scale * frames.bit() * all.bits[sample];
        let poor: Vec<usize> = (0..samples).filter(|&sample| all.map_changed(sample) && !pays(sample)).collect();
        if poor == taken_back {
            continue;
        }
        let mut other = all.clone();
        poor.iter().try_for_each(|&sample| other.take_back(sample))?;
        taken_back = poor;
        let cost = total(&other.terms) + byte * archive::encode(&other.representation).len() as f64;
        if cost < least {
            least = cost;
            *state = other;
        }
    }
    if at_first <= least {
        (0..samples).try_for_each(|sample| state.take_back(sample))?;
    }
    Ok(least.min(at_first))
}
