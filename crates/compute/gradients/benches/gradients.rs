//! Every kernel at the largest size that the reference architecture and its evaluators have: `cargo bench -p gradients`.
//!
//! A batch of two on rayon's threads, with the fastest instructions. An element of convolutions is a multiply-add, of
//! everything else a value that is written.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use gradients::frozen::{ConvShape, ConvSource, FrozenConv, Pointwise, Step};
use gradients::{HeadsShape, PixelLoss, RefineShape, RoundTrip, Segmentation, StageShape, Weights, Yuv6};
use kernels::{Nonlinearity, Skip};

#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

/// Samples of a batch.
const N: usize = 2;

/// Values that are neither equal nor denormal.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 257) as f32 - 128.0) / 512.0).collect()
}

fn bench(group: &mut BenchmarkGroup<WallTime>, name: &str, elements: usize, mut run: impl FnMut()) {
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(name, |bencher| bencher.iter(&mut run));
}

fn training(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training");

    let stage = StageShape {
        inputs: 18,
        outputs: 18,
        kernel: 3,
        upscale: 2,
        nonlinearity: Nonlinearity::Sin,
        height: 192,
        width: 256,
    };
    let pixels = N * stage.height * stage.width;
    let (x, gradient) = (values(18 * pixels), values(4 * 18 * pixels));
    let (weight, bias) = (values(72 * 18 * 9), values(72));
    let conv = Weights { weight: &weight, bias: &bias };
    let (_, slope) = stage.forward(N, &x, conv, Skip::Input);
    let products = 72 * 18 * 9 * pixels;
    bench(&mut group, "stage 18 -> 18, forward", products, || drop(stage.forward(N, &x, conv, Skip::Input)));
    bench(&mut group, "stage 18 -> 18, backward", 2 * products, || {
        stage.backward(N, &x, &slope, &gradient, &weight, Skip::Input);
    });

    let (height, width) = (384, 512);
    let pixels = N * height * width;
    let (x, gradient) = (values(18 * pixels), values(18 * pixels));
    let refine = RefineShape { channels: 18, hidden: 9, dilation: 2, gain: 0.1, height, width };
    let (weight, biases) = (values(9 * 18 * 9), [values(9), values(18)]);
    let [first, second] = [0, 1].map(|at| Weights { weight: &weight, bias: &biases[at] });
    let (_, hidden, slope) = refine.forward(N, &x, first, second);
    let products = 2 * 18 * 9 * 9 * pixels;
    bench(&mut group, "refine 18 -> 9 -> 18, forward", products, || drop(refine.forward(N, &x, first, second)));
    bench(&mut group, "refine 18 -> 9 -> 18, backward", 2 * products, || {
        refine.backward(N, &x, &hidden, &slope, &gradient, &weight, &weight);
    });

    let heads = HeadsShape { inputs: 18, outputs: 6, height, width };
    let (weight, bias) = (values(6 * 18 * 9), values(6));
    let conv = Weights { weight: &weight, bias: &bias };
    let y = heads.forward(N, &x, conv);
    let products = 6 * 18 * 9 * pixels;
    bench(&mut group, "heads 18 -> 6, forward", products, || drop(heads.forward(N, &x, conv)));
    bench(&mut group, "heads 18 -> 6, backward", 2 * products, || {
        heads.backward(N, &x, &y, &gradient[..6 * pixels], &weight);
    });

    let (native, camera) = ((height, width), (874, 1164));
    let (x, gradient) = (&y[..], &gradient[..6 * pixels]);
    let trip = RoundTrip { native, camera, input: native, round: true };
    let (frames, kept) = trip.forward(6 * N, x);
    bench(&mut group, "round trip by 874x1164, forward", x.len(), || drop(trip.forward(6 * N, x)));
    bench(&mut group, "round trip by 874x1164, backward", x.len(), || drop(trip.backward(6 * N, &kept, gradient)));

    let yuv6 = Yuv6 { height, width };
    let planes = yuv6.forward(N, &frames);
    bench(&mut group, "YUV6, forward", planes.len(), || drop(yuv6.forward(N, &frames)));
    bench(&mut group, "YUV6, backward", frames.len(), || drop(yuv6.backward(N, &frames, &gradient[..planes.len()])));

    let loss = PixelLoss::Softplus { tau: 0.3 };
    let segmentation = Segmentation { classes: 5, height, width, loss, hard: None };
    let targets: Vec<u8> = (0..pixels).map(|i| (i * 31 % 257 % 5) as u8).collect();
    bench(&mut group, "segmentation loss, 5 classes", 5 * pixels, || {
        segmentation.value_and_gradient(N, &gradient[..5 * pixels], &targets);
    });
}

fn frozen(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frozen");
    let silu = Pointwise::new(vec![Step::Input, Step::Sigmoid(0), Step::Mul(0, 1)]);
    let relu = Pointwise::new(vec![Step::Input, Step::Relu(0)]);
    let once = |channels| vec![ConvSource { channels, upsample: 1 }];
    let up = vec![ConvSource { channels: 32, upsample: 2 }, ConvSource { channels: 16, upsample: 1 }];
    for (name, sources, outputs, kernel, stride, groups, height, width, activation) in [
        ("3x3 12 -> 12, 384x512", once(12), 12, 3, 1, 1, 384, 512, Some(&relu)),
        ("3x3 48 -> 48, 48x64", once(48), 48, 3, 1, 1, 48, 64, Some(&relu)),
        ("3x3 32 upsampled and 16 -> 20, 192x256", up, 20, 3, 1, 1, 192, 256, Some(&relu)),
        ("5x5 12 -> 48, stride 2, 192x256", once(12), 48, 5, 2, 1, 192, 256, Some(&silu)),
        ("1x1 40 -> 120, 48x64", once(40), 120, 1, 1, 1, 48, 64, Some(&silu)),
        ("3x3 depthwise 72, 96x128", once(72), 72, 3, 1, 72, 96, 128, Some(&silu)),
        ("7x7 depthwise 64, 48x64", once(64), 64, 7, 1, 64, 48, 64, None),
    ] {
        let inputs: usize = sources.iter().map(|source| source.channels).sum();
        let size = |source: &ConvSource| N * source.channels * height * width / (source.upsample * source.upsample);
        let tensors: Vec<_> = sources.iter().map(|source| values(size(source))).collect();
        let tensors: Vec<_> = tensors.iter().map(|tensor| &tensor[..]).collect();
        let shape = ConvShape::centred(sources, outputs, kernel, stride, groups);
        let taps = inputs / groups * kernel * kernel;
        let conv = FrozenConv::new(shape, &values(outputs * taps), &values(outputs), activation.cloned());
        let (y, slope) = conv.forward(N, height, width, &tensors, true);
        let products = y.len() * taps;
        bench(&mut group, &format!("{name}, forward"), products, || {
            conv.forward(N, height, width, &tensors, true);
        });
        bench(&mut group, &format!("{name}, backward"), products, || {
            conv.backward(N, height, width, &y, &slope);
        });
    }
    let x = values(4096);
    let (mut y, mut slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    bench(&mut group, "SiLU and its slope", x.len(), || silu.apply_with_slope(black_box(&x), &mut y, &mut slope));
}

fn kept_pages() -> Criterion {
    allocator::keep_pages();
    Criterion::default()
}

criterion_group!(name = gradients; config = kept_pages(); targets = training, frozen);
criterion_main!(gradients);
