//! The guest side of `wit/world.wit`, as wit-bindgen makes it.

wit_bindgen::generate!({
    path: "wit",
    world: "plugin",
    // What the transport calls of wasi:http too.
    generate_all,
});
