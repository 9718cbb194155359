//! Writes what fuzzing starts from: `token_seeds FOLDER` fills FOLDER/tokens and FOLDER/npy with small archives and files.

use std::error::Error;
use std::fs;
use std::path::Path;

use tokens::{Npy, Options, Segment, encode};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: token_seeds FOLDER")?;
    let folder = Path::new(&folder);
    for name in ["tokens", "npy"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let files = [
        file("<i2", "(6, 3, 4)", 72, 2, 300),
        file("<i8", "(5, 8, 16)", 640, 8, 1024),
        file("|u1", "(4, 128)", 512, 1, 250),
        file("<u2", "(3, 2, 2)", 12, 2, 65535),
        file("<i4", "(0, 8, 16)", 0, 4, 1),
    ];
    let mut segments = Vec::new();
    for (i, bytes) in files.iter().enumerate() {
        fs::write(folder.join("npy").join(format!("{i}")), bytes)?;
        // Some of them are refused, which fuzzing may well start from, and no archive holds.
        if let Ok(npy) = Npy::parse(bytes) {
            segments.push(Segment { name: format!("{i}/token.npy"), npy });
        }
    }
    for (i, part) in segments.chunks(1).chain([segments.as_slice()]).enumerate() {
        fs::write(folder.join("tokens").join(format!("{i}")), encode(part, &Options::DEFAULT)?)?;
    }
    Ok(())
}

/// A .npy file of `count` tokens below `limit`, in as many bytes each as the type says; every third repeats an earlier one.
fn file(dtype: &str, shape: &str, count: u32, bytes: usize, limit: u32) -> Vec<u8> {
    let mut header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    header.extend(std::iter::repeat_n(' ', 117 - header.len()));
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend_from_slice(header.as_bytes());
    for i in 0..count {
        let token = if i % 3 == 0 { i / 9 } else { i.wrapping_mul(2_654_435_761) >> 12 } % limit;
        file.extend_from_slice(&u64::from(token).to_le_bytes()[..bytes]);
    }
    file
}
