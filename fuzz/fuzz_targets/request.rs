//! Input: a request of the component.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| host_runner_policy::fuzz::request(input));
