//! Lists the files of each test program's folder as its modules, so that a new
//! file is a part of it.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The test programs of Cargo.toml, and their folders.
const PROGRAMS: [&str; 4] = ["tools", "host", "sandbox", "repository"];

fn main() -> io::Result<()> {
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
    for program in PROGRAMS {
        println!("cargo::rerun-if-changed={program}");
        fs::write(
            out.join(format!("{program}.rs")),
            modules(&tests.join(program))?,
        )?;
    }
    Ok(())
}

/// A line for each Rust file of a folder but its `main.rs`.
fn modules(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    let lines = files.iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?;
        (name != "main").then(|| format!("#[path = {path:?}]\nmod {name};\n"))
    });
    Ok(lines.collect())
}
