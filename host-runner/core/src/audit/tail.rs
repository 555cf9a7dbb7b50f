//! How a file ends: after which line of a chain the next one goes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::chain::{self, Link};
use crate::digest::Digest;

/// How far back the last line of a chain is looked for. It is among the first of
/// them, unless something else wrote to the file.
const REACH: [usize; 3] = [4 * 1024, 64 * 1024, MAX_REACH];
pub(super) const MAX_REACH: usize = 1024 * 1024;

/// How a file ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) is_empty: bool,
    /// The last line that is of a chain.
    pub(super) link: Option<Link>,
    /// Whether there are whole lines behind it that are not.
    pub(super) has_strangers: bool,
    /// What is behind the last newline, if anything.
    pub(super) torn: Option<Torn>,
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
    let place = lines.iter().position(|line| chain::read(line).is_some());
    let link = place.and_then(|place| Some(chain::read(lines.get(place)?)?.link));
    Tail {
        is_empty: end.is_empty(),
        link,
        has_strangers: place.unwrap_or(lines.len()) > 0,
        torn: (!fragment.is_empty()).then(|| Torn::of(fragment)),
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
        assert_eq!(found.torn, None);

        let strangers = "no line of ours\n".repeat(10_000);
        let found = tail(&[&both, strangers.as_bytes(), b"{\"to"].concat());
        assert_eq!((found.link, found.has_strangers), (Some(second), true));
        assert_eq!(found.torn, Some(Torn::of(b"{\"to")));

        let far = strangers.repeat(10);
        let found = tail(&[&both, far.as_bytes()].concat());
        assert_eq!((found.link, found.has_strangers), (None, true));
        let found = tail(b"torn");
        assert_eq!((found.link, found.has_strangers), (None, false));
    }
}
