//! Differentiable bilinear upsampling out of operations that every backend can differentiate.

use burn_core::tensor::{Tensor, backend::Backend};

/// Bilinear upsampling of `[n, c, h, w]` by the whole number `factor`: half-pixel centres, edges clamped.
///
/// Every output row at phase `p` of `factor` lies between two neighbouring input rows with the same two weights, so a
/// phase is a weighted sum of the input and the input shifted by one; likewise for columns.
pub fn upsample_bilinear<B: Backend>(x: Tensor<B, 4>, factor: usize) -> Tensor<B, 4> {
    if factor == 1 {
        return x;
    }
    upsample_axis(upsample_axis(x, 2, factor), 3, factor)
}

fn upsample_axis<B: Backend>(x: Tensor<B, 4>, axis: usize, factor: usize) -> Tensor<B, 4> {
    let length = x.dims()[axis];
    let first = x.clone().narrow(axis, 0, 1);
    let last = x.clone().narrow(axis, length - 1, 1);
    let (before, after) = if length == 1 {
        (first, last)
    } else {
        let before = Tensor::cat(vec![first, x.clone().narrow(axis, 0, length - 1)], axis);
        (before, Tensor::cat(vec![x.clone().narrow(axis, 1, length - 1), last], axis))
    };
    let phases = (0..factor).map(|phase| {
        let offset = (phase as f64 + 0.5) / factor as f64 - 0.5;
        let neighbour = if offset < 0.0 { &before } else { &after };
        if offset == 0.0 {
            return x.clone();
        }
        x.clone() * (1.0 - offset.abs()) + neighbour.clone() * offset.abs()
    });
    let mut shape = x.dims();
    shape[axis] *= factor;
    Tensor::stack::<5>(phases.collect(), axis + 1).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_core::tensor::TensorData;
    use burn_core::tensor::module::interpolate;
    use burn_core::tensor::ops::{InterpolateMode, InterpolateOptions};
    use burn_flex::Flex;

    #[test]
    fn upsampling_agrees_with_the_backends_own() {
        let device = Default::default();
        for (factor, [h, w]) in [(2, [3, 5]), (3, [4, 2]), (4, [1, 1]), (1, [2, 2])] {
            let values: Vec<f32> = (0..2 * 3 * h * w).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
            let x = Tensor::<Flex, 4>::from_data(TensorData::new(values, [2, 3, h, w]), &device);
            let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
            let expected = interpolate(x.clone(), [h * factor, w * factor], options);
            let worst = (upsample_bilinear(x, factor) - expected).abs().max().into_scalar();
            assert!(worst < 1e-6, "factor {factor}: {worst}");
        }
    }
}
