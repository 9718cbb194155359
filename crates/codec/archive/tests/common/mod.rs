//! One representation for several tests.

#![allow(dead_code, reason = "each test file uses its share")]

use repr::{
    Architecture, Clip, ClipName, CorrectionTarget, Head, Layer, LayerTable, Nonlinearity, QuantizedLatents,
    QuantizedTensor, Refine, Representation, RepresentationParts, Sidecar, Stage, Stem,
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

/// A representation of a table whose latents have two values, always the same.
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
    let latents = QuantizedLatents {
        minimum: vec![-2.0, -1.5],
        step: vec![0.015, 0.02],
        values: (0..6 * architecture.sample_dim()).map(|i| (100 + i as u32 + random(40)) as u8 as u16).collect(),
    };
    let mut sidecar = Sidecar::default();
    for (sample, cosine, amount) in [(0, 0, 3), (2, 0, -1), (2, 7, 31), (5, 0, -2)] {
        sidecar.set(sample, CorrectionTarget::Frame { frame: 1, channel: 0, cosine }, amount);
        sidecar.set(sample, CorrectionTarget::Latent { dimension: 1 }, -1);
    }
    let clip = clip("clip", 13, 8, 10);
    Representation::new(RepresentationParts { architecture, clip, parameters, latents, sidecar, maps: None }).unwrap()
}
