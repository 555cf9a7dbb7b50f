//! host-runner: its command line, settings, protocol, policy, TLS. Every file in
//! this folder is a module: build.rs finds them.

include!(concat!(env!("OUT_DIR"), "/host.rs"));
