//! What all processes of all tests wrote, and the secrets that were in use, for
//! `cargo xtask test`: it looks for each secret in everything.

#![expect(
    clippy::expect_used,
    reason = "a test whose transcript is lost must not pass"
)]

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// Names the folder. Without it nothing is kept.
const FOLDER: &str = "PROXMOX_MCP_TRANSCRIPTS";

/// Shorter ones occur in texts by chance. Each process is watched for its own
/// all the same.
const MIN_LENGTH: usize = 8;

/// A token's secret: it may be nowhere but in the header that it is for.
pub(crate) fn token(secret: &str) {
    register("token", secret);
}

/// A secret that requests to Proxmox hold, such as a guest's password.
pub(crate) fn password(secret: &str) {
    register("password", secret);
}

/// The passwords among a tool's arguments.
pub(crate) fn passwords_in(arguments: &Value) {
    match arguments {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name.contains("password") => password(text),
                    value => passwords_in(value),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(passwords_in),
        _ => {}
    }
}

/// Keeps what a process wrote: its streams, and the files in its directory but
/// for those that the test has put there.
pub(crate) fn keep(streams: &[&str], directory: Option<&Path>, given: &[OsString]) {
    let Some(folder) = folder("outputs") else {
        return;
    };
    let mut text = streams.join("\n").into_bytes();
    let mut pending: Vec<_> = directory.map(Path::to_owned).into_iter().collect();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.is_file() && !given.contains(&entry.file_name()) {
                text.push(b'\n');
                text.extend(fs::read(path).unwrap_or_default());
            }
        }
    }
    let file = folder.join(format!("{}-{}.txt", test(), number()));
    fs::write(file, text).expect("a transcript can be written");
}

fn register(kind: &str, secret: &str) {
    if secret.len() < MIN_LENGTH {
        return;
    }
    let Some(folder) = folder("secrets") else {
        return;
    };
    let line = format!("{}\n", json!({ "kind": kind, "secret": secret }));
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.join(format!("{}.jsonl", test())))
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("a secret can be registered");
}

fn folder(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?).join(name);
    fs::create_dir_all(&folder).expect("the folder of transcripts can be made");
    Some(folder)
}

/// Names are different in every test program.
fn test() -> String {
    let exe = std::env::current_exe().unwrap_or_default();
    let name = exe.file_stem().unwrap_or_default().to_string_lossy();
    format!("{name}-{}", std::process::id())
}

fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
