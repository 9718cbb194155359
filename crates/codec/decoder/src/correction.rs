//! The frame part of a sidecar: cosines added to decoded rows.
//!
//! A sum of cosines is an integer, `amount * cos * cos` with each cosine in units of `2^-COSINE_BITS`; its f32 is added to
//! the decoded value in one addition. So the order of the corrections and the instructions do not matter.

use std::ops::Range;

use kernels::{Level, RowMut};
use repr::{COSINES, Correction, CorrectionTarget, FRAME_STEP, FRAMES_PER_SAMPLE, HALF_WAVES, MAX_AMOUNT, cosine};

/// Bits of a cosine behind the point.
const COSINE_BITS: u32 = 10;
/// Planes of a sample: the channels of both frames.
const PLANES: usize = 3 * FRAMES_PER_SAMPLE;

// The largest sum fits an i32.
const _: () = assert!((COSINES as u64 * MAX_AMOUNT as u64) << (2 * COSINE_BITS) < 1 << 31);

/// Half waves over an axis at every position: `2^COSINE_BITS * cos(pi * wave * (i + 1/2) / len)`, rounded half to even.
fn waves(level: Level, len: usize) -> [Vec<i32>; HALF_WAVES] {
    std::array::from_fn(|wave| {
        let angle = |i: usize| ((wave * (2 * i + 1)) as f32 / (2 * len) as f32 + 0.5) * std::f32::consts::PI;
        let mut values: Vec<f32> = (0..len).map(angle).collect();
        kernels::sin(level, &mut values);
        values.iter().map(|v| (v * (1 << COSINE_BITS) as f32).round_ties_even() as i32).collect()
    })
}

/// The cosines of a frame size.
pub(crate) struct Cosines {
    rows: [Vec<i32>; HALF_WAVES],
    columns: [Vec<i32>; HALF_WAVES],
}

/// The amounts of a sample's cosines: `[plane][waves over the rows][waves over the columns]`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Amounts([[[i32; HALF_WAVES]; HALF_WAVES]; PLANES]);

impl Amounts {
    /// Those of a sample's valid corrections that move `frames`, the first of which has the first planes.
    pub fn new(corrections: &[Correction], frames: Range<usize>) -> Self {
        let mut amounts = Self::default();
        for correction in corrections {
            if let CorrectionTarget::Frame { frame, channel, cosine: index } = correction.target
                && frames.contains(&usize::from(frame))
            {
                let (rows, columns) = cosine(index);
                let plane = 3 * (usize::from(frame) - frames.start) + usize::from(channel);
                amounts.0[plane][rows][columns] = correction.amount.into();
            }
        }
        amounts
    }
}

impl Cosines {
    /// For frames of `size` = (rows, columns).
    pub fn new(level: Level, size: (usize, usize)) -> Self {
        Self { rows: waves(level, size.0), columns: waves(level, size.1) }
    }

    /// Adds cosines to row `y` of the planes that have amounts.
    pub fn add(&self, amounts: &Amounts, y: usize, row: &mut RowMut<'_>) {
        for (plane, amounts) in amounts.0.iter().enumerate() {
            let at_row = |columns: usize| amounts.iter().zip(&self.rows).map(|(a, wave)| a[columns] * wave[y]).sum();
            let height: [i32; HALF_WAVES] = std::array::from_fn(at_row);
            if height == [0; HALF_WAVES] {
                continue;
            }
            let [a, b, c, d] = self.columns.each_ref().map(Vec::as_slice);
            let waves = a.iter().zip(b).zip(c).zip(d);
            for (value, (((a, b), c), d)) in row.channel(plane).iter_mut().zip(waves) {
                let sum = a * height[0] + b * height[1] + c * height[2] + d * height[3];
                *value += sum as f32 * (FRAME_STEP / (1 << (2 * COSINE_BITS)) as f32);
            }
        }
    }
}
