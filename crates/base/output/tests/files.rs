//! Whole files or none, on the file system.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, thread, time};

use output::{OutputError, OutputFile, keep_apart, write_whole};
use tempfile::tempdir;

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// One line that names the file, and no more than one.
fn assert_line(error: &OutputError, part: &str) {
    let text = error.to_string();
    assert!(text.contains(part) && !text.contains('\n') && text.contains("; "), "{text}");
}

#[test]
fn a_file_takes_its_place_on_commit_with_ordinary_permissions() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("made/on/the way/file");
    let mut file = OutputFile::create(&path).unwrap();
    file.write_all(b"whole").unwrap();
    file.flush().unwrap();
    assert!(!path.exists());
    file.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    assert_eq!(mode(&path), mode(&plain));
    assert_eq!(entries(path.parent().unwrap()), 1);
}

#[test]
fn a_file_dropped_leaves_nothing_and_the_old_one_as_it_was() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    let mut file = OutputFile::create(&path).unwrap();
    file.append(&vec![1; 3 << 20]).unwrap();
    drop(file);
    assert_eq!(entries(folder.path()), 0);

    fs::write(&path, "old").unwrap();
    let mut file = OutputFile::create(&path).unwrap();
    file.append(b"new").unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn folders_go_with_the_file_they_were_made_for() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a/b/c/file");
    drop(OutputFile::create(&path).unwrap());
    assert_eq!(entries(folder.path()), 0);
    let file = OutputFile::create(&path).unwrap();
    fs::write(folder.path().join("a/other"), "").unwrap();
    drop(file);
    assert!(folder.path().join("a/other").exists() && !folder.path().join("a/b").exists());
    OutputFile::create(&path).unwrap().commit().unwrap();
    assert!(path.exists());
}

#[test]
fn an_output_is_no_input_by_any_name() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("input"), "x").unwrap();
    fs::write(at("other"), "x").unwrap();
    fs::create_dir(at("folder")).unwrap();
    symlink("input", at("link")).unwrap();
    symlink(at("folder"), at("linked")).unwrap();
    fs::hard_link(at("input"), at("hard")).unwrap();
    fs::hard_link(at("input"), at("folder/hard")).unwrap();
    for name in ["input", "folder/../input", "link", "hard", "linked/hard"] {
        let error = OutputFile::create_apart(at(name), [at("other"), at("input")]).unwrap_err();
        assert!(matches!(error, OutputError::Input { .. }));
        assert_line(&error, name);
        assert_line(&error, "would overwrite the input");
        assert!(keep_apart(&at("input"), [at(name)]).is_err());
    }
    for name in ["other", "absent", "folder"] {
        keep_apart(&at(name), [at("input"), at("absent")]).unwrap();
    }
    keep_apart(Path::new("/dev/null"), ["/dev/null"]).unwrap();
    assert_eq!(fs::read(at("input")).unwrap(), b"x");
}

#[test]
fn an_existing_file_keeps_its_mode_also_behind_a_link() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    write_whole(&path, b"new").unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o640));

    let link = folder.path().join("link");
    symlink("file", &link).unwrap();
    write_whole(&link, b"newer").unwrap();
    assert!(link.is_symlink());
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"newer".to_vec(), 0o640));
    assert_eq!(entries(folder.path()), 2);
}

#[test]
fn what_is_no_place_for_a_file_is_refused_at_once() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let below = OutputFile::create(folder.path().join("file/below")).unwrap_err();
    assert_line(&below, "choose another place");
    let deeper = OutputFile::create(folder.path().join("file/a/b")).unwrap_err();
    assert_line(&deeper, "choose another place");
    assert!(matches!(OutputFile::create(folder.path()), Err(OutputError::NotAFile { .. })));
    assert!(matches!(OutputFile::create(""), Err(OutputError::NotAFile { .. })));
    assert!(matches!(OutputFile::create("/proc/nowhere/file"), Err(OutputError::Folder { .. })));
}

#[test]
fn a_full_device_is_an_error_with_the_path() {
    let error = write_whole("/dev/full", b"x").unwrap_err();
    assert_line(&error, "/dev/full");
    assert_line(&error, "free some space");
    // More than the buffer: the write itself fails, and carries the same line.
    let mut file = OutputFile::create("/dev/full").unwrap();
    let error = file.write_all(&vec![0; 3 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("/dev/full: cannot write"), "{error}");
    assert!(!Path::new("/dev/full").is_file());
}

#[test]
fn a_device_is_written_straight() {
    write_whole("/dev/null", b"x").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

/// Runs this test binary again, so that it can be killed or limited. `mode` goes to [`child`].
fn run_child(mode: &str, path: &Path) -> Command {
    let mut command = Command::new("sh");
    let limit = if mode == "limit" { "ulimit -f 4; " } else { "" };
    command.args([
        "-c",
        &format!("{limit}exec \"$0\" child --exact --nocapture"),
        env::current_exe().unwrap().to_str().unwrap(),
    ]);
    command.env("OUTPUT_CHILD", mode).env("OUTPUT_PATH", path).stdout(Stdio::piped());
    command
}

/// The other process of the two tests below; without their variables it does nothing.
#[test]
fn child() {
    let (Ok(mode), Some(path)) = (env::var("OUTPUT_CHILD"), env::var_os("OUTPUT_PATH")) else { return };
    let bytes = b"from the child\n".repeat(1 << 17);
    match mode.as_str() {
        "limit" => println!("error: {}", write_whole(path, &bytes).unwrap_err()),
        "stdout" => write_whole("/dev/stdout", b"through a descriptor\n").unwrap(),
        _ => {
            let mut file = OutputFile::create(&path).unwrap();
            file.append(&bytes).unwrap();
            file.flush().unwrap();
            fs::write(Path::new(&path).with_extension("ready"), "").unwrap();
            thread::sleep(time::Duration::from_secs(60));
        }
    }
}

#[test]
fn a_file_size_limit_is_an_error_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let run = run_child("limit", &folder.path().join("file")).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("cannot write: File too large") && text.contains("ulimit"), "{text}");
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn a_redirected_descriptor_is_written_through() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("redirected");
    let log = fs::File::options().create(true).append(true).open(&path).unwrap();
    assert!(run_child("stdout", &path).stdout(log).status().unwrap().success());
    assert!(fs::read_to_string(&path).unwrap().contains("through a descriptor\n"));
    assert_eq!(entries(folder.path()), 1);
}

#[test]
fn a_killed_process_leaves_nothing() {
    let folder = tempdir().unwrap();
    let ready = folder.path().join("file.ready");
    let mut process = run_child("kill", &folder.path().join("file")).spawn().unwrap();
    while !ready.exists() {
        assert!(process.try_wait().unwrap().is_none(), "the child ended early");
        thread::sleep(time::Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // Where the file system has no unnamed files (O_TMPFILE) a hidden one stays.
    if left.iter().any(|name| name.to_string_lossy().starts_with(".file.")) {
        testdata::skip(testdata::Need::System, format_args!("{} has no O_TMPFILE", folder.path().display()));
        return;
    }
    assert_eq!(left, ["file.ready"]);
}
