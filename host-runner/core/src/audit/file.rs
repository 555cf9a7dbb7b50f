//! Appends lines to a file that may be rotated, shared, or on a full disk.
//!
//! The lines of a regular file are a [`chain`]. Several processes may append to
//! one file: each locks it, looks which line is the last one, and appends the
//! next. A process whose file was moved reads the last line of that file under the
//! same lock, which keeps others from appending to it, and continues the chain in
//! the new file if that one is empty.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chain::{self, Link};
use super::line::{self, Event};
use super::tail::{self, Tail};
use crate::system::file::{self, Identity};
use crate::system::private;

/// How long to wait for other processes that write lines. Each takes less than a
/// millisecond, but many of them on a busy machine may come first again and again.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// The same once that was too short: one of them was stopped.
const LOCK_TIME_OF_STOPPED: Duration = Duration::from_millis(100);
const LOCK_PAUSE: Duration = Duration::from_micros(200);
/// How often a file may be moved while one line is appended.
const MAX_MOVES: usize = 5;

/// Takes whole lines.
pub(super) struct LogFile {
    path: PathBuf,
    /// None where it could not be opened again.
    open: Option<Open>,
    /// How a file that was moved ends.
    before: Option<Tail>,
    /// The last line was not written to its end, in a file without a chain.
    torn: bool,
    /// The file of the last line that this process wrote, and its number.
    written: Option<(Identity, u64)>,
    /// Another process held the lock for too long.
    was_locked: bool,
}

/// A line that was written, but may not be on the disk yet.
#[must_use]
pub(super) struct Written(Option<Arc<File>>);

struct Open {
    file: Arc<File>,
    identity: Identity,
    /// Otherwise it is a pipe or a device: nothing can be read back, so there is no chain.
    is_regular: bool,
}

/// A lock on a file, until this is dropped.
pub(super) struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    /// Waits for the lock, but no longer than this.
    pub(super) fn take(file: &'a File, exclusive: bool, patience: Duration) -> io::Result<Self> {
        let end = Instant::now() + patience;
        loop {
            match file::try_lock(file, exclusive) {
                Ok(true) => return Ok(Self(file)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(false) if Instant::now() >= end => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds its lock",
                    ));
                }
                Ok(false) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // It ends with the file, too.
        let _ = file::unlock(self.0);
    }
}

impl LogFile {
    /// Opens the file, or makes it for its owner alone.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        // Whatever becomes of the working directory.
        let path = std::path::absolute(path)?;
        Ok(Self {
            open: Some(Open::new(&path)?),
            path,
            before: None,
            torn: false,
            written: None,
            was_locked: false,
        })
    }

    /// Appends a line, which ends with a newline, by one write.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<Written> {
        for _ in 0..MAX_MOVES {
            let open = match self.open.take() {
                Some(open) => open,
                None => Open::new(&self.path)?,
            };
            if !open.is_regular {
                if open.is_at(&self.path) {
                    let written = write_line(open.file.as_ref(), line, &mut self.torn);
                    self.open = Some(open);
                    return written.map(|()| Written(None));
                }
                self.torn = false;
                continue;
            }
            let patience = match self.was_locked {
                true => LOCK_TIME_OF_STOPPED,
                false => LOCK_TIME,
            };
            let file = Arc::clone(&open.file);
            let lock = Lock::take(&file, true, patience);
            self.was_locked = lock.is_err();
            let is_at = open.is_at(&self.path);
            if lock.is_err() || is_at {
                self.open = Some(open);
            }
            let _lock = lock?;
            let tail = tail::read(&file)?;
            if is_at {
                self.append_locked(&file, &tail, line)?;
                return Ok(Written(Some(Arc::clone(&file))));
            }
            self.before = Some(tail);
            // The new file may get the same inode, once the old one is removed.
            self.written = None;
        }
        Err(io::Error::other("it is moved again and again"))
    }

    fn append_locked(&mut self, file: &File, tail: &Tail, line: &[u8]) -> io::Result<()> {
        let before = self.before.take().filter(|_| tail.is_empty);
        let mut last = tail.link.or(before.as_ref().and_then(|before| before.link));
        let mut bytes = Vec::new();
        if tail.is_open {
            bytes.push(b'\n');
        }
        let mut add = |line: &[u8]| {
            let (line, link) = chain::seal(line, last);
            bytes.extend_from_slice(&line);
            last = Some(link);
            link
        };
        if tail.has_strangers {
            tracing::warn!(
                "{0} ends with lines that are not of the audit log: `host-runner audit verify {0}` \
                 names them",
                self.path.display()
            );
        }
        let torn_before = before.iter().flat_map(|before| &before.torn);
        for torn in torn_before.chain(&tail.torn) {
            tracing::warn!(
                "{} ended within a line of the audit log, of which {} bytes are left: a crash or a \
                 full disk cut it short, or something else wrote to the file",
                self.path.display(),
                torn.bytes
            );
            add(&line::encode(&Event::torn(*torn), None));
        }
        if let Some(cut) = self.cut(file, tail.link) {
            add(&line::encode(&cut, None));
        }
        let link = add(line);
        let size = file.metadata()?.len();
        let written = write_line(file, &bytes, &mut false);
        if written.is_err() {
            self.before = before;
            // Else the next line begins with what it says of the incomplete one.
            let _ = file.set_len(size);
        } else {
            let identity = Identity::of(file).ok();
            self.written = identity.map(|identity| (identity, link.seq));
        }
        written
    }

    /// What to say in both logs if the file ends before a line that this process has written
    /// to it.
    fn cut(&self, file: &File, last: Option<Link>) -> Option<Event<'static>> {
        let (identity_then, seq) = self.written?;
        let now = last.map_or(0, |link| link.seq);
        let is_cut = Identity::of(file).ok() == Some(identity_then) && now < seq;
        if is_cut {
            tracing::error!(
                "lines were cut off the end of the audit log {}: it had line {seq}, and now ends \
                 with line {now}",
                self.path.display()
            );
        }
        is_cut.then_some(Event::Cut { had: seq, has: now })
    }
}

impl Written {
    /// A line that is not on a disk.
    pub(super) fn elsewhere() -> Self {
        Self(None)
    }

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
        let there = path.metadata();
        let is_new = there.is_err();
        // Reading would make a pipe wait for nothing, and what is written stay in it.
        let is_readable = there.is_ok_and(|there| there.is_file()) || is_new;
        let file = private::append(path, is_readable)?;
        if is_new && let Some(folder) = path.parent() {
            // Not every file system can; the lines themselves matter more.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(Self {
            identity: Identity::of(&file)?,
            is_regular: file::is_regular(&file)?,
            file: Arc::new(file),
        })
    }

    /// Whether the path still leads here: it does not after a rotation.
    fn is_at(&self, path: &Path) -> bool {
        Identity::at(path).is_ok_and(|there| there == self.identity)
    }
}

/// Writes in one system call, unless that takes only a part. `torn` is whether
/// the last line in the file is incomplete, before and after.
pub(super) fn write_line(mut writer: impl Write, line: &[u8], torn: &mut bool) -> io::Result<()> {
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
    use std::fs;

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

    /// The numbers of the lines, as far as they are of the chain.
    fn numbers(path: &Path) -> Vec<Option<u64>> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let number = |line: &str| chain::read(line.as_bytes()).map(|sealed| sealed.link.seq);
        text.lines().map(number).collect()
    }

    #[test]
    fn is_made_for_its_owner_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let _ = LogFile::new(&path).unwrap().append(b"{}\n").unwrap();
        assert!(private::is_private(&File::open(&path).unwrap()).unwrap());
        let mut one = LogFile::new(&path).unwrap();
        let mut other = LogFile::new(&path).unwrap();
        one.append(b"{}\n").unwrap().sync().unwrap();
        other.append(b"{}\n").unwrap().sync().unwrap();
        one.append(b"{}\n").unwrap().sync().unwrap();
        assert_eq!(numbers(&path), [1, 2, 3, 4].map(Some));
    }

    #[test]
    fn ends_the_line_that_another_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"torn").unwrap();
        let _ = LogFile::new(&path).unwrap().append(b"{}\n").unwrap();
        assert_eq!(numbers(&path), [None, Some(1), Some(2)]);
        let text = fs::read_to_string(&path).unwrap();
        let (_, line) = text.split_once('\n').unwrap();
        assert!(line.contains("\"event\":\"torn\",\"bytes\":6,"), "{line}");
    }

    #[test]
    fn follows_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let old = folder.path().join("audit.jsonl.1");
        let mut log = LogFile::new(&path).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        fs::rename(&path, &old).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        assert_eq!(numbers(&path), [Some(2)]);
        fs::remove_file(&path).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        assert_eq!(numbers(&path), [Some(3)]);
        // As logrotate's copytruncate does.
        File::create(&path).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        assert_eq!(numbers(&old), [Some(1)]);
        // The first line says that the others were cut off.
        assert_eq!(numbers(&path), [Some(1), Some(2)]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("\"event\":\"cut\",\"had\":3,\"has\":0"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("logs");
        fs::create_dir(&inner).unwrap();
        let path = inner.join("audit.jsonl");
        let mut log = LogFile::new(&path).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        fs::remove_dir_all(&inner).unwrap();
        assert!(log.append(b"{}\n").is_err());
        assert!(log.append(b"{}\n").is_err());
        fs::create_dir(&inner).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        assert_eq!(numbers(&path), [Some(2)]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_until_there_is_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut log = LogFile::new(&path).unwrap();
        let error = log.append(b"{}\n").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        fs::remove_file(&path).unwrap();
        log.append(b"{}\n").unwrap().sync().unwrap();
        assert_eq!(numbers(&path), [Some(1)]);
    }

    #[test]
    fn a_lock_that_is_never_released_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut log = LogFile::new(&path).unwrap();
        let _ = log.append(b"{}\n").unwrap();
        let other = File::open(&path).unwrap();
        let lock = Lock::take(&other, true, Duration::ZERO).unwrap();
        log.was_locked = true;
        let error = log.append(b"{}\n").err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(lock);
        let _ = log.append(b"{}\n").unwrap();
        assert!(!log.was_locked);
        assert_eq!(numbers(&path), [Some(1), Some(2)]);
    }
}
