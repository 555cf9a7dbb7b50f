//! Files that other users can neither read nor change, by owner and access control list.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use super::super::sddl;
use super::native;

/// How the operator makes a file private. `S-1-3-4` are the rights of the owner.
pub(crate) const ADVICE: &str = "run icacls FILE /inheritance:r /grant:r *S-1-3-4:F to leave it \
                                 to its owner, who must be the user that runs this program";

/// The command that takes a file away from everybody but its owner.
pub(crate) fn command(path: &Path) -> String {
    format!(
        "icacls \"{}\" /inheritance:r /grant:r *S-1-3-4:F",
        path.display()
    )
}

/// Whether this process's user alone can read or change the file (or SYSTEM and
/// Administrators).
pub(crate) fn is_private(file: &File) -> io::Result<bool> {
    let user = native::user()?;
    // The text of a descriptor may have a short name of it.
    let short = native::normal(&format!("O:{user}"))?;
    let short = short.strip_prefix("O:").unwrap_or(&user);
    let descriptor = native::descriptor(file)?;
    let is_private = sddl::is_private(&descriptor, &[&user, short]);
    if !is_private {
        tracing::debug!("not private to {user} ({short}): {descriptor}");
    }
    Ok(is_private)
}

/// Whether every user of this machine can read or change the regular file there.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    let is_open = |file: &File| {
        let descriptor = native::descriptor(file)?;
        io::Result::Ok(file.metadata()?.is_file() && sddl::is_open_to_all(&descriptor))
    };
    File::open(path).is_ok_and(|file| is_open(&file).unwrap_or_default())
}

/// Opens a file to append to it, and makes it for this process's user alone if it does not
/// exist.
pub(crate) fn append(path: &Path, readable: bool) -> io::Result<File> {
    let open = || OpenOptions::new().read(readable).append(true).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    // The new file is closed before it is opened again: until then nobody else can open it.
    match create(path).map(drop) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => open(),
    }
}

/// Makes a file for this process's user alone, which nobody else can open before the result
/// is dropped. Fails with [`io::ErrorKind::AlreadyExists`] if there is one already.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .access_mode(native::ACCESS_TO_MAKE_PRIVATE)
        .share_mode(0)
        .open(path)?;
    let list = native::user().map(|user| sddl::private_to(&user));
    if let Err(error) = list.and_then(|list| native::restrict_file(&file, &list)) {
        // Not every file system can. Secrets are not read from there.
        tracing::warn!(
            "the new file {} cannot be made private to its user: {error}",
            path.display()
        );
    }
    Ok(file)
}

/// Makes a folder, with those above it, unless it exists. Who may access it is what the
/// folder above says: files in it that hold secrets are private by themselves.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_new_file_is_private_until_its_list_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path).unwrap().write_all(b"1").unwrap();
        let kind = create(&path).map(drop).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::AlreadyExists);
        append(&path, true).unwrap().write_all(b"2").unwrap();
        let other = folder.path().join("other");
        let mut one = append(&other, true).unwrap();
        append(&other, true).unwrap().write_all(b"1").unwrap();
        one.write_all(b"2").unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"12");
        assert!(is_private(&one).unwrap());
        let mut file = File::open(&path).unwrap();
        assert!(is_private(&file).unwrap() && !is_open_to_all(&path));
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12");
        let file = OpenOptions::new()
            .access_mode(native::ACCESS_TO_MAKE_PRIVATE)
            .write(true)
            .open(&path)
            .unwrap();
        let user = native::user().unwrap();
        let list = format!("{}(A;;FR;;;WD)", sddl::private_to(&user));
        native::restrict_file(&file, &list).unwrap();
        assert!(!is_private(&file).unwrap() && is_open_to_all(&path));
    }
}
