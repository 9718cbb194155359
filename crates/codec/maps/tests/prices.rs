//! Frozen prices are near what the coder really takes, and those of changes near what it takes more.

use maps::{Prices, cost};
use repr::{ClassMaps, MapShape};

const SHAPE: (usize, usize, usize) = (12, 48, 64);

/// Values that look like noise.
fn noise(at: usize) -> usize {
    let z = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ z >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
}

/// Slanted areas that move, with noise at their edges.
fn road() -> ClassMaps {
    let (count, rows, columns) = SHAPE;
    let shape = MapShape::new(count, rows, columns, 4).unwrap();
    let class = |at: usize| {
        let (t, y, x) = (at / (rows * columns), at / columns % rows, at % columns);
        let edge = 10 + y / 2 + t % 3 + usize::from(noise(at).is_multiple_of(5));
        usize::from(x > edge) + usize::from(x > 2 * edge) + usize::from(y < 12)
    };
    ClassMaps::new(shape, (0..count * rows * columns).map(|at| class(at) as u8).collect()).unwrap()
}

fn changed(maps: &ClassMaps, index: usize, edits: &[(usize, u8)]) -> ClassMaps {
    let mut values = maps.values().to_vec();
    edits.iter().for_each(|&(pixel, class)| values[index * maps.shape().pixels() + pixel] = class);
    ClassMaps::new(*maps.shape(), values).unwrap()
}

fn total(maps: &ClassMaps) -> f64 {
    cost(maps).iter().sum()
}

#[test]
fn frozen_prices_are_near_what_the_coder_takes() {
    let maps = road();
    let costs = cost(&maps);
    let mut prices = Prices::of(&maps);
    let frozen: Vec<f64> = (0..SHAPE.0).map(|index| prices.at(&maps, index).unwrap().bits()).collect();
    // Less than the coder takes, which has learned less.
    let (frozen, real) = (frozen[4..].iter().sum::<f64>(), costs[4..].iter().sum::<f64>());
    assert!((0.5 * real..real).contains(&frozen), "{frozen} of {real} bits");
}

#[test]
fn a_change_costs_about_what_the_coder_takes_more() {
    let maps = road();
    let (_, rows, columns) = SHAPE;
    let before = total(&maps);
    let mut prices = Prices::of(&maps);
    let (mut frozen, mut real) = (Vec::new(), Vec::new());
    for i in 0..100 {
        let index = 3 + noise(4 * i) % 6;
        let y = noise(4 * i + 1) % rows;
        // Near an edge, and anywhere.
        let x = if i % 2 == 0 { 9 + y / 2 + noise(4 * i + 2) % 5 } else { noise(4 * i + 2) % columns };
        let old = maps.map(index).unwrap()[y * columns + x];
        let edit = [(y * columns + x, (old + 1 + (noise(4 * i + 3) % 3) as u8) % 4)];
        frozen.push(prices.at(&maps, index).unwrap().change(&edit));
        real.push(total(&changed(&maps, index, &edit)) - before);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(&frozen), mean(&real));
    let product = |v: &[f64], m: f64, w: &[f64], n: f64| v.iter().zip(w).map(|(v, w)| (v - m) * (w - n)).sum::<f64>();
    let correlation =
        product(&frozen, a, &real, b) / (product(&frozen, a, &frozen, a) * product(&real, b, &real, b)).sqrt();
    assert!(correlation > 0.9, "{correlation}");
    assert!((0.75..1.35).contains(&(a / b)), "{a} of {b} bits");
}

#[test]
fn changes_leave_no_trace_and_applied_ones_are_those_of_the_changed_maps() {
    let maps = road();
    let (_, rows, columns) = SHAPE;
    let mut prices = Prices::of(&maps);
    // At the edges of the map too, and some beside each other.
    let corner = rows * columns - 1;
    let edits =
        [(0, 2), (columns - 1, 1), (corner, 0), (corner - 1, 0), (20 * columns + 20, 3), (21 * columns + 20, 2)];
    let mut at = prices.at(&maps, 5).unwrap();
    let before = at.bits();
    let together = at.change(&edits);
    assert_eq!(at.change(&edits), together);
    assert_eq!(at.change(&[(rows * columns, 0), (3, 4)]), 0.0);
    assert!((at.bits() - before).abs() < 1e-9);
    at.apply(&edits);
    let applied = at.bits();
    let changed = changed(&maps, 5, &edits);
    let mut again = prices.at(&changed, 5).unwrap();
    assert!((again.bits() - applied).abs() < 0.1, "{} and {applied}", again.bits());
    // But for runs that end far away. The way back costs what the way there gained.
    let back: Vec<(usize, u8)> = edits.iter().map(|&(pixel, _)| (pixel, maps.map(5).unwrap()[pixel])).collect();
    assert!((again.change(&back) + together).abs() < 0.1);
}

#[test]
fn maps_that_there_are_none_of_have_no_prices() {
    let maps = road();
    let mut prices = Prices::of(&maps);
    assert!(prices.at(&maps, SHAPE.0).is_none());
    let other = ClassMaps::new(MapShape::new(1, 4, 4, 4).unwrap(), vec![0; 16]).unwrap();
    assert!(prices.at(&other, 0).is_none());
    // One row, one column, one class.
    for (rows, columns, classes) in [(1, 9, 3), (9, 1, 3), (1, 1, 2), (5, 5, 1)] {
        let shape = MapShape::new(3, rows, columns, classes).unwrap();
        let maps = ClassMaps::new(shape, vec![0; shape.count() * shape.pixels()]).unwrap();
        let mut prices = Prices::of(&maps);
        for index in 0..3 {
            let mut at = prices.at(&maps, index).unwrap();
            let change = at.change(&[(0, (classes - 1) as u8)]);
            assert!(change.is_finite() && at.bits() >= 0.0 && (classes > 1 || change == 0.0));
        }
    }
}
