//! Files of `NAME=value` lines. This module depends on nothing else, so that a
//! fuzzer can compile it alone.
//!
//! A line is empty, a comment (`# …`) or `NAME=value`, with or without `export`
//! before it. A value without quotes ends at the end of its line or at ` #`. A
//! quoted value ends at the next quote of the same kind and may have several
//! lines. Within double quotes `\"` and `\\` are a quote and a backslash; every
//! other character is itself. Nothing is ever substituted: `$` and `${NAME}`
//! are plain text.

/// Why a text is not such a file. Holds nothing from the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The bytes are not UTF-8.
    #[error("it is not UTF-8 text")]
    NotUtf8,
    /// A line is neither empty nor a comment nor an assignment.
    #[error("line {0} is not of the form NAME=value")]
    Line(usize),
    /// The quote that begins on a line has no end.
    #[error("the quote that begins on line {0} is not closed")]
    OpenQuote(usize),
    /// Something follows a quoted value.
    #[error("line {0} holds more than a quoted value")]
    AfterQuote(usize),
    /// A character that belongs in no text file.
    #[error("line {0} holds a control character")]
    Control(usize),
}

/// Hands out the pairs of a file, in its order. A name may occur twice.
pub(crate) fn parse(text: &[u8], mut take: impl FnMut(&str, String)) -> Result<(), Malformed> {
    let text = std::str::from_utf8(text).map_err(|_| Malformed::NotUtf8)?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.strip_suffix('\r').unwrap_or(line);
        let start = line.trim_start_matches(BLANK);
        if start.is_empty() || start.starts_with('#') {
            rest = after;
            continue;
        }
        let start = match start.strip_prefix("export") {
            Some(exported) if exported.starts_with(BLANK) => exported.trim_start_matches(BLANK),
            _ => start,
        };
        let (name, value) = start.split_once('=').ok_or(Malformed::Line(number))?;
        let name = name.trim_end_matches(BLANK);
        if !is_name(name) {
            return Err(Malformed::Line(number));
        }
        let value = value.trim_start_matches(BLANK);
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            take(name, unquoted(value).ok_or(Malformed::Control(number))?);
            rest = after;
            continue;
        };
        // The value may end on a later line. The first `=` is this line's.
        let (_, quoted) = rest.split_once('=').ok_or(Malformed::Line(number))?;
        let quoted = quoted
            .trim_start_matches(BLANK)
            .get(1..)
            .unwrap_or_default();
        let (value, end) = unquote(quoted, quote).ok_or(Malformed::OpenQuote(number))?;
        if value
            .chars()
            .any(|c| c.is_control() && !"\t\r\n".contains(c))
        {
            return Err(Malformed::Control(number));
        }
        let after = quoted.get(end..).unwrap_or_default();
        number += value.matches('\n').count();
        let (tail, after) = after.split_once('\n').unwrap_or((after, ""));
        let tail = tail.trim_matches([' ', '\t', '\r']);
        if !(tail.is_empty() || tail.starts_with('#')) {
            return Err(Malformed::AfterQuote(number));
        }
        take(name, value);
        rest = after;
    }
    Ok(())
}

const BLANK: [char; 2] = [' ', '\t'];

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(plain)
}

/// A value without quotes, up to a comment. None where it holds control
/// characters.
fn unquoted(text: &str) -> Option<String> {
    let comment = text
        .match_indices('#')
        .map(|(at, _)| text.get(..at).unwrap_or_default())
        .find(|before| before.is_empty() || before.ends_with(BLANK));
    let value = comment.unwrap_or(text).trim_end_matches(BLANK);
    let clean = !value.chars().any(|c| c.is_control() && c != '\t');
    clean.then(|| value.to_owned())
}

/// What is before the closing quote, and where the text after it begins.
fn unquote(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((value, at + c.len_utf8()));
        }
        if c != '\\' || quote == '\'' {
            value.push(c);
            continue;
        }
        match chars.clone().next() {
            Some((_, escaped @ ('"' | '\\'))) => {
                chars.next();
                value.push(escaped);
            }
            _ => value.push(c),
        }
    }
    None
}

/// Any file is read, or refused without a word of what is in it.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(input: &[u8]) {
    let mut pairs = Vec::new();
    let result = parse(input, |name, value| {
        assert!(is_name(name), "{name}");
        pairs.push((name.to_owned(), value));
    });
    let text = String::from_utf8_lossy(input);
    for (_, value) in &pairs {
        // Nothing comes from elsewhere: each value is in the text but for
        // backslashes.
        let plain = value.replace('\\', "");
        assert!(text.replace('\\', "").contains(&plain), "{value:?}");
    }
    if let Err(error) = result {
        let lines = text.matches('\n').count() + 1;
        let (Malformed::Line(at)
        | Malformed::OpenQuote(at)
        | Malformed::AfterQuote(at)
        | Malformed::Control(at)) = error
        else {
            return;
        };
        assert!((1..=lines).contains(&at), "{error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, Malformed> {
        let mut pairs = Vec::new();
        parse(text.as_bytes(), |name, value| {
            pairs.push((name.to_owned(), value));
        })?;
        Ok(pairs)
    }

    fn value(text: &str) -> String {
        let pairs = pairs(&format!("A={text}\nB=last\n")).unwrap();
        assert_eq!(pairs.len(), 2, "{pairs:?}");
        assert_eq!(pairs[1].1, "last");
        pairs[0].1.clone()
    }

    #[test]
    fn seeds() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/settings");
        let mut played = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
            played += 1;
        }
        assert!(played >= 10, "{played} seeds");
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        for (text, expected) in [
            ("plain", "plain"),
            (" spaces around ", "spaces around"),
            ("", ""),
            ("  # only a comment", ""),
            ("a # comment", "a"),
            ("a#b", "a#b"),
            ("a=b=c", "a=b=c"),
            ("DOMAIN\\user@ad", "DOMAIN\\user@ad"),
            ("'single \"$B\" \\'", "single \"$B\" \\"),
            ("\"double 'x' \\\" \\\\ \\n\"", "double 'x' \" \\ \\n"),
            ("\"quoted\"  # comment", "quoted"),
            ("'two\nlines'", "two\nlines"),
            ("'two\r\nlines'\r", "two\r\nlines"),
            ("plain\r", "plain"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_substituted() {
        for text in ["${HOME}", "$HOME", "a${PATH}b", "$$", "${A:-b}"] {
            assert_eq!(value(text), text);
            assert_eq!(value(&format!("\"{text}\"")), text);
            assert_eq!(value(&format!("'{text}'")), text);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_line() {
        for (text, error) in [
            ("A=1\nnonsense\n", Malformed::Line(2)),
            ("=1", Malformed::Line(1)),
            ("A B=1", Malformed::Line(1)),
            ("1A=1", Malformed::Line(1)),
            ("A='x\ny'\nA B=1", Malformed::Line(3)),
            ("\n\nA=\"x\nB=1\n", Malformed::OpenQuote(3)),
            ("A='x'y\n", Malformed::AfterQuote(1)),
            ("A=1\nB=\u{1b}\n", Malformed::Control(2)),
            ("A='\u{0}'\n", Malformed::Control(1)),
        ] {
            assert_eq!(pairs(text), Err(error), "{text:?}");
        }
        assert_eq!(parse(b"A=\xff", |_, _| {}), Err(Malformed::NotUtf8));
    }

    #[test]
    fn comments_exports_and_marks_are_skipped() {
        let text = "\u{feff}# comment\nexport A='b c'\n\n\t export\tB = d\r\nexported=e";
        let expected = [("A", "b c"), ("B", "d"), ("exported", "e")];
        assert_eq!(
            pairs(text).unwrap(),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
