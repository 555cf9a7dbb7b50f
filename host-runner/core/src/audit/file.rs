//! Appends lines to a file that may be rotated, shared, or on a full disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Takes whole lines.
pub(super) struct Log {
    /// None: stderr.
    file: Option<LogFile>,
    /// The last line was not written to its end.
    torn: bool,
}

/// A line that was written, but may not be on the disk yet.
#[must_use]
pub(super) struct Written(Option<Arc<File>>);

struct LogFile {
    path: PathBuf,
    /// None where it could not be opened again.
    open: Option<Open>,
}

struct Open {
    file: Arc<File>,
    device: u64,
    inode: u64,
    /// Otherwise there is no disk behind it.
    is_regular: bool,
}

impl Log {
    pub(super) fn stderr() -> Self {
        Self {
            file: None,
            torn: false,
        }
    }

    /// Opens the file, or makes it for its owner alone.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        // Whatever becomes of the working directory.
        let path = std::path::absolute(path)?;
        let open = Open::new(&path)?;
        Ok(Self {
            torn: open.is_torn(&path),
            file: Some(LogFile {
                path,
                open: Some(open),
            }),
        })
    }

    /// Appends a line, which ends with a newline, by one write.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<Written> {
        let Some(log) = &mut self.file else {
            write_line(io::stderr().lock(), line, &mut self.torn)?;
            return Ok(Written(None));
        };
        if !log.open.as_ref().is_some_and(|open| open.is_at(&log.path)) {
            log.open = None;
            let open = Open::new(&log.path)?;
            self.torn = open.is_torn(&log.path);
            log.open = Some(open);
        }
        let Some(open) = &log.open else {
            return Err(io::ErrorKind::NotFound.into());
        };
        write_line(open.file.as_ref(), line, &mut self.torn)?;
        Ok(Written(open.is_regular.then(|| Arc::clone(&open.file))))
    }
}

impl Written {
    /// Waits until the line is on the disk.
    pub(super) fn sync(self) -> io::Result<()> {
        match self.0 {
            Some(file) => file.sync_data(),
            None => Ok(()),
        }
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let is_new = !path.exists();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        if is_new && let Some(folder) = path.parent() {
            // Not every file system can; the lines themselves matter more.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        let metadata = file.metadata()?;
        Ok(Self {
            file: Arc::new(file),
            device: metadata.dev(),
            inode: metadata.ino(),
            is_regular: metadata.is_file(),
        })
    }

    /// Whether the path still leads here: it does not after a rotation.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path)
            .is_ok_and(|there| there.dev() == self.device && there.ino() == self.inode)
    }

    /// Whether the file ends within a line, which another process left.
    fn is_torn(&self, path: &Path) -> bool {
        if !self.is_regular {
            return false;
        }
        let last = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            io::Result::Ok(last)
        };
        last().is_ok_and(|last| last != [b'\n'])
    }
}

/// Writes in one system call, unless that takes only a part. `torn` is whether
/// the last line in the file is incomplete, before and after.
fn write_line(mut writer: impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
    let mut with_newline;
    let mut rest = line;
    if *torn {
        with_newline = Vec::with_capacity(line.len() + 1);
        with_newline.push(b'\n');
        with_newline.extend_from_slice(line);
        rest = &with_newline;
    }
    while !rest.is_empty() {
        let written = match writer.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        rest = rest.get(written..).unwrap_or_default();
        *torn = !rest.is_empty();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A disk with so much space.
    struct Disk {
        space: usize,
        text: Vec<u8>,
        writes: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let fits = bytes.len().min(self.space);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.space -= fits;
            self.text.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_ends_before_the_next() {
        let mut disk = Disk {
            space: 7,
            text: Vec::new(),
            writes: 0,
        };
        let mut torn = false;
        write_line(&mut disk, b"one\n", &mut torn).unwrap();
        assert_eq!((disk.writes, torn), (1, false));
        for _ in 0..2 {
            let error = write_line(&mut disk, b"twofold\n", &mut torn).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(torn);
        }
        (disk.space, disk.writes) = (100, 0);
        write_line(&mut disk, b"three\n", &mut torn).unwrap();
        write_line(&mut disk, b"four\n", &mut torn).unwrap();
        assert_eq!((disk.writes, torn), (2, false));
        assert_eq!(disk.text, b"one\ntwo\nthree\nfour\n");
    }

    #[test]
    fn is_made_for_its_owner_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let _ = Log::file(&path).unwrap().append(b"a\n").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut one = Log::file(&path).unwrap();
        let mut other = Log::file(&path).unwrap();
        one.append(b"b\n").unwrap().sync().unwrap();
        other.append(b"c\n").unwrap().sync().unwrap();
        one.append(b"d\n").unwrap().sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a\nb\nc\nd\n");
    }

    #[test]
    fn ends_the_line_that_another_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"torn").unwrap();
        let _ = Log::file(&path).unwrap().append(b"a\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{\"torn\na\n");
    }

    #[test]
    fn follows_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let old = folder.path().join("audit.jsonl.1");
        let mut log = Log::file(&path).unwrap();
        let _ = log.append(b"a\n").unwrap();
        fs::rename(&path, &old).unwrap();
        let _ = log.append(b"b\n").unwrap();
        fs::remove_file(&path).unwrap();
        let _ = log.append(b"c\n").unwrap();
        // As logrotate's copytruncate does.
        File::create(&path).unwrap();
        let _ = log.append(b"d\n").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"a\n");
        assert_eq!(fs::read(&path).unwrap(), b"d\n");
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("audit.jsonl");
        let mut log = Log::file(&path).unwrap();
        fs::remove_dir_all(&inner).unwrap();
        assert!(log.append(b"a\n").is_err());
        assert!(log.append(b"b\n").is_err());
        fs::create_dir(&inner).unwrap();
        let _ = log.append(b"c\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"c\n");
    }

    #[test]
    fn a_full_disk_is_an_error_until_there_is_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        symlink("/dev/full", &path).unwrap();
        let mut log = Log::file(&path).unwrap();
        let error = log.append(b"a\n").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        fs::remove_file(&path).unwrap();
        log.append(b"b\n").unwrap().sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"b\n");
    }
}
