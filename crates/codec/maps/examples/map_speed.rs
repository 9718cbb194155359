//! `map_speed ROWS COLUMNS CLASSES FILE`: bytes of the maps in FILE, one byte a pixel, and pixels a second, each way on one thread.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use repr::{ClassMaps, MapShape};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, columns, classes, file] = arguments.as_slice() else {
        bail!("usage: map_speed ROWS COLUMNS CLASSES FILE")
    };
    let values = std::fs::read(file).with_context(|| file.clone())?;
    let (rows, columns): (usize, usize) = (rows.parse()?, columns.parse()?);
    let shape = MapShape::new(values.len() / (rows * columns).max(1), rows, columns, classes.parse()?)?;
    let maps = ClassMaps::new(shape, values)?;
    let speed = |start: Instant| maps.values().len() as f64 / start.elapsed().as_secs_f64() / 1e6;

    let start = Instant::now();
    let payload = maps::encode(&maps);
    let encoding = speed(start);
    let start = Instant::now();
    let decoded = maps::decode(&payload, &shape);
    let decoding = speed(start);
    if decoded.as_ref() != Ok(&maps) {
        bail!("{file}: what was decoded is something else");
    }
    println!(
        "{} maps of {columns}x{rows}: {} bytes, {encoding:.2} million pixels a second to encode, {decoding:.2} to decode",
        shape.count(),
        payload.len(),
    );
    Ok(())
}
