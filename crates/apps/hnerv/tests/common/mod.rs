//! A folder that `hnerv` runs in, and what is asked of every command: success, or one line and nothing changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder that commands run in.
pub struct Bench {
    folder: TempDir,
}

/// A path from the bench's folder, and what lies there: nothing for a folder.
pub type Entry = (PathBuf, Option<Vec<u8>>);

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file, into new folders if need be.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// `hnerv` with arguments separated by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hnerv"));
        command.current_dir(self.folder.path()).args(arguments.split(' ')).stdin(Stdio::null());
        command
    }

    /// The standard output of a command that succeeds.
    pub fn succeeds(&self, arguments: &str) -> String {
        self.succeeds_command(self.command(arguments))
    }

    /// As [`succeeds`](Self::succeeds).
    pub fn succeeds_command(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asserts that a command is refused in one line that holds each of `words`, and changes nothing.
    pub fn refuses(&self, arguments: &str, words: &[&str]) {
        self.refuses_command(self.command(arguments), words);
    }

    /// As [`refuses`](Self::refuses). What training says of its progress before is no part of the refusal.
    pub fn refuses_command(&self, mut command: Command, words: &[&str]) {
        let before = self.entries(".");
        let Output { status, stdout, stderr } = command.output().unwrap();
        let errors = String::from_utf8(stderr).unwrap();
        let context = format!("{command:?}: {errors}");
        assert_eq!(status.code(), Some(2), "{context}");
        assert!(stdout.is_empty(), "{context}");
        let trains = command.get_args().next().is_some_and(|first| first == "train");
        let lines: Vec<&str> = errors.lines().filter(|line| !(trains && line.starts_with("train:"))).collect();
        let [line] = lines.as_slice() else { panic!("not one line: {context}") };
        assert!(line.starts_with("error: "), "{context}");
        words.iter().for_each(|word| assert!(line.contains(word), "{word:?} is missing: {context}"));
        assert_eq!(self.entries("."), before, "{context}");
    }

    /// Every file and folder below a folder, by its path from there.
    pub fn entries(&self, below: &str) -> Vec<Entry> {
        let root = self.path(below);
        let (mut entries, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name: &Path = path.strip_prefix(&root).unwrap();
                if path.is_dir() {
                    entries.push((name.into(), None));
                    folders.push(path);
                } else {
                    entries.push((name.into(), Some(fs::read(&path).unwrap())));
                }
            }
        }
        entries.sort();
        entries
    }
}
