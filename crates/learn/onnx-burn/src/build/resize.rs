//! Resizing, as repetition or as a matrix along each axis.

use super::call::{Call, Value};
use super::fault::Result;
use ops::frozen::Op;
use ops::frozen::elements;

/// How an axis is resized.
struct Sampling {
    mode: Mode,
    coordinates: Coordinates,
    /// Where no sample outside the input counts.
    exclude_outside: bool,
}

enum Mode {
    Nearest(fn(f64) -> f64),
    Linear,
    /// With its parameter (Keys 1981).
    Cubic(f64),
}

#[derive(Clone, Copy)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

impl Call<'_> {
    pub(super) fn resize(&mut self) -> Result<Value> {
        let mut x = self.input(0)?;
        let shape = self.shape(&x);
        let (sizes, scales) = self.resized(&shape)?;
        elements(&sizes).filter(|&count| count > 0).ok_or_else(|| format!("{shape:?} cannot become {sizes:?}"))?;
        let sampling = self.sampling()?;
        if let Some(factor) = repetition(&shape, &sizes, &scales, &sampling) {
            return self.emit(Op::Upsample { factor }, vec![x]);
        }
        for axis in 0..shape.len() {
            let (before, size) = (shape[axis], sizes[axis]);
            if before == size && scales[axis] == 1.0 {
                continue;
            }
            elements(&[size, before]).ok_or("it is too large")?;
            let matrix = matrix(before, size, scales[axis], &sampling);
            x = self.emit(Op::Interpolate { axis, size, matrix }, vec![x])?;
        }
        Ok(x)
    }

    /// Sizes of all axes afterwards, and their scales.
    fn resized(&self, shape: &[usize]) -> Result<(Vec<usize>, Vec<f64>)> {
        let rank = shape.len();
        let scales_at = if self.opset < 11 || self.node.op_type == "Upsample" { 1 } else { 2 };
        let axes = match self.int_list("axes") {
            Some(list) => list.iter().map(|&one| super::call::axis(one, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        let (mut sizes, mut all) = (shape.to_vec(), vec![1.0; rank]);
        let given = match self.floats(scales_at)? {
            Some(list) => Some(list),
            None => self.attribute("scales").map(|attribute| attribute.floats.clone()),
        };
        if let Some(list) = given.filter(|list| !list.is_empty()) {
            if list.len() != axes.len() || list.iter().any(|&scale| !(scale > 0.0 && scale.is_finite())) {
                return Err(format!("scales of {list:?}").into());
            }
            for (&axis, scale) in axes.iter().zip(list) {
                let size = (shape[axis] as f64 * f64::from(scale)).floor();
                (sizes[axis], all[axis]) = (size as usize, scale.into());
            }
            return Ok((sizes, all));
        }
        let list =
            self.ints(3, "")?.filter(|list| list.len() == axes.len()).ok_or("it has neither scales nor sizes")?;
        if !matches!(self.text("keep_aspect_ratio_policy"), "" | "stretch") {
            return Err("keep_aspect_ratio_policy is not supported".into());
        }
        for (&axis, size) in axes.iter().zip(list) {
            sizes[axis] = usize::try_from(size).map_err(|_| format!("a size of {size}"))?;
            all[axis] = sizes[axis] as f64 / shape[axis] as f64;
        }
        Ok((sizes, all))
    }

    fn sampling(&self) -> Result<Sampling> {
        if self.int("antialias", 0) != 0 {
            return Err("antialias is not supported".into());
        }
        // Before version 11 there was one way only.
        let default = if self.opset < 11 { "asymmetric" } else { "half_pixel" };
        let coordinates = match Some(self.text("coordinate_transformation_mode"))
            .filter(|mode| !mode.is_empty())
            .unwrap_or(default)
        {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            mode => return Err(format!("coordinate_transformation_mode '{mode}' is not supported").into()),
        };
        let default = if self.opset < 11 { "floor" } else { "round_prefer_floor" };
        let mode = match self.text("mode") {
            "" | "nearest" => Mode::Nearest(
                match Some(self.text("nearest_mode")).filter(|mode| !mode.is_empty()).unwrap_or(default) {
                    "round_prefer_floor" => |x| (x - 0.5).ceil(),
                    "round_prefer_ceil" => |x| (x + 0.5).floor(),
                    "floor" => f64::floor,
                    "ceil" => f64::ceil,
                    mode => return Err(format!("nearest_mode '{mode}' is not supported").into()),
                },
            ),
            "linear" | "bilinear" => Mode::Linear,
            "cubic" => Mode::Cubic(self.float("cubic_coeff_a", -0.75).into()),
            mode => return Err(format!("mode '{mode}' is not supported").into()),
        };
        Ok(Sampling { mode, coordinates, exclude_outside: self.int("exclude_outside", 0) != 0 })
    }
}

/// The factor by which rows and columns are repeated, if that is all there is to it.
fn repetition(shape: &[usize], sizes: &[usize], scales: &[f64], sampling: &Sampling) -> Option<usize> {
    let (&[n, channels, rows, columns], &[n_after, channels_after, rows_after, columns_after]) = (shape, sizes) else {
        return None;
    };
    let factor = rows_after.checked_div(rows)?;
    let whole = [(rows, rows_after, scales[2]), (columns, columns_after, scales[3])];
    let fits = (n, channels) == (n_after, channels_after)
        && matches!(sampling.mode, Mode::Nearest(_))
        && whole.iter().all(|&(before, after, scale)| {
            before * factor == after
                && (0..after).all(|i| nearest(i, before, after, scale, sampling) == Some(i / factor))
        });
    fits.then_some(factor)
}

/// The input index that output `i` is a copy of.
fn nearest(i: usize, before: usize, after: usize, scale: f64, sampling: &Sampling) -> Option<usize> {
    let Mode::Nearest(round) = sampling.mode else { return None };
    let at = round(coordinate(i, before, after, scale, sampling.coordinates));
    Some((at.max(0.0) as usize).min(before.saturating_sub(1)))
}

/// Where output `i` lies in the input.
fn coordinate(i: usize, before: usize, after: usize, scale: f64, coordinates: Coordinates) -> f64 {
    let (i, before, after) = (i as f64, before as f64, after as f64);
    match coordinates {
        Coordinates::HalfPixel => (i + 0.5) / scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            let adjustment = after / (scale * before);
            before / 2.0 * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
        }
        Coordinates::PytorchHalfPixel if after <= 1.0 => 0.0,
        Coordinates::PytorchHalfPixel => (i + 0.5) / scale - 0.5,
        Coordinates::AlignCorners if after <= 1.0 => 0.0,
        Coordinates::AlignCorners => i * (before - 1.0) / (after - 1.0),
        Coordinates::Asymmetric => i / scale,
    }
}

/// `[after, before]`: the weight of each input in each output. `before` and `after` are at least 1.
fn matrix(before: usize, after: usize, scale: f64, sampling: &Sampling) -> Vec<f32> {
    let mut matrix = vec![0.0; before * after];
    for (i, row) in matrix.chunks_exact_mut(before.max(1)).enumerate() {
        let at = coordinate(i, before, after, scale, sampling.coordinates);
        let base = at.floor();
        let part = at - base;
        let taps: Vec<(f64, f64)> = match sampling.mode {
            Mode::Nearest(_) => {
                nearest(i, before, after, scale, sampling).map(|at| (at as f64, 1.0)).into_iter().collect()
            }
            Mode::Linear => vec![(base, 1.0 - part), (base + 1.0, part)],
            Mode::Cubic(a) => (-1..=2).map(|tap| (base + f64::from(tap), cubic(part - f64::from(tap), a))).collect(),
        };
        let last = before as f64 - 1.0;
        let counts = |at: f64| !sampling.exclude_outside || (0.0..=last).contains(&at);
        let total: f64 = taps.iter().filter(|(at, _)| counts(*at)).map(|(_, weight)| weight).sum();
        for (at, weight) in taps.into_iter().filter(|(at, _)| counts(*at)) {
            row[at.clamp(0.0, last) as usize] += (weight / total) as f32;
        }
    }
    matrix
}

/// The cubic convolution kernel (Keys 1981).
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    match x {
        ..=1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        ..2.0 => ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a,
        _ => 0.0,
    }
}
