//! Distortions over samples.

use crate::outputs::{POSE_LEN, SampleOutputs};

/// What the evaluators make of the distortion between an original and its reconstruction, averaged over samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distortions {
    pub(crate) segnet: f64,
    pub(crate) posenet: f64,
    pub(crate) samples: usize,
}

impl Distortions {
    /// Takes in one sample: the share of pixels whose class differs, and the mean squared error of the pose.
    pub fn add(&mut self, original: &SampleOutputs, reconstruction: &SampleOutputs) {
        let pairs = original.classes.iter().zip(&reconstruction.classes);
        let differing = pairs.filter(|(a, b)| a != b).count();
        let squares =
            original.pose.iter().zip(&reconstruction.pose).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        self.segnet += differing as f64 / original.classes.len().max(1) as f64;
        self.posenet += squares.sum::<f64>() / POSE_LEN as f64;
        self.samples += 1;
    }

    /// Mean share of pixels whose class differs, 0 to 1.
    pub fn segnet(&self) -> f64 {
        self.segnet / self.samples.max(1) as f64
    }

    /// Mean squared error of the pose.
    pub fn posenet(&self) -> f64 {
        self.posenet / self.samples.max(1) as f64
    }

    /// Number of samples taken in.
    pub fn samples(&self) -> usize {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(classes: [u8; 4], pose: f32) -> SampleOutputs {
        SampleOutputs { classes: classes.into(), pose: [pose; POSE_LEN] }
    }

    #[test]
    fn distortions_are_means_over_samples() {
        let mut distortions = Distortions::default();
        distortions.add(&outputs([0, 1, 2, 3], 1.0), &outputs([0, 1, 2, 0], 1.5));
        distortions.add(&outputs([0, 0, 0, 0], 0.0), &outputs([1, 1, 0, 0], 0.0));
        assert_eq!(distortions, Distortions { segnet: 0.75, posenet: 0.25, samples: 2 });
        assert_eq!((distortions.segnet(), distortions.posenet()), (0.375, 0.125));
    }
}
