//! What tests share.

use rayon::ThreadPoolBuilder;

/// A small generator of repeatable values (xorshift).
pub(crate) struct Noise(pub u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 33) as usize % end
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    /// In `[-scale, scale)`.
    pub(crate) fn values(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| scale * ((self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0)).collect()
    }
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Checks the largest difference, relative to the largest value, or to 0.1 where everything cancels.
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.1, |m: f64, v| m.max(v.abs()));
    let error = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
    assert!(error <= tolerance * scale, "{what}: {error} where the largest value is {scale}");
}

/// Runs `compute` in pools of several sizes and checks that the results are the same.
pub(crate) fn on_any_thread_count<T: PartialEq + Send>(compute: impl Fn() -> T + Sync) {
    let run = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&compute);
    let alone = run(1);
    for threads in [2, 3, 8] {
        assert!(run(threads) == alone, "{threads} threads");
    }
}
