//! What is read from files that may change while the program runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::system::file::Mark;

/// How often to look whether the files have changed, at most.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads the value. The message of an error holds nothing secret.
type Read<T> = Box<dyn Fn() -> Result<T, String> + Send + Sync>;

/// A value from files. Where they cannot be used after a change, the value that was read
/// before remains.
pub(super) struct Fresh<T> {
    paths: Vec<PathBuf>,
    read: Read<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    looked: Instant,
    /// Of the files that were read.
    marks: Vec<Option<Mark>>,
    /// Why they could not be read again, so that the log says it once.
    problem: Option<String>,
}

impl<T> Fresh<T> {
    /// Reads the value for the first time.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        read: impl Fn() -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        // Before reading: what changes in between is read again.
        let marks = marks(&paths);
        let value = Arc::new(read()?);
        Ok(Self {
            paths,
            read: Box::new(read),
            state: Mutex::new(State {
                value,
                looked: Instant::now(),
                marks,
                problem: None,
            }),
        })
    }

    /// The value, as the files have it now.
    pub(super) fn get(&self) -> Arc<T> {
        let mut state = self.state();
        if self.paths.is_empty() || state.looked.elapsed() < PAUSE {
            return Arc::clone(&state.value);
        }
        state.looked = Instant::now();
        let marks = marks(&self.paths);
        if marks != state.marks {
            match (self.read)() {
                Ok(value) => {
                    state.value = Arc::new(value);
                    state.marks = marks;
                    state.problem = None;
                    tracing::info!("read {} again, which has changed", self.names());
                }
                Err(problem) if state.problem.as_ref() == Some(&problem) => {}
                Err(problem) => {
                    tracing::warn!(
                        "{} has changed, but cannot be used ({problem}): what was read before \
                         remains in force",
                        self.names()
                    );
                    state.problem = Some(problem);
                }
            }
        }
        Arc::clone(&state.value)
    }

    fn names(&self) -> String {
        let names = self.paths.iter().map(|path| path.display().to_string());
        names.collect::<Vec<_>>().join(" and ")
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn marks(paths: &[PathBuf]) -> Vec<Option<Mark>> {
    paths.iter().map(|path| Mark::at(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Although nothing of the file changes after that.
    #[test]
    fn a_file_that_could_not_be_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let read = {
            let (path, fails) = (path.clone(), Arc::clone(&fails));
            move || match fails.load(std::sync::atomic::Ordering::Relaxed) {
                true => Err("too many open files".to_owned()),
                false => std::fs::read_to_string(&path).map_err(|error| error.to_string()),
            }
        };
        let fresh = Fresh::new(vec![path.clone()], read).unwrap();
        let get = || {
            fresh.state().looked = Instant::now().checked_sub(PAUSE).unwrap();
            fresh.get().to_string()
        };
        std::fs::write(&path, "23").unwrap();
        fails.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(get(), "1");
        fails.store(false, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(get(), "23");
    }

    #[test]
    fn a_file_that_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let read = {
            let path = path.clone();
            move || {
                let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
                text.parse::<u32>().map_err(|error| error.to_string())
            }
        };
        let fresh = Fresh::new(vec![path.clone()], read).unwrap();
        let get = || {
            fresh.state().looked = Instant::now().checked_sub(PAUSE).unwrap();
            *fresh.get()
        };
        assert_eq!(get(), 1);
        std::fs::write(&path, "no number").unwrap();
        assert_eq!(get(), 1);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(get(), 1);
        std::fs::write(&path, "23").unwrap();
        assert_eq!(get(), 23);
        // Not looked at again so soon.
        std::fs::write(&path, "456").unwrap();
        assert_eq!(*fresh.get(), 23);
    }
}
