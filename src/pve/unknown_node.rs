//! The error of a name that no node has.

use super::format::Format;
use crate::error::Error;
use crate::text;
use crate::tool_names;

/// What is known besides that there is no such node.
pub(super) enum Known<'a> {
    /// The names of all nodes that the token sees.
    Nodes(&'a [&'a str]),
    /// Only what Proxmox said.
    Said(&'a str),
}

/// The error of a name that no node has. It names the node that is probably meant,
/// if the nodes are known.
pub(super) fn error(name: &str, known: Known<'_>) -> Error {
    // Odd characters in a name are easier to see in quotes.
    let shown = if Format::Node.fits(name) {
        text::cut(name, 80)
    } else {
        text::quoted(name)
    };
    Error::NotFound(match known {
        Known::Nodes([]) => format!("there is no node {shown}: the token can see no nodes"),
        Known::Nodes(all) => {
            let meant =
                meant(all, name).map_or_else(String::new, |near| text::probably(name, near));
            let all = text::names(all.iter().copied());
            format!("there is no node {shown}{meant}; the nodes are: {all}")
        }
        Known::Said(said) => format!(
            "there is no node {shown} ({said}): names have to be exact, and case matters; {} shows \
             them",
            tool_names::LIST_NODES
        ),
    })
}

/// The node that a wrong name most likely means: another case, a full host
/// name (pve1.example.com), a slip.
fn meant<'a>(all: &[&'a str], name: &str) -> Option<&'a str> {
    let same = |name: &str| {
        all.iter()
            .copied()
            .find(|node| node.eq_ignore_ascii_case(name.trim()))
    };
    same(name)
        .or_else(|| same(name.trim().split(['.', ':', '/']).next()?))
        .or_else(|| text::nearest(name.trim(), all.iter().copied()))
}
