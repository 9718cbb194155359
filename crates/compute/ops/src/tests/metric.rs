//! The way to the evaluators and the losses behind them.

use burn_core::tensor::{Int, Tensor, TensorData};

use super::{B, agree, tensor};
use crate::composed;
use crate::metric::{Hard, MetricOps, PixelLoss, RoundTripSizes, SegmentationLoss};

#[test]
fn the_metrics_chain_agrees_with_burns_operations() {
    let x = tensor(1, [2, 6, 12, 16]) * 0.6 + 0.5;
    let x = Tensor::from_inner(x.inner()).require_grad();
    let sizes = RoundTripSizes { camera: (29, 37), input: (12, 16) };
    agree(&x, &[], B::round_trip(x.clone(), sizes), composed::round_trip(x.clone(), sizes));
    let x = Tensor::from_inner((x.inner() * 280.0) - 10.0).require_grad();
    agree(&x, &[], B::yuv6(x.clone()), composed::yuv6(x.clone()));
}

#[test]
fn segmentation_losses_agree_with_burns_operations() {
    let logits = Tensor::from_inner(tensor(3, [2, 5, 7, 9]).inner() * 3.0).require_grad();
    let classes: Vec<i32> = (0..2 * 7 * 9).map(|i| i * 7 % 5).collect();
    let classes = Tensor::<B, 3, Int>::from_data(TensorData::new(classes, [2, 7, 9]), &Default::default());
    for pixel in [PixelLoss::CrossEntropy, PixelLoss::Softplus { tau: 0.3 }, PixelLoss::Sigmoid { tau: 0.3 }] {
        for hard in [None, Some(Hard { factor: 4.0, threshold: 0.7 })] {
            let loss = SegmentationLoss { pixel, hard };
            let fused = B::segmentation(logits.clone(), classes.clone(), &loss);
            let composed = composed::segmentation(logits.clone(), classes.clone(), &loss);
            let [found, expected] =
                [fused.wrong, composed.wrong].map(|wrong| wrong.into_data().iter::<i64>().collect::<Vec<_>>());
            assert!(found == expected && found.len() == 2 && found.iter().all(|&wrong| wrong > 18), "{found:?}");
            agree(&logits, &[], fused.loss, composed.loss);
        }
    }
}

#[test]
fn of_equal_logits_the_first_one_is_the_class() {
    let logits: Vec<f32> = (0..3 * 4 * 40).map(|i: usize| (i * 7919 % 101 % 2) as f32).collect();
    let logits = Tensor::<B, 4>::from_data(TensorData::new(logits, [3, 4, 1, 40]), &Default::default());
    let classes: Vec<i32> = (0..3 * 40).map(|i| i % 4).collect();
    let classes = Tensor::<B, 3, Int>::from_data(TensorData::new(classes, [3, 1, 40]), &Default::default());
    let loss = SegmentationLoss { pixel: PixelLoss::CrossEntropy, hard: None };
    let counts = |wrong: Tensor<B, 1, Int>| wrong.into_data().iter::<i64>().collect::<Vec<_>>();
    let found = counts(B::segmentation(logits.clone(), classes.clone(), &loss).wrong);
    assert!(found.iter().all(|wrong| (1..40).contains(wrong)), "{found:?}");
    assert_eq!(found, counts(composed::segmentation(logits, classes, &loss).wrong));
}
