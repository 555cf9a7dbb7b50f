//! A typed function for each tool, for hosts that turn every function which a
//! component exports into a tool: Wassette, and `wasmtime run --invoke`.
//!
//! `cargo xtask adapters` generates the world and the functions from the tool
//! list, into the file that `ADAPTER_TYPED_SOURCE` names. Only how arguments
//! become a call is written here.
//!
//! # What is optional
//!
//! Wassette refuses a call that leaves out a parameter or a field of a record,
//! even one of type `option`. So a function has a parameter for each required
//! argument, and one list, `options`, of a variant with a case for each optional
//! argument: `[]`, or `[{"tag": "status", "val": "running"}]`. What is left out
//! is not given, and an empty text or 0 is a value like any other, so that what
//! an empty text clears can be cleared.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

// A native library exports no functions; it has what tests need.
#[cfg(any(target_family = "wasm", test))]
mod arguments;
#[cfg(target_family = "wasm")]
mod bindings;

/// What `bindings` exports.
#[derive(Debug)]
pub struct Adapter;

#[cfg(test)]
mod tests {
    /// `host-runner forward` prints the one, and people write the other.
    #[test]
    fn the_policies_for_wassette_allow_this_machine() {
        for policy in [
            include_str!("../../wassette/admin.policy.yaml"),
            include_str!("../../wassette/observe.policy.yaml"),
            include_str!("../../wassette/operate.policy.yaml"),
        ] {
            for host in ["http://127.0.0.1", "http://localhost"] {
                let line = format!("\n      - host: \"{host}\"\n");
                assert!(policy.contains(&line), "{host}");
            }
        }
    }
}
