//! The export of `wasi:http`, as wit-bindgen makes it.

#![expect(unsafe_code, reason = "the exports are generated code")]

use crate::component::Adapter;

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package proxmox:adapter-http;
        world adapter {
            export wasi:http/incoming-handler@0.2.2;
        }
    ",
    generate_all,
});

export!(Adapter);
