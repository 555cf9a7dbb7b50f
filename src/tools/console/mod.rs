//! Consoles of guests.

mod get_console_url;

use get_console_url::GetConsoleUrl;

use crate::tool::{READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("console");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<GetConsoleUrl>(TOOLSET, "get_console_url", "Get a console's address", READ,
        "Address of a guest's console in the web interface, for a browser logged in there."),
];
