//! The exports of `wit/root.wit`, as wit-bindgen makes them.

#![expect(unsafe_code, reason = "the exports are generated code")]

use crate::Adapter;

wit_bindgen::generate!({
    path: "wit",
    world: "root",
});

export!(Adapter);
