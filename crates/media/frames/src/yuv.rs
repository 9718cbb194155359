//! Decoded 4:2:0 video to RGB, and RGB to the pose evaluator's six planes.

use crate::error::{FrameError, checked_len};
use crate::planes::{Planes, round_u8};
use crate::rgb::RgbFrame;

/// One 8-bit plane as a decoder hands it out.
#[derive(Clone, Copy, Debug)]
pub struct Plane8<'a> {
    /// Row after row; what follows the last row's pixels may be missing.
    pub data: &'a [u8],
    /// Values from one row to the next, at least the width.
    pub stride: usize,
}

impl<'a> Plane8<'a> {
    /// Checks that `height` rows of `width` are there.
    fn check(&self, width: usize, height: usize) -> Result<(), FrameError> {
        let expected = (height - 1).checked_mul(self.stride.max(width)).and_then(|n| n.checked_add(width));
        let expected = expected.ok_or(FrameError::Size { width, height })?;
        if self.stride >= width && self.data.len() >= expected {
            return Ok(());
        }
        Err(FrameError::Length { width, height, expected, found: self.data.len() })
    }

    fn row(&self, y: usize, width: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..width]
    }
}

/// Limited-range 8-bit 4:2:0 to RGB, the official harness's way: chroma upsampled 2x bilinearly (half-pixel centres,
/// edges clamped), BT.601 matrix whatever the file's colour tags say, f32, rounded after every product and sum.
///
/// `u` and `v` hold `(width + 1) / 2` columns and `(height + 1) / 2` rows. An error where a plane is too short.
pub fn yuv420_to_rgb(
    y: Plane8<'_>,
    u: Plane8<'_>,
    v: Plane8<'_>,
    width: usize,
    height: usize,
) -> Result<RgbFrame, FrameError> {
    let mut data = vec![0; checked_len(3, width, height)?];
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    y.check(width, height)?;
    u.check(half_width, half_height)?;
    v.check(half_width, half_height)?;
    let mut columns = [vec![0; half_width + 2], vec![0; half_width + 2]];
    let mut chroma = [vec![0; 2 * half_width], vec![0; 2 * half_width]];
    for (row, out) in data.chunks_exact_mut(3 * width).enumerate() {
        // Output row 2k lies a quarter of a chroma row above the centre of chroma row k, row 2k+1 a quarter below.
        let near = row / 2;
        let far = if row % 2 == 0 { near.saturating_sub(1) } else { (near + 1).min(half_height - 1) };
        for (plane, (columns, chroma)) in [u, v].iter().zip(columns.iter_mut().zip(chroma.iter_mut())) {
            upsample_row(plane.row(near, half_width), plane.row(far, half_width), columns, chroma);
        }
        convert_row(y.row(row, width), &chroma[0][..width], &chroma[1][..width], out);
    }
    RgbFrame::new(width, height, data)
}

/// One row of 2x bilinear upsampling in sixteenths: the weights are 3/4 and 1/4 on both axes, so integers hold the exact
/// values. `columns` is scratch for the row before the horizontal step, one repeated value at each end.
fn upsample_row(near: &[u8], far: &[u8], columns: &mut [u16], out: &mut [u16]) {
    let last = columns.len() - 1;
    for ((column, &near), &far) in columns[1..last].iter_mut().zip(near).zip(far) {
        *column = 3 * u16::from(near) + u16::from(far);
    }
    columns[0] = columns[1];
    columns[last] = columns[last - 1];
    let (left, middle, right) = (&columns[..last - 1], &columns[1..last], &columns[2..]);
    for (((pair, left), middle), right) in out.chunks_exact_mut(2).zip(left).zip(middle).zip(right) {
        pair[0] = 3 * middle + left;
        pair[1] = 3 * middle + right;
    }
}

/// Converts one row; chroma in sixteenths.
fn convert_row(y: &[u8], u: &[u16], v: &[u16], out: &mut [u8]) {
    const LUMA: f32 = (255.0 / 219.0) as f32;
    const CHROMA: f32 = (255.0 / 224.0) as f32;
    for (((pixel, &y), &u), &v) in out.chunks_exact_mut(3).zip(y).zip(u).zip(v) {
        let y = (f32::from(y) - 16.0) * LUMA;
        let u = (f32::from(u) * 0.0625 - 128.0) * CHROMA;
        let v = (f32::from(v) * 0.0625 - 128.0) * CHROMA;
        pixel[0] = round_u8(y + 1.402 * v);
        pixel[1] = round_u8(y - 0.344_136 * u - 0.714_136 * v);
        pixel[2] = round_u8(y + 1.772 * u);
    }
}

/// The pose evaluator's view of an RGB image: `[3, height, width]` in 0 to 255 -> `[6, height/2, width/2]`: luma at the
/// four phases y00, y10, y01, y11 (first digit the row), then U and V averaged over 2x2. A last odd row or column is
/// dropped.
///
/// `Y = .299R + .587G + .114B`, `U = (B-Y)/1.772 + 128`, `V = (R-Y)/1.402 + 128`, each clamped to [0, 255].
///
/// # Panics
/// Unless there are 3 planes of at least 2x2.
pub fn yuv6(planes: &Planes) -> Planes {
    assert_eq!(planes.channels(), 3, "YUV6 is made of RGB");
    let (height, width) = (planes.height() / 2, planes.width() / 2);
    let len = height * width;
    let mut data = vec![0.0; 6 * len];
    let (luma, chroma) = data.split_at_mut(4 * len);
    let (chroma_u, chroma_v) = chroma.split_at_mut(len);
    let (red, green, blue) = (planes.plane(0), planes.plane(1), planes.plane(2));
    for row in 0..height {
        for column in 0..width {
            let target = row * width + column;
            // y00, y10, y01, y11: the row phase runs fastest.
            let [a, b, c, d] = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(dy, dx)| {
                let at = (2 * row + dy) * planes.width() + 2 * column + dx;
                let y = (0.299 * red[at] + 0.587 * green[at] + 0.114 * blue[at]).clamp(0.0, 255.0);
                let u = ((blue[at] - y) / 1.772 + 128.0).clamp(0.0, 255.0);
                let v = ((red[at] - y) / 1.402 + 128.0).clamp(0.0, 255.0);
                [y, u, v]
            });
            for (phase, pixel) in [a, b, c, d].iter().enumerate() {
                luma[phase * len + target] = pixel[0];
            }
            chroma_u[target] = (a[1] + b[1] + c[1] + d[1]) * 0.25;
            chroma_v[target] = (a[2] + b[2] + c[2] + d[2]) * 0.25;
        }
    }
    Planes::from_parts(6, height, width, data)
}
