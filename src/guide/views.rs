//! Pages in which a client shows results to its user: the views of MCP Apps.
//!
//! Each is one document with the same style and script, which loads nothing. It gets a
//! tool's result from the client, shows it, and may ask the client to call a tool that
//! reads, or to send a message for its user. It can confirm nothing: a change that needs
//! the user's consent is asked about by the host, not by a page of the component.

/// A source without its indentation and comments, which the component need not hold.
macro_rules! compact {
    ($path:literal) => {{
        const SOURCE: &str = include_str!($path);
        const COMPACT: [u8; compact(SOURCE, &mut [])] = {
            let mut bytes = [0; compact(SOURCE, &mut [])];
            compact(SOURCE, &mut bytes);
            bytes
        };
        match str::from_utf8(&COMPACT) {
            Ok(text) => text,
            // Whole lines and their starts are left out, so it is UTF-8.
            Err(_) => "",
        }
    }};
}

/// A page.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) uri: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// The tools whose results it shows; no tool has two.
    pub(crate) tools: &'static [&'static str],
    /// What differs from the other pages.
    script: &'static str,
}

/// All pages.
pub(crate) const VIEWS: &[View] = &[
    View {
        uri: "ui://proxmox-mcp/cluster",
        title: "Cluster",
        description: "Quorum, nodes with their load, the largest guests, high availability.",
        tools: &["get_cluster_status"],
        script: compact!("views/cluster.js"),
    },
    View {
        uri: "ui://proxmox-mcp/evacuation",
        title: "Evacuation of a node",
        description: "Where each guest of a node can go, and why some cannot.",
        tools: &["evacuate_node"],
        script: compact!("views/evacuation.js"),
    },
    View {
        uri: "ui://proxmox-mcp/change",
        title: "Change",
        description: "What a change would do to each guest, or has done.",
        tools: &[
            "start_guest",
            "stop_guest",
            "restart_guest",
            "suspend_guest",
            "resume_guest",
            "create_snapshot",
            "rollback_snapshot",
            "create_backup",
            "create_vm",
            "create_container",
            "set_guest_options",
        ],
        script: compact!("views/change.js"),
    },
];

const STYLE: &str = compact!("views/style.css");
const SHARED: &str = compact!("views/shared.js");

impl View {
    /// The document.
    pub(crate) fn html(&self) -> String {
        let mut html = String::from(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>",
        );
        html.push_str(self.title);
        html.push_str("</title><style>\n");
        html.push_str(STYLE);
        html.push_str(
            "</style><body><main></main><footer><div></div><output></output></footer>\
             <script type=module>\n",
        );
        html.push_str(self.script);
        html.push_str(SHARED);
        html.push_str("</script></html>");
        html
    }
}

/// Writes a source without the indentation of its lines, its empty lines and the lines
/// that are comments, as far as there is room. Returns its whole length.
const fn compact(source: &str, mut room: &mut [u8]) -> usize {
    let mut rest = source.as_bytes();
    let (mut length, mut is_indentation, mut is_comment) = (0, true, false);
    while let [byte, others @ ..] = rest {
        is_comment |= is_indentation && matches!(rest, [b'/', b'/', ..]);
        is_indentation &= matches!(byte, b' ' | b'\n');
        if !is_indentation && !is_comment {
            length += 1;
            if let [first, more @ ..] = room {
                *first = *byte;
                room = more;
            }
        }
        if *byte == b'\n' {
            (is_indentation, is_comment) = (true, false);
        }
        rest = others;
    }
    length
}
