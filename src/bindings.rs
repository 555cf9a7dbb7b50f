//! The guest side of `wit/world.wit`, as wit-bindgen makes it.

#![expect(
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    // waki brings the bindings of wasi:http that are really called.
    generate_all,
    pub_export_macro: true,
});
