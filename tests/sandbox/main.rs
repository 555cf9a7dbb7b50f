//! What hostile components and servers cannot do. Every file in this folder is a
//! module: build.rs finds them.

include!(concat!(env!("OUT_DIR"), "/sandbox.rs"));
