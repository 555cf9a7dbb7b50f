//! Files of `NAME=value` lines. This module stands for itself, so that a fuzzer
//! can have it without the rest.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Hands out the pairs of a file. The reason of a failure holds nothing from
/// the file.
pub(crate) fn read(path: &Path, take: impl FnMut(String, String)) -> Result<(), String> {
    parse(File::open(path).map_err(|error| error.to_string())?, take)
}

fn parse(text: impl Read, mut take: impl FnMut(String, String)) -> Result<(), String> {
    for entry in dotenvy::from_read_iter(text) {
        let (name, value) = entry.map_err(without_content)?;
        take(name, value);
    }
    Ok(())
}

/// A malformed line may hold the secret, so it is not repeated.
fn without_content(error: dotenvy::Error) -> String {
    match error {
        dotenvy::Error::Io(error) => error.to_string(),
        _ => "a line is not of the form NAME=value".to_owned(),
    }
}

/// Any file is read, or refused without a word of what is in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(input: &[u8]) {
    match parse(input, |name, _| assert!(!name.is_empty())) {
        Ok(()) => {}
        Err(reason) => assert!(
            matches!(
                reason.as_str(),
                "a line is not of the form NAME=value" | "stream did not contain valid UTF-8"
            ),
            "{reason}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/settings");
        let mut played = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
            played += 1;
        }
        assert!(played >= 10, "{played} seeds");
    }

    #[test]
    fn a_file_and_none() {
        let folder = std::env::temp_dir();
        assert!(read(&folder.join("no such file"), |_, _| {}).is_err());
        let mut values = Vec::new();
        let text = &b"# comment\nexport A='b c'\n\nD=\"e\"\n"[..];
        parse(text, |name, value| values.push((name, value))).unwrap();
        let expected = [("A", "b c"), ("D", "e")];
        assert_eq!(
            values,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
