//! Checks the chain of the lines in files.
//!
//! It finds what was changed, removed, inserted or moved within the files. What
//! was cut off their end, and files that were written anew as a whole, show only
//! against a hash that was noted elsewhere before: [`Anchors`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::chain::{self, Link, Sealed};
use super::file::Lock;
use super::tail::{MAX_REACH, Torn};
use crate::digest::Digest;

/// How long to wait for a process that writes a line.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// How many problems are listed.
const MAX_PROBLEMS: usize = 50;
/// How many lines without a place in the chain may wait for an explanation.
const MAX_STRANGERS: usize = 32;
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Hashes that were noted when the files were checked before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Anchors {
    /// The last hash of what came before the first of the files.
    pub from: Option<Digest>,
    /// Hashes of lines that have to be in the files.
    pub expect: Vec<Digest>,
}

/// What the files show.
#[derive(Debug)]
pub(crate) struct Report {
    /// One line each. Empty if all is intact.
    pub problems: Vec<String>,
    /// One line.
    pub summary: String,
    /// How many lines of the log there are.
    pub lines: u64,
    /// The hash of the last line.
    pub last_hash: Option<Digest>,
}

/// Checks files, the oldest one first. Fails if one of them cannot be read.
pub(crate) fn verify(files: &[PathBuf], anchors: &Anchors) -> Result<Report, (PathBuf, io::Error)> {
    let mut verifier = Verifier {
        missing: anchors.expect.clone(),
        from: anchors.from,
        ..Verifier::default()
    };
    for path in files {
        verifier.file(path).map_err(|error| (path.clone(), error))?;
    }
    Ok(verifier.report(files.len()))
}

#[derive(Default)]
struct Verifier {
    /// What is checked: file and line.
    file: String,
    line: u64,
    /// Of this file, no line of the chain has been seen.
    is_first: bool,
    last: Option<Link>,
    /// The last lines of the files before.
    ends: Vec<Link>,
    /// The hash before the first line, which is in none of the files.
    before: Option<Digest>,
    /// Lines without a place in the chain, which the next ones may explain.
    strangers: VecDeque<Stranger>,
    from: Option<Digest>,
    /// Hashes that have not been seen.
    missing: Vec<Digest>,
    first_seq: Option<u64>,
    lines: u64,
    chains: u64,
    torn: u64,
    lost: u64,
    problems: Vec<String>,
    more_problems: usize,
}

struct Stranger {
    file: String,
    line: u64,
    torn: Torn,
    /// It is the end of the file, and does not end with a newline.
    is_open: bool,
}

/// What a line says of others.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Remark {
    Gap { lost: u64 },
    Torn { bytes: u64, sha256: String },
    Cut { had: u64, has: u64 },
}

impl Verifier {
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // A process may be writing a line right now.
        let size = {
            let _lock = Lock::take(&file, false, LOCK_TIME)?;
            file.metadata()?.len()
        };
        (self.file, self.line, self.is_first) = (path.display().to_string(), 0, true);
        let mut reader = BufReader::new(file.take(size));
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = MAX_REACH as u64 + 1;
            let read = reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            if self.line == 0 && line.starts_with(GZIP) {
                return Err(io::Error::other("it is compressed: decompress it first"));
            }
            self.line += 1;
            match line.strip_suffix(b"\n") {
                Some(line) => self.whole(line),
                None => self.stranger(&line, true),
            }
        }
        self.ends.extend(self.last);
        Ok(())
    }

    fn whole(&mut self, line: &[u8]) {
        let Some(sealed) = chain::read(line) else {
            return self.stranger(line, false);
        };
        let remark = ["gap", "torn", "cut"]
            .iter()
            .any(|name| contains(line, format!("\"event\":\"{name}\"").as_bytes()))
            .then(|| serde_json::from_slice::<Remark>(line).ok())
            .flatten();
        self.settle(remark.as_ref());
        if let Some(Remark::Gap { lost }) = remark {
            self.lost = self.lost.saturating_add(lost);
        }
        self.place(&sealed);
        // A file that was emptied starts a chain, as after a rotation by copying.
        if let Some(Remark::Cut { had, has }) = remark
            && has > 0
        {
            self.problem(&format!(
                "says that lines were cut off the end of the log: it had line {had}, and ended with \
                 line {has}"
            ));
        }
        if !sealed.is_intact {
            self.problem("was changed: its hash is not that of its content");
        }
        self.lines += 1;
        self.first_seq = self.first_seq.or(Some(sealed.link.seq));
        self.missing.retain(|hash| *hash != sealed.link.hash);
    }

    /// Whether a line follows the one before it.
    fn place(&mut self, sealed: &Sealed) {
        let Link { seq, hash } = sealed.link;
        let is_first = std::mem::take(&mut self.is_first);
        let before = match is_first {
            // A process that had not noticed an earlier rotation continues an older file.
            true => self
                .ends
                .iter()
                .copied()
                .find(|end| end.hash == sealed.prev)
                .or(self.last),
            false => self.last,
        };
        let is_begun = before.is_some();
        if sealed.is_start() && (is_first || !is_begun) {
            self.chains += 1;
            if self.from.is_some() && !is_begun {
                self.problem("starts a new chain, and does not follow the hash given by --from");
            }
            self.last = Some(sealed.link);
            return;
        }
        let Some(before) = before else {
            self.chains += 1;
            if self.from.is_some_and(|from| from != sealed.prev) {
                self.problem(
                    "does not follow the line whose hash is given by --from: lines before it are \
                     missing or were replaced",
                );
            }
            self.before = Some(sealed.prev);
            self.last = Some(sealed.link);
            return;
        };
        let expected = before.seq.saturating_add(1);
        if seq < expected {
            // The lines behind it follow the one before it.
            if sealed.is_start() {
                self.problem("starts a new chain, which only the first line of a file does");
                self.last = Some(sealed.link);
            } else {
                self.problem(&format!(
                    "has the number {seq} behind number {}: it was moved, repeated or inserted",
                    before.seq
                ));
            }
            return;
        }
        if seq > expected {
            let hint = match is_first && !self.ends.is_empty() {
                true => ", or a file (give all of them, the oldest one first)",
                false => "",
            };
            self.problem(&format!(
                "has the number {seq} behind number {}: {} missing before it{hint}",
                before.seq,
                match seq - expected {
                    1 => "a line is".to_owned(),
                    count => format!("{count} lines are"),
                }
            ));
        } else if sealed.prev != before.hash {
            self.problem("does not have the hash of the line before it, which was replaced");
        }
        self.last = Some(Link { seq, hash });
    }

    fn stranger(&mut self, line: &[u8], is_open: bool) {
        if self.strangers.len() == MAX_STRANGERS {
            let oldest = self.strangers.pop_front();
            self.blame(oldest);
        }
        self.strangers.push_back(Stranger {
            file: self.file.clone(),
            line: self.line,
            torn: Torn::of(line),
            is_open,
        });
    }

    /// A line without a place in the chain is one that was not written to its end
    /// if the next ones say so; else it is not of the audit log.
    fn settle(&mut self, remark: Option<&Remark>) {
        let torn = match remark {
            Some(Remark::Torn { bytes, sha256 }) => Digest::parse(sha256).ok().map(|digest| Torn {
                bytes: *bytes,
                digest,
            }),
            _ => None,
        };
        let place = torn.and_then(|torn| self.strangers.iter().position(|one| one.torn == torn));
        for _ in 0..place.unwrap_or(self.strangers.len()) {
            let unexplained = self.strangers.pop_front();
            self.blame(unexplained);
        }
        if place.is_some() && self.strangers.pop_front().is_some() {
            self.torn += 1;
        }
    }

    /// Reports a line that is not of the audit log.
    fn blame(&mut self, stranger: Option<Stranger>) {
        let Some(stranger) = stranger else { return };
        let what = match stranger.is_open {
            true => {
                "is incomplete: a crash or a full disk cut it short, or the file was cut off here; \
                 the next line that is written to the file says so"
            }
            false => {
                "has no number and no hash: it was not written by the audit log, or its end was \
                 changed"
            }
        };
        let line = std::mem::replace(&mut self.line, stranger.line);
        let file = std::mem::replace(&mut self.file, stranger.file);
        self.problem(what);
        (self.line, self.file) = (line, file);
    }

    fn problem(&mut self, what: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems
                .push(format!("{}: line {} {what}", self.file, self.line));
        } else {
            self.more_problems += 1;
        }
    }

    fn report(mut self, files: usize) -> Report {
        self.settle(None);
        for hash in std::mem::take(&mut self.missing) {
            self.problems.push(format!(
                "no line has the hash {hash}: lines were cut off or replaced since it was noted"
            ));
        }
        if self
            .before
            .is_some_and(|before| self.ends.iter().any(|end| end.hash == before))
        {
            let order = "the first file continues another one: give the oldest file first";
            self.problems.push(order.to_owned());
        }
        if self.more_problems > 0 {
            self.problems
                .push(format!("{} more problems", self.more_problems));
        }
        let mut parts = Vec::new();
        let last = self.ends.last();
        let lines = counted(self.lines, "line");
        parts.push(match (self.first_seq, last) {
            (Some(first), Some(last)) if self.chains == 1 => {
                format!("{lines} (numbers {first} to {})", last.seq)
            }
            _ => lines,
        });
        parts.push(counted(files as u64, "file"));
        if self.chains > 1 {
            parts.push(format!(
                "{} chains, between which missing lines do not show",
                self.chains
            ));
        }
        if self.torn > 0 {
            let torn = counted(self.torn, "incomplete line");
            parts.push(format!("{torn} (cut short by a crash or a full disk)"));
        }
        if self.lost > 0 {
            let lost = counted(self.lost, "line");
            parts.push(format!("{lost} that could not be written"));
        }
        if let Some(last) = last {
            parts.push(format!("last hash {}", last.hash));
        }
        let verdict = match self.problems.is_empty() {
            true => "intact",
            false => "not intact",
        };
        Report {
            problems: self.problems,
            summary: format!("{verdict}: {}", parts.join(", ")),
            lines: self.lines,
            last_hash: self.ends.last().map(|end| end.hash),
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(line, part).is_some()
}

#[cfg(test)]
mod tests;
