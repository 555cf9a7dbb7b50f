//! The export of `wit/world.wit`, as wit-bindgen makes it.

#![expect(unsafe_code, reason = "the exports are generated code")]

use crate::component::Adapter;

wit_bindgen::generate!({
    path: "wit",
    world: "adapter",
    generate_all,
});

export!(Adapter);
