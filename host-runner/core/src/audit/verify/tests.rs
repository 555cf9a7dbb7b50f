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

#[test]
fn a_line_that_lacks_only_its_newline_is_continued() {
    let folder = Folder::new();
    folder.write("a", 0..3);
    let text = std::fs::read_to_string(folder.path("a")).unwrap();
    std::fs::write(folder.path("a"), text.trim_end()).unwrap();
    assert_one(&folder.problems(&["a"]), "a: line 3 ", "incomplete");
    folder.write("a", 3..5);
    let report = folder.verify(&["a"]);
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(
        report.summary.contains("5 lines (numbers 1 to 5)"),
        "{report:?}"
    );
}

#[test]
fn a_line_that_is_torn_twice_is_explained() {
    let folder = Folder::new();
    folder.write("a", 0..3);
    for piece in ["{\"eve", "{\"eve\n", "{\"event\":\"x\"\n{\"even"] {
        let text = std::fs::read_to_string(folder.path("a")).unwrap();
        std::fs::write(folder.path("a"), format!("{text}{piece}")).unwrap();
        folder.write("a", 3..4);
        assert_eq!(folder.problems(&["a"]), [""; 0], "{piece}");
    }
    let report = folder.verify(&["a"]);
    assert!(report.summary.contains("4 incomplete lines"), "{report:?}");
}

#[test]
fn a_line_that_is_torn_before_a_rotation_is_explained_in_the_next_file() {
    let folder = Folder::new();
    let path = folder.path("a");
    let mut log = LogFile::new(&path).unwrap();
    append(&mut log, 0..3);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"eve")).unwrap();
    std::fs::rename(&path, folder.path("a.1")).unwrap();
    append(&mut log, 3..5);
    let report = folder.verify(&["a.1", "a"]);
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(report.summary.contains("1 incomplete line"), "{report:?}");
    assert_one(&folder.problems(&["a.1"]), "a.1: line 4 ", "incomplete");
}

#[test]
fn lines_that_are_cut_off_a_running_log_are_named_in_it() {
    let folder = Folder::new();
    let path = folder.path("a");
    let mut log = LogFile::new(&path).unwrap();
    append(&mut log, 0..4);
    let lines = folder.lines("a");
    folder.set("a", &lines[..2]);
    append(&mut log, 4..6);
    assert!(folder.lines("a")[2].contains("\"event\":\"cut\",\"had\":4,\"has\":2"));
    assert_one(&folder.problems(&["a"]), "a: line 3 ", "cut off");
}
