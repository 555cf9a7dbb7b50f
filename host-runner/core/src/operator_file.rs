//! Reads files that the operator names: settings, secrets, certificates and
//! policies.
//!
//! Each must be a regular file of at most a known size. A symbolic link is
//! followed, since container platforms mount secrets as links, and what it
//! leads to must be a regular file. Pipes, devices and folders are refused
//! before they are opened, so that none of them can block the program.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::system::{file, private};

/// A file of settings.
pub(crate) const MAX_ENV_BYTES: usize = 64 * 1024;
/// A token's secret. A larger file holds something else.
pub(crate) const MAX_SECRET_BYTES: usize = 4096;
/// Certificates in PEM: a system's whole bundle has about 250 KiB.
pub(crate) const MAX_CA_BYTES: usize = 1024 * 1024;
/// A policy.
pub(crate) const MAX_POLICY_BYTES: usize = 256 * 1024;

/// A file that is not read. The messages hold nothing from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system refuses.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a folder, a pipe, a device or a socket.
    #[error("cannot be read: it is not a regular file")]
    NotRegular,
    /// It is larger than it may be.
    #[error("cannot be read: it has more than {0} bytes")]
    TooLarge(usize),
    /// Others can read or change it.
    #[error(
        "can be read or changed by other users of this machine: {}",
        private::ADVICE
    )]
    NotPrivate,
    /// It is not text.
    #[error("cannot be read: it is not UTF-8 text")]
    NotUtf8,
}

/// Reads a regular file of at most `max` bytes. The bytes are wiped when they
/// are dropped.
pub(crate) fn read(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_if(path, max, |_| Ok(()))
}

/// The same, for a file that this process's user alone can read or change, or the
/// administrators of the machine: see [`private::is_private`].
pub(crate) fn read_private(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_if(path, max, |file| match private::is_private(file)? {
        true => Ok(()),
        false => Err(FileError::NotPrivate),
    })
}

/// Reads a file if the open file passes the check.
fn read_if(
    path: &Path,
    max: usize,
    check: impl FnOnce(&File) -> Result<(), FileError>,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Opening a device may already do something.
    if !path.metadata()?.is_file() {
        return Err(FileError::NotRegular);
    }
    let file = file::open_without_waiting(path)?;
    // It may be another one by now.
    if !file::is_regular(&file)? {
        return Err(FileError::NotRegular);
    }
    check(&file)?;
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size > max {
        return Err(FileError::TooLarge(max));
    }
    // As large as it may get at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.max(MAX_SECRET_BYTES) + 64));
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(FileError::TooLarge(max));
    }
    Ok(bytes)
}

/// The same, for text.
pub(crate) fn read_text(path: &Path, max: usize) -> Result<String, FileError> {
    let bytes = read(path, max)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FileError::NotUtf8)?;
    Ok(text.to_owned())
}

// Made of links, modes and pipes.
#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_leads_to_must_be_private() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&path, b"12345").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (mode, private) in [(0o600, true), (0o660, false), (0o606, false)] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&path, mode).unwrap();
            for path in [&path, &link] {
                let read = read_private(path, 5);
                assert_eq!(read.is_ok(), private, "{path:?}");
                assert!(private || matches!(read, Err(FileError::NotPrivate)));
            }
        }
    }

    #[test]
    fn only_regular_files_of_a_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(&**read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge(4))));

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(&**read(&link, 5).unwrap(), b"12345");

        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for path in [&pipe, folder.path(), Path::new("/dev/zero")] {
            let error = read(path, 5).unwrap_err();
            assert!(matches!(error, FileError::NotRegular), "{error}");
        }
        let absent = read(&folder.path().join("absent"), 5).unwrap_err();
        assert!(matches!(absent, FileError::Io(_)), "{absent}");

        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(read_text(&path, 5), Err(FileError::NotUtf8)));
    }
}
