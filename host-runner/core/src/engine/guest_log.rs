//! What a component writes to its stderr: lines in the host's log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::OutputStream;

use super::streams::{Sink, Stream};

/// Longer lines are cut.
const MAX_LINE: usize = 1000;
/// What a call writes beyond this is dropped.
const MAX_LINES: usize = 200;
/// A panic takes this many lines.
const LAST_LINES: usize = 3;

/// Collects a call's stderr, line by line.
#[derive(Clone, Default)]
pub(super) struct GuestLog(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    count: usize,
    current: Vec<u8>,
    last: VecDeque<String>,
}

impl GuestLog {
    /// The last lines: of a component that panicked, the reason.
    pub(super) fn last_lines(&self) -> String {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.end_line();
        let last: Vec<_> = lines.last.iter().map(String::as_str).collect();
        last.join(" / ")
    }
}

impl Sink for GuestLog {
    fn write(&self, bytes: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for &byte in bytes {
            if byte == b'\n' {
                lines.end_line();
            } else if lines.current.len() < MAX_LINE {
                lines.current.push(byte);
            }
        }
    }
}

impl Lines {
    fn end_line(&mut self) {
        if self.current.is_empty() || self.count >= MAX_LINES {
            self.current.clear();
            return;
        }
        let line = String::from_utf8_lossy(&self.current)
            .escape_debug()
            .to_string();
        tracing::debug!("component: {line}");
        self.count += 1;
        self.current.clear();
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Stream(self.clone()))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_and_is_bounded() {
        let log = GuestLog::default();
        log.write(b"first\nsecond: \x1b[31m");
        assert_eq!(log.last_lines(), "first / second: \\u{1b}[31m");
        for _ in 0..10_000 {
            log.write(&[b'x'; 5000]);
            log.write(b"\n");
        }
        assert!(log.last_lines().len() <= LAST_LINES * (MAX_LINE + 3));
        assert_eq!(log.0.lock().unwrap().count, MAX_LINES);
    }
}
