//! Against f64 versions written as sums over what every value contributes.

use rayon::ThreadPoolBuilder;

use kernels::Level;

use super::*;
use crate::noise::Noise;

fn silu() -> Pointwise {
    Pointwise::new(vec![Step::Input, Step::Sigmoid(0), Step::Mul(0, 1)])
}

/// GELU by the error function, as exporters write it.
fn gelu() -> Pointwise {
    use Step::*;
    let steps = [
        Input,
        Constant(2f32.sqrt()),
        Div(0, 1),
        Erf(2),
        Constant(1.0),
        Add(3, 4),
        Mul(0, 5),
        Constant(0.5),
        Mul(6, 7),
    ];
    Pointwise::new(steps.into())
}

/// GELU by the hyperbolic tangent.
fn gelu_tanh() -> Pointwise {
    use Step::*;
    let steps = [
        Input,
        Pow(0, 3.0),
        Constant(0.044715),
        Mul(1, 2),
        Add(0, 3),
        Constant((2.0 / std::f32::consts::PI).sqrt()),
        Mul(4, 5),
        Tanh(6),
        Constant(1.0),
        Add(7, 8),
        Constant(0.5),
        Mul(0, 10),
        Mul(11, 9),
    ];
    Pointwise::new(steps.into())
}

fn hard_swish() -> Pointwise {
    use Step::*;
    let steps = [Input, Constant(3.0), Add(0, 1), Clip(2, 0.0, 6.0), Constant(6.0), Div(3, 4), Mul(0, 5)];
    Pointwise::new(steps.into())
}

/// A convolution with everything that goes into it.
struct Case {
    shape: ConvShape,
    n: usize,
    size: [usize; 2],
    weight: Vec<f32>,
    bias: Vec<f32>,
    sources: Vec<Vec<f32>>,
}

impl Case {
    fn new(noise: &mut Noise, shape: ConvShape, n: usize, size: [usize; 2]) -> Self {
        let kernel = shape.kernel[0] * shape.kernel[1];
        let fan_in = shape.inputs() / shape.groups * kernel;
        let source = |s: &ConvSource| n * s.channels * (size[0] / s.upsample) * (size[1] / s.upsample);
        Self {
            weight: noise.values(shape.outputs * fan_in, 2.0 / (fan_in as f32).sqrt()),
            bias: noise.values(shape.outputs, 0.5),
            sources: shape.sources.iter().map(|s| noise.values(source(s), 1.0)).collect(),
            shape,
            n,
            size,
        }
    }

    fn random(noise: &mut Noise) -> Self {
        let groups = noise.pick(&[1, 1, 2, 3, 7]);
        let upsamples = noise.pick(&[&[1][..], &[1, 1], &[2, 1], &[2], &[3, 1, 2], &[1, 3]]);
        // The last source makes the number of inputs a multiple of the number of groups.
        let mut sources: Vec<_> =
            upsamples.iter().map(|&upsample| ConvSource { channels: 1 + noise.below(7), upsample }).collect();
        let inputs: usize = sources.iter().map(|source| source.channels).sum();
        sources[0].channels += inputs.next_multiple_of(groups) - inputs;
        let kernel = noise.pick(&[[1, 1], [3, 3], [3, 3], [5, 5], [7, 7], [2, 3], [4, 1]]);
        let shape = ConvShape {
            sources,
            outputs: groups * (1 + noise.below(15)),
            kernel,
            stride: noise.pick(&[[1, 1], [1, 1], [2, 2], [1, 2], [3, 2], [4, 4]]),
            padding: [(); 4].map(|()| noise.pick(&[0, 0, 1, 1, 2, 3, 8])),
            dilation: noise.pick(&[[1, 1], [1, 1], [2, 2], [3, 1]]),
            groups,
        };
        let factor = upsamples.iter().product::<usize>();
        let size = [7, 75].map(|most| factor * (1 + noise.below(most)).div_ceil(factor));
        let n = 1 + noise.below(3);
        Self::new(noise, shape, n, size)
    }

    fn conv(&self, activation: Option<Pointwise>) -> FrozenConv {
        FrozenConv::new(self.shape.clone(), &self.weight, &self.bias, activation)
    }

    fn sources(&self) -> Vec<&[f32]> {
        self.sources.iter().map(|source| &source[..]).collect()
    }

    /// Calls `f` with the source, its value's place, the weight's and the result's place, for every product.
    fn products(&self, [height, width]: [usize; 2], mut f: impl FnMut(usize, usize, usize, usize)) {
        let ConvShape { kernel, stride, padding, dilation, groups, outputs, ref sources } = self.shape;
        let inputs = self.shape.inputs() / groups;
        for n in 0..self.n {
            for o in 0..outputs {
                let mut before = 0;
                for (index, source) in sources.iter().enumerate() {
                    let (h, w) = (self.size[0] / source.upsample, self.size[1] / source.upsample);
                    for c in 0..source.channels {
                        let group = o / (outputs / groups);
                        if (before + c) / inputs != group {
                            continue;
                        }
                        let channel = before + c - group * inputs;
                        for place in 0..kernel[0] * kernel[1] {
                            let (ky, kx) = (place / kernel[1], place % kernel[1]);
                            for y in 0..height {
                                let row = (y * stride[0] + ky * dilation[0]).wrapping_sub(padding[0]);
                                for x in 0..width {
                                    let column = (x * stride[1] + kx * dilation[1]).wrapping_sub(padding[1]);
                                    if row < self.size[0] && column < self.size[1] {
                                        let (row, column) = (row / source.upsample, column / source.upsample);
                                        f(
                                            index,
                                            ((n * source.channels + c) * h + row) * w + column,
                                            (o * inputs + channel) * kernel[0] * kernel[1] + place,
                                            ((n * outputs + o) * height + y) * width + x,
                                        );
                                    }
                                }
                            }
                        }
                    }
                    before += source.channels;
                }
            }
        }
    }

    /// The sums in f64.
    fn forward(&self, size: [usize; 2]) -> Vec<f64> {
        let pixels = size[0] * size[1];
        let mut y: Vec<f64> = (0..self.n * self.shape.outputs * pixels)
            .map(|at| f64::from(self.bias[at / pixels % self.shape.outputs]))
            .collect();
        self.products(size, |source, from, weight, to| {
            y[to] += f64::from(self.sources[source][from]) * f64::from(self.weight[weight]);
        });
        y
    }

    /// Gradients of the sources in f64.
    fn backward(&self, size: [usize; 2], gradient: &[f64]) -> Vec<Vec<f64>> {
        let mut dx: Vec<_> = self.sources.iter().map(|source| vec![0.0; source.len()]).collect();
        self.products(size, |source, from, weight, to| {
            dx[source][from] += gradient[to] * f64::from(self.weight[weight]);
        });
        dx
    }

    fn check(&self, noise: &mut Noise) {
        let what = format!("{:?} on {} of {:?}", self.shape, self.n, self.size);
        let conv = self.conv(None);
        let [height, width] = self.shape.output_size(self.size).unwrap_or_default();
        let (y, slope) = conv.forward(self.n, self.size[0], self.size[1], &self.sources(), true);
        assert!(slope.is_empty());
        close(&y, &self.forward([height, width]), &what);
        let gradient = noise.values(y.len(), 1.0);
        let dx = conv.backward(self.n, self.size[0], self.size[1], &gradient, &slope);
        let wide: Vec<_> = gradient.iter().map(|&g| f64::from(g)).collect();
        let expected = self.backward([height, width], &wide);
        assert_eq!(dx.len(), expected.len());
        for (dx, expected) in dx.iter().zip(&expected) {
            close(dx, expected, &what);
        }
    }
}

fn close(values: &[f32], expected: &[f64], what: &str) {
    assert_eq!(values.len(), expected.len(), "{what}");
    for (at, (&value, &expected)) in values.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(value) - expected).abs() < 2e-5 * (1.0 + expected.abs()),
            "{what}: {value}, {expected} at {at}"
        );
    }
}

#[test]
fn random_shapes_agree_with_a_plain_sum_forward_and_backward() {
    let mut noise = Noise(0x5eed);
    for _ in 0..300 {
        Case::random(&mut noise).check(&mut noise);
    }
}

/// Sizes at which the image is cut into several bands, chunks and strips.
fn large(noise: &mut Noise) -> Vec<Case> {
    let source = |channels, upsample| ConvSource { channels, upsample };
    let shape = |sources: &[ConvSource], outputs, kernel, stride, groups| {
        ConvShape::centred(sources.to_vec(), outputs, kernel, stride, groups)
    };
    vec![
        Case::new(noise, shape(&[source(8, 2), source(4, 1)], 13, 3, 1, 1), 2, [46, 130]),
        Case::new(noise, shape(&[source(24, 1)], 17, 1, 1, 1), 2, [37, 53]),
        Case::new(noise, shape(&[source(200, 1)], 7, 1, 1, 1), 1, [19, 31]),
        Case::new(noise, shape(&[source(30, 1)], 30, 5, 2, 30), 2, [45, 77]),
        Case::new(noise, shape(&[source(130, 1)], 9, 3, 1, 1), 1, [33, 80]),
        Case::new(noise, shape(&[source(40, 1)], 10, 1, 1, 1), 5, [1, 1]),
        Case::new(noise, shape(&[source(6, 1)], 12, 7, 1, 6), 2, [40, 16]),
    ]
}

#[test]
fn large_images_agree_with_a_plain_sum_forward_and_backward() {
    let mut noise = Noise(7);
    for case in large(&mut noise) {
        case.check(&mut noise);
    }
}

#[test]
fn no_level_and_no_number_of_threads_changes_a_bit() {
    let mut noise = Noise(11);
    let mut cases = large(&mut noise);
    cases.extend((0..20).map(|_| Case::random(&mut noise)));
    for case in cases {
        for activation in [gelu(), Pointwise::new(vec![Step::Input, Step::Relu(0)])] {
            let conv = case.conv(Some(activation));
            let run = |level, threads| {
                ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                    let (y, slope) = conv.forward_at(level, case.n, case.size, &case.sources(), true);
                    let dx = conv.backward_at(level, case.n, case.size, &y, &slope);
                    let (value, nothing) = conv.forward_at(level, case.n, case.size, &case.sources(), false);
                    assert!(value == y && nothing.is_empty());
                    (y, slope, dx)
                })
            };
            let expected = run(Level::detect(), 1);
            for threads in [2, 3, 8] {
                assert!(run(Level::detect(), threads) == expected, "{:?}: {threads} threads", case.shape);
            }
            for level in Level::available() {
                assert!(run(level, 2) == expected, "{:?}: {level}", case.shape);
            }
        }
    }
}

#[test]
fn the_slope_of_the_activation_is_in_the_gradient() {
    use Step::*;
    let relu = Pointwise::new(vec![Input, Relu(0)]);
    let clip = Pointwise::new(vec![Input, Clip(0, -0.5, 0.5)]);
    let mut noise = Noise(13);
    let mut cases = large(&mut noise);
    cases.extend((0..20).map(|_| Case::random(&mut noise)));
    for case in cases {
        for activation in [silu(), relu.clone(), clip.clone()] {
            let [height, width] = case.size;
            let plain = case.conv(None);
            let (sums, nothing) = plain.forward(case.n, height, width, &case.sources(), true);
            let (mut expected, mut expected_slope) = (vec![0.0; sums.len()], vec![0.0; sums.len()]);
            activation.apply_with_slope(&sums, &mut expected, &mut expected_slope);
            let conv = case.conv(Some(activation));
            let (y, slope) = conv.forward(case.n, height, width, &case.sources(), true);
            assert!(y == expected, "{:?}", case.shape);
            let gradient = noise.values(y.len(), 1.0);
            let product: Vec<_> =
                gradient.iter().zip(&expected_slope).map(|(gradient, slope)| gradient * slope).collect();
            let dx = conv.backward(case.n, height, width, &gradient, &slope);
            assert!(dx == plain.backward(case.n, height, width, &product, &nothing), "{:?}", case.shape);
        }
    }
}

#[test]
fn nothing_in_and_nothing_out() {
    let shape = |kernel, padding| ConvShape {
        sources: vec![ConvSource { channels: 2, upsample: 1 }],
        outputs: 3,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [padding; 4],
        dilation: [1; 2],
        groups: 1,
    };
    let mut noise = Noise(17);
    let same = Case::new(&mut noise, shape(3, 1), 0, [5, 6]);
    assert_eq!(same.conv(Some(silu())).forward(0, 5, 6, &same.sources(), true), (vec![], vec![]));
    let small = Case::new(&mut noise, shape(3, 0), 2, [2, 6]);
    let conv = small.conv(Some(silu()));
    assert_eq!(conv.shape().output_size([2, 6]), None);
    let (y, slope) = conv.forward(2, 2, 6, &small.sources(), true);
    assert!(y.is_empty());
    assert_eq!(conv.backward(2, 2, 6, &[], &slope), [vec![0.0; 48]]);
    for kernel in [1, 2] {
        let empty = Case::new(&mut noise, shape(kernel, 0), 2, [4, 0]);
        let conv = empty.conv(Some(silu()));
        assert_eq!(conv.forward(2, 4, 0, &empty.sources(), true), (vec![], vec![]));
        assert_eq!(conv.backward(2, 4, 0, &[], &[]), [vec![]]);
    }
}

/// Abramowitz and Stegun 7.1.5, which converges everywhere.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = 0.0;
    for n in 0..200 {
        sum += term / (2 * n + 1) as f64;
        term *= -x * x / (n + 1) as f64;
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn steps_are_accurate_on_a_grid() {
    use Step::*;
    let x: Vec<f32> = (-50_000..=50_000).map(|i| i as f32 * 1e-4).collect();
    let check = |steps: &[Step], expected: fn(f64) -> f64, error: f64| {
        let mut y = vec![0.0; x.len()];
        Pointwise::new(steps.to_vec()).apply(&x, &mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let expected = expected(f64::from(x));
            assert!(
                (f64::from(y) - expected).abs() <= error * expected.abs().max(1.0),
                "{steps:?} of {x}: {y}, {expected}"
            );
        }
    };
    check(&[Input, Tanh(0)], f64::tanh, 3e-7);
    check(&[Input, Erf(0)], erf, 5e-7);
    check(&[Input, Sigmoid(0)], |x| 1.0 / (1.0 + (-x).exp()), 2e-7);
    check(&[Input, Exp(0)], f64::exp, 2e-7);
    check(&[Input, Relu(0)], |x| x.max(0.0), 0.0);
    check(&[Input, Clip(0, -1.5, 0.5)], |x| x.clamp(-1.5, 0.5), 0.0);
    check(&[Input, Constant(3.0), Sub(1, 0), Neg(2), Add(3, 0), Mul(4, 1)], |x| 3.0 * (2.0 * x - 3.0), 1e-6);
    check(&[Input, Exp(0), Sqrt(1)], |x| (x / 2.0).exp(), 1e-6);
    check(&[Input, Exp(0), Constant(2.0), Div(2, 1)], |x| 2.0 * (-x).exp(), 1e-6);
    check(&[Input, Exp(0), Sigmoid(0), Div(2, 1)], |x| 1.0 / (1.0 + (-x).exp()) / x.exp(), 1e-6);
    check(&[Input, Exp(0), Pow(1, 1.3)], |x| (1.3 * x).exp(), 2e-6);
    check(&[Input, Pow(0, 3.0)], |x| x.powi(3), 1e-6);
    check(&[Input, Constant(2.0), Tanh(1), Mul(0, 2)], |x| x * 2f64.tanh(), 1e-6);
    check(&[Constant(2.5)], |_| 2.5, 0.0);
    check(&[Input], |x| x, 0.0);
}

#[test]
fn derivatives_agree_with_finite_differences() {
    use Step::*;
    let functions = [
        silu(),
        gelu(),
        gelu_tanh(),
        hard_swish(),
        Pointwise::new(vec![Input]),
        Pointwise::new(vec![Constant(1.0)]),
        Pointwise::new(vec![Input, Relu(0)]),
        Pointwise::new(vec![Input, Exp(0), Sqrt(1)]),
        Pointwise::new(vec![Input, Exp(0), Pow(1, 0.5), Pow(1, -1.0), Add(2, 3)]),
        Pointwise::new(vec![Input, Exp(0), Pow(1, 0.7), Pow(0, 2.0), Sub(2, 3)]),
        Pointwise::new(vec![Input, Exp(0), Sigmoid(0), Div(1, 2), Constant(2.0), Div(4, 3), Neg(5)]),
        Pointwise::new(vec![Input, Clip(0, -1.0, 2.0), Mul(1, 1), Sub(2, 0), Pow(0, 0.0), Add(4, 3)]),
    ];
    // Away from the kinks, which are at whole numbers.
    let x: Vec<f32> = (-180..180).map(|i| i as f32 / 60.0 + 0.005).collect();
    const STEP: f32 = 1.0 / 256.0;
    for function in functions {
        let at = |shift: f32| {
            let x: Vec<_> = x.iter().map(|x| x + shift).collect();
            let (mut y, mut slope, mut again) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
            function.apply_with_slope(&x, &mut y, &mut slope);
            function.apply(&x, &mut again);
            assert_eq!(y, again);
            for level in Level::available() {
                let (mut other, mut other_slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                function.apply_at(level, &x, &mut other, Some(&mut other_slope));
                assert!(other == y && other_slope == slope, "{:?}: {level}", function.steps());
            }
            (y, slope)
        };
        let ((low, _), (_, slope), (high, _)) = (at(-STEP), at(0.0), at(STEP));
        for (i, x) in x.iter().enumerate() {
            let difference = (high[i] - low[i]) / (2.0 * STEP);
            let error = (slope[i] - difference).abs();
            assert!(
                error < 1e-3 * (1.0 + difference.abs()),
                "{:?} at {x}: {}, {difference}",
                function.steps(),
                slope[i]
            );
        }
    }
}

#[test]
#[should_panic(expected = "earlier")]
fn a_step_cannot_take_its_own_value() {
    Pointwise::new(vec![Step::Input, Step::Neg(1)]);
}

#[test]
fn channels_are_scaled_and_averaged() {
    let mut noise = Noise(19);
    for pixels in [1, 15, 64, 1000] {
        let (x, gradient) = (noise.values(6 * pixels, 1.0), noise.values(6 * pixels, 1.0));
        let scale = noise.values(6, 1.0);
        let y = scale_channels(&x, &scale, pixels);
        let (dx, dscale) = scale_channels_backward(&x, &scale, &gradient, pixels);
        let mean = mean_channels(&x, pixels);
        for c in 0..6 {
            let channel = c * pixels..(c + 1) * pixels;
            assert!(channel.clone().all(|at| y[at] == x[at] * scale[c] && dx[at] == gradient[at] * scale[c]));
            let sum = |f: &dyn Fn(usize) -> f64| channel.clone().map(f).sum::<f64>();
            let dot = sum(&|at| f64::from(x[at]) * f64::from(gradient[at]));
            close(&[dscale[c], mean[c]], &[dot, sum(&|at| f64::from(x[at])) / pixels as f64], "channels");
        }
    }
}
