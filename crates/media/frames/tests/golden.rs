//! Every conversion against values that torch computed (`golden/make.py`).

use frames::{Plane8, Planes, RgbFrame, resize_bicubic, resize_bilinear, yuv6, yuv420_to_rgb};
use serde_json::Value;

fn golden(name: &str) -> Vec<Value> {
    let mut values: Value = serde_json::from_str(include_str!("../golden/values.json")).unwrap();
    serde_json::from_value(values[name].take()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value(value.clone()).unwrap()
}

fn pair(value: &Value) -> [usize; 2] {
    serde_json::from_value(value.clone()).unwrap()
}

fn count(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn resampling_agrees_with_torch() {
    for case in golden("resize") {
        let (channels, from, [height, width]) = (count(&case["channels"]), pair(&case["from"]), pair(&case["to"]));
        let input = Planes::new(channels, from[0], from[1], numbers(&case["input"])).unwrap();
        let mode = case["mode"].as_str().unwrap();
        // Torch fuses some products and sums, in the bicubic source coordinate too: there a rounding error of 2e-5 pixels
        // meets the slope of 8-bit noise, up to 300 a pixel.
        let (output, tolerance) = match mode {
            "bilinear" => (resize_bilinear(&input, height, width), 5e-5),
            _ => (resize_bicubic(&input, height, width), 4e-3),
        };
        assert_eq!((output.channels(), output.height(), output.width()), (channels, height, width));
        let difference = largest_difference(output.data(), &numbers(&case["output"]));
        assert!(difference <= tolerance, "{mode} {from:?} -> {height}x{width}: {difference:e}");
    }
}

#[test]
fn resizing_a_frame_is_resizing_its_planes() {
    let data = (0..3 * 37 * 23).map(|i| (i * 73 % 251) as u8).collect();
    let frame = RgbFrame::new(37, 23, data).unwrap();
    for (height, width) in [(10, 16), (23, 37), (50, 64)] {
        assert_eq!(frame.resize_bilinear(height, width), resize_bilinear(&frame.to_planes(), height, width));
    }
}

#[test]
fn yuv6_agrees_with_torch() {
    for case in golden("yuv6") {
        let [height, width] = pair(&case["size"]);
        let output = yuv6(&Planes::new(3, height, width, numbers(&case["input"])).unwrap());
        assert_eq!((output.channels(), output.height(), output.width()), (6, height / 2, width / 2));
        let difference = largest_difference(output.data(), &numbers(&case["output"]));
        assert!(difference <= 2e-5, "{height}x{width}: {difference:e}");
    }
}

#[test]
fn yuv420_is_bit_equal_with_torch_at_any_stride() {
    for case in golden("yuv420") {
        let (width, height) = (count(&case["width"]), count(&case["height"]));
        let half = width.div_ceil(2);
        for padding in [0, 5] {
            let [y, u, v] = [("y", width), ("u", half), ("v", half)].map(|(name, width)| {
                let rows = bytes(&case[name]);
                let mut padded: Vec<u8> =
                    rows.chunks(width).flat_map(|row| [row, &vec![99; padding]].concat()).collect();
                padded.truncate(padded.len() - padding);
                padded
            });
            let [y, u, v] =
                [(&y, width), (&u, half), (&v, half)].map(|(data, width)| Plane8 { data, stride: width + padding });
            let frame = yuv420_to_rgb(y, u, v, width, height).unwrap();
            assert_eq!(frame.data(), bytes(&case["rgb"]), "{width}x{height}");
            let cut = Plane8 { data: &y.data[..y.data.len() - 1], ..y };
            assert!(yuv420_to_rgb(cut, u, v, width, height).is_err());
        }
    }
}
