//! Does what proxmox-mcp cannot avoid and nothing else, so that `cargo xtask
//! bench` can state its figures as ratios of the same run.
//!
//! `bench-floor http THREADS` sends requests; each line on stdin is a
//! [`Job`](http::Job). `bench-floor stdio` answers each line on stdin with a line
//! of the length that it asks for, as an MCP server that has nothing to do.

#![forbid(unsafe_code)]

mod http;
mod stdio;

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["http", threads] => http::serve(threads.parse().context("THREADS is not a number")?),
        ["stdio"] => stdio::serve(),
        _ => bail!("usage: bench-floor http THREADS | bench-floor stdio"),
    }
}
