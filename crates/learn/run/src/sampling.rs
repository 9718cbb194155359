//! Which pairs an epoch sees, in which order.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// SegNet's and PoseNet's distortion of each pair when it was last trained on, each where that network was asked; empty where
/// neither was.
pub type Distortions = [[Option<f64>; 2]];

/// Mean of one network's distortion over the pairs of which it is known, if it is known of any.
fn mean(distortions: &Distortions, network: usize) -> Option<f64> {
    let known: Vec<f64> = distortions.iter().filter_map(|pair| pair[network]).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// Mean of PoseNet's distortion over the clip, if it is known. At a mean of 0 the root has no tangent, and checkpoints of
/// earlier versions have zeros where PoseNet was not asked: not known either.
pub fn mean_pose(distortions: &Distortions) -> Option<f64> {
    mean(distortions, 1).filter(|&mean| mean > 0.0)
}

/// What each pair has part in the score's distortion terms, up to a common factor. The root over the mean pose counts by its
/// tangent; what is not known of a pair is as for the others.
fn parts(distortions: &Distortions) -> Vec<f64> {
    let means = [0, 1].map(|network| mean(distortions, network).unwrap_or_default());
    let slope = metric::posenet_slope(means[1]);
    let part = |pair: &[Option<f64>; 2]| {
        let [segnet, pose] = [0, 1].map(|network| pair[network].unwrap_or(means[network]));
        (metric::segnet_term(segnet) + slope * pose).max(0.0)
    };
    distortions.iter().map(part).collect()
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
        assert_eq!(counts(&epoch_order(7, 0, 50, 0.9, &[[Some(0.0); 2]; 50])), [1; 50]);
    }

    #[test]
    fn pairs_come_by_their_part_in_the_score() {
        // The root's tangent at a mean of 0.1 has slope 5: pair 3 has part 100 * 0.15 = 15 of 20, pair 7 has 5 * 1.
        let mut distortions = [[Some(0.0); 2]; 10];
        distortions[3] = [Some(0.15), Some(0.0)];
        distortions[7] = [Some(0.0), Some(1.0)];
        for epoch in 0..20 {
            let counts = counts(&epoch_order(1, epoch, 10, 0.8, &distortions));
            assert_eq!(counts.iter().sum::<usize>(), 10);
            assert!((6..=7).contains(&counts[3]), "0.2 + 0.8 * 7.5 = 6.2: {counts:?}");
            assert!((2..=3).contains(&counts[7]), "0.2 + 0.8 * 2.5 = 2.2: {counts:?}");
        }
        let drawn = (0..200).filter(|&epoch| epoch_order(1, epoch, 10, 0.8, &distortions).contains(&0)).count();
        assert!((20..=60).contains(&drawn), "a chance of 0.2: {drawn} of 200");
    }

    #[test]
    fn what_is_not_known_is_no_zero() {
        assert_eq!(mean_pose(&[[Some(0.5), None]; 3]), None);
        assert_eq!(mean_pose(&[[None, Some(0.2)], [None, None], [None, Some(0.4)]]), Some(0.2 + 0.1));
        assert_eq!(mean_pose(&[[Some(0.5), Some(0.0)]; 3]), None);
        // Pair 1 has the others' mean of the pose, and so has its part of it.
        let parts = parts(&[[Some(0.1), Some(0.2)], [Some(0.1), None], [Some(0.1), Some(0.4)]]);
        assert!(parts[0] < parts[1] && parts[1] < parts[2], "{parts:?}");
    }
}
