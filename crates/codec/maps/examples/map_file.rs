//! Class maps in a file, one byte a pixel, coded into another file and read back:
//! `map_file encode|decode COUNT ROWS COLUMNS CLASSES FROM TO`.

use std::fs;

use anyhow::{Context, Result, bail};
use repr::{ClassMaps, MapShape};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [way, count, rows, columns, classes, from, to] = arguments.as_slice() else {
        bail!("usage: map_file encode|decode COUNT ROWS COLUMNS CLASSES FROM TO")
    };
    let shape = MapShape::new(count.parse()?, rows.parse()?, columns.parse()?, classes.parse()?)?;
    let bytes = fs::read(from).with_context(|| from.clone())?;
    let bytes = match way.as_str() {
        "encode" => maps::encode(&ClassMaps::new(shape, bytes)?),
        "decode" => maps::decode(&bytes, &shape).ok().context("no encoder wrote this")?.values().to_vec(),
        _ => bail!("{way}: neither encode nor decode"),
    };
    fs::write(to, bytes).with_context(|| to.clone())
}
