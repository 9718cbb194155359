//! The logistic function in integers: exact on every machine, for everyone who follows the formulas.
//!
//! Log-odds are integers in units of 1/256.

use crate::coder::{ONE, Probability};

/// One, as log-odds.
pub(crate) const UNIT: i32 = 256;
/// Largest magnitude of log-odds that [`squash`] tells apart, just below 11.
pub(crate) const LARGEST: i32 = 11 * UNIT - 1;

/// Entries of [`TAIL`]: log-odds up to 16.
const TAIL_LEN: usize = 16 * UNIT as usize;

/// `round(2^32 / (1 + exp(i / 256)))`, the logistic distribution's upper tail.
static TAIL: [u32; TAIL_LEN] = {
    /// `round(2^64 * exp(-1 / 256))`
    const RATIO: u128 = 18_374_827_034_086_858_297;
    let mut table = [0; TAIL_LEN];
    let mut power = 1u128 << 63; // 2^63 * exp(-i / 256)
    let mut i = 0;
    while i < TAIL_LEN {
        let divisor = (1 << 63) + power;
        table[i] = (((power << 32) + divisor / 2) / divisor) as u32;
        power = (power * RATIO) >> 64;
        i += 1;
    }
    table
};

/// Entries of [`STRETCH`]: it looks at the upper 12 bits of a probability.
const STRETCH_LEN: usize = 1 << 12;

/// For the probability `p = (2i + 1) / 8192`: from 1/2 up the least `x` with `TAIL[x] <= 2^32 (1 - p)`, below the negative
/// of its mirror image.
static STRETCH: [i16; STRETCH_LEN] = {
    let mut table = [0; STRETCH_LEN];
    let mut x = 0;
    let mut i = STRETCH_LEN / 2;
    while i < STRETCH_LEN {
        let rest = ((2 * (STRETCH_LEN - i) - 1) as u64) << 19;
        while TAIL[x] as u64 > rest {
            x += 1;
        }
        table[i] = x as i16;
        table[STRETCH_LEN - 1 - i] = -(x as i16);
        i += 1;
    }
    table
};

/// The log-odds `ln(p / (1 - p))` of a probability `p / 2^32`.
pub(crate) fn stretch(p: u32) -> i32 {
    i32::from(STRETCH[(p >> 20) as usize])
}

/// The logistic distribution function at `x`, in units of `2^-32`; `x` is clamped to the open interval from -16 to 16.
pub(crate) fn distribution(x: i64) -> u64 {
    let tail = u64::from(TAIL[x.unsigned_abs().min(TAIL_LEN as u64 - 1) as usize]);
    if x < 0 { tail } else { (1 << 32) - tail }
}

/// The probability of the log-odds `x`, which is clamped to [`LARGEST`] in magnitude.
pub(crate) fn squash(x: i32) -> Probability {
    let x = x.clamp(-LARGEST, LARGEST);
    let tail = ((u64::from(TAIL[x.unsigned_abs() as usize]) + (1 << 15)) >> 16) as i32;
    Probability::clamped(if x < 0 { tail } else { ONE - tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_their_formulas_say() {
        for (i, &tail) in TAIL.iter().enumerate() {
            let exact = 2f64.powi(32) / (1.0 + (i as f64 / 256.0).exp());
            assert_eq!(tail, exact.round() as u32, "{i}");
        }
        for (i, &x) in STRETCH.iter().enumerate() {
            let p = (2 * i + 1) as f64 / 8192.0;
            assert!((f64::from(x) / 256.0 - (p / (1.0 - p)).ln()).abs() <= 1.0 / 256.0, "{i}");
        }
    }

    #[test]
    fn squash_undoes_stretch_and_both_are_symmetric() {
        for i in 0..4096u32 {
            let x = stretch((i << 20) + (1 << 19));
            let p = f64::from(squash(x).get()) / 65536.0;
            assert!((p - (f64::from(i) + 0.5) / 4096.0).abs() < 0.0012, "{i}: {p}");
            assert_eq!(x, -stretch((4095 - i) << 20));
            assert_eq!(squash(x).get(), ONE - squash(-x).get());
        }
        assert_eq!(squash(i32::MAX).get() + squash(i32::MIN).get(), ONE);
        assert_eq!(distribution(0), 1 << 31);
        assert_eq!(distribution(i64::MAX) + distribution(i64::MIN), 1 << 32);
    }
}
