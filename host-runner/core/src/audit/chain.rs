//! The chain of the lines in a file: each is numbered and has the hash of the
//! line before it, so that a changed, removed, inserted or moved line shows.
//!
//! A line ends with `,"seq":N,"prev":"HASH","hash":"HASH"}`. `hash` is the
//! SHA-256 of all that is before `,"hash":`, so of the line's own content and
//! the hash of the line before it. The first line of a chain has the number 1
//! and zeros for `prev`.

use crate::digest::Digest;

/// What a sealed line is longer than the bare one, at most.
#[cfg(test)]
pub(super) const SEAL_BYTES: usize = 190;

const SEQ: &str = ",\"seq\":";
const PREV: &str = ",\"prev\":\"";
const HASH: &str = ",\"hash\":\"";
/// Hexadecimal digits of a hash.
const DIGITS: usize = 64;

/// A line of a chain, as the next one has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: Digest,
}

/// What a line says of its place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) link: Link,
    /// The hash of the line before it.
    pub(super) prev: Digest,
    /// Whether its hash is that of its content.
    pub(super) is_intact: bool,
}

impl Sealed {
    /// Whether it is the first line of a chain.
    pub(super) fn is_start(&self) -> bool {
        self.link.seq == 1 && self.prev == none()
    }
}

/// What the first line of a chain has for the hash of the line before it.
fn none() -> Digest {
    Digest::from([0; 32])
}

/// Makes a line (a JSON object and a newline) the next one after `last`, or the
/// first one of a chain.
pub(super) fn seal(line: &[u8], last: Option<Link>) -> (Vec<u8>, Link) {
    // No chain gets so long: a forged number does not stop the log.
    let next = last.and_then(|last| Some((last.seq.checked_add(1)?, last.hash)));
    let (seq, prev) = next.unwrap_or((1, none()));
    let bare = line.strip_suffix(b"}\n").unwrap_or(line);
    let mut sealed = bare.to_vec();
    sealed.extend_from_slice(format!("{SEQ}{seq}{PREV}{prev}\"").as_bytes());
    let hash = Digest::of(&sealed);
    sealed.extend_from_slice(format!("{HASH}{hash}\"}}\n").as_bytes());
    (sealed, Link { seq, hash })
}

/// What a line, without its newline, says of its place. None if it was not
/// sealed.
pub(super) fn read(line: &[u8]) -> Option<Sealed> {
    let line = std::str::from_utf8(line).ok()?;
    let (content, hash) = ending(line.strip_suffix("\"}")?, HASH)?;
    let (rest, prev) = ending(content.strip_suffix('"')?, PREV)?;
    let (_, seq) = rest.rsplit_once(SEQ)?;
    let plain = seq.bytes().all(|byte| byte.is_ascii_digit());
    let seq = plain.then(|| seq.parse().ok())??;
    Some(Sealed {
        link: Link { seq, hash },
        prev,
        is_intact: Digest::of(content.as_bytes()) == hash,
    })
}

/// Splits off the name and the hash that a text ends with.
fn ending<'a>(text: &'a str, name: &str) -> Option<(&'a str, Digest)> {
    let at = text.len().checked_sub(DIGITS)?;
    let rest = text.get(..at)?.strip_suffix(name)?;
    Some((rest, Digest::parse(text.get(at..)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_is_read_as_it_was_written() {
        let (one, first) = seal(b"{\"a\":1}\n", None);
        let (two, second) = seal(b"{\"a\":\"\\\",\\\"seq\\\":7\"}\n", Some(first));
        let text = String::from_utf8([one.clone(), two.clone()].concat()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let zeros = "0".repeat(64);
        let content = format!("{{\"a\":1,\"seq\":1,\"prev\":\"{zeros}\"");
        let hash = Digest::of(content.as_bytes());
        assert_eq!(lines[0], format!("{content},\"hash\":\"{hash}\"}}"));

        let read_one = read(lines[0].as_bytes()).unwrap();
        let read_two = read(lines[1].as_bytes()).unwrap();
        assert!(read_one.is_start() && !read_two.is_start());
        assert!(read_one.is_intact && read_two.is_intact);
        assert_eq!((read_one.link, read_two.link), (first, second));
        assert_eq!((read_two.prev, second.seq), (first.hash, 2));
        for line in lines {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert!(one.len() - 8 <= SEAL_BYTES);
    }

    #[test]
    fn every_change_of_a_line_shows() {
        let (line, _) = seal(b"{\"a\":1}\n", None);
        let line = &line[..line.len() - 1];
        for at in 0..line.len() {
            let mut changed = line.to_vec();
            changed[at] ^= 1;
            let sealed = read(&changed);
            assert!(sealed.is_none_or(|sealed| !sealed.is_intact), "{at}");
        }
        assert_eq!(read(b"{\"a\":1}"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn the_largest_number_does_not_stop_the_log() {
        let hash = Digest::of(b"");
        let (_, link) = seal(
            b"{}\n",
            Some(Link {
                seq: u64::MAX,
                hash,
            }),
        );
        assert_eq!(link.seq, 1);
    }
}
