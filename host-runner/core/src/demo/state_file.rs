//! The file of `--demo-state`: what one process has left of its simulated cluster, and the
//! next one starts with.
//!
//! One process at a time uses it: it locks a file beside it, since the file itself is replaced
//! as a whole after each change. Whenever the process ends, the file is complete.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pve_sim::{Saved, SavedError};

use crate::operator_file::{self, FileError};
use crate::system::{file, private};

/// The demo has 33 kB, and a change adds less than one.
const MAX_BYTES: usize = 16 << 20;
/// A client that restarts its server does not wait until the old one has ended.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

/// The file, which no other process uses until this is dropped.
pub(super) struct StateFile {
    path: PathBuf,
    /// Ends with the process, whatever ends that.
    _lock: File,
}

/// Why the file cannot be used. It is left as it is.
#[derive(Debug, thiserror::Error)]
#[error("--demo-state {}: {fault}", .path.display())]
pub(crate) struct StateFileError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Another process uses it.
    #[error("{0} uses this file: end it, or name another file")]
    InUse(Holder),
    /// There can be no file beside it.
    #[error("{0} cannot be opened ({1}): name a file in a folder that you can write to")]
    Lock(PathBuf, io::Error),
    /// It cannot be read.
    #[error("it {0}: name another file")]
    Read(#[from] FileError),
    /// It has something else.
    #[error("it {0}. Name another file, or move this one away to start anew")]
    Content(#[from] SavedError),
}

/// The process that has the lock, as far as it says.
#[derive(Debug)]
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(process) => write!(f, "another host-runner (process {process})"),
            None => f.write_str("another host-runner"),
        }
    }
}

impl StateFile {
    /// Takes the file for this process, and reads what is in it. None if there is no file
    /// yet, or an empty one.
    pub(super) async fn open(path: &Path) -> Result<(Self, Option<Saved>), StateFileError> {
        let failed = |fault: Fault| StateFileError {
            path: path.to_owned(),
            fault,
        };
        // Whatever becomes of the working directory. A link stays, and what it leads to has
        // one lock by all its names.
        let place = path.canonicalize().or_else(|_| std::path::absolute(path));
        let place = place.map_err(|error| failed(FileError::from(error).into()))?;
        if place.metadata().is_ok_and(|there| !there.is_file()) {
            return Err(failed(FileError::NotRegular.into()));
        }
        let lock = lock(&beside(&place, "lock")).await.map_err(failed)?;
        let saved = read(&place).map_err(failed)?;
        let file = Self {
            path: place,
            _lock: lock,
        };
        Ok((file, saved))
    }

    /// Replaces what is in the file, or leaves it as it is.
    pub(super) fn save(&self, text: &str) -> Result<(), String> {
        self.replace(text).map_err(|error| {
            format!(
                "the simulated cluster cannot be saved in {} ({error}), so nothing was changed: \
                 correct that, or name another file with --demo-state",
                self.path.display()
            )
        })
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        if text.len() > MAX_BYTES {
            return Err(io::Error::other(format!(
                "it has grown to more than {MAX_BYTES} bytes"
            )));
        }
        let draft = beside(&self.path, "draft");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // One that was there is of a process that was killed.
            _ => {}
        }
        let written = private::create(&draft).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let replaced = written.and_then(|()| fs::rename(&draft, &self.path));
        if replaced.is_err() {
            // The error says more than a failure to remove it.
            let _ = fs::remove_file(&draft);
        }
        replaced
    }
}

fn read(path: &Path) -> Result<Option<Saved>, Fault> {
    let text = match operator_file::read_text(path, MAX_BYTES) {
        Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    match text.is_empty() {
        true => Ok(None),
        false => Ok(Some(Saved::parse(&text)?)),
    }
}

/// Waits a moment for the lock. The file says who has it.
async fn lock(path: &Path) -> Result<File, Fault> {
    let failed = |error: io::Error| Fault::Lock(path.to_owned(), error);
    match private::create(path).map(drop) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let mut lock = file::open_itself(path).map_err(failed)?;
    if !file::is_regular(&lock).map_err(failed)? {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let end = Instant::now() + PATIENCE;
    while !file::try_lock(&lock, true).map_err(failed)? {
        if Instant::now() >= end {
            return Err(Fault::InUse(holder(&lock)));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let said = lock.set_len(0);
    said.and_then(|()| write!(lock, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(lock)
}

fn holder(lock: &File) -> Holder {
    let mut text = String::new();
    // A process identifier is short.
    let read = lock.take(20).read_to_string(&mut text);
    Holder(read.ok().and_then(|_| text.trim().parse().ok()))
}

/// A hidden file in the same folder.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn cluster_text() -> String {
        let text = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let kept = std::sync::Arc::clone(&text);
        let keep = pve_sim::Keep {
            saved: None,
            save: std::sync::Arc::new(move |text| {
                text.clone_into(&mut kept.lock().unwrap());
                Ok(())
            }),
        };
        let _running = pve_sim::start_kept(pve_sim::Options::demo(), keep)
            .await
            .unwrap();
        text.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn is_private_whole_and_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        let (file, saved) = StateFile::open(&path).await.unwrap();
        assert!(saved.is_none() && !path.exists());
        let text = cluster_text().await;
        file.save(&text).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(private::is_private(&File::open(&path).unwrap()).unwrap());
        let error = StateFile::open(&path).await.err().unwrap().to_string();
        let process = format!("(process {})", std::process::id());
        assert!(error.contains(&process), "{error}");
        drop(file);
        let (file, saved) = StateFile::open(&path).await.unwrap();
        assert!(saved.is_some());
        // As a process leaves it that is killed while it writes.
        fs::write(beside(&path, "draft"), "{\"form").unwrap();
        file.save(&text).unwrap();
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".cluster.json.lock", "cluster.json"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_lock_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        let other = folder.path().join("other");
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, beside(&path, "lock")).unwrap();
        assert!(StateFile::open(&path).await.is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[tokio::test]
    async fn what_is_not_a_cluster_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.json");
        let text = cluster_text().await;
        for (text, word) in [
            ("# notes\n", "does not contain"),
            (&text[..text.len() - 100], "is damaged"),
            (
                &text.replacen("\"version\":1", "\"version\":7", 1),
                "another version",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = StateFile::open(&path).await.err().unwrap().to_string();
            assert!(error.contains(word), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, "").unwrap();
        assert!(StateFile::open(&path).await.unwrap().1.is_none());
        let error = StateFile::open(folder.path()).await.err().unwrap();
        assert!(error.to_string().contains("regular file"), "{error}");
    }
}
