//! The exports of `wit/settings.wit`, as wit-bindgen makes them.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "the exports are generated code")
)]

#[cfg(target_family = "wasm")]
use crate::Environment;

wit_bindgen::generate!({
    path: "wit",
    world: "environment",
    generate_all,
});

// A native library cannot export names such as these; the tests need none.
#[cfg(target_family = "wasm")]
export!(Environment);
