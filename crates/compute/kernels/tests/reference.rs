//! Kernels against plain f64 versions of what they should compute.

mod common;

use common::{Noise, planes, rows};
use frames::Planes;
use kernels::math::SIN_LIMIT;
use kernels::{
    Bicubic, Conv, Level, Linear, Nonlinearity, Rows, Upsample, gelu, residual_sin_row, row_stride, sigmoid255, sin,
};

/// Zero-padded convolution of `[inputs, height, width]`, f64.
fn naive_conv(x: &[f32], weight: &[f32], bias: &[f32], shape: [usize; 3], kernel: usize, dilation: usize) -> Vec<f64> {
    let [inputs, height, width] = shape;
    let mut out = Vec::new();
    for (o, &bias) in bias.iter().enumerate() {
        for y in 0..height {
            for column in 0..width {
                let mut sum = f64::from(bias);
                for i in 0..inputs {
                    for (ky, kx) in (0..kernel * kernel).map(|k| (k / kernel, k % kernel)) {
                        let iy = (y + ky * dilation).wrapping_sub(kernel / 2 * dilation);
                        let ix = (column + kx * dilation).wrapping_sub(kernel / 2 * dilation);
                        if iy < height && ix < width {
                            let w = weight[((o * inputs + i) * kernel + ky) * kernel + kx];
                            sum += f64::from(w) * f64::from(x[(i * height + iy) * width + ix]);
                        }
                    }
                }
                out.push(sum);
            }
        }
    }
    out
}

fn max_error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn convolutions_match_the_definition() {
    let mut noise = Noise(11);
    for (kernel, dilation) in [(1, 1), (3, 1), (3, 2), (3, 4), (5, 1), (5, 3)] {
        for outputs in [1, 3, 4, 6, 9, 20] {
            let (inputs, height, width) = (1 + noise.below(9), 1 + noise.below(7), 1 + noise.below(90));
            let x = noise.values(inputs * height * width, 1.0);
            let weight = noise.values(outputs * inputs * kernel * kernel, 0.3);
            let bias = noise.values(outputs, 1.0);
            let conv = Conv::new(&weight, &bias, inputs, kernel, dilation);
            let input = rows(&x, inputs, height, width);
            let mut row = vec![0.0; conv.row_len(width)];
            let mut found = vec![0.0; outputs * height * width];
            for y in 0..height {
                conv.row(Level::detect(), &input, y, &mut row);
                for c in 0..outputs {
                    found[(c * height + y) * width..][..width].copy_from_slice(&row[c * row_stride(width)..][..width]);
                }
            }
            let expected = naive_conv(&x, &weight, &bias, [inputs, height, width], kernel, dilation);
            assert!(max_error(&found, &expected) < 3e-6, "k{kernel} d{dilation} {inputs}->{outputs} {height}x{width}");
        }
    }
}

/// Bilinear interpolation at source coordinate `at`, clamped, of values read by `read`.
fn naive_linear(at: f64, len: usize, read: impl Fn(usize) -> f64) -> f64 {
    let at = at.max(0.0);
    let low = at.floor() as usize;
    let t = at - low as f64;
    (1.0 - t) * read(low) + t * read((low + 1).min(len - 1))
}

#[test]
fn stages_match_the_definition() {
    let mut noise = Noise(12);
    let ends = [(true, Nonlinearity::Sin), (true, Nonlinearity::Gelu), (false, Nonlinearity::Gelu)];
    for (factor, (with_skip, end)) in (1..=5).flat_map(|factor| ends.map(|end| (factor, end))) {
        for (channels, height, width) in [(1, 1, 1), (2, 3, 5), (3, 4, 17), (2, 5, 40)] {
            let stride = row_stride(width);
            let square = factor * factor;
            let conv = noise.values(height * channels * square * stride, 2.0);
            let x = noise.values(channels * height * width, 2.0);
            let skip = rows(&x, channels, height, width);
            let mut out = Rows::new(channels, height * factor, width * factor, height * factor);
            let mut blend = vec![0.0; Upsample::blend_len(width)];
            for (y, row) in conv.chunks_exact(channels * square * stride).enumerate() {
                for phase in 0..factor {
                    let upsample = Upsample::new(factor, Some(end));
                    let skip = with_skip.then_some(&skip);
                    upsample.row(Level::detect(), row, skip, y, phase, &mut blend, out.push());
                }
            }
            let mut expected = Vec::new();
            for c in 0..channels {
                for (y, column) in (0..height * factor).flat_map(|y| (0..width * factor).map(move |x| (y, x))) {
                    let channel = c * square + y % factor * factor + column % factor;
                    let shuffled = conv[(y / factor * channels * square + channel) * stride + column / factor];
                    let source = |i: usize| (i as f64 + 0.5) / factor as f64 - 0.5;
                    let interpolated = naive_linear(source(y), height, |y| {
                        naive_linear(source(column), width, |x_| f64::from(x[(c * height + y) * width + x_]))
                    });
                    let sum = f64::from(shuffled) + if with_skip { interpolated } else { 0.0 };
                    expected.push(match end {
                        Nonlinearity::Sin => sum.sin(),
                        Nonlinearity::Gelu => exact_gelu(sum),
                    });
                }
            }
            let error = max_error(&planes(&out), &expected);
            assert!(error < 2e-6, "x{factor} {end:?} {channels}x{height}x{width}: {error}");
        }
    }
}

#[test]
fn residuals_and_the_linear_layer_match_the_definition() {
    let mut noise = Noise(13);
    let (channels, width) = (3, 37);
    let conv = noise.values(channels * row_stride(width), 4.0);
    let x = noise.values(channels * width, 1.0);
    let mut out = Rows::new(channels, 1, width, 1);
    residual_sin_row(Level::detect(), &conv, &rows(&x, channels, 1, width), 0, 0.1, out.push());
    let at = |i: usize| f64::from(conv[i / width * row_stride(width) + i % width]);
    let expected: Vec<f64> = (0..channels * width).map(|i| f64::from(x[i]) + 0.1 * at(i).sin()).collect();
    assert!(max_error(&planes(&out), &expected) < 2e-7);

    let (inputs, outputs) = (28, 75);
    let (weight, bias) = (noise.values(outputs * inputs, 0.5), noise.values(outputs, 1.0));
    let z = noise.values(inputs, 2.0);
    let mut found = vec![0.0; outputs];
    Linear::new(&weight, &bias, inputs).sin(Level::detect(), &z, &mut found);
    let dot = |o: usize| (0..inputs).map(|i| f64::from(weight[o * inputs + i]) * f64::from(z[i])).sum::<f64>();
    let expected: Vec<f64> = (0..outputs).map(|o| (f64::from(bias[o]) + dot(o)).sin()).collect();
    assert!(max_error(&found, &expected) < 3e-6);
}

#[test]
fn the_sine_is_accurate_up_to_its_limit() {
    let mut noise = Noise(14);
    let mut values: Vec<f32> = (-40_000..40_000).map(|i| i as f32 * 1e-3).collect();
    for exponent in -40..=22 {
        values.extend((0..2000).map(|_| noise.value() * 2f32.powi(exponent)));
    }
    // Where cancellation is worst: next to multiples of pi.
    values.extend((0..100_000).map(|n| (f64::from(n * 13) * std::f64::consts::PI) as f32));
    values.extend([SIN_LIMIT, -SIN_LIMIT]);
    let mut found = values.clone();
    sin(Level::detect(), &mut found);
    for (&x, &sine) in values.iter().zip(&found) {
        let error = (f64::from(sine) - f64::from(x).sin()).abs();
        assert!(error < 1.2e-7, "sin({x}) = {sine}, off by {error}");
    }
    let mut beyond = [SIN_LIMIT.next_up(), f32::MAX, f32::INFINITY, f32::NAN];
    sin(Level::detect(), &mut beyond);
    assert!(beyond[..2] == [0.0, 0.0] && beyond[2].is_nan() && beyond[3].is_nan(), "{beyond:?}");
}

fn exact_gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

#[test]
fn the_gelu_is_accurate() {
    let values: Vec<f32> = (-400_000..400_000).map(|i| i as f32 * 1e-4).collect();
    let mut found = values.clone();
    gelu(Level::detect(), &mut found);
    for (&x, &value) in values.iter().zip(&found) {
        let error = (f64::from(value) - exact_gelu(x.into())).abs();
        assert!(error <= 4e-7 * f64::from(x).abs().max(1.0), "gelu({x}) = {value}, off by {error}");
    }
    let mut special = [f32::INFINITY, f32::MAX, f32::MIN, -0.0, f32::NEG_INFINITY, f32::NAN];
    gelu(Level::detect(), &mut special);
    assert!(special[..4] == [f32::INFINITY, f32::MAX, 0.0, 0.0], "{special:?}");
    assert!(special[4].is_nan() && special[5].is_nan(), "{special:?}");
}

#[test]
fn the_sigmoid_is_accurate() {
    let values: Vec<f32> = (-86_000..200_000).map(|i| i as f32 * 1e-3).collect();
    let mut found = values.clone();
    sigmoid255(Level::detect(), &mut found);
    for (&x, &value) in values.iter().zip(&found) {
        let expected = 255.0 / (1.0 + (-f64::from(x)).exp());
        let error = (f64::from(value) / expected - 1.0).abs();
        assert!(error < 4e-7, "255 * sigmoid({x}) = {value}, off by {error}");
    }
    let mut special = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -100.0];
    sigmoid255(Level::detect(), &mut special);
    assert_eq!(special[0], 255.0);
    assert!(special[1] > 0.0 && special[1] < 1e-35 && special[2].is_nan() && special[3] == special[1], "{special:?}");
}

#[test]
fn resampling_matches_the_reference() {
    let mut noise = Noise(15);
    for (from, to) in
        [((24, 32), (55, 73)), ((48, 64), (109, 146)), ((9, 7), (9, 7)), ((30, 41), (11, 13)), ((1, 1), (5, 4))]
    {
        // Beyond [0, 255] on both sides, so that clamping is seen.
        let values: Vec<f32> = noise.values(3 * from.0 * from.1, 150.0).iter().map(|v| v + 128.0).collect();
        let input = rows(&values, 3, from.0, from.1);
        let bicubic = Bicubic::new(Level::detect(), from, to);
        let mut columns = Rows::new(3, from.0, to.1, from.0);
        (0..from.0).for_each(|y| bicubic.columns(&input, y, columns.push()));
        let mut found = vec![0u8; 3 * to.0 * to.1];
        for (y, row) in found.chunks_exact_mut(3 * to.1).enumerate() {
            bicubic.rgb(&columns, y, 0, row);
        }
        let planes = Planes::new(3, from.0, from.1, values).unwrap();
        let expected = frames::resize_bicubic(&planes, to.0, to.1).to_rgb();
        let different = found.iter().zip(expected.data()).filter(|(a, b)| a != b).count();
        assert!(found.iter().zip(expected.data()).all(|(a, b)| a.abs_diff(*b) <= 1), "{from:?} to {to:?}");
        assert!(different * 1000 <= found.len(), "{different} of {} bytes differ, {from:?} to {to:?}", found.len());
    }
}

#[test]
fn bytes_are_clamped_rounded_half_to_even_and_zero_for_nan() {
    let cases = [(f32::NAN, 0), (-5.0, 0), (-0.0, 0), (2.5, 2), (3.5, 4), (254.5, 254), (255.4, 255), (3e38, 255)];
    for level in Level::available() {
        let bicubic = Bicubic::new(level, (2, 20), (2, 20));
        for (value, byte) in cases {
            let input = rows(&[value; 3 * 2 * 20], 3, 2, 20);
            let mut columns = Rows::new(3, 2, 20, 2);
            (0..2).for_each(|y| bicubic.columns(&input, y, columns.push()));
            let mut out = [7; 3 * 20];
            bicubic.rgb(&columns, 1, 0, &mut out);
            assert_eq!(out, [byte; 3 * 20], "{value} on {level}");
        }
    }
}
