//! Class maps: what a segmentation network sees in each sample of a clip.

use crate::error::{RepresentationError, invalid};
use crate::limits;

/// How many maps of which size, and how many classes there are: within [`limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    count: usize,
    rows: usize,
    columns: usize,
    classes: usize,
}

impl MapShape {
    /// Refuses sides beyond 1 to [`limits::SIDE`], more than [`limits::MAP_PIXELS`] pixels in all, and classes beyond 1 to
    /// [`limits::CLASSES`].
    pub fn new(count: usize, rows: usize, columns: usize, classes: usize) -> Result<Self, RepresentationError> {
        let side = 1..=limits::SIDE;
        if !side.contains(&rows) || !side.contains(&columns) {
            return invalid(format!("class maps of {columns}x{rows}, each side must be 1 to {}", limits::SIDE));
        }
        if count.saturating_mul(rows * columns) > limits::MAP_PIXELS {
            return invalid(format!(
                "{count} class maps of {columns}x{rows}, the limit is {} pixels in all",
                limits::MAP_PIXELS
            ));
        }
        if !(1..=limits::CLASSES).contains(&classes) {
            return invalid(format!("{classes} classes, must be 1 to {}", limits::CLASSES));
        }
        Ok(Self { count, rows, columns, classes })
    }

    /// Number of maps.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows of a map.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a map.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels of one map.
    pub fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Checks that there are such classes.
    fn check(&self, values: &[u8]) -> Result<(), RepresentationError> {
        match values.iter().find(|&&class| usize::from(class) >= self.classes) {
            None => Ok(()),
            Some(class) => invalid(format!("class {class} in a map of {} classes", self.classes)),
        }
    }
}

/// Class maps of a clip: a class for each pixel, below the number of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMaps {
    shape: MapShape,
    values: Vec<u8>,
}

impl ClassMaps {
    /// Takes `values`, `[count, rows, columns]`, of which each is a class.
    pub fn new(shape: MapShape, values: Vec<u8>) -> Result<Self, RepresentationError> {
        let expected = shape.count * shape.pixels();
        if values.len() != expected {
            return invalid(format!("class maps of {} pixels, their shape has {expected}", values.len()));
        }
        shape.check(&values)?;
        Ok(Self { shape, values })
    }

    /// Their number, size and classes.
    pub fn shape(&self) -> &MapShape {
        &self.shape
    }

    /// All pixels, `[count, rows, columns]`.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// Map `index`, `[rows, columns]`, or nothing past the last one.
    pub fn map(&self, index: usize) -> Option<&[u8]> {
        self.values.chunks_exact(self.shape.pixels()).nth(index)
    }

    /// Puts another map in the place of map `index`.
    pub fn set_map(&mut self, index: usize, map: &[u8]) -> Result<(), RepresentationError> {
        let (count, pixels) = (self.shape.count, self.shape.pixels());
        if index >= count || map.len() != pixels {
            return invalid(format!("class map {index} of {} pixels, there are {count} of {pixels}", map.len()));
        }
        self.shape.check(map)?;
        self.values[index * pixels..][..pixels].copy_from_slice(map);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_maps_are_refused() {
        let refused =
            |count, rows, columns, classes| MapShape::new(count, rows, columns, classes).unwrap_err().to_string();
        assert!(refused(1, 0, 4, 5).contains("4x0"));
        assert!(refused(1, 4, 4097, 5).contains("4097x4"));
        assert!(refused(1_000_000, 1000, 1000, 5).contains("pixels in all"));
        assert!(refused(usize::MAX, 4096, 4096, 5).contains("pixels in all"));
        assert!(refused(1, 4, 4, 256).contains("256 classes") && refused(1, 4, 4, 0).contains("0 classes"));

        let shape = MapShape::new(2, 2, 3, 4).unwrap();
        assert!(ClassMaps::new(shape, vec![3; 11]).unwrap_err().to_string().contains("12"));
        assert!(ClassMaps::new(shape, vec![4; 12]).unwrap_err().to_string().contains("class 4"));
        let mut maps = ClassMaps::new(shape, (0..12).map(|i| i % 4).collect()).unwrap();
        assert_eq!(maps.map(1), Some(&[2, 3, 0, 1, 2, 3][..]));
        for (index, map) in [(2, &[0; 6][..]), (1, &[0; 5]), (1, &[0, 0, 4, 0, 0, 0])] {
            assert!(maps.set_map(index, map).is_err());
        }
        maps.set_map(0, &[3, 2, 1, 0, 3, 2]).unwrap();
        assert_eq!(maps.values(), [3, 2, 1, 0, 3, 2, 2, 3, 0, 1, 2, 3]);
        assert_eq!(maps.map(2), None);
    }
}
