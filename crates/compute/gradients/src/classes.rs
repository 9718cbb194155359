//! The layer between class maps and the first activation.

use rayon::prelude::*;

use crate::bands::{BandedTensor, image, jobs};
use crate::weights::{WeightGradients, Weights};
use kernels::{Classes, PLACES, Rows, place};

/// Rows that a thread takes at once.
const BAND: usize = 32;

/// A linear layer at each pixel of a class map, see [`kernels::Classes`].
///
/// Every method panics if a slice does not have the length that its shape says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassesShape {
    /// Number of classes, at most 255.
    pub classes: usize,
    /// Numbers that all pixels of a sample share.
    pub numbers: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What [`ClassesShape::backward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassesGradients {
    /// `[n, numbers]`.
    pub numbers: Vec<f32>,
    /// Of the linear layer.
    pub linear: WeightGradients,
}

/// Sums over the pixels of one channel of a sample.
struct Sums {
    classes: [f32; 256],
    /// By the four places.
    places: [f32; PLACES],
    all: f32,
}

impl ClassesShape {
    /// `[n, outputs, height, width]` for `maps` `[n, height, width]` and `numbers` `[n, numbers]`.
    pub fn forward(&self, n: usize, maps: &[u8], numbers: &[f32], linear: Weights) -> Vec<f32> {
        let Self { classes, outputs, height, width, .. } = *self;
        assert!(maps.len() == n * height * width && numbers.len() == n * self.numbers);
        assert_eq!(linear.weight.len(), outputs * self.inputs());
        let layer = Classes::new(linear.weight, linear.bias, classes, (height, width));
        let mut y = BandedTensor::new([n, outputs, height, width]);
        let new = || (Rows::new(outputs, height, width, 1), vec![0.0; outputs]);
        let bands = y.bands(BAND).into_par_iter().zip(jobs(n, height, BAND));
        bands.for_each_init(new, |(rows, base), (mut band, job)| {
            layer.base(image(numbers, job.sample, self.numbers), base);
            let map = image(maps, job.sample, height * width);
            rows.restart_at(job.rows.start);
            for at in job.rows {
                layer.row(base, &map[at * width..][..width], at, rows.push());
                (0..outputs).for_each(|c| band.push(c, rows.channel(at, c)));
            }
        });
        y.finish()
    }

    /// Gradients of a loss whose gradient in the result is `gradient`.
    pub fn backward(
        &self,
        n: usize,
        maps: &[u8],
        numbers: &[f32],
        gradient: &[f32],
        weight: &[f32],
    ) -> ClassesGradients {
        let Self { classes, outputs, height, width, .. } = *self;
        let (pixels, inputs) = (height * width, self.inputs());
        assert!(maps.len() == n * pixels && gradient.len() == n * outputs * pixels);
        assert!(numbers.len() == n * self.numbers && weight.len() == outputs * inputs);
        let planes = gradient.par_chunks_exact(pixels.max(1)).enumerate();
        let sums: Vec<Sums> = planes
            .map(|(plane, gradient)| Sums::of(gradient, image(maps, plane / outputs.max(1), pixels), width))
            .collect();
        let mut found = ClassesGradients {
            numbers: vec![0.0; n * self.numbers],
            linear: WeightGradients { weight: vec![0.0; outputs * inputs], bias: vec![0.0; outputs] },
        };
        for (plane, sums) in sums.iter().enumerate() {
            let (sample, output) = (plane / outputs, plane % outputs);
            let numbers = image(numbers, sample, self.numbers);
            let row = &mut found.linear.weight[output * inputs..][..inputs];
            let terms = sums.classes[..classes].iter().chain(&sums.places).copied();
            let terms = terms.chain(numbers.iter().map(|z| z * sums.all));
            row.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            found.linear.bias[output] += sums.all;
            let weights = &weight[output * inputs..][..inputs][classes + PLACES..];
            let own = &mut found.numbers[sample * self.numbers..][..self.numbers];
            own.iter_mut().zip(weights).for_each(|(sum, w)| *sum += w * sums.all);
        }
        found
    }

    fn inputs(&self) -> usize {
        self.classes + PLACES + self.numbers
    }
}

impl Sums {
    fn of(gradient: &[f32], map: &[u8], width: usize) -> Self {
        let height = map.len() / width.max(1);
        let mut sums = Self { classes: [0.0; 256], places: [0.0; PLACES], all: 0.0 };
        let mut columns = vec![0.0; width];
        for (y, (gradient, map)) in gradient.chunks_exact(width).zip(map.chunks_exact(width)).enumerate() {
            let mut row = 0.0;
            for ((g, &class), column) in gradient.iter().zip(map).zip(&mut columns) {
                sums.classes[usize::from(class)] += g;
                *column += g;
                row += g;
            }
            let at = place(y, height);
            sums.places[1] += row * at;
            sums.places[3] += row * at * at;
            sums.all += row;
        }
        for (x, column) in columns.iter().enumerate() {
            let at = place(x, width);
            sums.places[0] += column * at;
            sums.places[2] += column * at * at;
        }
        sums
    }
}
