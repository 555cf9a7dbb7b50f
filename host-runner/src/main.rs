//! Runs the proxmox-mcp component, which it carries inside, in a sandbox, and
//! serves its tools over MCP.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use host_runner_core::{Embedded, EmbeddedComponent};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

fn main() -> ExitCode {
    host_runner_core::main(Embedded {
        component: COMPONENT,
        target: env!("HOST_RUNNER_TARGET"),
    })
}
