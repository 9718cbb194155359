//! One representation for several tests.

#![allow(dead_code, reason = "each test file uses its share")]

use std::sync::Arc;

use repr::{
    Architecture, Carrier, ClassMaps, Clip, ClipName, CorrectionTarget, Head, Layer, LayerTable, Nonlinearity,
    QuantizedLatents, QuantizedTensor, Refine, Representation, RepresentationParts, Residual, Sidecar, Stage, Stem,
};

/// A clip that can be.
pub fn clip(name: &str, frames: usize, height: usize, width: usize) -> Clip {
    Clip::new(ClipName::new(name).unwrap(), frames, height, width).unwrap()
}

/// One small representation, always the same, that the oldest version can hold.
pub fn small() -> Representation {
    let layers = vec![Layer::Stage(Stage::new(2, 2, 3)), Layer::Refine(Refine { hidden: 1, dilation: 2, gain: 0.1 })];
    of(LayerTable::new(2, Stem::new(1, 2, 2), layers))
}

/// One with every kind of layer that came later, always the same.
pub fn later() -> Representation {
    let bare = Stage { skip: false, activation: Nonlinearity::Gelu, ..Stage::new(2, 5, 5) };
    let layers = vec![Layer::Stage(bare), Layer::Stage(Stage::new(1, 1, 1))];
    let stem = Stem { linear: false, ..Stem::new(1, 1, 2) };
    of(LayerTable { frames: 1, head: Head::Tanh, ..LayerTable::new(2, stem, layers) })
}

/// One of class maps, with residual blocks and a grey carrier of 10 bits, always the same.
pub fn semantic() -> Representation {
    let residual =
        |hidden, kernel, dilation, activation| Layer::Residual(Residual { hidden, kernel, dilation, activation });
    let layers = vec![
        residual(2, 3, 2, Nonlinearity::Sin),
        residual(3, 1, 1, Nonlinearity::Gelu),
        residual(1, 5, 8, Nonlinearity::Gelu),
        Layer::Refine(Refine { hidden: 1, dilation: 7, gain: 0.1 }),
    ];
    let stem = Stem { classes: 3, ..Stem::new(2, 6, 9) };
    let carrier = Some(Carrier { coefficients: 2, height: 2, width: 3, channels: 1, bits: 10 });
    of(LayerTable { carrier, ..LayerTable::new(4, stem, layers) })
}

/// A representation of a table whose latents have at least two values, always the same.
fn of(table: LayerTable) -> Representation {
    let mut state = 1u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    let architecture = Architecture::new(table).unwrap();
    let parameters = architecture.parameters().iter().enumerate().map(|(i, parameter)| {
        let bits = [8, 6, 4][i % 3];
        let (half, len) = (1 << (bits - 1), parameter.len());
        QuantizedTensor {
            bits,
            steps: (0..if i == 2 { parameter.shape[0] } else { 1 }).map(|i| 0.01 + i as f32 * 0.001).collect(),
            values: (0..len).map(|_| random(half) as i16 + random(half) as i16 - half as i16).collect(),
        }
    });
    let parameters = parameters.collect();
    let (dim, bits) = (architecture.latent_dim(), architecture.latent_bits());
    let value = |i: usize| {
        let (level, finer) = ((100 + i as u32 + random(40)) as u8, 1 << (bits[i % dim] - 8));
        u16::from(level) * finer + i as u16 % 7 % finer
    };
    let latents = QuantizedLatents {
        minimum: [-2.0, -1.5].into_iter().cycle().take(dim).collect(),
        step: [0.015, 0.02].into_iter().cycle().take(dim).collect(),
        values: (0..6 * architecture.sample_dim()).map(value).collect(),
    };
    let mut sidecar = Sidecar::default();
    for (sample, cosine, amount) in [(0, 0, 3), (2, 0, -1), (2, 7, 31), (5, 0, -2)] {
        sidecar.set(sample, CorrectionTarget::Frame { frame: 1, channel: 0, cosine }, amount);
        sidecar.set(sample, CorrectionTarget::Latent { dimension: 1 }, -1);
    }
    let clip = clip("clip", 13, 8, 10);
    let maps = architecture.map_shape(6).unwrap().map(|shape| {
        // Areas that move, and a few pixels of their own.
        let (rows, columns, classes) = (shape.rows(), shape.columns(), shape.classes());
        let class =
            |at: usize| (at % columns + at / columns % rows / 2 + at / shape.pixels()) / 5 + usize::from(at % 29 == 3);
        let values = (0..6 * shape.pixels()).map(|at| (class(at) % classes) as u8).collect();
        Arc::new(ClassMaps::new(shape, values).unwrap())
    });
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps }).unwrap()
}
