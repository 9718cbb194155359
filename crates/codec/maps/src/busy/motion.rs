//! Where a pixel seems to have been in the map before.

use crate::pixel::Pixel;

/// Largest shift, in rows and columns.
const REACH: (isize, isize) = (2, 3);
/// Shifts that are tried.
pub(super) const SHIFTS: usize = (2 * REACH.0 as usize + 1) * (2 * REACH.1 as usize + 1);

/// Pixels coded before, as (column, row, weight): of a shift the map before should look alike there.
const TEMPLATE: [(isize, isize, i32); 15] = [
    (-1, 0, 4),
    (0, -1, 4),
    (-1, -1, 3),
    (1, -1, 4),
    (-2, 0, 3),
    (2, -1, 3),
    (-2, -1, 2),
    (0, -2, 3),
    (1, -2, 2),
    (-1, -2, 2),
    (3, -1, 2),
    (-3, 0, 2),
    (2, -2, 1),
    (-4, 0, 1),
    (4, -1, 1),
];

/// A place in the map before.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// Its index in the plane.
    pub at: usize,
    /// Which of the [`SHIFTS`] leads there.
    pub shift: usize,
}

/// No shift.
pub(super) fn unmoved(pixel: &Pixel<'_>) -> Source {
    Source { at: pixel.at, shift: SHIFTS / 2 }
}

/// The shift under which what was coded before looks most like the map before; of equals the first one, and nearer ones rather than
/// farther ones.
#[inline(always)]
pub(super) fn find(pixel: &Pixel<'_>) -> Source {
    let (rows, columns) = REACH;
    let mine = TEMPLATE.map(|(dx, dy, _)| pixel.now(dx, dy));
    let stride = pixel.before.stride() as isize;
    let (mut best, mut least) = (unmoved(pixel), i32::MAX);
    for dy in -rows..=rows {
        for dx in -columns..=columns {
            let at = pixel.at.wrapping_add_signed(dy * stride + dx);
            let differs = |(&mine, &(x, y, weight)): (&u8, &(isize, isize, i32))| {
                i32::from(mine != pixel.before.at(at, x, y)) * weight
            };
            let error = 2 * mine.iter().zip(&TEMPLATE).map(differs).sum::<i32>() + (dx.abs() + dy.abs()) as i32;
            if error < least {
                least = error;
                best = Source { at, shift: ((dx + columns) * (2 * rows + 1) + dy + rows) as usize };
            }
        }
    }
    best
}
