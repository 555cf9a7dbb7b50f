//! The console at stdin.

use std::io;

use super::native::{console_mode, set_console_mode};

/// What is typed is shown.
const ECHO: u32 = 4;

/// The console without echo, until this is dropped.
pub(crate) struct Hidden(u32);

impl Hidden {
    /// Fails if stdin is not a console.
    pub(crate) fn new() -> io::Result<Self> {
        let before = console_mode()?;
        set_console_mode(before & !ECHO)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The console may be gone.
        let _ = set_console_mode(self.0);
    }
}
