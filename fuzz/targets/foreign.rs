//! The import of public archives behind Brotli: the input holds the sections as they are, each behind its length (u32,
//! little-endian; the last one goes to the end), and they are compressed before they are parsed.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut file = Vec::new();
    for _ in 0..2 {
        let Some((length, after)) = rest.split_first_chunk() else { return };
        let (section, after) = after.split_at((u32::from_le_bytes(*length) as usize).min(after.len()));
        compress(&mut file, section);
        rest = after;
    }
    compress(&mut file, rest);
    // What is imported is valid by its type; none of it may panic.
    let _ = archive::import(&file, "clip");
});

fn compress(file: &mut Vec<u8>, section: &[u8]) {
    let mut stream = Vec::new();
    brotli::CompressorWriter::new(&mut stream, 1 << 12, 0, 16).write_all(section).expect("a vector takes all");
    file.extend_from_slice(&(stream.len() as u32).to_le_bytes());
    file.extend_from_slice(&stream);
}
