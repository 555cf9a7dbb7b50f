//! Properties of the source files in this repository. Every file in this folder is a
//! module: build.rs finds them.

include!(concat!(env!("OUT_DIR"), "/repository.rs"));
