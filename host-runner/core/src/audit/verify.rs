//! Checks the chain of the lines in files.
//!
//! It finds what was changed, removed, inserted or moved within the files. What
//! was cut off their end, and files that were written anew as a whole, show only
//! against a hash that was noted elsewhere before: [`Anchors`].

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use serde::Deserialize;

use super::chain::{self, Link, Sealed};
use super::file::Lock;
use super::tail::{MAX_REACH, Torn};
use crate::digest::Digest;

/// How long to wait for a process that writes a line.
const LOCK_TIME: Duration = Duration::from_secs(5);
/// How many problems are listed.
const MAX_PROBLEMS: usize = 50;
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
    /// A line without a place in the chain, which the next one may explain.
    stranger: Option<Stranger>,
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
}

impl Verifier {
    fn file(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // A process may be writing a line right now.
        let size = {
            let how = FlockOperation::NonBlockingLockShared;
            let _lock = Lock::take(&file, how, LOCK_TIME)?;
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
        self.settle(None);
        self.ends.extend(self.last);
        Ok(())
    }

    fn whole(&mut self, line: &[u8]) {
        let Some(sealed) = chain::read(line) else {
            return self.stranger(line, false);
        };
        let remark = ["gap", "torn"]
            .iter()
            .any(|name| contains(line, format!("\"event\":\"{name}\"").as_bytes()))
            .then(|| serde_json::from_slice::<Remark>(line).ok())
            .flatten();
        self.settle(remark.as_ref());
        if let Some(Remark::Gap { lost }) = remark {
            self.lost = self.lost.saturating_add(lost);
        }
        self.place(&sealed);
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
        self.settle(None);
        self.stranger = Some(Stranger {
            line: self.line,
            torn: Torn::of(line),
            is_open,
        });
    }

    /// A line without a place in the chain is one that was not written to its end
    /// if the next one says so; else it is not of the audit log.
    fn settle(&mut self, remark: Option<&Remark>) {
        let Some(stranger) = self.stranger.take() else {
            return;
        };
        if let Some(Remark::Torn { bytes, sha256 }) = remark
            && *bytes == stranger.torn.bytes
            && Digest::parse(sha256).is_ok_and(|digest| digest == stranger.torn.digest)
        {
            self.torn += 1;
            return;
        }
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
        self.problem(what);
        self.line = line;
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
mod tests {
    use super::super::file::LogFile;
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Appends events of these numbers.
        fn write(&self, name: &str, numbers: std::ops::Range<u32>) {
            let mut log = LogFile::new(&self.path(name)).unwrap();
            append(&mut log, numbers);
        }

        fn lines(&self, name: &str) -> Vec<String> {
            let text = std::fs::read_to_string(self.path(name)).unwrap();
            text.lines().map(str::to_owned).collect()
        }

        fn set(&self, name: &str, lines: &[String]) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(self.path(name), text).unwrap();
        }

        fn verify(&self, names: &[&str]) -> Report {
            self.verify_with(names, &Anchors::default())
        }

        fn verify_with(&self, names: &[&str], anchors: &Anchors) -> Report {
            let files: Vec<_> = names.iter().map(|name| self.path(name)).collect();
            verify(&files, anchors).unwrap()
        }

        /// The problems, without the folder.
        fn problems(&self, names: &[&str]) -> Vec<String> {
            let folder = format!("{}/", self.0.path().display());
            let problems = self.verify(names).problems.into_iter();
            problems.map(|one| one.replace(&folder, "")).collect()
        }
    }

    fn append(log: &mut LogFile, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let line = format!("{{\"number\":{number}}}\n");
            log.append(line.as_bytes()).unwrap().sync().unwrap();
        }
    }

    fn last_hash(report: &Report) -> Digest {
        let (_, hash) = report.summary.rsplit_once("last hash ").unwrap();
        Digest::parse(hash).unwrap()
    }

    fn assert_one(problems: &[String], starts: &str, says: &str) {
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(starts), "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }

    #[test]
    fn an_intact_log_has_a_summary() {
        let folder = Folder::new();
        folder.write("a", 0..3);
        folder.write("a", 3..5);
        let report = folder.verify(&["a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        let says = "intact: 5 lines (numbers 1 to 5), 1 file, last hash ";
        assert!(report.summary.starts_with(says), "{report:?}");
        std::fs::write(folder.path("empty"), "").unwrap();
        assert!(folder.verify(&["empty"]).problems.is_empty());
    }

    #[test]
    fn a_changed_line_is_found() {
        let folder = Folder::new();
        folder.write("a", 0..5);
        let mut lines = folder.lines("a");
        lines[2] = lines[2].replace("\"number\":2", "\"number\":7");
        folder.set("a", &lines);
        assert_one(&folder.problems(&["a"]), "a: line 3 ", "was changed");

        // Its hash was computed anew: then the next line does not fit.
        let before = chain::read(lines[1].as_bytes()).unwrap().link;
        let (forged, _) = chain::seal(b"{\"number\":7}\n", Some(before));
        lines[2] = String::from_utf8(forged).unwrap().trim_end().to_owned();
        folder.set("a", &lines);
        assert_one(&folder.problems(&["a"]), "a: line 4 ", "was replaced");
    }

    #[test]
    fn removed_and_swapped_lines_are_found() {
        let folder = Folder::new();
        folder.write("a", 0..6);
        let lines = folder.lines("a");
        let mut removed = lines.clone();
        removed.drain(2..4);
        folder.set("a", &removed);
        assert_one(
            &folder.problems(&["a"]),
            "a: line 3 ",
            "2 lines are missing",
        );

        let mut swapped = lines.clone();
        swapped.swap(2, 3);
        folder.set("a", &swapped);
        let problems = folder.problems(&["a"]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].contains("line 3 has the number 4"),
            "{problems:?}"
        );
        assert!(
            problems[1].contains("line 4 has the number 3"),
            "{problems:?}"
        );
        assert!(problems[1].contains("moved"), "{problems:?}");

        // The beginning is missing.
        folder.set("a", &lines[2..]);
        let zeros = Digest::from([0; 32]);
        let from = |hash| Anchors {
            from: Some(hash),
            expect: Vec::new(),
        };
        let report = folder.verify_with(&["a"], &from(zeros));
        assert_one(&report.problems, "", "--from");
        let before = chain::read(lines[1].as_bytes()).unwrap().link.hash;
        let report = folder.verify_with(&["a"], &from(before));
        assert!(report.problems.is_empty(), "{report:?}");
        assert!(report.summary.contains("numbers 3 to 6"), "{report:?}");
    }

    #[test]
    fn inserted_lines_are_found() {
        let folder = Folder::new();
        folder.write("a", 0..4);
        let lines = folder.lines("a");
        let mut bare = lines.clone();
        bare.insert(2, "{\"number\":9}".to_owned());
        folder.set("a", &bare);
        assert_one(
            &folder.problems(&["a"]),
            "a: line 3 ",
            "not written by the audit log",
        );

        let mut forged = lines.clone();
        let before = chain::read(lines[1].as_bytes()).unwrap().link;
        let (line, _) = chain::seal(b"{\"number\":9}\n", Some(before));
        forged.insert(2, String::from_utf8(line).unwrap().trim_end().to_owned());
        folder.set("a", &forged);
        let problems = folder.problems(&["a"]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_one(&problems[..1], "a: line 4 ", "inserted");
        assert_one(&problems[1..], "a: line 5 ", "was replaced");

        // At the end, and the log goes on.
        bare = lines.clone();
        bare.push("{\"number\":9}".to_owned());
        folder.set("a", &bare);
        assert_one(
            &folder.problems(&["a"]),
            "a: line 5 ",
            "not written by the audit log",
        );
        folder.write("a", 4..6);
        assert_one(
            &folder.problems(&["a"]),
            "a: line 5 ",
            "not written by the audit log",
        );
    }

    #[test]
    fn a_tail_that_is_cut_off_shows_against_a_noted_hash() {
        let folder = Folder::new();
        folder.write("a", 0..4);
        let noted = last_hash(&folder.verify(&["a"]));
        let anchors = Anchors {
            from: None,
            expect: vec![noted],
        };
        let lines = folder.lines("a");
        folder.set("a", &lines[..3]);
        assert!(folder.problems(&["a"]).is_empty());
        let report = folder.verify_with(&["a"], &anchors);
        assert_one(&report.problems, "no line has the hash", "cut off");
        assert!(report.summary.starts_with("not intact"), "{report:?}");

        folder.set("a", &lines);
        folder.write("a", 4..6);
        let report = folder.verify_with(&["a"], &anchors);
        assert!(report.problems.is_empty(), "{report:?}");
    }

    #[test]
    fn a_torn_line_is_told_and_does_not_stop_the_log() {
        let folder = Folder::new();
        folder.write("a", 0..3);
        let text = std::fs::read_to_string(folder.path("a")).unwrap();
        std::fs::write(folder.path("a"), &text[..text.len() - 100]).unwrap();
        assert_one(&folder.problems(&["a"]), "a: line 3 ", "incomplete");
        folder.write("a", 3..5);
        let report = folder.verify(&["a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        assert!(report.summary.contains("1 incomplete line"), "{report:?}");
        assert!(report.summary.contains("numbers 1 to 5"), "{report:?}");
        let lines = folder.lines("a");
        assert!(lines[3].contains("\"event\":\"torn\""), "{lines:?}");

        // Nothing else passes for it.
        let mut lines = lines;
        lines[2].push('}');
        folder.set("a", &lines);
        assert_one(
            &folder.problems(&["a"]),
            "a: line 3 ",
            "not written by the audit log",
        );
        // Nor is a file of nothing but a torn line an obstacle.
        std::fs::write(folder.path("b"), [0; 5000]).unwrap();
        folder.write("b", 0..2);
        let report = folder.verify(&["b"]);
        assert!(report.problems.is_empty(), "{report:?}");
    }

    #[test]
    fn a_rotated_log_continues_its_chain() {
        let folder = Folder::new();
        let path = folder.path("a");
        let (mut one, mut two) = (LogFile::new(&path).unwrap(), LogFile::new(&path).unwrap());
        append(&mut one, 0..3);
        append(&mut two, 3..4);
        std::fs::rename(&path, folder.path("a.1")).unwrap();
        append(&mut one, 4..5);
        append(&mut two, 5..6);
        let report = folder.verify(&["a.1", "a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        assert!(
            report.summary.contains("6 lines (numbers 1 to 6), 2 files"),
            "{report:?}"
        );
        // Each of them alone, but not the wrong way round, nor without one.
        assert!(folder.problems(&["a"]).is_empty());
        assert_one(
            &folder.problems(&["a", "a.1"]),
            "the first file",
            "oldest file first",
        );
        std::fs::rename(&path, folder.path("a.2")).unwrap();
        append(&mut two, 6..7);
        assert!(folder.problems(&["a.1", "a.2", "a"]).is_empty());
        assert_one(
            &folder.problems(&["a.1", "a"]),
            "a: line 1 ",
            "2 lines are missing",
        );

        // A process that slept through a rotation.
        std::fs::rename(&path, folder.path("a.3")).unwrap();
        append(&mut one, 7..8);
        assert!(folder.problems(&["a.1", "a.2", "a.3", "a"]).is_empty());
        // One that was not there before starts a chain.
        std::fs::rename(&path, folder.path("a.4")).unwrap();
        folder.write("a", 8..9);
        let report = folder.verify(&["a.4", "a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        assert!(report.summary.contains("2 chains"), "{report:?}");
    }

    #[test]
    fn a_file_that_is_emptied_starts_a_chain() {
        let folder = Folder::new();
        let path = folder.path("a");
        let mut log = LogFile::new(&path).unwrap();
        append(&mut log, 0..3);
        std::fs::copy(&path, folder.path("a.1")).unwrap();
        File::create(&path).unwrap();
        append(&mut log, 3..5);
        let report = folder.verify(&["a.1", "a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        // In the middle of a file, it is none.
        let mut lines = folder.lines("a.1");
        lines.extend(folder.lines("a"));
        folder.set("b", &lines);
        assert_one(&folder.problems(&["b"]), "b: line 4 ", "starts a new chain");
    }

    #[test]
    fn many_writers_make_one_chain() {
        let folder = Folder::new();
        let path = folder.path("a");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let mut log = LogFile::new(&path).unwrap();
                scope.spawn(move || append(&mut log, 0..100));
            }
        });
        let report = folder.verify(&["a"]);
        assert!(report.problems.is_empty(), "{report:?}");
        assert!(
            report.summary.contains("400 lines (numbers 1 to 400)"),
            "{report:?}"
        );
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let folder = Folder::new();
        std::fs::write(folder.path("a"), [0x1f, 0x8b, 8, 0]).unwrap();
        for name in ["a", "absent", "."] {
            assert!(
                verify(&[folder.path(name)], &Anchors::default()).is_err(),
                "{name}"
            );
        }
    }
}
