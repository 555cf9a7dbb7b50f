//! Input: a `.env` file, or a policy file.

#![no_main]

#[path = "../../host-runner/core/src/env_file.rs"]
mod env_file;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    env_file::fuzz(input);
    host_runner_policy::fuzz::file(input);
});
