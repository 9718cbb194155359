//! The logistic function in integers: exact on every machine, for everyone who follows the formulas.

/// One, as log-odds: what [`stretch`] gives and mixers take.
pub const UNIT: i32 = 256;
/// One, as fine log-odds: what mixers give and [`squash`] takes.
pub const FINE: i32 = 1024;

/// Largest magnitude of log-odds that [`stretch`] gives, just below 8.
const LARGEST: i16 = 8 * UNIT as i16 - 1;
/// Fine log-odds between two entries of [`TAIL`].
const STEP: i32 = FINE / 64;
/// Largest magnitude of fine log-odds that [`squash`] tells apart: 12.
const FINE_LARGEST: i32 = 12 * FINE;
/// Entries of [`TAIL`].
const TAIL_LEN: usize = (FINE_LARGEST / STEP) as usize + 1;

/// `round(2^27 / (1 + exp(i / 64)))`, the logistic distribution's upper tail.
static TAIL: [u32; TAIL_LEN] = {
    /// `round(2^64 * exp(-1 / 64))`
    const RATIO: u128 = 18_160_753_814_917_686_420;
    let mut table = [0; TAIL_LEN];
    let mut power = 1u128 << 63; // 2^63 * exp(-i / 64)
    let mut i = 0;
    while i < TAIL_LEN {
        let divisor = (1 << 63) + power;
        table[i] = (((power << 27) + divisor / 2) / divisor) as u32;
        power = (power * RATIO) >> 64;
        i += 1;
    }
    table
};

/// Entries of [`STRETCH`]: it looks at the upper 12 bits of a probability.
const STRETCH_LEN: usize = 1 << 12;

static STRETCH: [i16; STRETCH_LEN] = stretches(LARGEST);

/// Largest magnitude of log-odds that [`stretch_wide`] gives, just below 11.
const WIDE_LARGEST: i16 = 11 * UNIT as i16 - 1;
/// Entries of [`STRETCH_WIDE`]: it looks at the upper 14 bits of a probability.
const WIDE_LEN: usize = 1 << 14;

static STRETCH_WIDE: [i16; WIDE_LEN] = stretches(WIDE_LARGEST);

/// For the probability `p = (2i + 1) / (2 LEN)`: from 1/2 up the least `x` with `squash(x) >= p` (in steps of `1 / UNIT`, at most
/// `largest`), below the negative of its mirror image.
const fn stretches<const LEN: usize>(largest: i16) -> [i16; LEN] {
    let mut table = [0; LEN];
    let mut x = 0;
    let mut i = LEN / 2;
    while i < LEN {
        let rest = (2 * (LEN - i) - 1) as u32 * ((1 << 27) / (2 * LEN) as u32);
        while x < largest && tail(x as i32 * (FINE / UNIT)) > rest {
            x += 1;
        }
        table[i] = x;
        table[LEN - 1 - i] = -x;
        i += 1;
    }
    table
}

/// The upper tail at the fine log-odds `x`, 0 to [`FINE_LARGEST`], in units of `2^-27`: linear between the entries.
#[inline(always)]
const fn tail(x: i32) -> u32 {
    let (i, part) = ((x / STEP) as usize, (x % STEP) as u32);
    let here = TAIL[i];
    let next = if i + 1 < TAIL_LEN { TAIL[i + 1] } else { here };
    here - (here - next) * part / STEP as u32
}

/// The log-odds `ln(p / (1 - p))` of a probability in units of `2^-16`, in units of 1/[`UNIT`], within 8.
#[inline(always)]
pub fn stretch(p: u16) -> i16 {
    STRETCH[usize::from(p >> 4)]
}

/// As [`stretch`], within 11: for what is nearly certain.
#[inline(always)]
pub fn stretch_wide(p: u16) -> i16 {
    STRETCH_WIDE[usize::from(p >> 2)]
}

/// The probability of the fine log-odds `x`, in units of `2^-16`, from 0 to 65536; `x` is clamped to 12 in magnitude.
#[inline(always)]
pub fn squash(x: i32) -> i32 {
    let x = x.clamp(-FINE_LARGEST, FINE_LARGEST);
    let tail = ((tail(x.abs()) + (1 << 10)) >> 11) as i32;
    if x < 0 { tail } else { (1 << 16) - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_what_their_formulas_say() {
        for (i, &tail) in TAIL.iter().enumerate() {
            let exact = 2f64.powi(27) / (1.0 + (i as f64 / 64.0).exp());
            assert_eq!(tail, exact.round() as u32, "{i}");
        }
        for (i, &x) in STRETCH.iter().enumerate() {
            let p = (2 * i + 1) as f64 / 8192.0;
            let exact = (p / (1.0 - p)).ln().clamp(-2047.0 / 256.0, 2047.0 / 256.0);
            assert!((f64::from(x) / 256.0 - exact).abs() <= 1.01 / 256.0, "{i}: {x} {exact}");
        }
        for (i, &x) in STRETCH_WIDE.iter().enumerate() {
            let p = (2 * i + 1) as f64 / 32768.0;
            let exact = (p / (1.0 - p)).ln().clamp(-2815.0 / 256.0, 2815.0 / 256.0);
            assert!((f64::from(x) / 256.0 - exact).abs() <= 1.1 / 256.0, "{i}: {x} {exact}");
        }
    }

    #[test]
    fn squash_is_the_logistic_function_and_symmetric() {
        for x in -FINE_LARGEST..=FINE_LARGEST {
            let exact = 65536.0 / (1.0 + (-f64::from(x) / f64::from(FINE)).exp());
            assert!((f64::from(squash(x)) - exact).abs() < 1.0, "{x}");
            assert_eq!(squash(x), 65536 - squash(-x));
        }
        assert_eq!(squash(i32::MAX) + squash(i32::MIN), 65536);
    }
}
