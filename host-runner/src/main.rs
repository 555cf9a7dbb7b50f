//! Runs the proxmox-mcp component, which it carries inside, in a sandbox, and
//! serves its tools over MCP.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use host_runner_core::{Embedded, EmbeddedComponent};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Machine code starts at a page of memory, so that it can be run where it is:
/// pages have 4 KiB on x86-64, and up to 64 KiB elsewhere.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Pages<const LENGTH: usize>([u8; LENGTH]);

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

fn main() -> ExitCode {
    host_runner_core::main(Embedded {
        component: COMPONENT,
        target: env!("HOST_RUNNER_TARGET"),
    })
}
