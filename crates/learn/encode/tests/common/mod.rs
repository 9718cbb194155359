//! A small source: float parameters and latents from a fixed formula, and an original that it does not quite reach.

use std::num::NonZeroU64;

use dataset::{Dataset, DatasetInfo};
use encode::Source;
use frames::RgbFrame;
use repr::{
    Architecture, Clip, ClipName, Layer, LayerTable, Refine, Representation, RepresentationParts, Sidecar, Stage, Stem,
    Tensors, quantize_latents, quantize_tensor,
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
    let stage = |channels, upscale, kernel| Layer::Stage(Stage::new(channels, upscale, kernel));
    let table = LayerTable::new(
        4,
        Stem::new(8, 3, 4),
        vec![
            stage(8, 2, 3),
            stage(6, 2, 3),
            Layer::Refine(Refine { hidden: 4, dilation: 2, gain: 0.2 }),
            stage(6, 2, 1),
        ],
    );
    let architecture = Architecture::new(table).unwrap();
    let values = |(seed, parameter): (usize, &repr::Parameter)| -> Vec<f32> {
        let bound = 1.5 / (parameter.fan_in() as f32).sqrt();
        (0..parameter.len()).map(|i| bound * noise(seed, i)).collect()
    };
    let values: Vec<Vec<f32>> = architecture.parameters().iter().enumerate().map(values).collect();
    let plain = values.iter().map(|values| quantize_tensor("t", values, 8).unwrap()).collect();
    let parameters = Tensors::new(&architecture, values).unwrap();
    let latents: Vec<f32> = (0..4 * samples).map(|i| 1.5 * noise(99, i)).collect();
    let clip = Clip::new(ClipName::new("clip").unwrap(), 2 * samples, SIZE.0, SIZE.1).unwrap();
    let plain = RepresentationParts {
        maps: None,
        latents: quantize_latents(&latents, &[8; 4]).unwrap(),
        architecture,
        clip,
        parameters: plain,
        sidecar: Sidecar::default(),
    };
    Source::new(parameters, latents, Representation::new(plain).unwrap()).unwrap()
}

/// The source's frames, the first ones of all pairs brighter, as an original.
#[allow(dead_code, reason = "not every test that shares this module compares with an original")]
pub fn original(source: &Source) -> Dataset {
    let info = DatasetInfo {
        name: "clip".parse().unwrap(),
        clip_bytes: NonZeroU64::new(10_000).unwrap(),
        clip_height: SIZE.0,
        clip_width: SIZE.1,
        height: 24,
        width: 32,
    };
    let mut dataset = Dataset::new(info).unwrap();
    let decoder = decoder::Decoder::new(source.plain());
    for sample in 0..source.plain().clip.samples() {
        for (i, frame) in decoder.decode(sample).unwrap().into_iter().enumerate() {
            let brighter = |v: u8| if i == 0 { v.saturating_add(6) } else { v };
            let data = frame.data().iter().map(|&v| brighter(v)).collect();
            dataset.push(&RgbFrame::new(SIZE.1, SIZE.0, data).unwrap()).unwrap();
        }
    }
    dataset
}
