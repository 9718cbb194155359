//! The curve: it falls where it should, ends where it was told to, and what it gives can be encoded.

mod common;

use encode::{EncodeError, Goal, Point, Quantizer, Source, fidelity, walk};
use repr::Representation;

/// The source with its parameters plainly in so many bits.
fn rounded(source: &Source, bits: u8) -> Representation {
    let mut parts = source.plain().clone().into_parts();
    let tensors = source.parameters().iter().map(|(p, values)| repr::quantize_tensor(&p.name, values, bits).unwrap());
    parts.parameters = tensors.collect();
    Representation::new(parts).unwrap()
}

/// Every point of a walk with its PSNR to the floats, and where it ended.
fn walked(source: &Source, goal: Goal, cost: impl Fn(usize, f64) -> f64) -> (Vec<(Option<f64>, usize, f64)>, Point) {
    let quantizer = Quantizer::new(source);
    let mut seen = Vec::new();
    let end = walk(&quantizer, goal, |point| {
        let psnr = fidelity(source, &point.representation)?;
        seen.push((point.lambda, point.bytes, psnr));
        Ok::<_, EncodeError>(cost(point.bytes, psnr))
    });
    (seen, end.unwrap())
}

#[test]
fn bytes_and_fidelity_fall_as_the_exchange_rate_grows() {
    let source = common::source(6);
    let (points, end) = walked(&source, Goal::Lambda(100.0), |_, _| 0.0);
    assert_eq!(points[0].0, None);
    assert_eq!(points[0].1, archive::encode(source.plain()).len());
    let curve = &points[1..];
    assert!(curve.len() > 5 && curve.last().unwrap().0 == Some(100.0), "{points:?}");
    for pair in curve.windows(2) {
        // The coder adapts, so a point may come out a few bytes off the line.
        assert!(pair[1].1 as f64 <= pair[0].1 as f64 * 1.01 && pair[1].2 <= pair[0].2 + 0.5, "{points:?}");
    }
    assert!(curve[0].2 > curve[curve.len() - 1].2 + 10.0 && end.bytes < points[0].1 / 2, "{points:?}");
    let archive = archive::encode(&end.representation);
    assert_eq!(archive::decode(&archive).unwrap(), end.representation);
}

#[test]
fn fewer_bytes_than_plain_rounding_at_the_same_fidelity() {
    let source = common::source(6);
    let plain = rounded(&source, 5);
    let (bytes, psnr) = (archive::encode(&plain).len(), fidelity(&source, &plain).unwrap());
    let (points, _) = walked(&source, Goal::Bytes(bytes), |_, _| 0.0);
    let best = points[1..].iter().filter(|point| point.1 <= bytes).map(|point| point.2).fold(0.0, f64::max);
    assert!(best > psnr + 2.0, "{best:.2} dB against {psnr:.2} dB of plain rounding at {bytes} bytes");
}

#[test]
fn a_number_of_bytes_is_met_or_refused() {
    let source = common::source(6);
    for target in [900, 1500] {
        let (points, end) = walked(&source, Goal::Bytes(target), |_, _| 0.0);
        assert!(end.bytes <= target && end.bytes > target - target / 10, "{} bytes for {target}", end.bytes);
        let missed = points.iter().filter(|point| point.1 <= target).map(|point| point.1).max();
        assert_eq!(missed, Some(end.bytes));
    }
    let quantizer = Quantizer::new(&source);
    let refused = walk(&quantizer, Goal::Bytes(50), |_| Ok::<_, EncodeError>(0.0));
    assert!(matches!(refused, Err(EncodeError::Unreachable { target: 50, least }) if least > 50));
}

#[test]
fn the_lowest_cost_is_found() {
    let source = common::source(6);
    let cost = |bytes: usize, psnr: f64| bytes as f64 / 100.0 - psnr;
    let (points, end) = walked(&source, Goal::Cost, cost);
    let least = points[1..].iter().map(|point| cost(point.1, point.2)).fold(f64::INFINITY, f64::min);
    assert_eq!(cost(end.bytes, fidelity(&source, &end.representation).unwrap()), least);
    // Where nothing beats the plain quantization, it stays; the curve was looked at well beyond where bytes begin to fall.
    let plain = points[0].1;
    let (points, end) = walked(&source, Goal::Cost, |bytes, _| if bytes == plain { 0.0 } else { 1.0 });
    assert!(end.lambda.is_none() && end.representation == *source.plain());
    assert!(points.last().unwrap().1 < points[1].1 * 98 / 100, "{points:?}");
}

/// A comb of values that training has put on a coarse grid costs no more than that grid, at any fidelity.
#[test]
fn the_trained_grid_is_made_use_of() {
    let floats = common::source(6);
    let plain = rounded(&floats, 4);
    let source = Source::new(plain.dequantize(), floats.latents().to_vec(), plain).unwrap();
    let bytes = |representation| archive::encode(representation).len() as f64;
    let found = Quantizer::new(&source).quantize(0.01).unwrap();
    let (found_bytes, trained) = (bytes(&found), bytes(source.plain()));
    assert!(found_bytes < 1.1 * trained, "{found_bytes} bytes against {trained}");
    let psnr = fidelity(&source, &found).unwrap();
    assert!(psnr > 45.0, "{psnr} dB");
}

#[test]
fn what_does_not_fit_is_refused() {
    let (good, other) = (common::source(3), common::source(4));
    let parameters = good.plain().dequantize();
    let refused = Source::new(parameters, vec![0.0; 12], other.plain().clone());
    assert!(matches!(refused, Err(EncodeError::Source)));
}
