//! Archives with the same bytes for the same contents: their entries are sorted, belong to
//! root and have the time of the release.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Files by their path, which is relative and has slashes.
#[derive(Clone, Default)]
pub(super) struct Tree(BTreeMap<String, File>);

/// A file of a [`Tree`].
#[derive(Clone)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) mode: u32,
}

impl Tree {
    /// Adds a file that is not a program.
    pub(super) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.add(path, bytes.into(), 0o644);
    }

    /// Adds a file that can be run.
    pub(super) fn program(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.add(path, bytes.into(), 0o755);
    }

    /// Adds a file with this mode.
    pub(super) fn add(&mut self, path: &str, bytes: Vec<u8>, mode: u32) {
        self.0.insert(path.to_owned(), File { bytes, mode });
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// The size of all files in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.values().map(|file| file.bytes.len()).sum()
    }
}

/// A tar archive, with an entry for each folder; `prefix` goes in front of each path.
pub(super) fn tar(tree: &Tree, prefix: &str, time: u64) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders: Vec<String> = Vec::new();
    for (path, file) in tree.iter() {
        let path = format!("{prefix}{path}");
        for (end, _) in path.match_indices('/') {
            let folder: String = path.chars().take(end + 1).collect();
            if folder != "./" && !folders.contains(&folder) {
                let mut header = header(EntryType::Directory, 0o755, 0, time);
                builder.append_data(&mut header, &folder, std::io::empty())?;
                folders.push(folder);
            }
        }
        let mut header = header(EntryType::Regular, file.mode, file.bytes.len() as u64, time);
        builder.append_data(&mut header, &path, file.bytes.as_slice())?;
    }
    Ok(builder.into_inner()?)
}

fn header(kind: EntryType, mode: u32, size: u64, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Compressed by gzip, without a time and a name in its head.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// What a compressed tar archive contains.
pub(super) fn untar_gz(bytes: &[u8]) -> Result<Tree> {
    untar(GzDecoder::new(bytes))
}

/// What a tar archive contains.
pub(super) fn untar(reader: impl std::io::Read) -> Result<Tree> {
    let mut tree = Tree::default();
    for entry in tar::Archive::new(reader).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let mode = entry.header().mode()?;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        tree.add(&path, bytes, mode);
    }
    Ok(tree)
}

/// A zip archive. Its times are the earliest that zip can express: they have no time zone.
pub(super) fn zip(tree: &Tree) -> Result<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, file) in tree.iter() {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(6))
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(file.mode);
        writer.start_file(path, options)?;
        writer.write_all(&file.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

/// What a zip archive contains.
pub(super) fn unzip(bytes: &[u8]) -> Result<Tree> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut tree = Tree::default();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let (path, mode) = (file.name()?.into_owned(), file.unix_mode());
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        tree.add(&path, bytes, mode.context("an entry has no mode")? & 0o777);
    }
    Ok(tree)
}

/// An archive of `ar`, as a Debian package is one.
pub(super) fn ar(members: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let head = format!(
            "{name:<16}{time:<12}0     0     100644  {:<10}`\n",
            bytes.len()
        );
        archive.extend_from_slice(head.as_bytes());
        archive.extend_from_slice(bytes);
        // The next one begins at an even offset.
        if !bytes.len().is_multiple_of(2) {
            archive.push(b'\n');
        }
    }
    archive
}

/// The files of a folder, sorted by name.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

/// The SHA-256 digest in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.program("bin/run", "program");
        tree.file("a.txt", "text");
        tree
    }

    #[test]
    fn archives_hold_what_was_put_in() {
        let tar = untar_gz(&gzip(&tar(&tree(), "top/", 5).unwrap()).unwrap()).unwrap();
        assert_eq!(tar.get("top/bin/run").unwrap().mode, 0o755);
        assert_eq!(tar.get("top/a.txt").unwrap().bytes, b"text");
        let zip = unzip(&zip(&tree()).unwrap()).unwrap();
        assert_eq!(zip.get("bin/run").unwrap().mode, 0o755);
        assert_eq!(zip.get("a.txt").unwrap().bytes, b"text");
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let mut other = Tree::default();
        other.file("a.txt", "text");
        other.program("bin/run", "program");
        assert_eq!(tar(&tree(), "", 5).unwrap(), tar(&other, "", 5).unwrap());
        assert_eq!(zip(&tree()).unwrap(), zip(&other).unwrap());
    }

    #[test]
    fn members_of_ar_begin_at_even_offsets() {
        let archive = ar(&[("odd", b"x"), ("next", b"y")], 0);
        assert_eq!(archive.len(), 8 + 60 + 2 + 60 + 2);
    }
}
