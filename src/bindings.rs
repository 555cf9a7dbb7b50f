//! The guest side of `wit/world.wit`, as wit-bindgen makes it.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "the exports are generated code")
)]

#[cfg(target_family = "wasm")]
use crate::component::Component;

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    // What the transport calls of wasi:http too.
    generate_all,
});

// A native library cannot export names such as these; the tests need none.
#[cfg(target_family = "wasm")]
export!(Component);
