//! Against the metric, and against slopes in f64.

use frames::{Planes, RgbFrame, resize_bicubic, resize_bilinear};

use super::*;
use crate::bands::fill;
use crate::noise::{Noise, assert_close, dot, on_any_thread_count, wide};
use kernels::Bicubic;

const CHALLENGE: RoundTrip = RoundTrip { native: (384, 512), camera: (874, 1164), input: (384, 512), round: true };

fn random(noise: &mut Noise, largest: usize, round: bool) -> RoundTrip {
    let mut size = |largest| (1 + noise.below(largest), 1 + noise.below(largest));
    RoundTrip { native: size(largest), camera: size(2 * largest), input: size(largest), round }
}

/// Values around 0 to 1, some well outside.
fn image(noise: &mut Noise, len: usize) -> Vec<f32> {
    noise.values(len, 0.7).into_iter().map(|v| v + 0.5).collect()
}

/// Three planes by way of an inflated frame.
fn inflated(round_trip: &RoundTrip, x: &[f32]) -> Vec<f32> {
    let RoundTrip { native, camera, input, .. } = *round_trip;
    let scaled: Vec<f32> = x.iter().map(|v| 255.0 * v).collect();
    let bicubic = Bicubic::new(Level::detect(), native, camera);
    let (mut source, mut wide) =
        (Rows::new(3, native.0, native.1, native.0), Rows::new(3, native.0, camera.1, native.0));
    fill(&mut source, &scaled, native.0);
    (0..native.0).for_each(|y| bicubic.columns(&source, y, wide.push()));
    let mut bytes = vec![0; 3 * camera.0 * camera.1];
    for (y, row) in bytes.chunks_exact_mut(3 * camera.1).enumerate() {
        bicubic.rgb(&wide, y, 0, row);
    }
    let frame = RgbFrame::new(camera.1, camera.0, bytes).unwrap();
    frame.resize_bilinear(input.0, input.1).into_data()
}

#[test]
fn the_result_has_the_bits_of_the_metric() {
    let mut noise = Noise(41);
    for case in 0..40 {
        let round_trip = if case == 0 { CHALLENGE } else { random(&mut noise, [6, 40, 90][case % 3], true) };
        let x = image(&mut noise, 3 * round_trip.native.0 * round_trip.native.1);
        let expected = inflated(&round_trip, &x);
        for level in Level::available() {
            assert!(round_trip.forward_at(level, 3, &x).0 == expected, "{round_trip:?} {level}");
        }
    }
}

#[test]
fn without_rounding_only_the_rounding_is_missing() {
    let mut noise = Noise(42);
    for case in 0..20 {
        let round_trip = random(&mut noise, [6, 40][case % 2], false);
        let RoundTrip { native, camera, input, .. } = round_trip;
        let x = image(&mut noise, native.0 * native.1);
        let scaled = Planes::new(1, native.0, native.1, x.iter().map(|v| 255.0 * v).collect()).unwrap();
        let up = resize_bicubic(&scaled, camera.0, camera.1);
        let clamped = up.data().iter().map(|v| v.clamp(0.0, 255.0)).collect();
        let up = Planes::new(1, camera.0, camera.1, clamped).unwrap();
        let expected = wide(resize_bilinear(&up, input.0, input.1).data());
        assert_close(&format!("{round_trip:?}"), &round_trip.forward(1, &x).0, &expected, 2e-6);
    }
}

/// The unrounded round trip of one plane in f64.
fn reference(round_trip: &RoundTrip, x: &[f64]) -> Vec<f64> {
    let RoundTrip { native, camera, input, .. } = *round_trip;
    let source = |i: usize, from: usize, to: usize| f64::from((from as f32 / to as f32) * (i as f32 + 0.5) - 0.5);
    let cubic = |i: usize, from: usize, to: usize| {
        let source = source(i, from, to);
        let weight = move |d: f64| match d.abs() {
            d if d <= 1.0 => 1.25 * d * d * d - 2.25 * d * d + 1.0,
            d => -0.75 * (d * d * d - 5.0 * d * d + 8.0 * d - 4.0),
        };
        let first = source.floor() as isize - 1;
        (first..first + 4).map(move |j| (j.clamp(0, from as isize - 1) as usize, weight(source - j as f64)))
    };
    let linear = |i: usize, from: usize, to: usize| {
        let source = source(i, from, to).max(0.0);
        let lower = (source as usize).min(from - 1);
        let t = (source - lower as f64).min(1.0);
        [(lower, 1.0 - t), ((lower + 1).min(from - 1), t)]
    };
    let up = |y: usize, x_at: usize| {
        let row = |y: usize| cubic(x_at, native.1, camera.1).map(|(i, w)| w * x[y * native.1 + i]).sum::<f64>();
        255.0 * cubic(y, native.0, camera.0).map(|(j, w)| w * row(j)).sum::<f64>()
    };
    let up: Vec<f64> = (0..camera.0 * camera.1).map(|k| up(k / camera.1, k % camera.1).clamp(0.0, 255.0)).collect();
    let down = |y: usize, x: usize| {
        let row = |y: usize| linear(x, camera.1, input.1).map(|(i, w)| w * up[y * camera.1 + i]).iter().sum::<f64>();
        linear(y, camera.0, input.0).map(|(j, w)| w * row(j)).iter().sum()
    };
    (0..input.0 * input.1).map(|k| down(k / input.1, k % input.1)).collect()
}

#[test]
fn gradients_are_the_slopes_of_the_unrounded_round_trip() {
    let mut noise = Noise(43);
    for case in 0..30 {
        let mut round_trip = random(&mut noise, [4, 9, 20][case % 3], case % 2 == 0);
        if case % 3 == 2 {
            // Vectors, and the ratios of the challenge.
            round_trip = RoundTrip { native: (5, 37), camera: (11, 84), input: (5, 37), ..round_trip };
        }
        let RoundTrip { native, input, .. } = round_trip;
        let (x, gradient) = (image(&mut noise, 2 * native.0 * native.1), noise.values(2 * input.0 * input.1, 1.0));
        let mut expected = Vec::new();
        let planes = x.chunks_exact(native.0 * native.1).zip(gradient.chunks_exact(input.0 * input.1));
        for (x, gradient) in planes {
            let (x, gradient) = (wide(x), wide(gradient));
            expected.extend((0..x.len()).map(|i| {
                let moved = |delta: f64| {
                    let mut x = x.clone();
                    x[i] += delta;
                    dot(&reference(&round_trip, &x), &gradient)
                };
                (moved(1e-7) - moved(-1e-7)) / 2e-7
            }));
        }
        for level in Level::available() {
            let (_, kept) = round_trip.forward_at(level, 2, &x);
            let found = round_trip.backward(2, &kept, &gradient);
            assert_close(&format!("{round_trip:?} {level}"), &found, &expected, 3e-6);
        }
    }
}

#[test]
fn black_and_what_is_beyond_white() {
    let round_trip = RoundTrip { native: (4, 20), camera: (9, 45), input: (4, 20), round: true };
    let gradient = [1.0; 80];
    let slopes = |value: f32| {
        let (y, kept) = round_trip.forward(1, &[value; 80]);
        assert!(y.iter().all(|&y| y == (255.0 * value).clamp(0.0, 255.0)), "{value}");
        round_trip.backward(1, &kept, &gradient)
    };
    assert!((slopes(0.0).iter().sum::<f32>() - 255.0 * 80.0).abs() < 0.1, "black is not clamped");
    for value in [-0.1, 1.1] {
        assert!(slopes(value).iter().all(|&slope| slope == 0.0), "{value} is");
    }
}

#[test]
fn any_value_is_taken() {
    let round_trip = RoundTrip { native: (7, 33), camera: (15, 70), input: (7, 33), round: true };
    let mut x = image(&mut Noise(44), 7 * 33);
    for (at, value) in [(3, f32::NAN), (50, f32::INFINITY), (90, -3e38), (200, 3e38)] {
        x[at] = value;
    }
    for level in Level::available() {
        let (y, kept) = round_trip.forward_at(level, 1, &x);
        assert!(y.iter().all(|y| (0.0..=255.0).contains(y)), "{level}");
        assert!(round_trip.backward(1, &kept, &[1.0; 7 * 33]).iter().all(|v| v.is_finite()), "{level}");
    }
}

#[test]
fn results_do_not_depend_on_the_thread_count() {
    let mut noise = Noise(45);
    let round_trip = RoundTrip { native: (100, 37), camera: (229, 85), input: (90, 40), round: true };
    let (x, gradient) = (image(&mut noise, 3 * 100 * 37), noise.values(3 * 90 * 40, 1.0));
    on_any_thread_count(|| {
        let (y, kept) = round_trip.forward(3, &x);
        (round_trip.backward(3, &kept, &gradient), y)
    });
}
