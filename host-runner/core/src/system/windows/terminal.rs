//! The console at stdin.

use std::io;

use winapi_util::HandleRef;
use winapi_util::console::{mode, set_mode};

/// What is typed is shown.
const ECHO: u32 = 4;

/// The console without echo, until this is dropped.
pub(crate) struct Hidden(u32);

impl Hidden {
    /// Fails if stdin is not a console.
    pub(crate) fn new() -> io::Result<Self> {
        let before = mode(HandleRef::stdin())?;
        set_mode(HandleRef::stdin(), before & !ECHO)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The console may be gone.
        let _ = set_mode(HandleRef::stdin(), self.0);
    }
}
