//! A decoder in f64, row by row of the layer table and sum by sum, that shares no line with the one it is held against.

use repr::{Head, Layer, LayerTable, Nonlinearity, Refine, Residual, Stage, Tensors};

/// A pair of frames, RGB.
pub type Sample = [Image; 2];

/// `[channels, height, width]`.
#[derive(Clone)]
pub struct Image {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub data: Vec<f64>,
}

/// The frames of a sample's latents and class map (nothing where there is none), at the decoder's size.
pub fn frames(tensors: &Tensors, latents: &[f32], map: &[u8]) -> Sample {
    let table = tensors.architecture().table();
    let mut frames = Vec::new();
    for latent in latents.chunks(table.latent_dim) {
        let latent: Vec<f64> = latent.iter().map(|&value| value.into()).collect();
        frames.extend(of_latent(
            table,
            &mut Parameters(tensors.iter().map(|(_, values)| values).collect()),
            &latent,
            map,
        ));
    }
    frames.try_into().unwrap_or_else(|frames: Vec<Image>| panic!("{} frames", frames.len()))
}

fn of_latent(table: &LayerTable, parameters: &mut Parameters<'_>, latent: &[f64], map: &[u8]) -> Vec<Image> {
    let (numbers, coefficients) = latent.split_at(table.latent_dim - table.carrier.map_or(0, |c| c.coefficients));
    let mut x = stem(table, parameters, numbers, map);
    for layer in &table.layers {
        x = match *layer {
            Layer::Stage(stage) => upscaled(stage, parameters, &x),
            Layer::Refine(Refine { dilation, gain, .. }) => {
                let hidden = parameters.convolution(&x, 3, dilation);
                let branch = parameters.convolution(&hidden, 3, 1);
                x.zip(&branch, |x, branch| x + f64::from(gain) * branch.sin())
            }
            Layer::Residual(Residual { kernel, dilation, activation, .. }) => {
                let hidden = parameters.convolution(&x, kernel, dilation).map(end(activation));
                let branch = parameters.convolution(&hidden, 1, 1);
                x.zip(&branch, |x, branch| x + branch)
            }
        };
    }
    let heads = table.frames - usize::from(table.carrier.is_some());
    let head = |x: f64| match table.head {
        Head::Sigmoid => 255.0 / (1.0 + (-x).exp()),
        Head::Tanh => 255.0 * (x.tanh() + 1.0) / 2.0,
    };
    let mut frames: Vec<Image> = (0..heads).map(|_| parameters.convolution(&x, 3, 1).map(head)).collect();
    if let Some(carrier) = table.carrier {
        let (weight, bias) = parameters.next();
        let data = linear(weight, bias, coefficients);
        let coarse = Image { channels: carrier.channels, height: carrier.height, width: carrier.width, data };
        let mut wide = coarse.bicubic((x.height, x.width)).map(|value| 127.5 + 255.0 * value);
        if wide.channels == 1 {
            (wide.channels, wide.data) = (3, [&wide.data[..]; 3].concat());
        }
        frames.insert(0, wide);
    }
    assert!(parameters.0.is_empty(), "all parameters are taken");
    frames
}

fn stem(table: &LayerTable, parameters: &mut Parameters<'_>, numbers: &[f64], map: &[u8]) -> Image {
    let repr::Stem { channels, height, width, linear: is_linear, classes } = table.stem;
    let mut x = Image { channels, height, width, data: numbers.to_vec() };
    if classes > 0 {
        let (weight, bias) = parameters.next();
        x.data = vec![0.0; channels * height * width];
        for (at, &class) in map.iter().enumerate() {
            // The middle of a pixel, where the edges of the map lie at -1 and 1.
            let place = |i: usize, len: usize| (i as f64 + 0.5) / len as f64 * 2.0 - 1.0;
            let (px, py) = (place(at % width, width), place(at / width, height));
            let one_hot = (0..classes).map(|c| f64::from(u8::from(c == usize::from(class))));
            let inputs: Vec<f64> = one_hot.chain([px, py, px * px, py * py]).chain(numbers.iter().copied()).collect();
            for (channel, value) in linear(weight, bias, &inputs).into_iter().enumerate() {
                x.data[channel * height * width + at] = value;
            }
        }
    } else if is_linear {
        let (weight, bias) = parameters.next();
        x.data = linear(weight, bias, numbers).into_iter().map(f64::sin).collect();
    }
    x
}

fn upscaled(stage: Stage, parameters: &mut Parameters<'_>, x: &Image) -> Image {
    let Stage { channels, upscale, kernel, skip, activation } = stage;
    let conv = parameters.convolution(x, kernel, 1);
    let (height, width) = (x.height * upscale, x.width * upscale);
    let mut shuffled = Image { channels, height, width, data: Vec::new() };
    for (c, y, x) in places(channels, height, width) {
        let phase = y % upscale * upscale + x % upscale;
        shuffled.data.push(conv.at(c * upscale * upscale + phase, y / upscale, x / upscale));
    }
    if skip {
        let mut wide = x.bilinear(upscale);
        if channels != x.channels {
            wide = parameters.convolution(&wide, 1, 1);
        }
        shuffled = shuffled.zip(&wide, |a, b| a + b);
    }
    shuffled.map(end(activation))
}

fn end(activation: Nonlinearity) -> impl Fn(f64) -> f64 {
    move |x| match activation {
        Nonlinearity::Sin => x.sin(),
        Nonlinearity::Gelu => x * (1.0 + error_function(x / 2f64.sqrt())) / 2.0,
    }
}

/// By the series all of whose terms have one sign (Abramowitz and Stegun 7.1.6).
fn error_function(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

fn linear(weight: &[f32], bias: &[f32], inputs: &[f64]) -> Vec<f64> {
    let rows = weight.chunks_exact(inputs.len()).zip(bias);
    rows.map(|(row, &bias)| f64::from(bias) + row.iter().zip(inputs).map(|(&w, x)| f64::from(w) * x).sum::<f64>())
        .collect()
}

/// Channel, row and column of every value in order.
fn places(channels: usize, height: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels * height * width).map(move |i| (i / (height * width), i / width % height, i % width))
}

/// Those that are left, a weight and its bias at a time.
struct Parameters<'a>(Vec<&'a [f32]>);

impl<'a> Parameters<'a> {
    fn next(&mut self) -> (&'a [f32], &'a [f32]) {
        (self.0.remove(0), self.0.remove(0))
    }

    /// With zeros around.
    fn convolution(&mut self, x: &Image, kernel: usize, dilation: usize) -> Image {
        let (weight, bias) = self.next();
        let (&Image { channels: inputs, height, width, .. }, channels) = (x, bias.len());
        let mut out = Image { channels, height, width, data: Vec::new() };
        for (o, y, at) in places(channels, height, width) {
            let mut sum = f64::from(bias[o]);
            for (i, ky, kx) in places(inputs, kernel, kernel) {
                let (y, column) = (y + ky * dilation, at + kx * dilation);
                let pad = kernel / 2 * dilation;
                if (pad..height + pad).contains(&y) && (pad..width + pad).contains(&column) {
                    let weight = weight[((o * inputs + i) * kernel + ky) * kernel + kx];
                    sum += f64::from(weight) * x.at(i, y - pad, column - pad);
                }
            }
            out.data.push(sum);
        }
        out
    }
}

impl Image {
    fn at(&self, channel: usize, y: usize, x: usize) -> f64 {
        self.data[(channel * self.height + y) * self.width + x]
    }

    fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.data.iter_mut().for_each(|value| *value = f(*value));
        self
    }

    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.data.len(), other.data.len());
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Self { data, ..*self }
    }

    /// Enlarged by a factor, as PyTorch does it without aligned corners.
    fn bilinear(&self, factor: usize) -> Self {
        self.resized((self.height * factor, self.width * factor), |i, len, _| {
            let at = ((i as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
            let low = at.floor() as usize;
            vec![(low, 1.0 - at.fract()), ((low + 1).min(len - 1), at.fract())]
        })
    }

    /// At another size, by cubic convolution with a = -0.75, edges repeated, as PyTorch does it without aligned corners.
    pub fn bicubic(&self, size: (usize, usize)) -> Self {
        let cubic = |distance: f64| {
            let (d, a) = (distance.abs(), -0.75);
            if d <= 1.0 { ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0 } else { ((d - 5.0) * d + 8.0) * d * a - 4.0 * a }
        };
        self.resized(size, |i, len, size| {
            let at = (i as f64 + 0.5) * len as f64 / size as f64 - 0.5;
            let tap = |offset: f64| {
                let index = at.floor() + offset;
                (index.clamp(0.0, (len - 1) as f64) as usize, cubic(at - index))
            };
            [-1.0, 0.0, 1.0, 2.0].map(tap).to_vec()
        })
    }

    /// `taps` are the places and weights that position `i` of a side is made of, which has `len` values and shall have `size`.
    fn resized(
        &self,
        (height, width): (usize, usize),
        taps: impl Fn(usize, usize, usize) -> Vec<(usize, f64)>,
    ) -> Self {
        let rows: Vec<_> = (0..height).map(|y| taps(y, self.height, height)).collect();
        let columns: Vec<_> = (0..width).map(|x| taps(x, self.width, width)).collect();
        let value = |(channel, y, x): (usize, usize, usize)| -> f64 {
            let pairs = rows[y].iter().flat_map(|row| columns[x].iter().map(move |column| (row, column)));
            pairs.map(|(row, column)| row.1 * column.1 * self.at(channel, row.0, column.0)).sum()
        };
        Self { height, width, data: places(self.channels, height, width).map(value).collect(), ..*self }
    }
}
