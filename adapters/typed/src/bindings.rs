//! The exported functions, as `cargo xtask adapters` generates them.

#![expect(unsafe_code, reason = "the exports are generated code")]

include!(env!(
    "ADAPTER_TYPED_SOURCE",
    "`cargo xtask adapters` generates the source of this adapter"
));
