//! The guest side of `wit/world.wit`.

#![expect(unsafe_code, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    generate_all,
});

use crate::Hostile;
export!(Hostile);

pub(crate) use exports::proxmox::mcp::tools::*;
