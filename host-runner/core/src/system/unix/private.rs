//! Files that other users can neither read nor change, by owner and mode.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// How the operator makes a file private.
pub(crate) const ADVICE: &str = "run chown to own it and chmod 600 to make it private";

/// The command that takes a file away from everybody but its owner.
pub(crate) fn command(path: &Path) -> String {
    format!("chmod 600 {}", path.display())
}

/// Whether this process's user alone can read or change the file (or root). A group may
/// read what belongs to root: so container platforms mount secrets.
pub(crate) fn is_private(file: &File) -> io::Result<bool> {
    let user = rustix::process::geteuid().as_raw();
    let metadata = file.metadata()?;
    Ok(is_private_to(user, metadata.uid(), metadata.mode()))
}

/// Whether every user of this machine can read or change the regular file there.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    let metadata = path.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o006 != 0)
}

/// Opens a file to append to it, and makes it for its owner alone if it does not exist.
pub(crate) fn append(path: &Path, readable: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(readable)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Makes a file for its owner alone. Fails with [`io::ErrorKind::AlreadyExists`] if there is
/// one already.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Makes a folder for its owner alone, with those above it, unless it exists.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether a file with this owner and mode is private to a user.
fn is_private_to(user: u32, owner: u32, mode: u32) -> bool {
    match owner {
        0 => mode & 0o037 == 0,
        owner => owner == user && mode & 0o077 == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_the_users_or_roots() {
        for (user, owner, mode, private) in [
            (1000, 1000, 0o100_600, true),
            (1000, 1000, 0o100_400, true),
            (1000, 1000, 0o100_640, false),
            (1000, 1000, 0o100_620, false),
            (1000, 1000, 0o100_604, false),
            (1000, 1001, 0o100_600, false),
            (0, 65534, 0o100_600, false),
            (1000, 0, 0o100_600, true),
            (1000, 0, 0o100_440, true),
            (1000, 0, 0o100_660, false),
            (1000, 0, 0o100_444, false),
            (0, 0, 0o100_600, true),
        ] {
            assert_eq!(
                is_private_to(user, owner, mode),
                private,
                "{user} {owner} {mode:o}"
            );
        }
    }
}
