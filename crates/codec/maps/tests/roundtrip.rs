//! Maps come back, at the cost that was counted, and what no encoder writes is refused.

use maps::{cost, decode, encode};
use proptest::prelude::*;
use repr::{ClassMaps, MapShape};

fn maps(count: usize, rows: usize, columns: usize, classes: usize, class: impl Fn(usize) -> usize) -> ClassMaps {
    let shape = MapShape::new(count, rows, columns, classes).unwrap();
    let values = (0..count * shape.pixels()).map(|at| (class(at) % classes) as u8).collect();
    ClassMaps::new(shape, values).unwrap()
}

/// A road of slanted areas that moves, with noise at its edges and a few pixels of something else.
fn road(count: usize, classes: usize) -> ClassMaps {
    let (rows, columns) = (48, 64);
    maps(count, rows, columns, classes, |at| {
        let (t, y, x) = (at / (rows * columns), at / columns % rows, at % columns);
        let noise = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        let edge = 10 + y / 2 + t % 3 + usize::from(noise < 6);
        if at % 1009 == 17 { 3 } else { usize::from(x > edge) + usize::from(x > 2 * edge) + usize::from(y < 12) }
    })
}

/// Values that look like noise.
fn noise(at: usize) -> usize {
    (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

fn assert_comes_back(maps: &ClassMaps) {
    let payload = encode(maps);
    assert_eq!(decode(&payload, maps.shape()), Ok(maps.clone()));
    let bits: f64 = cost(maps).iter().sum();
    let bytes = payload.len() as f64;
    assert!(8.0 * bytes >= bits - 1.0 && 8.0 * bytes < 1.0001 * bits + 64.0, "{bits} bits, {bytes} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_maps_come_back(
        (count, rows, columns) in (0..4usize, 1..24usize, 1..24usize),
        classes in prop_oneof![1..7usize, Just(255usize), 1..=255usize],
        kind in 0..4usize,
        seed: usize,
    ) {
        assert_comes_back(&maps(count, rows, columns, classes, |at| match kind {
            0 => noise(at ^ seed),
            1 => noise(seed ^ (at / 7)),
            2 => at / (rows * columns),
            _ => classes - 1,
        }));
    }
}

#[test]
fn maps_of_every_number_of_classes_come_back() {
    for classes in 1..=255 {
        assert_comes_back(&maps(2, 9, 11, classes, |at| noise(at / 3)));
        assert_comes_back(&maps(1, 3, 3, classes, |at| at));
    }
}

#[test]
fn one_pixel_one_row_and_one_column_come_back() {
    for (rows, columns) in [(1, 1), (1, 300), (300, 1), (2, 2)] {
        assert_comes_back(&maps(5, rows, columns, 5, noise));
    }
}

#[test]
fn areas_take_few_bits() {
    let road = road(12, 5);
    assert_comes_back(&road);
    let costs = cost(&road);
    assert_eq!(costs.len(), 12);
    let pixels = road.shape().pixels() as f64;
    assert!(costs[11] < 0.15 * pixels && costs[11] < costs[0], "{costs:?} bits for maps of {pixels} pixels");
    // A map that stays as it is costs next to nothing, about what a probability of 16 bits leaves.
    let still = maps(8, 48, 64, 5, |at| usize::from(at % 64 > at / 64 % 48));
    let costs = cost(&still);
    assert!(costs[7] < 0.006 * pixels, "{costs:?}");
}

#[test]
fn the_bytes_are_pinned() {
    // The format: whoever changes these changes what archives hold.
    let pinned = |maps: &ClassMaps| {
        let payload = encode(maps);
        (payload.len(), payload.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into())))
    };
    let found = [road(6, 5), maps(2, 16, 16, 255, noise)].map(|maps| pinned(&maps));
    assert_eq!(found, [(272, 380_596_003), (488, 3_917_932_709)]);
}

#[test]
fn what_no_encoder_writes_is_refused() {
    let road = road(3, 5);
    let payload = encode(&road);
    for cut in (0..payload.len()).step_by(7).chain([payload.len() - 1]) {
        assert_ne!(decode(&payload[..cut], road.shape()), Ok(road.clone()), "cut at {cut}");
    }
    assert!(decode(&payload[..payload.len() / 4 * 2], road.shape()).is_err());
    assert!(decode(&[&payload[..], &[0; 10]].concat(), road.shape()).is_err());
    assert!(decode(&[&payload[..], &[7]].concat(), road.shape()).is_err(), "an odd number of bytes");
    // A claim of many pixels does not take long, or much memory, where there are no bytes for them.
    let vast = MapShape::new(1000, 512, 512, 5).unwrap();
    assert!(decode(&noise_bytes(200), &vast).is_err());
}

fn noise_bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| noise(at) as u8).collect()
}
