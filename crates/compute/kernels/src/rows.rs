//! Activations as a sliding window of rows.

/// Zeros left of a row's first value; at least the largest dilation, and what the largest kernel reaches.
pub const MARGIN: usize = 16;

/// f32 values aligned to 64 bytes, as AVX-512 likes them.
pub struct Aligned(Vec<Line>);

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

impl Aligned {
    /// Zeros; the length is rounded up to a multiple of 16.
    pub fn zeros(len: usize) -> Self {
        Self(vec![Line([0.0; 16]); len.div_ceil(16)])
    }

    /// All values, those that the length was rounded up by included.
    #[inline]
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 f32 without padding (64 bytes, alignment 64).
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    /// As [`as_slice`](Self::as_slice), to write.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 16) }
    }
}

/// The last rows of a `[channels, height, width]` activation that is computed from top to bottom.
///
/// A row holds all channels, each `stride` values apart and between margins of zeros, so that a convolution reads its
/// zero padding like any value and a whole network runs in a working set of a few rows a layer. Rows above and below the
/// image are zeros.
pub struct Rows {
    channels: usize,
    height: usize,
    width: usize,
    stride: usize,
    capacity: usize,
    filled: usize,
    /// `capacity` rows, then the one of zeros.
    data: Aligned,
}

impl Rows {
    /// A window that holds the last `capacity` rows (fewer where the image has fewer).
    pub fn new(channels: usize, height: usize, width: usize, capacity: usize) -> Self {
        let capacity = capacity.min(height);
        let stride = MARGIN + width.next_multiple_of(16) + MARGIN;
        let data = Aligned::zeros((capacity + 1) * channels * stride);
        Self { channels, height, width, stride, capacity, filled: 0, data }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of the whole image.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows computed so far: the index of the next one.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Begins a new image.
    pub fn restart(&mut self) {
        self.restart_at(0);
    }

    /// Begins a new image at row `y`; the rows above it, if any, must not be read.
    pub fn restart_at(&mut self, y: usize) {
        self.filled = y;
    }

    /// Distance between the channels of a row.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Channel `c` of row `y`, `width` values.
    ///
    /// # Panics
    /// If the window does not hold the row, or there is no such channel.
    pub fn channel(&self, y: usize, c: usize) -> &[f32] {
        &self.row(y as isize)[c * self.stride + MARGIN..][..self.width]
    }

    /// Row `y`, all channels with their margins; zeros outside the image.
    ///
    /// # Panics
    /// If the row lies in the image and the window does not hold it.
    pub fn row(&self, y: isize) -> &[f32] {
        let len = self.channels * self.stride;
        let slot = match usize::try_from(y) {
            Ok(y) if y < self.height => {
                assert!(y < self.filled && y + self.capacity >= self.filled, "row {y} is not in the window");
                y % self.capacity
            }
            _ => self.capacity,
        };
        &self.data.as_slice()[slot * len..][..len]
    }

    /// Row `y` clamped into the image.
    pub fn edge_row(&self, y: isize) -> &[f32] {
        self.row(y.clamp(0, self.height as isize - 1))
    }

    /// The next row, to be filled through [`RowMut::channel`]; the oldest leaves the window.
    ///
    /// # Panics
    /// If the image is complete.
    pub fn push(&mut self) -> RowMut<'_> {
        assert!(self.filled < self.height, "the image is complete");
        let len = self.channels * self.stride;
        let slot = self.filled % self.capacity;
        self.filled += 1;
        RowMut { data: &mut self.data.as_mut_slice()[slot * len..][..len], stride: self.stride, width: self.width }
    }
}

/// A row being filled. Only the values can be written, so the margins stay zeros.
pub struct RowMut<'a> {
    data: &'a mut [f32],
    stride: usize,
    width: usize,
}

impl RowMut<'_> {
    /// Channel `c`, `width` values.
    ///
    /// # Panics
    /// If there is no such channel.
    #[inline(always)]
    pub fn channel(&mut self, c: usize) -> &mut [f32] {
        &mut self.data[c * self.stride + MARGIN..][..self.width]
    }

    /// `N` channels from `first` on, `width` values each.
    ///
    /// # Panics
    /// If there are no such channels.
    #[inline(always)]
    pub fn adjacent<const N: usize>(&mut self, first: usize) -> [&mut [f32]; N] {
        let mut channels = self.data[first * self.stride..][..N * self.stride].chunks_exact_mut(self.stride);
        [(); N].map(|()| &mut channels.next().expect("N of them")[MARGIN..][..self.width])
    }

    /// The same row, for one writer before another.
    pub fn reborrow(&mut self) -> RowMut<'_> {
        RowMut { data: self.data, stride: self.stride, width: self.width }
    }

    /// The channels before `first`, and those from it on.
    pub fn split(&mut self, first: usize) -> [RowMut<'_>; 2] {
        let (before, behind) = self.data.split_at_mut(first * self.stride);
        [before, behind].map(|data| RowMut { data, stride: self.stride, width: self.width })
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.data.len() / self.stride
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_keeps_the_last_rows_between_zeros() {
        let mut rows = Rows::new(2, 5, 3, 3);
        for y in 0..5 {
            let mut row = rows.push();
            for c in 0..2 {
                row.channel(c).fill((10 * c + y + 1) as f32);
            }
        }
        assert_eq!(rows.filled(), 5);
        for y in 2..5 {
            assert_eq!(rows.channel(y, 1), [(11 + y) as f32; 3]);
        }
        let row = rows.row(4);
        assert_eq!(row.iter().filter(|&&v| v != 0.0).count(), 6);
        assert_eq!(row[MARGIN - 1..MARGIN + 4], [0.0, 5.0, 5.0, 5.0, 0.0]);
        assert!(rows.row(-1).iter().chain(rows.row(5)).all(|&v| v == 0.0));
        assert_eq!(rows.edge_row(7), rows.row(4));
        assert!(std::panic::catch_unwind(|| rows.channel(1, 0).len()).is_err());
        rows.restart();
        assert!(std::panic::catch_unwind(|| rows.channel(4, 0).len()).is_err());
    }
}
