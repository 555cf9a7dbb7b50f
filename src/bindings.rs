//! The guest side of `wit/world.wit`, as wit-bindgen makes it.

#![expect(
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

#[cfg(target_family = "wasm")]
use crate::component::Component;

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    // waki brings the bindings of wasi:http that are really called.
    generate_all,
});

// A native library cannot export names such as these; the tests need none.
#[cfg(target_family = "wasm")]
export!(Component);
