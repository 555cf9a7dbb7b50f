//! The tools, over MCP, against the simulated cluster. Every file in this folder is a
//! module: build.rs finds them.

include!(concat!(env!("OUT_DIR"), "/tools.rs"));
