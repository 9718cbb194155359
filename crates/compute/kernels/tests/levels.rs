//! Every instruction level gives the bits of the scalar one, whatever the shape and the values.

mod common;

use common::{Noise, planes, rows, same};
use kernels::math::{SIN_LIMIT, sin_cos_vector};
use kernels::simd::{Kernel, Simd};
use kernels::{
    Bicubic, Conv, Level, Linear, Nonlinearity, Rows, Upsample, gelu, residual_sin_row, rgb_row, row_stride,
    sigmoid255, sin,
};

const WIDTHS: [usize; 14] = [1, 2, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 83, 130];

/// Checks that `compute` gives the same at every level; returns the values.
fn at_every_level(what: &str, compute: impl Fn(Level) -> Vec<f32>) -> Vec<f32> {
    let scalar = compute(Level::SCALAR);
    for level in Level::available() {
        assert!(same(&compute(level), &scalar), "{what}: {level} differs from scalar");
    }
    scalar
}

/// All output rows of a convolution, `[outputs, height, width]` row by row.
fn convolve(level: Level, conv: &Conv, input: &Rows) -> Vec<f32> {
    let width = input.width();
    let mut row = vec![0.0; conv.row_len(width)];
    let mut all = Vec::new();
    for y in 0..input.height() {
        conv.row(level, input, y, &mut row);
        let stride = row_stride(width);
        (0..conv.outputs()).for_each(|c| all.extend_from_slice(&row[c * stride..][..width]));
    }
    all
}

#[test]
fn convolutions() {
    let mut noise = Noise(1);
    for case in 0..120 {
        let (inputs, outputs) = (1 + noise.below(7), 1 + noise.below(20));
        let (kernel, dilation) = noise.pick(&[(1, 1), (3, 1), (3, 2), (3, 3), (3, 4), (5, 1), (5, 4)]);
        let (height, width) = (1 + noise.below(5), noise.pick(&WIDTHS));
        let rarity = noise.pick(&[40, 400, usize::MAX]);
        let weight = noise.hostile(outputs * inputs * kernel * kernel, rarity);
        let conv = Conv::new(&weight, &noise.hostile(outputs, rarity), inputs, kernel, dilation);
        let input = rows(&noise.hostile(inputs * height * width, rarity), inputs, height, width);
        let what = format!("{case}: {inputs}->{outputs} k{kernel} d{dilation} {height}x{width}");
        at_every_level(&what, |level| convolve(level, &conv, &input));
    }
}

/// Padding is multiplied: an infinite weight meets a zero outside the image, and the sum is NaN.
#[test]
fn zero_padding_is_multiplied() {
    let mut weight = [1.0; 9];
    weight[0] = f32::INFINITY;
    let conv = Conv::new(&weight, &[0.0], 1, 3, 1);
    let input = rows(&[1.0; 20], 1, 2, 10);
    let out = at_every_level("infinite corner", |level| convolve(level, &conv, &input));
    assert!(out[..10].iter().all(|v| v.is_nan()), "the row above the image");
    assert!(out[10].is_nan() && out[11] == f32::INFINITY, "the column left of the image");
}

#[test]
fn stages() {
    let mut noise = Noise(2);
    for case in 0..120 {
        let (channels, factor) = (1 + noise.below(5), 1 + case % 5);
        let end = noise.pick(&[None, Some(Nonlinearity::Sin), Some(Nonlinearity::Gelu)]);
        let with_skip = case / 5 % 3 > 0;
        let (height, width) = (1 + noise.below(4), noise.pick(&WIDTHS));
        let rarity = noise.pick(&[50, usize::MAX]);
        let conv = noise.hostile(channels * factor * factor * row_stride(width), rarity);
        let skip = rows(&noise.hostile(channels * height * width, rarity), channels, height, width);
        at_every_level(&format!("{case}: {channels} x{factor} {end:?} {height}x{width}"), |level| {
            let upsample = Upsample::new(factor, end);
            let mut blend = vec![0.0; Upsample::blend_len(width)];
            let mut out = Rows::new(channels, factor * height, factor * width, factor * height);
            for y in 0..height {
                for phase in 0..factor {
                    let skip = with_skip.then_some(&skip);
                    upsample.row(level, &conv, skip, y, phase, &mut blend, out.push());
                }
            }
            // What lies beyond the last column must have stayed zero: a convolution reads it as padding.
            let ones = Conv::new(&vec![1.0; channels * 9], &[0.0], channels, 3, 1);
            let mut all = convolve(level, &ones, &out);
            all.extend(planes(&out));
            all
        });
    }
}

#[test]
fn residuals_heads_and_the_linear_layer() {
    let mut noise = Noise(3);
    for width in WIDTHS {
        let channels = 1 + noise.below(6);
        let conv = noise.hostile(channels * row_stride(width), 20);
        let x = rows(&noise.hostile(channels * width, 20), channels, 1, width);
        at_every_level(&format!("residual {width}"), |level| {
            let mut out = Rows::new(channels, 1, width, 1);
            residual_sin_row(level, &conv, &x, 0, 0.1, out.push());
            planes(&out)
        });
        at_every_level(&format!("head {width}"), |level| {
            let mut out = Rows::new(channels, 1, width, 1);
            rgb_row(level, &conv, out.push());
            planes(&out)
        });
        let (weight, bias) = (noise.hostile(width * 5, 60), noise.hostile(width, 60));
        let input = noise.hostile(5, 30);
        at_every_level(&format!("linear {width}"), |level| {
            let mut out = vec![0.0; width];
            Linear::new(&weight, &bias, 5).sin(level, &input, &mut out);
            out
        });
    }
}

#[test]
fn functions_of_every_kind_of_value() {
    // Every 2^16th f32 pattern, the neighbours of powers of two and of the limit among them.
    let patterns = (0..=0xffffu32).flat_map(|high| [high << 16, (high << 16) | 1, (high << 16) | 0xffff]);
    let values: Vec<f32> = patterns.map(f32::from_bits).collect();
    let of = |kernel: fn(Level, &mut [f32]), level| {
        let mut values = values.clone();
        kernel(level, &mut values);
        values
    };
    let sines = at_every_level("sin", |level| of(sin, level));
    let sigmoids = at_every_level("sigmoid", |level| of(sigmoid255, level));
    let gelus = at_every_level("gelu", |level| of(gelu, level));
    for (((&x, sine), sigmoid), gelu) in values.iter().zip(sines).zip(sigmoids).zip(gelus) {
        assert_eq!(gelu.is_nan(), x.is_nan() || x == f32::NEG_INFINITY, "gelu({x})");
        assert!(gelu.is_nan() || gelu == x.max(0.0) || (gelu - x.max(0.0)).abs() < 0.2, "gelu({x}) = {gelu}");
        assert_eq!(sine.is_nan(), !x.is_finite(), "sin({x})");
        assert_eq!(sigmoid.is_nan(), x.is_nan(), "sigmoid({x})");
        assert!(sine.is_nan() || sine.abs() <= 1.0 + 1e-6, "sin({x}) = {sine}");
        assert!(sigmoid.is_nan() || (0.0..=255.0).contains(&sigmoid), "255 sigmoid({x}) = {sigmoid}");
    }
}

#[test]
fn cosines_and_the_sines_beside_them() {
    struct SinCos<'a>(&'a mut [f32], &'a mut [f32]);
    impl Kernel for SinCos<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for (sin, cos) in self.0.chunks_exact_mut(S::LANES).zip(self.1.chunks_exact_mut(S::LANES)) {
                let [a, b] = sin_cos_vector(s, s.load(sin));
                s.store(a, sin);
                s.store(b, cos);
            }
        }
    }
    let mut noise = Noise(26);
    for scale in [1e-3, 1.0, 3.0, 30.0, 1e3, 4e6, 1e9] {
        let x = noise.values(1 << 16, scale);
        for level in Level::available() {
            let (mut sines, mut expected, mut cosines) = (x.clone(), x.clone(), vec![0.0; x.len()]);
            level.run(SinCos(&mut sines, &mut cosines));
            sin(level, &mut expected);
            assert!(sines == expected, "{scale} {level}");
            for (&x, cos) in x.iter().zip(cosines).filter(|(x, _)| x.abs() <= SIN_LIMIT) {
                assert!((f64::from(cos) - f64::from(x).cos()).abs() < 2e-7, "cos({x}) = {cos} at {level}");
            }
        }
    }
}

#[test]
fn resampling() {
    let mut noise = Noise(4);
    for case in 0..60 {
        let (height, width) = (1 + noise.below(9), noise.pick(&WIDTHS));
        let to = match case % 3 {
            0 => (height * 2 + 1, width * 2 + 3),
            1 => (1 + noise.below(12), 1 + noise.below(60)),
            _ => (height, width),
        };
        let input = rows(&noise.hostile(6 * height * width, 30), 6, height, width);
        let bytes = |level| {
            let bicubic = Bicubic::new(level, (height, width), to);
            let mut columns = Rows::new(6, height, to.1, height);
            (0..height).for_each(|y| bicubic.columns(&input, y, columns.push()));
            let mut out = vec![0; 2 * 3 * to.0 * to.1];
            for (i, row) in out.chunks_exact_mut(3 * to.1).enumerate() {
                bicubic.rgb(&columns, i % to.0, 3 * (i / to.0), row);
            }
            (planes(&columns), out)
        };
        let scalar = bytes(Level::SCALAR);
        for level in Level::available() {
            let (columns, out) = bytes(level);
            assert!(same(&columns, &scalar.0) && out == scalar.1, "{case}: {height}x{width} to {to:?} on {level}");
        }
    }
}
