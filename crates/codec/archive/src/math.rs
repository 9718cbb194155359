//! Logarithms and the bell curve in integers: exact on every machine, for everyone who follows the formulas.

use mixing::UNIT;

/// Largest magnitude of [`log_odds`], just below 11: there the less likely bit has about the least probability, `2^-16`.
const LARGEST: i32 = 11 * UNIT - 1;

/// `round(2^16 * ln(2))`
const LN_2: i32 = 45_426;
/// Bits of a number below its highest one that [`ln`] looks at.
const MANTISSA: u32 = 10;

/// `2^16 * ln(1 + i / 1024)`, rounded down.
static LN: [i32; 1 << MANTISSA] = {
    let mut table = [0; 1 << MANTISSA];
    let mut sum = 0u64; // 2^60 * ln(1 + i / 1024)
    let mut i = 0;
    while i < table.len() {
        table[i] = (sum >> 44) as i32;
        // ln((n + 1) / n) = 2 (y + y^3 / 3 + ...), y = 1 / (2n + 1); what is left out is below 2^-57.
        let odd = 2 * (i as u64 + (1 << MANTISSA)) + 1;
        sum += (1 << 61) / odd + (1 << 61) / (3 * odd * odd * odd);
        i += 1;
    }
    table
};

/// The natural logarithm in units of `2^-16`, from the 11 highest bits; that of 0 is taken as that of 1.
fn ln(x: u64) -> i32 {
    let exponent = x.checked_ilog2().unwrap_or(0);
    let mantissa = (u128::from(x) << MANTISSA >> exponent) as usize % (1 << MANTISSA);
    exponent as i32 * LN_2 + LN[mantissa]
}

/// Log-odds of two weights in units of 1/[`UNIT`], clamped to [`LARGEST`] in magnitude.
pub(crate) fn log_odds(upper: u64, lower: u64) -> i32 {
    ((ln(upper) - ln(lower)) / ((1 << 16) / UNIT)).clamp(-LARGEST, LARGEST)
}

/// Entries of [`BELL`].
const BELL_LEN: usize = 2048;

/// `round(2^16 * exp(-i / 128))`, at least 1: whatever lies far from the centre stays possible.
static BELL: [u32; BELL_LEN] = {
    /// `2^64 * exp(-1 / 128)`, rounded down.
    const RATIO: u128 = 18_303_190_372_430_456_779;
    let mut table = [0; BELL_LEN];
    let mut power = 1u128 << 63; // 2^63 * exp(-i / 128)
    let mut i = 0;
    while i < BELL_LEN {
        let rounded = (power + (1 << 46)) >> 47;
        table[i] = if rounded == 0 { 1 } else { rounded as u32 };
        power = (power * RATIO) >> 64;
        i += 1;
    }
    table
};

/// `2^16 * exp(-x)` for `x` in units of 1/128.
pub(crate) fn bell(x: u64) -> u32 {
    BELL[x.min(BELL_LEN as u64 - 1) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_their_formulas_say() {
        for (i, &entry) in LN.iter().enumerate() {
            assert_eq!(f64::from(entry), (65536.0 * (1.0 + i as f64 / 1024.0).ln()).floor(), "{i}");
        }
        for (i, &entry) in BELL.iter().enumerate() {
            assert_eq!(f64::from(entry), (65536.0 * (-(i as f64) / 128.0).exp()).round().max(1.0), "{i}");
        }
    }

    #[test]
    fn logarithms_are_near_and_odds_symmetric() {
        for x in (0..64).flat_map(|shift| [1u64 << shift, (3 << shift) | 1, u64::MAX >> shift]) {
            assert!((f64::from(ln(x)) / 65536.0 - (x as f64).ln()).abs() < 2e-3, "{x}");
        }
        assert_eq!(ln(0), 0);
        assert_eq!(log_odds(7, 12), -log_odds(12, 7));
        assert_eq!((log_odds(u64::MAX, 1), log_odds(1, u64::MAX)), (LARGEST, -LARGEST));
    }
}
