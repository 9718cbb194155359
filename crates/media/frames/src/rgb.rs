//! 8-bit RGB frames.

use crate::error::{FrameError, check_len};
use crate::planes::{Planes, round_u8};
use crate::resize::{self, Taps};

/// An 8-bit RGB frame: interleaved R, G, B, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbFrame {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl RgbFrame {
    /// A frame of `3 * width * height` values; an error for any other length or a side of 0.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, FrameError> {
        check_len(3, width, height, data.len())?;
        Ok(Self { width, height, data })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, `[height, width, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The values, `[height, width, 3]`, without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The values as f32, 0 to 255, `[3, height, width]`.
    pub fn to_planes(&self) -> Planes {
        let plane = |c| self.data.iter().skip(c).step_by(3).map(|&v| f32::from(v));
        Planes::from_parts(3, self.height, self.width, (0..3).flat_map(plane).collect())
    }

    /// The same values as [`resize_bilinear`](crate::resize_bilinear) of [`to_planes`](Self::to_planes), without the
    /// full-size f32 copy.
    ///
    /// # Panics
    /// If a side of the result is 0.
    pub fn resize_bilinear(&self, height: usize, width: usize) -> Planes {
        let columns = Taps::bilinear(self.width, width);
        let row = |c: usize, y: usize, out: &mut [f32]| {
            let source = &self.data[3 * self.width * y..][..3 * self.width];
            columns.linear_row(|x| f32::from(source[3 * x + c]), out);
        };
        resize::resize_rows(3, &Taps::bilinear(self.height, height), width, row)
    }
}

impl Planes {
    /// Three planes as a frame: NaN becomes 0, values are clamped to [0, 255] and rounded half to even.
    ///
    /// # Panics
    /// Unless there are 3 planes.
    pub fn to_rgb(&self) -> RgbFrame {
        assert_eq!(self.channels(), 3, "an RGB frame has 3 planes");
        let mut data = vec![0; self.data().len()];
        let planes = self.plane(0).iter().zip(self.plane(1)).zip(self.plane(2));
        for (pixel, ((&r, &g), &b)) in data.chunks_exact_mut(3).zip(planes) {
            pixel.copy_from_slice(&[round_u8(r), round_u8(g), round_u8(b)]);
        }
        RgbFrame::new(self.width(), self.height(), data).expect("the planes' own size")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        let error = RgbFrame::new(2, 2, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "11 values where a frame of 2x2 needs 12");
        assert!(matches!(RgbFrame::new(0, 2, vec![]), Err(FrameError::Size { .. })));
        assert!(matches!(RgbFrame::new(usize::MAX, 2, vec![]), Err(FrameError::Size { .. })));
    }

    #[test]
    fn planes_and_back_is_the_identity() {
        let frame = RgbFrame::new(3, 2, (0..18).map(|v| v * 15).collect()).unwrap();
        let planes = frame.to_planes();
        assert_eq!(planes.plane(1), [15.0, 60.0, 105.0, 150.0, 195.0, 240.0]);
        assert_eq!(planes.to_rgb(), frame);
    }
}
