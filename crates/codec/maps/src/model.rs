//! The walk over the pixels.

use mixing::{BitCoder, Corrupt};
use repr::MapShape;

use crate::busy::Busy;
use crate::calm::Calm;
use crate::pixel::Pixel;
use crate::plane::{LONGEST, Plane};

/// Most pixels that memory is set aside for before they have been read.
const MOST_RESERVED: usize = 1 << 24;

/// All that is learned of pixels.
pub(crate) struct Learned {
    calm: Calm,
    busy: Busy,
}

impl Learned {
    /// Nothing is known of maps of a shape.
    fn new(shape: &MapShape) -> Self {
        let pixels = shape.count() * shape.pixels();
        Self { calm: Calm::new(pixels), busy: Busy::new(shape.classes(), pixels) }
    }

    /// Codes a pixel and returns its class. Learns nothing from it unless it is to `LEARN`.
    #[inline(always)]
    pub fn code<const LEARN: bool>(
        &mut self,
        coder: &mut impl BitCoder,
        pixel: &Pixel<'_>,
        class: u8,
    ) -> Result<u8, Corrupt> {
        let mut excluded = None;
        if pixel.is_calm() {
            let left = pixel.now(-1, 0);
            if self.calm.code::<LEARN>(coder, pixel, class == left)? {
                return Ok(left);
            }
            excluded = Some(left);
        }
        self.busy.code::<LEARN>(coder, pixel, excluded, class)
    }
}

/// All that is learned of the maps so far.
pub(crate) struct Model {
    shape: MapShape,
    /// The map that is being coded, the one before, and the one before that.
    planes: [Plane; 3],
    /// For how many maps a pixel has been of its class, up to [`LONGEST`].
    ages: Vec<u8>,
    learned: Learned,
}

impl Model {
    /// Nothing is known.
    pub fn new(shape: &MapShape) -> Self {
        let plane = || Plane::new(shape.rows(), shape.columns());
        Self {
            shape: *shape,
            planes: [plane(), plane(), plane()],
            ages: vec![0; shape.pixels()],
            learned: Learned::new(shape),
        }
    }

    /// What was learned of pixels, the maps forgotten.
    pub fn into_learned(self) -> Learned {
        self.learned
    }

    /// Codes the next map, whose pixels are the first of `source`, and appends it to `values`.
    pub fn code(&mut self, coder: &mut impl BitCoder, source: &[u8], values: &mut Vec<u8>) -> Result<(), Corrupt> {
        let (rows, columns) = (self.shape.rows(), self.shape.columns());
        if self.shape.classes() == 1 {
            values.resize(values.len() + self.shape.pixels(), 0);
            return Ok(());
        }
        values.reserve(self.shape.pixels().min(MOST_RESERVED));
        self.planes.rotate_right(1);
        let [now, before, earlier] = &mut self.planes;
        now.begin(before);
        for y in 0..rows {
            now.begin_row(y);
            let first = now.row(y);
            let ages = &mut self.ages[y * columns..][..columns];
            let mut run = LONGEST;
            for (x, &age) in ages.iter().enumerate() {
                let at = first + x;
                if x > 0 {
                    run = if now.at(at, -1, 0) == now.at(at, -2, 0) { (run + 1).min(LONGEST) } else { 1 };
                }
                let pixel = Pixel { now, before, earlier, at, y, x, rows, run, age };
                let class = source.get(y * columns + x).copied().unwrap_or(0);
                let class = self.learned.code::<true>(coder, &pixel, class)?;
                now.set(at, class);
            }
            now.end_row(y);
            for ((age, new), old) in ages.iter_mut().zip(now.classes(y)).zip(before.classes(y)) {
                *age = if new == old { (*age + 1).min(LONGEST) } else { 0 };
            }
            values.extend_from_slice(now.classes(y));
        }
        now.end();
        Ok(())
    }
}
