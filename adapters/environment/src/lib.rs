//! An environment for the tools component, where the host has none: an adapter
//! sets the variables before its first call, and the tools component reads them
//! by `wasi:cli/environment` as everywhere else.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod bindings;

use std::sync::OnceLock;

use bindings::exports::proxmox::adapter::settings;
use bindings::exports::wasi::cli::environment;

/// What `bindings` exports.
#[derive(Debug)]
pub struct Environment;

/// Set once: the C library below the tools component reads them once.
static VARIABLES: OnceLock<Vec<(String, String)>> = OnceLock::new();

impl settings::Guest for Environment {
    fn set(variables: Vec<(String, String)>) -> bool {
        VARIABLES.get_or_init(|| variables.clone()) == &variables
    }
}

impl environment::Guest for Environment {
    fn get_environment() -> Vec<(String, String)> {
        VARIABLES.get().cloned().unwrap_or_default()
    }

    fn get_arguments() -> Vec<String> {
        Vec::new()
    }

    fn initial_cwd() -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bindings::exports::proxmox::adapter::settings::Guest as _;
    use bindings::exports::wasi::cli::environment::Guest as _;

    #[test]
    fn variables_are_set_once() {
        let one = || vec![("PROXMOX_URL".to_owned(), "http://127.0.0.1:1".to_owned())];
        assert_eq!(Environment::get_environment(), []);
        assert!(Environment::set(one()));
        assert!(Environment::set(one()), "the same again");
        assert!(!Environment::set(Vec::new()));
        assert_eq!(Environment::get_environment(), one());
    }
}
