//! Any bytes as class maps, of a shape that the first four say: refused, or maps that survive writing and reading.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repr::MapShape;

/// Pixels beyond which an input is left alone: a few bytes may well say that millions follow, and mean it.
const LARGEST: usize = 1 << 13;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[count, rows, columns, classes], payload)) = bytes.split_first_chunk() else { return };
    let [count, rows, columns, classes] = [count, rows, columns, classes].map(usize::from);
    let Ok(shape) = MapShape::new(count, rows, columns, classes) else { return };
    if shape.count() * shape.pixels() > LARGEST {
        return;
    }
    if let Ok(classes) = maps::decode(payload, &shape) {
        let again = maps::encode(&classes);
        assert_eq!(maps::decode(&again, &shape), Ok(classes));
    }
});
