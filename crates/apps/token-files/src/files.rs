//! Token videos in folders.

use std::fs;
use std::path::{Component, Path, PathBuf};

use tokens::{Archive, Entry, Npy, Segment, TokensError};

use crate::error::TokenFilesError;

/// A file and the name that it is stored by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// Relative path, with `/` between folders.
    pub name: String,
}

impl SegmentFile {
    /// Reads the file.
    pub fn load(&self) -> Result<Segment, TokenFilesError> {
        let npy = Npy::parse(&read(&self.path)?);
        let npy = npy.map_err(|cause| TokenFilesError::Npy { path: self.path.clone(), cause })?;
        Ok(Segment { name: self.name.clone(), npy })
    }
}

/// The bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, TokenFilesError> {
    fs::read(path).map_err(|cause| TokenFilesError::Read { path: path.into(), cause })
}

/// The files that `paths` mean. Below a folder, all `.npy` files, in the order of their names, named relative to the folder; a
/// file by the relative path it is given as, or by its last part.
pub fn segment_files(paths: &[PathBuf]) -> Result<Vec<SegmentFile>, TokenFilesError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            walk(path, path, &mut Vec::new(), &mut files)?;
            if files.len() == before {
                return Err(TokenFilesError::NoFiles { path: path.clone() });
            }
        } else {
            let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let relative = if plain { path.as_path() } else { path.file_name().map_or(path.as_path(), Path::new) };
            files.push(SegmentFile { name: name(relative)?, path: path.clone() });
        }
    }
    Ok(files)
}

/// All `.npy` files below `folder`, which is `root` or below it; `above` are the folders above it, without links.
fn walk(
    root: &Path,
    folder: &Path,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<SegmentFile>,
) -> Result<(), TokenFilesError> {
    let failed = |cause| TokenFilesError::Read { path: folder.into(), cause };
    let real = folder.canonicalize().map_err(failed)?;
    // A link to a folder above would never end.
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(root, &path, above, files)?;
        } else if path.extension().is_some_and(|extension| extension == "npy") {
            let relative = path.strip_prefix(root).unwrap_or(&path);
            files.push(SegmentFile { name: name(relative)?, path });
        }
    }
    above.pop();
    Ok(())
}

/// The parts of a relative path, with `/` between them.
fn name(path: &Path) -> Result<String, TokensError> {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    let parts = parts.map(|part| part.as_os_str().to_str()).collect::<Option<Vec<_>>>();
    parts.map(|parts| parts.join("/")).ok_or_else(|| TokensError::Name { name: path.to_string_lossy().into_owned() })
}

/// Refuses to restore files over the `inputs`, the archive and its prior: see [`output::keep_apart`].
pub fn keep_apart<P: AsRef<Path>>(
    archive: &Archive<'_>,
    folder: &Path,
    wanted: &dyn Fn(&Entry) -> bool,
    inputs: impl IntoIterator<Item = P> + Clone,
) -> Result<(), TokenFilesError> {
    let mut files = archive.entries().filter(|entry| wanted(entry)).map(|entry| folder.join(entry.name()));
    Ok(files.try_for_each(|file| output::keep_apart(&file, inputs.clone()))?)
}

/// Restores the files of an archive that are `wanted` below `folder`; `done` is told of each.
pub fn extract(
    archive: &Archive<'_>,
    folder: &Path,
    wanted: &(dyn Fn(&Entry) -> bool + Sync),
    done: &(dyn Fn() + Sync),
) -> Result<(), TokenFilesError> {
    archive.extract(wanted, &|entry, file| {
        output::write_whole(folder.join(entry.name()), &file)?;
        done();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_walked_and_names_are_relative() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("b/c")).unwrap();
        for name in ["b/c/token.npy", "b/token.npy", "a.npy", "notes.txt"] {
            fs::write(at(name), b"").unwrap();
        }
        let names =
            |paths: &[PathBuf]| segment_files(paths).unwrap().into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names(&[folder.path().into()]), ["a.npy", "b/c/token.npy", "b/token.npy"]);
        assert_eq!(names(&[at("b/token.npy")]), ["token.npy"]);
        assert_eq!(names(&["./x/token.npy".into(), "y/token.npy".into()]), ["x/token.npy", "y/token.npy"]);
        assert_eq!(names(&["../token.npy".into()]), ["token.npy"]);
        fs::create_dir(at("empty")).unwrap();
        assert!(matches!(segment_files(&[at("empty")]), Err(TokenFilesError::NoFiles { .. })));
        #[cfg(unix)]
        {
            // Links are followed, but not in circles; one that leads nowhere is not passed over in silence.
            std::os::unix::fs::symlink(at("b"), at("empty/linked")).unwrap();
            std::os::unix::fs::symlink(at("empty"), at("empty/circle")).unwrap();
            std::os::unix::fs::symlink(at("nowhere"), at("empty/lost.npy")).unwrap();
            assert_eq!(names(&[at("empty")]), ["linked/c/token.npy", "linked/token.npy", "lost.npy"]);
        }
    }
}
