//! How a file ends: after which line of a chain the next one goes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use serde::de::IgnoredAny;

use super::chain::{self, Link};
use crate::digest::Digest;

/// How far back the last line of a chain is looked for. It is among the first of
/// them, unless something else wrote to the file.
const REACH: [usize; 3] = [4 * 1024, 64 * 1024, MAX_REACH];
pub(super) const MAX_REACH: usize = 1024 * 1024;
/// How many lines in a row may have been cut short. More than that are not of the log.
const MAX_TORN: usize = 16;

/// How a file ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) is_empty: bool,
    /// The last line that is of a chain.
    pub(super) link: Option<Link>,
    /// Whether there are whole lines behind it that are not, and were not cut short.
    pub(super) has_strangers: bool,
    /// The lines at the end that were not written to their ends, the oldest one first. There
    /// are several if the line that says so was itself cut short.
    pub(super) torn: Vec<Torn>,
    /// The last line has no newline. It may be whole apart from that.
    pub(super) is_open: bool,
}

/// The beginning of a line that was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

impl Torn {
    pub(super) fn of(fragment: &[u8]) -> Self {
        Self {
            bytes: fragment.len() as u64,
            digest: Digest::of(fragment),
        }
    }
}

/// Reads the end of a file that was opened to append to it: where it is read does not matter.
pub(super) fn read(mut file: &File) -> io::Result<Tail> {
    let size = file.metadata()?.len();
    let mut tail = Tail {
        is_empty: size == 0,
        ..Tail::default()
    };
    for reach in REACH {
        let start = size.saturating_sub(reach as u64);
        // As much as `reach` says, at most.
        let mut end = vec![0; (size - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut end)?;
        tail = of(&end, start == 0);
        if tail.link.is_some() || start == 0 {
            break;
        }
    }
    Ok(tail)
}

/// What the last bytes of a file show. `is_all` is whether there are no others.
fn of(end: &[u8], is_all: bool) -> Tail {
    let mut pieces = end.rsplit(|byte| *byte == b'\n');
    let fragment = pieces.next().unwrap_or_default();
    let mut lines: Vec<_> = pieces.collect();
    if !is_all {
        // It may begin within a line.
        lines.pop();
    }
    let is_open = !fragment.is_empty();
    // A line of which only the newline is missing is in the chain.
    if let Some(whole) = chain::read(fragment).filter(|line| line.is_intact) {
        return Tail {
            link: Some(whole.link),
            is_open,
            ..Tail::default()
        };
    }
    let place = lines.iter().position(|line| chain::read(line).is_some());
    let link = place.and_then(|place| Some(chain::read(lines.get(place)?)?.link));
    let behind = lines.get(..place.unwrap_or(lines.len()));
    let behind = behind.unwrap_or_default();
    let is_cut = |line: &&&[u8]| serde_json::from_slice::<IgnoredAny>(line).is_err();
    let cut = behind.iter().take_while(is_cut).count();
    let cut = if cut > MAX_TORN { 0 } else { cut };
    let mut torn: Vec<_> = behind.iter().take(cut).map(|line| Torn::of(line)).collect();
    torn.reverse();
    torn.extend(is_open.then(|| Torn::of(fragment)));
    Tail {
        is_empty: end.is_empty(),
        link,
        has_strangers: behind.len() > cut,
        torn,
        is_open,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn tail(bytes: &[u8]) -> Tail {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        read(&file).unwrap()
    }

    #[test]
    fn the_last_line_of_the_chain_is_found() {
        let (one, first) = chain::seal(b"{\"a\":1}\n", None);
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(15_000));
        let (two, second) = chain::seal(long.as_bytes(), Some(first));
        let both = [one, two].concat();
        assert!(tail(b"").is_empty);
        let found = tail(&both);
        assert_eq!((found.link, found.has_strangers), (Some(second), false));
        assert_eq!((found.torn, found.is_open), (vec![], false));

        let strangers = "no line of ours\n".repeat(10_000);
        let found = tail(&[&both, strangers.as_bytes(), b"{\"to"].concat());
        assert_eq!((found.link, found.has_strangers), (Some(second), true));
        assert_eq!(found.torn, [Torn::of(b"{\"to")]);

        let far = strangers.repeat(10);
        let found = tail(&[&both, far.as_bytes()].concat());
        assert_eq!((found.link, found.has_strangers), (None, true));
        // Cut short twice, and only the newline is missing.
        let found = tail(&[&both, b"{\"a\n{\"b".as_slice()].concat());
        assert_eq!((found.link, found.has_strangers), (Some(second), false));
        assert_eq!(found.torn, [Torn::of(b"{\"a"), Torn::of(b"{\"b")]);
        let found = tail(&both[..both.len() - 1]);
        assert_eq!((found.link, found.is_open), (Some(second), true));
        assert_eq!(found.torn, []);
        let found = tail(b"torn");
        assert_eq!((found.link, found.has_strangers), (None, false));
    }
}
