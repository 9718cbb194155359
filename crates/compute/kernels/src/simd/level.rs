//! Which instructions run, chosen once at run time.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
use super::scalar::Scalar;
use super::vector::{MAX_LANES, Simd};

/// Instructions that the kernels use. All levels give the same bits.
///
/// A value exists only for a level that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level(Isa);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// One value at a time, on any processor. Slow where the standard library's fused multiply-add is no single
    /// instruction, which on x86-64 it is not.
    pub const SCALAR: Self = Self(Isa::Scalar);

    /// Every level that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            // Every processor with AVX2 has the rest too; hypervisors may hide single ones.
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            if avx2 {
                levels.push(Self(Isa::Avx2));
            }
            if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                levels.push(Self(Isa::Avx512));
            }
        }
        levels
    }

    /// The fastest level that this processor has.
    pub fn detect() -> Self {
        Self::detect_up_to(MAX_LANES)
    }

    /// The fastest level that this processor has whose vectors have at most so many lanes: for code that gains nothing from
    /// wider ones.
    pub fn detect_up_to(lanes: usize) -> Self {
        let fitting = Self::available().into_iter().rfind(|level| level.lanes() <= lanes);
        fitting.unwrap_or(Self::SCALAR)
    }

    /// Values in a vector of this level.
    pub fn lanes(self) -> usize {
        match self.0 {
            Isa::Scalar => Scalar::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::LANES,
        }
    }

    /// Runs a kernel with the instructions of this level.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Isa::Scalar => kernel.run(Scalar),
            // SAFETY: the value exists because the processor has AVX2, FMA and what stands beside them in `available`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2(kernel) },
            // SAFETY: the value exists because the processor has AVX-512 F and BW, and all of AVX2's level.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512(kernel) },
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
        })
    }
}

/// Code that is written once and compiled for every level.
///
/// `run` and all it calls with vectors must be `#[inline(always)]`: only what lands inside the one function of a level is
/// compiled with their instructions. Closures are no exception: one that is called in several places may not be inlined.
pub trait Kernel {
    /// What it computes.
    type Output;

    /// Computes it with the instructions that `simd` stands for.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only entered on a processor with all that it enables.
    kernel.run(unsafe { Avx2::new() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt,popcnt")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only entered on a processor with all that it enables.
    kernel.run(unsafe { Avx512::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_level_is_the_last_available_one() {
        assert_eq!(Level::available()[0], Level::SCALAR);
        assert_eq!(Level::available().last(), Some(&Level::detect()));
        assert_eq!(Level::detect_up_to(1), Level::SCALAR);
        assert!(Level::detect_up_to(8).lanes() <= 8);
    }
}
