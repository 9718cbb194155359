//! Against f64 versions of what the layers should compute, written as sums over what every value contributes.

use crate::bands::{BandedTensor, fill};
use crate::noise::{Noise, assert_close, dot, on_any_thread_count, wide};
use crate::*;
use kernels::{Conv, Level, Nonlinearity, Rows, Skip, Upsample, copy_row, residual_sin_row, row_stride};

/// A convolution's parameters.
#[derive(Clone)]
struct Parameters {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Parameters {
    fn new(noise: &mut Noise, inputs: usize, outputs: usize, kernel: usize) -> Self {
        let fan_in = inputs * kernel * kernel;
        let scale = 2.0 / (fan_in as f32).sqrt();
        Self { weight: noise.values(outputs * fan_in, scale), bias: noise.values(outputs, 0.5) }
    }

    fn weights(&self) -> Weights<'_> {
        Weights { weight: &self.weight, bias: &self.bias }
    }
}

/// A zero-padded convolution in f64.
#[derive(Clone, Copy)]
struct Reference {
    n: usize,
    inputs: usize,
    outputs: usize,
    height: usize,
    width: usize,
    kernel: usize,
    dilation: usize,
}

impl Reference {
    /// Calls `f(output value, input value, weight)` with the indices of all that are multiplied.
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Self { n, inputs, outputs, height, width, kernel, dilation } = *self;
        let reach = kernel / 2 * dilation;
        for (s, o, i) in (0..n * outputs * inputs).map(|k| (k / inputs / outputs, k / inputs % outputs, k % inputs)) {
            for (y, x) in (0..height * width).map(|k| (k / width, k % width)) {
                for (ky, kx) in (0..kernel * kernel).map(|k| (k / kernel, k % kernel)) {
                    let (iy, ix) = ((y + ky * dilation).wrapping_sub(reach), (x + kx * dilation).wrapping_sub(reach));
                    if iy < height && ix < width {
                        let output = ((s * outputs + o) * height + y) * width + x;
                        let input = ((s * inputs + i) * height + iy) * width + ix;
                        f(output, input, ((o * inputs + i) * kernel + ky) * kernel + kx);
                    }
                }
            }
        }
    }

    fn forward(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let plane = self.height * self.width;
        let mut out: Vec<f64> = (0..self.n * self.outputs * plane).map(|k| bias[k / plane % self.outputs]).collect();
        self.products(|o, i, w| out[o] += x[i] * weight[w]);
        out
    }

    /// Gradients of input, weight and bias.
    fn backward(&self, x: &[f64], weight: &[f64], gradient: &[f64]) -> [Vec<f64>; 3] {
        let mut out = [vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; self.outputs]];
        self.products(|o, i, w| {
            out[0][i] += gradient[o] * weight[w];
            out[1][w] += gradient[o] * x[i];
        });
        for (plane, values) in gradient.chunks_exact(self.height * self.width).enumerate() {
            out[2][plane % self.outputs] += values.iter().sum::<f64>();
        }
        out
    }
}

/// Calls `f(output, input, weight)` for everything that bilinear interpolation of `planes` images by `factor` adds up.
fn interpolation(planes: usize, size: (usize, usize), factor: usize, mut f: impl FnMut(usize, usize, f64)) {
    let taps = |at: usize, len: usize| {
        let source = ((at as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let low = source.floor() as usize;
        [(low, 1.0 - source.fract()), ((low + 1).min(len - 1), source.fract())]
    };
    let (height, width) = size;
    for plane in 0..planes {
        for (y, x) in (0..height * factor * width * factor).map(|k| (k / (width * factor), k % (width * factor))) {
            let output = (plane * height * factor + y) * width * factor + x;
            for (row, a) in taps(y, height) {
                for (column, b) in taps(x, width) {
                    f(output, (plane * height + row) * width + column, a * b);
                }
            }
        }
    }
}

/// For every value behind a pixel shuffle, the place in front of it.
fn shuffle(planes: usize, size: (usize, usize), factor: usize) -> Vec<usize> {
    let (height, width) = size;
    let place = |k: usize| {
        let (x, y, plane) = (k % (width * factor), k / (width * factor) % (height * factor), k);
        let plane = plane / (width * height * factor * factor);
        let channel = (plane * factor + y % factor) * factor + x % factor;
        (channel * height + y / factor) * width + x / factor
    };
    (0..planes * height * width * factor * factor).map(place).collect()
}

/// A function at a layer's end, and its slope.
fn ends(nonlinearity: Nonlinearity, x: f64) -> [f64; 2] {
    match nonlinearity {
        Nonlinearity::Sin => [x.sin(), x.cos()],
        Nonlinearity::Gelu => {
            let share = (1.0 + libm::erf(x / 2f64.sqrt())) / 2.0;
            [x * share, share + x * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()]
        }
    }
}

impl StageShape {
    fn conv(&self, n: usize) -> Reference {
        let Self { inputs, outputs, kernel, upscale, height, width, .. } = *self;
        Reference { n, inputs, outputs: outputs * upscale * upscale, height, width, kernel, dilation: 1 }
    }

    fn skip(&self, n: usize) -> Reference {
        Reference { outputs: self.outputs, kernel: 1, ..self.conv(n) }
    }

    /// What the function at the end is taken of; `parameters` are weight and bias of the convolution, then of the skip, if it is
    /// one.
    fn reference<T>(&self, n: usize, x: &[f64], parameters: &[Vec<f64>], skip: &Skip<T>) -> Vec<f64> {
        let size = (self.height, self.width);
        let conv = self.conv(n).forward(x, &parameters[0], &parameters[1]);
        let mut out: Vec<f64> = shuffle(n * self.outputs, size, self.upscale).iter().map(|&from| conv[from]).collect();
        let skip = match skip {
            Skip::None => return out,
            Skip::Input => x.to_vec(),
            Skip::Convolution(_) => self.skip(n).forward(x, &parameters[2], &parameters[3]),
        };
        interpolation(n * self.outputs, size, self.upscale, |o, i, weight| out[o] += weight * skip[i]);
        out
    }

    /// Gradients of `x` and the parameters.
    fn reference_backward<T>(
        &self,
        n: usize,
        x: &[f64],
        gradient: &[f64],
        parameters: &[Vec<f64>],
        has_skip: &Skip<T>,
    ) -> Vec<Vec<f64>> {
        let size = (self.height, self.width);
        let slope = self.reference(n, x, parameters, has_skip).into_iter().map(|v| ends(self.nonlinearity, v)[1]);
        let gradient: Vec<f64> = slope.zip(gradient).map(|(slope, g)| slope * g).collect();
        let mut conv = vec![0.0; gradient.len()];
        shuffle(n * self.outputs, size, self.upscale).iter().zip(&gradient).for_each(|(&from, g)| conv[from] = *g);
        let [mut dx, weight, bias] = self.conv(n).backward(x, &parameters[0], &conv);
        if matches!(has_skip, Skip::None) {
            return vec![dx, weight, bias];
        }
        let mut skip = vec![0.0; n * self.outputs * self.height * self.width];
        interpolation(n * self.outputs, size, self.upscale, |o, i, weight| skip[i] += weight * gradient[o]);
        let mut rest = Vec::new();
        if let Some(weight) = parameters.get(2) {
            let [through, weight, bias] = self.skip(n).backward(x, weight, &skip);
            skip = through;
            rest = vec![weight, bias];
        }
        dx.iter_mut().zip(&skip).for_each(|(sum, term)| *sum += term);
        [vec![dx, weight, bias], rest].concat()
    }
}

fn random_stage(noise: &mut Noise, case: usize, largest: usize) -> (StageShape, usize, Parameters, Skip<Parameters>) {
    let inputs = 1 + noise.below(7);
    let skip = noise.pick(&[Skip::None, Skip::Input, Skip::Convolution(()), Skip::Convolution(())]);
    let stage = StageShape {
        inputs,
        outputs: if skip == Skip::Input { inputs } else { 1 + noise.below(5) },
        kernel: noise.pick(&[1, 3, 5]),
        upscale: 1 + case % 5,
        nonlinearity: noise.pick(&[Nonlinearity::Sin, Nonlinearity::Gelu]),
        height: 1 + noise.below(largest),
        width: 1 + noise.below(largest),
    };
    let conv = Parameters::new(noise, inputs, stage.channels(), stage.kernel);
    let skip = skip.map(|()| Parameters::new(noise, inputs, stage.outputs, 1));
    (stage, 1 + noise.below(3), conv, skip)
}

/// Checks some of the gradients against central differences of `loss`.
fn assert_slopes(
    noise: &mut Noise,
    what: &str,
    at: &[Vec<f64>],
    gradients: &[&[f32]],
    loss: impl Fn(&[Vec<f64>]) -> f64,
) {
    assert_eq!(at.len(), gradients.len(), "{what}");
    for (k, gradient) in gradients.iter().enumerate() {
        let scale = gradient.iter().fold(1e-3, |m: f64, &v| m.max(f64::from(v).abs()));
        for _ in 0..12 {
            let i = noise.below(gradient.len());
            let moved = |delta: f64| {
                let mut at = at.to_vec();
                at[k][i] += delta;
                loss(&at)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let error = (slope - f64::from(gradient[i])).abs();
            assert!(error <= 1e-4 * scale, "{what}, {k}[{i}]: {} instead of {slope}", gradient[i]);
        }
    }
}

#[test]
fn stages() {
    let mut noise = Noise(21);
    for case in 0..75 {
        let (stage, n, conv, skip) = random_stage(&mut noise, case, if case % 3 == 0 { 37 } else { 6 });
        let x = noise.values(n * stage.inputs * stage.height * stage.width, 1.0);
        let mut parameters = vec![wide(&conv.weight), wide(&conv.bias)];
        let skip_parameters = skip.as_ref().convolution();
        parameters.extend(skip_parameters.iter().flat_map(|skip| [wide(&skip.weight), wide(&skip.bias)]));
        let sums = stage.reference(n, &wide(&x), &parameters, &skip);
        let gradient = noise.values(sums.len(), 1.0);
        let expected = stage.reference_backward(n, &wide(&x), &wide(&gradient), &parameters, &skip);
        for level in Level::available() {
            let what = format!("{stage:?}, n {n}, {level}");
            let skip_weights = skip.as_ref().map(|skip| skip.weights());
            let (y, slope) = stage.forward_at(level, n, &x, conv.weights(), skip_weights);
            assert_close(&what, &y, &sums.iter().map(|&v| ends(stage.nonlinearity, v)[0]).collect::<Vec<_>>(), 3e-6);
            assert_close(
                &what,
                &slope,
                &sums.iter().map(|&v| ends(stage.nonlinearity, v)[1]).collect::<Vec<_>>(),
                3e-6,
            );
            let skip_weight = skip.as_ref().map(|skip| &skip.weight[..]);
            let found = stage.backward_at(level, n, &x, &slope, &gradient, &conv.weight, skip_weight);
            let mut all = vec![&found.x[..], &found.conv.weight, &found.conv.bias];
            all.extend(found.skip.iter().flat_map(|skip| [&skip.weight[..], &skip.bias]));
            assert_eq!(all.len(), expected.len());
            for (found, expected) in all.iter().zip(&expected) {
                assert_close(&what, found, expected, 1e-5);
            }
            if case % 3 > 0 && level == Level::detect() {
                let at = [&[wide(&x)][..], &parameters].concat();
                assert_slopes(&mut noise, &what, &at, &all, |at| {
                    let sums = stage.reference(n, &at[0], &at[1..], &skip).into_iter();
                    let y: Vec<f64> = sums.map(|v| ends(stage.nonlinearity, v)[0]).collect();
                    dot(&y, &wide(&gradient))
                });
            }
        }
    }
}

#[test]
fn refinements() {
    let mut noise = Noise(22);
    for case in 0..32 {
        let largest = if case % 3 == 0 { 50 } else { 7 };
        let refine = RefineShape {
            channels: 1 + noise.below(7),
            hidden: 1 + noise.below(5),
            dilation: 1 + case % 4,
            gain: 0.4,
            height: 1 + noise.below(largest),
            width: 1 + noise.below(largest),
        };
        let RefineShape { channels, hidden, dilation, height, width, .. } = refine;
        let n = 1 + noise.below(3);
        let gain = f64::from(refine.gain);
        let first = Parameters::new(&mut noise, channels, hidden, 3);
        let second = Parameters::new(&mut noise, hidden, channels, 3);
        let x = noise.values(n * channels * height * width, 1.0);
        let gradient = noise.values(x.len(), 1.0);
        let convs = [
            Reference { n, inputs: channels, outputs: hidden, height, width, kernel: 3, dilation },
            Reference { n, inputs: hidden, outputs: channels, height, width, kernel: 3, dilation: 1 },
        ];
        let at = [&x, &first.weight, &first.bias, &second.weight, &second.bias].map(|values| wide(values));
        let middle = convs[0].forward(&at[0], &at[1], &at[2]);
        let sums = convs[1].forward(&middle, &at[3], &at[4]);
        let y: Vec<f64> = at[0].iter().zip(&sums).map(|(x, v)| x + gain * v.sin()).collect();
        let slopes: Vec<f64> = sums.iter().map(|v| gain * v.cos()).collect();
        let products: Vec<f64> = slopes.iter().zip(&gradient).map(|(slope, &g)| slope * f64::from(g)).collect();
        let [through, second_weight, second_bias] = convs[1].backward(&middle, &at[3], &products);
        let [mut dx, first_weight, first_bias] = convs[0].backward(&at[0], &at[1], &through);
        dx.iter_mut().zip(&gradient).for_each(|(sum, &g)| *sum += f64::from(g));
        let expected = [dx, first_weight, first_bias, second_weight, second_bias];
        for level in Level::available() {
            let what = format!("{refine:?}, n {n}, {level}");
            let (found_y, found_middle, slope) = refine.forward_at(level, n, &x, first.weights(), second.weights());
            assert_close(&what, &found_y, &y, 3e-6);
            assert_close(&what, &found_middle, &middle, 3e-6);
            assert_close(&what, &slope, &slopes, 3e-6);
            let weights = [&first.weight[..], &second.weight];
            let found = refine.backward_at(level, n, &x, &found_middle, &slope, &gradient, weights);
            let RefineGradients { x: found_x, first, second } = &found;
            let all = [&found_x[..], &first.weight, &first.bias, &second.weight, &second.bias];
            for (found, expected) in all.iter().zip(&expected) {
                assert_close(&what, found, expected, 1e-5);
            }
            if case % 3 > 0 && level == Level::detect() {
                assert_slopes(&mut noise, &what, &at, &all, |at| {
                    let middle = convs[0].forward(&at[0], &at[1], &at[2]);
                    let sums = convs[1].forward(&middle, &at[3], &at[4]);
                    let y: Vec<f64> = at[0].iter().zip(&sums).map(|(x, v)| x + gain * v.sin()).collect();
                    dot(&y, &wide(&gradient))
                });
            }
        }
    }
}

#[test]
fn residual_blocks() {
    let mut noise = Noise(27);
    for case in 0..36 {
        let largest = if case % 3 == 0 { 50 } else { 7 };
        let (kernel, dilation) = noise.pick(&[(1, 1), (3, 1), (3, 2), (3, 4), (3, 8), (5, 1), (5, 2)]);
        let nonlinearity = noise.pick(&[Nonlinearity::Sin, Nonlinearity::Gelu]);
        let (channels, hidden) = (1 + noise.below(7), 1 + noise.below(5));
        let (height, width) = (1 + noise.below(largest), 1 + noise.below(largest));
        let block = ResidualShape { channels, hidden, kernel, dilation, nonlinearity, height, width };
        let n = 1 + noise.below(3);
        let first = Parameters::new(&mut noise, channels, hidden, kernel);
        let second = Parameters::new(&mut noise, hidden, channels, 1);
        let x = noise.values(n * channels * height * width, 1.0);
        let gradient = noise.values(x.len(), 1.0);
        let convs = [
            Reference { n, inputs: channels, outputs: hidden, height, width, kernel, dilation },
            Reference { n, inputs: hidden, outputs: channels, height, width, kernel: 1, dilation: 1 },
        ];
        let at = [&x, &first.weight, &first.bias, &second.weight, &second.bias].map(|values| wide(values));
        let of =
            |sums: &[f64], which: usize| -> Vec<f64> { sums.iter().map(|&v| ends(nonlinearity, v)[which]).collect() };
        let forward = |at: &[Vec<f64>]| -> Vec<f64> {
            let middle = of(&convs[0].forward(&at[0], &at[1], &at[2]), 0);
            convs[1].forward(&middle, &at[3], &at[4]).iter().zip(&at[0]).map(|(v, x)| v + x).collect()
        };
        let sums = convs[0].forward(&at[0], &at[1], &at[2]);
        let (middle, slopes) = (of(&sums, 0), of(&sums, 1));
        let [through, second_weight, second_bias] = convs[1].backward(&middle, &at[3], &wide(&gradient));
        let products: Vec<f64> = through.iter().zip(&slopes).map(|(g, slope)| g * slope).collect();
        let [mut dx, first_weight, first_bias] = convs[0].backward(&at[0], &at[1], &products);
        dx.iter_mut().zip(&gradient).for_each(|(sum, &g)| *sum += f64::from(g));
        let expected = [dx, first_weight, first_bias, second_weight, second_bias];
        for level in Level::available() {
            let what = format!("{block:?}, n {n}, {level}");
            let values = block.forward_at(level, n, &x, first.weights(), second.weights());
            assert_close(&what, &values.y, &forward(&at), 3e-6);
            assert_close(&what, &values.hidden, &middle, 3e-6);
            assert_close(&what, &values.slope, &slopes, 3e-6);
            let weights = [&first.weight[..], &second.weight];
            let found = block.backward_at(level, n, &x, [&values.hidden, &values.slope], &gradient, weights);
            let all = [&found.x[..], &found.first.weight, &found.first.bias, &found.second.weight, &found.second.bias];
            for (found, expected) in all.iter().zip(&expected) {
                assert_close(&what, found, expected, 1e-5);
            }
            if case % 3 > 0 && level == Level::detect() {
                assert_slopes(&mut noise, &what, &at, &all, |at| dot(&forward(at), &wide(&gradient)));
            }
        }
    }
}

#[test]
fn class_maps() {
    let mut noise = Noise(28);
    for case in 0..24 {
        let largest = if case % 3 == 0 { 50 } else { 7 };
        let (classes, numbers, outputs) = (1 + noise.below(6), noise.below(4), 1 + noise.below(5));
        let (height, width) = (1 + noise.below(largest), 1 + noise.below(largest));
        let shape = ClassesShape { classes, numbers, outputs, height, width };
        let (n, inputs) = (1 + noise.below(3), classes + 4 + numbers);
        let maps: Vec<u8> = (0..n * height * width).map(|_| noise.below(classes) as u8).collect();
        let linear = Parameters::new(&mut noise, inputs, outputs, 1);
        let z = noise.values(n * numbers, 1.0);
        let gradient = noise.values(n * outputs * height * width, 1.0);
        // The same as a 1x1 convolution of the inputs written out.
        let conv = Reference { n, inputs, outputs, height, width, kernel: 1, dilation: 1 };
        let inputs_of = |z: &[f64]| -> Vec<f64> {
            let mut all = Vec::new();
            for s in 0..n {
                for i in 0..inputs {
                    for at in 0..height * width {
                        let x = (2 * (at % width) + 1) as f64 / width as f64 - 1.0;
                        let y = (2 * (at / width) + 1) as f64 / height as f64 - 1.0;
                        all.push(match i.checked_sub(classes) {
                            None => f64::from(u8::from(usize::from(maps[s * height * width + at]) == i)),
                            Some(place @ 0..4) => [x, y, x * x, y * y][place],
                            Some(number) => z[s * numbers + number - 4],
                        });
                    }
                }
            }
            all
        };
        let at = [&z, &linear.weight, &linear.bias].map(|values| wide(values));
        let forward = |at: &[Vec<f64>]| conv.forward(&inputs_of(&at[0]), &at[1], &at[2]);
        let what = format!("{shape:?}, n {n}");
        assert_close(&what, &shape.forward(n, &maps, &z, linear.weights()), &forward(&at), 3e-6);
        let found = shape.backward(n, &maps, &z, &gradient, &linear.weight);
        let [dx, weight, bias] = conv.backward(&inputs_of(&at[0]), &at[1], &wide(&gradient));
        let number = |k: usize| -> f64 {
            let plane = ((k / numbers) * inputs + classes + 4 + k % numbers) * height * width;
            dx[plane..plane + height * width].iter().sum()
        };
        let z_gradient: Vec<f64> = (0..n * numbers).map(number).collect();
        for (found, expected) in
            [(&found.numbers, &z_gradient), (&found.linear.weight, &weight), (&found.linear.bias, &bias)]
        {
            assert_close(&what, found, expected, 1e-5);
        }
        on_any_thread_count(|| {
            let y = shape.forward(n, &maps, &z, linear.weights());
            (y, shape.backward(n, &maps, &z, &gradient, &linear.weight))
        });
    }
}

#[test]
fn carriers() {
    let mut noise = Noise(29);
    for case in 0..16 {
        let coarse = (1 + noise.below(4), 1 + noise.below(5));
        let (height, width) = (coarse.0 + noise.below(20), coarse.1 + noise.below(40));
        let (n, coefficients, planes) = (1 + noise.below(3), 1 + noise.below(4), [1, 3][case / 2 % 2]);
        let (shape, outputs) =
            (CarrierShape { coefficients, planes, coarse, height, width }, planes * coarse.0 * coarse.1);
        let linear = Parameters::new(&mut noise, coefficients, outputs, 1);
        let z = noise.values(n * coefficients, 1.0);
        let gradient = noise.values(n * 3 * height * width, 1.0);
        let at = [&z, &linear.weight, &linear.bias].map(|values| wide(values));
        let (down, across) = (kernels::taps(coarse.0, height), kernels::taps(coarse.1, width));
        let forward = |at: &[Vec<f64>]| -> Vec<f64> {
            let mut all = vec![0.5; n * 3 * height * width];
            for (k, value) in all.iter_mut().enumerate() {
                let (x, y, plane) = (k % width, k / width % height, k / width / height);
                for (&row, a) in down[y].index.iter().zip(down[y].weight) {
                    for (&column, b) in across[x].index.iter().zip(across[x].weight) {
                        let o = ((plane % 3).min(planes - 1) * coarse.0 + row) * coarse.1 + column;
                        let row = &at[1][o * coefficients..][..coefficients];
                        let sum = at[2][o] + dot(row, &at[0][plane / 3 * coefficients..][..coefficients]);
                        *value += f64::from(a) * f64::from(b) * sum;
                    }
                }
            }
            all
        };
        let what = format!("{shape:?}, n {n}");
        assert_close(&what, &shape.forward(n, &z, linear.weights()), &forward(&at), 3e-6);
        let found = shape.backward(n, &z, &gradient, &linear.weight);
        let all = [&found.coefficients[..], &found.linear.weight, &found.linear.bias];
        if case % 2 > 0 {
            assert_slopes(&mut noise, &what, &at, &all, |at| dot(&forward(at), &wide(&gradient)));
        }
        on_any_thread_count(|| {
            (shape.forward(n, &z, linear.weights()), shape.backward(n, &z, &gradient, &linear.weight))
        });
    }
}

#[test]
fn heads() {
    let mut noise = Noise(23);
    for case in 0..24 {
        let largest = if case % 3 == 0 { 40 } else { 7 };
        let (inputs, outputs) = (1 + noise.below(7), 1 + noise.below(7));
        let heads = HeadsShape { inputs, outputs, height: 1 + noise.below(largest), width: 1 + noise.below(largest) };
        let HeadsShape { height, width, .. } = heads;
        let n = 1 + noise.below(3);
        let weights = Parameters::new(&mut noise, inputs, outputs, 3);
        let x = noise.values(n * inputs * height * width, 1.0);
        let conv = Reference { n, inputs, outputs, height, width, kernel: 3, dilation: 1 };
        let at = [&x, &weights.weight, &weights.bias].map(|values| wide(values));
        let sigmoid = |sums: Vec<f64>| -> Vec<f64> { sums.into_iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect() };
        let y = sigmoid(conv.forward(&at[0], &at[1], &at[2]));
        let gradient = noise.values(y.len(), 1.0);
        let products: Vec<f64> = y.iter().zip(&gradient).map(|(y, &g)| y * (1.0 - y) * f64::from(g)).collect();
        let expected = conv.backward(&at[0], &at[1], &products);
        for level in Level::available() {
            let what = format!("{heads:?}, n {n}, {level}");
            let found_y = heads.forward_at(level, n, &x, weights.weights());
            assert_close(&what, &found_y, &y, 3e-6);
            let found = heads.backward_at(level, n, &x, &found_y, &gradient, &weights.weight);
            let all = [&found.x[..], &found.conv.weight, &found.conv.bias];
            for (found, expected) in all.iter().zip(&expected) {
                assert_close(&what, found, expected, 1e-5);
            }
            if case % 3 > 0 && level == Level::detect() {
                assert_slopes(&mut noise, &what, &at, &all, |at| {
                    dot(&sigmoid(conv.forward(&at[0], &at[1], &at[2])), &wide(&gradient))
                });
            }
        }
    }
}

/// A window that holds all rows of an image.
fn rows(image: &[f32], channels: usize, height: usize, width: usize) -> Rows {
    let mut rows = Rows::new(channels, height, width, height);
    fill(&mut rows, image, height);
    rows
}

fn planes(rows: &Rows) -> Vec<f32> {
    let at = |c: usize| (0..rows.height()).flat_map(move |y| rows.channel(y, c).to_vec());
    (0..rows.channels()).flat_map(at).collect()
}

#[test]
fn forward_passes_have_the_bits_of_the_inference() {
    let mut noise = Noise(24);
    for case in 0..30 {
        let (stage, _, conv, skip) = random_stage(&mut noise, case, 40);
        let StageShape { inputs, outputs, kernel, upscale, nonlinearity, height, width } = stage;
        let image = noise.values(inputs * height * width, 2.0);
        for level in Level::available() {
            let x = rows(&image, inputs, height, width);
            let mut low = rows(&vec![0.0; outputs * height * width], outputs, height, width);
            let mut row = vec![0.0; stage.channels().next_multiple_of(3) * row_stride(width)];
            if let Skip::Convolution(skip) = &skip {
                let skip = Conv::new(&skip.weight, &skip.bias, inputs, 1, 1);
                low.restart();
                (0..height).for_each(|y| {
                    skip.row(level, &x, y, &mut row);
                    copy_row(&row, low.push());
                });
            }
            let packed = Conv::new(&conv.weight, &conv.bias, inputs, kernel, 1);
            let mut out = Rows::new(outputs, height * upscale, width * upscale, height * upscale);
            let mut blend = vec![0.0; Upsample::blend_len(width)];
            for y in 0..height {
                packed.row(level, &x, y, &mut row);
                let skip = match skip {
                    Skip::None => None,
                    Skip::Input => Some(&x),
                    Skip::Convolution(_) => Some(&low),
                };
                for phase in 0..upscale {
                    let upsample = Upsample::new(upscale, Some(nonlinearity));
                    upsample.row(level, &row, skip, y, phase, &mut blend, out.push());
                }
            }
            let (y, _) = stage.forward_at(level, 1, &image, conv.weights(), skip.as_ref().map(|skip| skip.weights()));
            assert!(y == planes(&out), "{stage:?} {level}");
        }
    }
    let refine = RefineShape { channels: 4, hidden: 3, dilation: 2, gain: 0.1, height: 40, width: 21 };
    let (first, second) = (Parameters::new(&mut noise, 4, 3, 3), Parameters::new(&mut noise, 3, 4, 3));
    let image = noise.values(4 * 40 * 21, 1.0);
    for level in Level::available() {
        let x = rows(&image, 4, 40, 21);
        let mut middle = Rows::new(3, 40, 21, 40);
        let mut out = Rows::new(4, 40, 21, 40);
        let mut row = vec![0.0; 6 * row_stride(21)];
        (0..40).for_each(|y| {
            Conv::new(&first.weight, &first.bias, 4, 3, 2).row(level, &x, y, &mut row);
            copy_row(&row, middle.push());
        });
        (0..40).for_each(|y| {
            Conv::new(&second.weight, &second.bias, 3, 3, 1).row(level, &middle, y, &mut row);
            residual_sin_row(level, &row, &x, y, 0.1, out.push());
        });
        let (y, hidden, _) = refine.forward_at(level, 1, &image, first.weights(), second.weights());
        assert!(y == planes(&out) && hidden == planes(&middle), "{level}");
    }
}

#[test]
fn results_do_not_depend_on_the_thread_count() {
    let mut noise = Noise(25);
    for case in 0..8 {
        let (mut stage, n, conv, skip) = random_stage(&mut noise, case, 9);
        stage.height += 30;
        let x = noise.values(n * stage.inputs * stage.height * stage.width, 1.0);
        let gradient = noise.values(n * stage.channels() * stage.height * stage.width, 1.0);
        on_any_thread_count(|| {
            let (y, slope) = stage.forward(n, &x, conv.weights(), skip.as_ref().map(|skip| skip.weights()));
            let skip = skip.as_ref().map(|skip| &skip.weight[..]);
            (stage.backward(n, &x, &slope, &gradient, &conv.weight, skip), y)
        });
    }
    let refine = RefineShape { channels: 5, hidden: 3, dilation: 2, gain: 0.1, height: 100, width: 37 };
    let (first, second) = (Parameters::new(&mut noise, 5, 3, 3), Parameters::new(&mut noise, 3, 5, 3));
    let x = noise.values(2 * 5 * 100 * 37, 1.0);
    let gradient = noise.values(x.len(), 1.0);
    on_any_thread_count(|| {
        let (y, hidden, slope) = refine.forward(2, &x, first.weights(), second.weights());
        (refine.backward(2, &x, &hidden, &slope, &gradient, &first.weight, &second.weight), y)
    });
    let heads = HeadsShape { inputs: 5, outputs: 6, height: 100, width: 37 };
    let weights = Parameters::new(&mut noise, 5, 6, 3);
    let gradient = noise.values(2 * 6 * 100 * 37, 1.0);
    on_any_thread_count(|| {
        let y = heads.forward(2, &x, weights.weights());
        (heads.backward(2, &x, &y, &gradient, &weights.weight), y)
    });
}

#[test]
fn an_empty_batch_is_no_work() {
    let heads = HeadsShape { inputs: 2, outputs: 1, height: 3, width: 3 };
    let weights = Parameters { weight: vec![1.0; 18], bias: vec![1.0] };
    assert!(heads.forward(0, &[], weights.weights()).is_empty());
    let gradients = heads.backward(0, &[], &[], &[], &weights.weight);
    assert_eq!(gradients.conv, WeightGradients { weight: vec![0.0; 18], bias: vec![0.0] });
}

#[test]
#[should_panic(expected = "a skip from 2 to 3 channels")]
fn a_skip_to_other_channels_needs_a_convolution() {
    let nonlinearity = Nonlinearity::Sin;
    let stage = StageShape { inputs: 2, outputs: 3, kernel: 1, upscale: 1, nonlinearity, height: 1, width: 1 };
    stage.forward(1, &[0.0; 2], Weights { weight: &[0.0; 6], bias: &[0.0; 3] }, Skip::Input);
}

#[test]
#[should_panic(expected = "incomplete")]
fn a_tensor_with_a_missing_row_is_refused() {
    let mut target = BandedTensor::new([1, 2, 3, 4]);
    for mut band in target.bands(2) {
        band.push(0, &[0.0; 4]);
        band.push(1, &[0.0; 4]);
    }
    target.finish();
}
