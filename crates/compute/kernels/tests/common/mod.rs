//! What the kernels' tests share.
#![allow(dead_code, reason = "every test binary uses a part")]

use kernels::Rows;

/// A small generator of repeatable values (xorshift).
pub struct Noise(pub u64);

impl Noise {
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 33) as usize % end
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// In [-1, 1).
    pub fn value(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn values(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| scale * self.value()).collect()
    }

    /// Ordinary values, with one in `rarity` replaced by something nasty.
    pub fn hostile(&mut self, len: usize, rarity: usize) -> Vec<f32> {
        const NASTY: [f32; 12] = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-40,
            -1e-45,
            -0.0,
            0.0,
            3e38,
            -3e38,
            1e30,
            5e6,
            f32::MIN_POSITIVE,
        ];
        (0..len).map(|_| if self.below(rarity) == 0 { self.pick(&NASTY) } else { 3.0 * self.value() }).collect()
    }
}

/// A window that holds the whole of `[channels, height, width]`.
pub fn rows(values: &[f32], channels: usize, height: usize, width: usize) -> Rows {
    assert_eq!(values.len(), channels * height * width);
    let mut rows = Rows::new(channels, height, width, height);
    for y in 0..height {
        let mut row = rows.push();
        for c in 0..channels {
            row.channel(c).copy_from_slice(&values[(c * height + y) * width..][..width]);
        }
    }
    rows
}

/// `[channels, height, width]` of a complete window.
pub fn planes(rows: &Rows) -> Vec<f32> {
    let at = |c: usize| (0..rows.height()).flat_map(move |y| rows.channel(y, c).to_vec());
    (0..rows.channels()).flat_map(at).collect()
}

/// True where both are NaN or have the same bits.
pub fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}
