//! Which pairs an epoch sees, in which order.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// SegNet's and PoseNet's distortion of each pair when it was last trained on; empty before the evaluators were asked.
pub type Distortions = [[f64; 2]];

/// Mean of PoseNet's distortion over the clip, if it is known.
pub fn mean_pose(distortions: &Distortions) -> Option<f64> {
    let sum: f64 = distortions.iter().map(|[_, pose]| pose).sum();
    (!distortions.is_empty()).then(|| sum / distortions.len() as f64)
}

/// What each pair has part in the score's distortion terms, up to a common factor. The root over the mean pose counts by its
/// tangent.
fn parts(distortions: &Distortions) -> Vec<f64> {
    let mean = mean_pose(distortions).unwrap_or_default();
    let slope = metric::posenet_slope(mean);
    distortions.iter().map(|[segnet, pose]| (metric::segnet_term(*segnet) + slope * pose).max(0.0)).collect()
}

/// The pairs of an epoch, as many as there are: a function of the arguments alone, so a resumed run sees what an
/// uninterrupted one sees. A share of `adaptive` of them is drawn in proportion to the parts in the score, the others
/// evenly; every pair comes as often as its chance says, rounded up or down.
pub fn epoch_order(seed: u64, epoch: usize, samples: usize, adaptive: f64, distortions: &Distortions) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64 + 1);
    let parts = parts(distortions);
    let total: f64 = parts.iter().sum();
    let mut order: Vec<usize> = (0..samples).collect();
    if adaptive > 0.0 && parts.len() == samples && total > 0.0 && total.is_finite() {
        // Systematic sampling: evenly spaced points on the line of all chances.
        let mut next = rng.random_range(0.0..1.0f64);
        let mut end = 0.0;
        order.clear();
        for (sample, part) in parts.iter().enumerate() {
            end += 1.0 - adaptive + adaptive * part / total * samples as f64;
            while next < end && order.len() < samples {
                order.push(sample);
                next += 1.0;
            }
        }
        // What rounding may have left short.
        order.resize(samples, samples - 1);
    }
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(order: &[usize]) -> Vec<usize> {
        (0..order.len()).map(|sample| order.iter().filter(|&&other| other == sample).count()).collect()
    }

    #[test]
    fn every_epoch_sees_every_pair_in_its_own_order() {
        let orders: Vec<Vec<usize>> = (0..3).map(|epoch| epoch_order(7, epoch, 50, 0.0, &[])).collect();
        assert!(orders.iter().all(|order| counts(order) == [1; 50]));
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
        assert_eq!(orders[1], epoch_order(7, 1, 50, 0.0, &[]));
        assert!(orders[0] != epoch_order(8, 0, 50, 0.0, &[]));
        // Nothing is known yet, or every pair is perfect.
        assert_eq!(counts(&epoch_order(7, 0, 50, 0.9, &[])), [1; 50]);
        assert_eq!(counts(&epoch_order(7, 0, 50, 0.9, &[[0.0; 2]; 50])), [1; 50]);
    }

    #[test]
    fn pairs_come_by_their_part_in_the_score() {
        // The root's tangent at a mean of 0.1 has slope 5: pair 3 has part 100 * 0.15 = 15 of 20, pair 7 has 5 * 1.
        let mut distortions = [[0.0; 2]; 10];
        distortions[3] = [0.15, 0.0];
        distortions[7] = [0.0, 1.0];
        for epoch in 0..20 {
            let counts = counts(&epoch_order(1, epoch, 10, 0.8, &distortions));
            assert_eq!(counts.iter().sum::<usize>(), 10);
            assert!((6..=7).contains(&counts[3]), "0.2 + 0.8 * 7.5 = 6.2: {counts:?}");
            assert!((2..=3).contains(&counts[7]), "0.2 + 0.8 * 2.5 = 2.2: {counts:?}");
        }
        let drawn = (0..200).filter(|&epoch| epoch_order(1, epoch, 10, 0.8, &distortions).contains(&0)).count();
        assert!((20..=60).contains(&drawn), "a chance of 0.2: {drawn} of 200");
    }
}
