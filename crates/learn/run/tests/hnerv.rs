//! The decoder of HNeRV (Chen et al. 2023), from a recipe to frames.

mod common;

use std::num::NonZeroU64;

use common::{Watch, recipe, run_on};
use dataset::{Dataset, DatasetInfo};
use evaluate::evaluate;
use frames::RgbFrame;
use recipe::tables::{LossTable, RecipeTable, StageTable};
use report::RunFolder;
use repr::ClipName;
use run::{Device, Outcome};

/// As `--embed "" --enc_dim 64_16 --dec_strds 5 4 4 2 2 --ks 0_1_5 --reduce 1.2 --lower_width 6 --act gelu --out_bias tanh` of
/// haochen-rye/HNeRV makes it for 640x1280, narrow.
const DECODER: &str = r#"
latent_dim = 128
frames = 1
head = "tanh"
stem = { channels = 16, height = 2, width = 4, linear = false }
layers = [
    { kind = "stage", channels = 9, upscale = 1, kernel = 1, skip = false, activation = "gelu" },
    { kind = "stage", channels = 8, upscale = 5, kernel = 1, skip = false, activation = "gelu" },
    { kind = "stage", channels = 7, upscale = 4, kernel = 3, skip = false, activation = "gelu" },
    { kind = "stage", channels = 6, upscale = 4, kernel = 5, skip = false, activation = "gelu" },
    { kind = "stage", channels = 6, upscale = 2, kernel = 5, skip = false, activation = "gelu" },
    { kind = "stage", channels = 6, upscale = 2, kernel = 5, skip = false, activation = "gelu" },
]
"#;

const SIZE: (usize, usize) = (640, 1280);

/// A gradient that brightens from frame to frame; the last one has no partner.
fn scene() -> Dataset {
    let info = DatasetInfo {
        name: ClipName::new("scene").unwrap(),
        clip_bytes: NonZeroU64::new(100_000).unwrap(),
        clip_height: SIZE.0,
        clip_width: SIZE.1,
        height: SIZE.0,
        width: SIZE.1,
    };
    let mut dataset = Dataset::new(info).unwrap();
    for t in 0..5 {
        let pixel = |i: usize| [(i % SIZE.1 / 8) as u8, (i / SIZE.1 / 4) as u8, 30 + 20 * t];
        let data = (0..SIZE.0 * SIZE.1).flat_map(pixel).collect();
        dataset.push(&RgbFrame::new(SIZE.1, SIZE.0, data).unwrap()).unwrap();
    }
    dataset
}

#[test]
fn hnervs_decoder_trains_and_inflates() {
    let stage = StageTable {
        epochs: 9,
        learning_rate: 1e-2,
        warm_up: 1.0,
        ..StageTable::new("pixels", LossTable { mse: 1.0, ..Default::default() })
    };
    let quantized =
        StageTable { name: "int8".into(), epochs: 1, learning_rate: 1e-4, quantized: true, ..stage.clone() };
    let table = RecipeTable { decoder: toml::from_str(DECODER).unwrap(), stage: vec![stage, quantized], ..recipe() };
    let folder = RunFolder::new(tempfile::tempdir().unwrap().keep().join("run"));
    let (dataset, mut watch) = (scene(), Watch::default());
    let outcome = run_on(Device::Cpu, &table, &dataset, None, &folder, false, &mut watch).unwrap();
    let Outcome::Finished { evaluation, .. } = outcome else { panic!("{outcome:?}") };

    let bytes = std::fs::read(folder.archive()).unwrap();
    assert_eq!(bytes[4], 3, "the version that has these kinds");
    let representation = archive::decode(&bytes).unwrap();
    assert_eq!((representation.clip.samples(), representation.latents.values.len()), (2, 4 * 128));
    // What is inflated is what was scored, and it has learned.
    assert_eq!(evaluate(&representation, &dataset, None, bytes.len()).unwrap().psnr, evaluation.psnr);
    let (first, last) = (watch.losses[0], watch.losses[watch.losses.len() - 1]);
    assert!(last < first / 2.0 && evaluation.psnr > 14.0, "{first} to {last}, {} dB", evaluation.psnr);
    let decoder = decoder::Decoder::new(&representation);
    let [first, second] = decoder.decode(1).unwrap();
    let blue = |frame: &RgbFrame| frame.data().iter().skip(2).step_by(3).map(|&v| f64::from(v)).sum::<f64>();
    assert!(blue(&second) != blue(&first), "each frame has its own latent");
}
