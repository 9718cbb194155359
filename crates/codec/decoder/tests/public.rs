//! A real public archive of the reference architecture against torch.

use decoder::Decoder;
use serde_json::Value;

#[test]
fn the_public_archive_decodes_as_in_torch() {
    let (Some(archive), Some(golden)) =
        (testdata::shared("archives/hnerv-muon-public.bin"), testdata::shared("golden/decoder.json"))
    else {
        return;
    };
    let representation = archive::import(&std::fs::read(archive).unwrap(), "0").unwrap();
    let decoder = Decoder::new(&representation);
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let (mut worst, mut points, mut equal) = (0f64, 0, 0);
    for pair in golden["pairs"].as_array().unwrap() {
        let sample = pair["pair"].as_u64().unwrap() as usize;
        let latent = representation.latents.sample(sample, representation.architecture.sample_dim(), &[]).unwrap();
        for (found, expected) in latent.iter().zip(pair["latent"].as_array().unwrap()) {
            assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-6, "latent of {sample}");
        }
        let native = decoder.decode_native(sample).unwrap();
        let camera = decoder.decode(sample).unwrap();
        let place =
            |point: &Value| ["frame", "channel", "row", "column"].map(|key| point[key].as_u64().unwrap() as usize);
        for point in pair["native"].as_array().unwrap() {
            let [frame, channel, y, x] = place(point);
            let found = native[frame].plane(channel)[y * native[frame].width() + x];
            worst = worst.max((f64::from(found) - point["value"].as_f64().unwrap()).abs());
        }
        for point in pair["camera"].as_array().unwrap() {
            let [frame, channel, y, x] = place(point);
            let found = u64::from(camera[frame].data()[(y * 1164 + x) * 3 + channel]);
            let expected = point["value"].as_u64().unwrap();
            assert!(found.abs_diff(expected) <= 1, "sample {sample} {point}: {found}");
            points += 1;
            equal += usize::from(found == expected);
        }
        let mean = |sum: f64, count: usize| sum / count as f64;
        let sum: f64 = native.iter().flat_map(|planes| planes.data()).map(|&v| f64::from(v)).sum();
        let found = mean(sum, 6 * 384 * 512);
        assert!((found - pair["native_mean"].as_f64().unwrap()).abs() < 2e-3, "native mean of {sample}: {found}");
        let sum: f64 = camera.iter().flat_map(|frame| frame.data()).map(|&v| f64::from(v)).sum();
        let found = mean(sum, 6 * 874 * 1164);
        assert!((found - pair["camera_mean"].as_f64().unwrap()).abs() < 2e-3, "camera mean of {sample}: {found}");
    }
    eprintln!("largest error of a native value {worst:.2e} of 255; {equal} of {points} camera bytes equal");
    assert!(worst <= 1e-3 * 255.0, "native values are off by {worst}");
    assert!(equal * 1000 >= points * 998, "{equal} of {points} camera bytes equal");
}
