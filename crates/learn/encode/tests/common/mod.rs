//! A small source: float parameters and latents from a fixed formula, and an original that it does not quite reach.

use encode::Source;
use frames::RgbFrame;
use perception::targets::{TargetInfo, Targets};
use repr::{
    Architecture, Clip, Layer, Refine, Representation, Sidecar, Stage, Stem, Tensor, Tensors, quantize_latents,
    quantize_tensor,
};

/// Rows and columns of the clip's frames, and of the decoder's: what is lost between them is none of the encoder's business.
pub const SIZE: (usize, usize) = (24, 32);

/// Numbers that look random, in -1..1.
pub fn noise(seed: usize, i: usize) -> f32 {
    let mut z = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z >> 40) as f32 / (1u64 << 23) as f32) - 1.0
}

/// Every kind of layer; frames of 24x32.
pub fn source(samples: usize) -> Source {
    let stage = |channels, upscale, kernel| Layer::Stage(Stage { channels, upscale, kernel });
    let architecture = Architecture {
        latent_dim: 4,
        stem: Stem { channels: 8, height: 3, width: 4 },
        layers: vec![
            stage(8, 2, 3),
            stage(6, 2, 3),
            Layer::Refine(Refine { hidden: 4, dilation: 2, gain: 0.2 }),
            stage(6, 2, 1),
        ],
    };
    let (mut parameters, mut plain) = (Tensors::default(), Vec::new());
    for (seed, parameter) in architecture.parameters().into_iter().enumerate() {
        let bound = 1.5 / (parameter.fan_in() as f32).sqrt();
        let values = (0..parameter.len()).map(|i| bound * noise(seed, i)).collect();
        let tensor = Tensor { shape: parameter.shape.clone(), values };
        plain.push(quantize_tensor(&parameter.name, &tensor, 8).unwrap());
        parameters.0.insert(parameter.name, tensor);
    }
    let latents: Vec<f32> = (0..4 * samples).map(|i| 1.5 * noise(99, i)).collect();
    let clip = Clip { name: "clip".into(), frames: 2 * samples, height: SIZE.0, width: SIZE.1 };
    let plain = Representation {
        latents: quantize_latents(&latents, 4).unwrap(),
        architecture,
        clip,
        parameters: plain,
        sidecar: Sidecar::default(),
    };
    Source { parameters, latents, plain }
}

/// The source's frames, the first ones of all pairs brighter, as an original.
#[allow(dead_code, reason = "not every test that shares this module compares with an original")]
pub fn original(source: &Source) -> Targets {
    let info = TargetInfo {
        name: "clip".into(),
        clip_bytes: 10_000,
        clip_height: SIZE.0,
        clip_width: SIZE.1,
        height: 24,
        width: 32,
    };
    let mut targets = Targets::new(info);
    let decoder = decoder::Decoder::new(&source.plain).unwrap();
    for sample in 0..source.plain.clip.samples() {
        for (i, frame) in decoder.decode(sample).unwrap().into_iter().enumerate() {
            let brighter = |v: u8| if i == 0 { v.saturating_add(6) } else { v };
            let data = frame.data().iter().map(|&v| brighter(v)).collect();
            targets.push(&RgbFrame::new(SIZE.1, SIZE.0, data).unwrap()).unwrap();
        }
    }
    targets
}
