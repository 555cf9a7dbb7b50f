//! Which file it is, locks, and opening without waiting.

use std::fs::File;
use std::io;
use std::path::Path;

use winapi_util::file::{Information, information, typ};
use winapi_util::{Handle, HandleRef};

use super::native;

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    volume: u64,
    index: u64,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    identity: Identity,
    size: u64,
    created: Option<u64>,
    written: Option<u64>,
}

impl Identity {
    /// Of an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        information(HandleRef::from_file(file)).map(|file| Self::new(&file))
    }

    /// Of the file that the path leads to now.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        information(&Handle::from_path_any(path)?).map(|file| Self::new(&file))
    }

    fn new(file: &Information) -> Self {
        Self {
            volume: file.volume_serial_number(),
            index: file.file_index(),
        }
    }
}

impl Mark {
    /// Of the file that the path leads to now. None if there is none that can be looked at.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let file = information(&Handle::from_path_any(path).ok()?).ok()?;
        Some(Self {
            identity: Identity::new(&file),
            size: file.file_size(),
            created: file.creation_time(),
            written: file.last_write_time(),
        })
    }
}

/// Opens a file to read it. Opening a pipe does not wait on Windows.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Opens a file to read and write it, but none that a link leads to: what is opened is the
/// link itself, which is no regular file.
#[cfg(feature = "demo")]
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;

    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OPEN_REPARSE_POINT)
        .open(path)
}

/// Whether it is neither a folder, a pipe nor a device.
pub(crate) fn is_regular(file: &File) -> io::Result<bool> {
    Ok(typ(HandleRef::from_file(file))?.is_disk() && file.metadata()?.is_file())
}

/// Locks a file against other processes that lock it, if none of them has. A shared lock
/// keeps only exclusive ones away.
///
/// The locks of the standard library would also keep others from reading the file, such as
/// what ships logs to another machine: on Windows, locks are mandatory. So this locks a
/// place that no file reaches.
pub(crate) fn try_lock(file: &File, exclusive: bool) -> io::Result<bool> {
    native::try_lock(file, exclusive)
}

/// Releases the lock.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    native::unlock(file)
}
