//! Every kernel at the largest size that the reference architecture has: `cargo bench -p kernels`.
//!
//! One frame on one thread, with the fastest instructions. An element of convolutions is a multiply-add, of everything else a
//! value that is written.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kernels::{Bicubic, Conv, Level, Nonlinearity, Rows, Upsample, row_stride, sigmoid255, sin};

#[global_allocator]
static ALLOCATOR: allocator::MiMalloc = allocator::MiMalloc;

/// Values that are neither equal nor denormal.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 31 % 257) as f32 - 128.0) / 512.0).collect()
}

/// A window that holds the whole image.
fn rows(channels: usize, height: usize, width: usize) -> Rows {
    let mut rows = Rows::new(channels, height, width, height);
    for _ in 0..height {
        let mut row = rows.push();
        (0..channels).for_each(|c| row.channel(c).copy_from_slice(&values(width)));
    }
    rows
}

fn bench(group: &mut BenchmarkGroup<WallTime>, name: &str, elements: usize, mut run: impl FnMut()) {
    group.throughput(Throughput::Elements(elements as u64));
    group.bench_function(name, |bencher| bencher.iter(&mut run));
}

fn inference(criterion: &mut Criterion) {
    let level = Level::detect();
    let mut group = criterion.benchmark_group("inference");
    for (inputs, outputs, kernel, dilation, height, width) in
        [(18, 72, 3, 1, 192, 256), (20, 18, 1, 1, 96, 128), (18, 9, 3, 2, 384, 512)]
    {
        let taps = inputs * kernel * kernel;
        let conv = Conv::new(&values(outputs * taps), &values(outputs), inputs, kernel, dilation);
        let input = rows(inputs, height, width);
        let mut out = vec![0.0; conv.row_len(width)];
        let name = format!("conv {kernel}x{kernel} {inputs} -> {outputs}, dilation {dilation}, {height}x{width}");
        bench(&mut group, &name, outputs * taps * height * width, || {
            (0..height).for_each(|y| conv.row(level, &input, y, &mut out));
            black_box(&mut out);
        });
    }

    let (channels, height, width) = (18, 192, 256);
    let (upsample, skip) = (Upsample::new(2, Some(Nonlinearity::Sin)), rows(channels, height, width));
    let conv = values(4 * channels * row_stride(width));
    let mut blend = vec![0.0; Upsample::blend_len(width)];
    let mut out = Rows::new(channels, 2 * height, 2 * width, 2);
    bench(&mut group, "upsample 18, 192x256 -> 384x512", channels * 4 * height * width, || {
        out.restart();
        for y in 0..height {
            (0..2).for_each(|phase| upsample.row(level, &conv, Some(&skip), y, phase, &mut blend, out.push()));
        }
    });

    let (native, camera) = ((384, 512), (874, 1164));
    let (bicubic, image) = (Bicubic::new(level, native, camera), rows(3, native.0, native.1));
    let mut columns = Rows::new(3, native.0, camera.1, native.0);
    let mut rgb = vec![0; 3 * camera.1];
    bench(&mut group, "bicubic 384x512 -> 874x1164", 3 * camera.0 * camera.1, || {
        columns.restart();
        (0..native.0).for_each(|y| bicubic.columns(&image, y, columns.push()));
        for y in 0..camera.0 {
            bicubic.rgb(&columns, y, 0, &mut rgb);
            black_box(&mut rgb);
        }
    });

    let mut x = values(4096);
    bench(&mut group, "sin", x.len(), || sin(level, black_box(&mut x)));
    bench(&mut group, "sigmoid", x.len(), || sigmoid255(level, black_box(&mut x)));
}

fn kept_pages() -> Criterion {
    allocator::keep_pages();
    Criterion::default()
}

criterion_group!(name = kernels; config = kept_pages(); targets = inference);
criterion_main!(kernels);
