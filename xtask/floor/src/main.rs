//! Does what proxmox-mcp cannot avoid and nothing else, so that `cargo xtask
//! bench` can state its figures as ratios of the same run.
//!
//! `bench-floor http THREADS` sends requests; each line on stdin is a
//! `Job` of `http.rs`. `bench-floor stdio` answers each line on stdin with a line
//! of the length that it asks for, as an MCP server that has nothing to do.
//!
//! `bench-floor echo THREADS` is the same over HTTP: a path names the length of the
//! response. `bench-floor post THREADS` sends requests to it or to host-runner; each line on
//! stdin is a `Job` of `web.rs`.

#![forbid(unsafe_code)]

mod http;
mod stdio;
mod web;

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
        ["http", threads] => http::serve(number(threads)?),
        ["stdio"] => stdio::serve(),
        ["echo", threads] => web::echo(number(threads)?),
        ["post", threads] => web::post(number(threads)?),
        _ => bail!("usage: bench-floor http|echo|post THREADS | bench-floor stdio"),
    }
}

fn number(threads: &str) -> Result<usize> {
    threads.parse().context("THREADS is not a number")
}
