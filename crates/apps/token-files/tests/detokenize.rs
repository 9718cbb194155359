//! The `detokenize` binary from outside: files, words, exit codes.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use token_files::{TokenFilesError, segment_files};
use tokens::Options;

fn detokenize(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_detokenize"));
    command.current_dir(folder).args(arguments.split(' ').filter(|argument| !argument.is_empty()));
    command
}

/// Exit code 2 and one line that has all of `words`.
fn refused(folder: &Path, arguments: &str, words: &[&str]) {
    let output = detokenize(folder, arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.lines().count() == 1, "{arguments}: {errors}");
    words.iter().for_each(|word| assert_eq!(errors.matches(word).count(), 1, "{word:?} once: {errors}"));
}

#[test]
fn an_archive_is_restored_and_nothing_is_overwritten_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let dictionary = "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 2), }\n";
    let length = (dictionary.len() as u16).to_le_bytes();
    let npy = [b"\x93NUMPY\x01\x00", &length[..], dictionary.as_bytes(), &[1, 0, 2, 0]].concat();
    fs::write(at("a.npy"), &npy).unwrap();
    let files = segment_files(&[at("a.npy")]).unwrap();
    let mut archive = Vec::new();
    let load = |i: usize| files[i].load();
    tokens::compress::<TokenFilesError>(1, &load, &Options::DEFAULT, &mut archive, &|_| ()).unwrap();
    fs::write(at("x.bin"), &archive).unwrap();

    assert!(detokenize(folder.path(), "x.bin out").status().unwrap().success());
    assert_eq!(fs::read(at("out/a.npy")).unwrap(), npy);
    fs::create_dir(at("linked")).unwrap();
    symlink("../x.bin", at("linked/a.npy")).unwrap();
    refused(folder.path(), "x.bin linked", &["linked/a.npy", "would overwrite the input"]);
    assert_eq!(fs::read(at("x.bin")).unwrap(), archive);

    refused(folder.path(), "", &["usage"]);
    refused(folder.path(), "nowhere.bin out", &["nowhere.bin"]);
    refused(folder.path(), "a.npy out", &["a.npy", "not an archive"]);
    refused(folder.path(), "x.bin out a.npy", &["a.npy", "not a prior"]);
    let mut unread = detokenize(folder.path(), "a.npy out");
    unread.stderr(File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(unread.status().unwrap().code(), Some(2));
    let mut child = detokenize(folder.path(), "a.npy out").stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
