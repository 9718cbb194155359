//! The layer between a class map and the first activation.

use crate::rows::RowMut;

/// What is known of a pixel's place: x, y and their squares, each axis from -1 to 1 between the centres' outermost edges.
pub const PLACES: usize = 4;

/// A linear layer at each pixel: of its class, its place, and numbers that all pixels share. Plain additions in a fixed order, the
/// same for every instruction set.
pub struct Classes {
    outputs: usize,
    numbers: usize,
    /// `[output][class]`, room for any class: zeros beyond the last one.
    embedding: Vec<[f32; 256]>,
    /// `[output][number]`.
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// What a row's place adds, `[output][row]`.
    rows: Vec<f32>,
    /// What a column's place adds, `[output][column]`.
    columns: Vec<f32>,
    size: (usize, usize),
}

/// Where position `i` of `len` lies between -1 and 1.
pub fn place(i: usize, len: usize) -> f32 {
    (2 * i + 1) as f32 / len as f32 - 1.0
}

impl Classes {
    /// Takes `weight` `[outputs, classes + PLACES + numbers]` and `bias` `[outputs]`, for maps of `size` (rows, columns).
    ///
    /// # Panics
    /// If a length does not fit, or there are more than 255 classes.
    pub fn new(weight: &[f32], bias: &[f32], classes: usize, size: (usize, usize)) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs.max(1);
        assert!(classes < 256 && inputs >= classes + PLACES && weight.len() == outputs * inputs);
        let axis = |len: usize, linear: f32, square: f32| {
            let at = move |i| place(i, len);
            (0..len).map(move |i| (at(i) * at(i)).mul_add(square, at(i) * linear))
        };
        let (mut embedding, mut weights) = (Vec::new(), Vec::new());
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for row in weight.chunks_exact(inputs.max(1)) {
            let (own, rest) = row.split_at(classes);
            let mut table = [0.0; 256];
            table[..classes].copy_from_slice(own);
            embedding.push(table);
            let (places, numbers) = rest.split_at(PLACES);
            columns.extend(axis(size.1, places[0], places[2]));
            rows.extend(axis(size.0, places[1], places[3]));
            weights.extend_from_slice(numbers);
        }
        let numbers = inputs - classes - PLACES;
        Self { outputs, numbers, embedding, weights, bias: bias.to_vec(), rows, columns, size }
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// What the shared numbers give, bias included, one value for each output.
    ///
    /// # Panics
    /// If there are other numbers than the weights are for.
    pub fn base(&self, numbers: &[f32], base: &mut [f32]) {
        assert!(numbers.len() == self.numbers && base.len() == self.outputs);
        for (o, (sum, bias)) in base.iter_mut().zip(&self.bias).enumerate() {
            let weights = &self.weights[o * self.numbers..][..self.numbers];
            *sum = weights.iter().zip(numbers).fold(*bias, |sum, (w, z)| w.mul_add(*z, sum));
        }
    }

    /// Row `y`, whose pixels are of the classes in `map`.
    ///
    /// # Panics
    /// If a size does not fit.
    pub fn row(&self, base: &[f32], map: &[u8], y: usize, mut out: RowMut<'_>) {
        let (height, width) = self.size;
        assert!(map.len() == width && y < height && base.len() == self.outputs);
        for (o, (&base, embedding)) in base.iter().zip(&self.embedding).enumerate() {
            let start = base + self.rows[o * height + y];
            let sums = embedding.map(|value| start + value);
            let columns = &self.columns[o * width..][..width];
            for ((out, &class), column) in out.channel(o).iter_mut().zip(map).zip(columns) {
                *out = sums[usize::from(class)] + column;
            }
        }
    }
}
