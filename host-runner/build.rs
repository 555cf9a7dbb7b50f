//! Embeds the component, and its machine code if that was made already: the
//! machine code as it is, since it is run where it is, and the component
//! compressed by LZ4, for the case that it has to be compiled.
//!
//! `PROXMOX_MCP_COMPONENT` and `PROXMOX_MCP_COMPONENT_CWASM` name the files;
//! otherwise they are where `cargo xtask build` puts them. If there is no component, a
//! release build makes it ([`nested`]); other builds make a `host-runner` that needs
//! `--component`.

#[path = "build/nested.rs"]
mod nested;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Begins what `host-runner precompile` writes. The SHA-256 digests of the contract and of
/// the component follow, then the length of its description in 8 bytes, the description and
/// the code.
const MAGIC: &[u8] = b"PMCWASM\x05";

/// The contract by which the description is encoded: one that was encoded by another must
/// not be read.
const CONTRACT: &str = "../wit/world.wit";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!(
        "cargo::rustc-env=HOST_RUNNER_TARGET={}",
        env::var("TARGET")?
    );

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = match nested::is_wanted() {
        true => made_if_missing(&out)?,
        false => found()?,
    };
    let declaration = match files.wasm {
        Some(wasm) => {
            let wasm = read(&wasm)?;
            let precompiled = files.precompiled.as_deref().map(read).transpose()?;
            component(&out, &wasm, precompiled.as_deref())?
        }
        None => "const COMPONENT: Option<EmbeddedComponent> = None;\n".to_owned(),
    };
    fs::write(out.join("embedded.rs"), declaration)?;
    Ok(())
}

/// The component and its machine code.
struct Files {
    wasm: Option<PathBuf>,
    precompiled: Option<PathBuf>,
}

/// Those that the environment names, or that `cargo xtask build` has made: its machine
/// code is for this machine.
fn found() -> Result<Files, Box<dyn Error>> {
    let precompiled = match env::var("TARGET")? == env::var("HOST")? {
        true => find("PROXMOX_MCP_COMPONENT_CWASM", "proxmox_mcp.cwasm")?,
        false => named("PROXMOX_MCP_COMPONENT_CWASM")?,
    };
    Ok(Files {
        wasm: find("PROXMOX_MCP_COMPONENT", "proxmox_mcp.wasm")?,
        precompiled,
    })
}

/// The same, and what is missing is built. A component that is older than its sources, after
/// an update of the checkout for example, counts as missing.
///
/// Where `cargo xtask build` has made the component, it makes the machine code with this
/// very build, so that is not missing yet.
fn made_if_missing(out: &Path) -> Result<Files, Box<dyn Error>> {
    let is_named = env::var_os("PROXMOX_MCP_COMPONENT").is_some_and(|value| !value.is_empty());
    let Files { wasm, precompiled } = match found()? {
        Files {
            wasm: Some(wasm), ..
        } if !is_named && is_outdated(&wasm) => Files {
            wasm: None,
            precompiled: None,
        },
        files => files,
    };
    let target = env::var("TARGET")?;
    let is_native = target == env::var("HOST")?;
    if wasm.is_some() && (precompiled.is_some() || (is_native && !is_named)) {
        return Ok(Files { wasm, precompiled });
    }
    let wasm = match wasm {
        Some(wasm) => wasm,
        None => nested::component(out)?,
    };
    let precompiled = match precompiled {
        Some(precompiled) => Some(precompiled),
        None if is_same_system()? => Some(nested::machine_code(out, &wasm, &target)?),
        // Unwinding is another one there: host-runner compiles the component at each start.
        None => None,
    };
    if precompiled.is_none() && env::var_os("CARGO_FEATURE_COMPILER").is_none() {
        return Err(
            "without the feature `compiler`, a host-runner for another system needs \
                    PROXMOX_MCP_COMPONENT_CWASM: a file that `host-runner precompile` made there"
                .into(),
        );
    }
    Ok(Files {
        wasm: Some(wasm),
        precompiled,
    })
}

/// Whether the system that host-runner is built for is this one, on whatever processor.
fn is_same_system() -> Result<bool, Box<dyn Error>> {
    Ok(env::var("CARGO_CFG_TARGET_OS")? == env::consts::OS)
}

/// The file that the variable names, or the one in its usual place. Only the
/// latter may be missing.
fn find(variable: &str, name: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    if let Some(path) = named(variable)? {
        return Ok(Some(path));
    }
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let path = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from("../target"), PathBuf::from)
        .join("wasm32-wasip2/component")
        .join(name);
    println!("cargo::rerun-if-changed={}", path.display());
    Ok(path.is_file().then_some(path))
}

/// Whether a component is older than one of its sources, as far as cargo has noted them
/// beside it.
fn is_outdated(path: &Path) -> bool {
    let noted = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
    // `COMPONENT: SOURCE SOURCE …`, with a backslash before each blank of a name.
    let noted = noted.replace("\\ ", "\0");
    let sources = noted.lines().next().unwrap_or_default().split(' ').skip(1);
    let sources = sources.map(|source| PathBuf::from(source.replace('\0', " ")));
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let made = changed(path);
    let mut outdated = None;
    for source in sources {
        println!("cargo::rerun-if-changed={}", source.display());
        if !source.is_file() || changed(&source) > made {
            outdated = Some(source);
        }
    }
    if let Some(source) = &outdated {
        println!(
            "cargo::warning={} is older than {}, so the component was built anew, which takes \
             minutes: `cargo xtask build` does it in less time",
            path.display(),
            source.display()
        );
    }
    outdated.is_some()
}

/// The file that the variable names.
fn named(variable: &str) -> Result<Option<PathBuf>, Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={variable}");
    let named = env::var_os(variable).filter(|value| !value.is_empty());
    let Some(path) = named.map(PathBuf::from) else {
        return Ok(None);
    };
    println!("cargo::rerun-if-changed={}", path.display());
    match path.is_file() {
        true => Ok(Some(path)),
        false => Err(format!("{variable} names {}, which is not a file", path.display()).into()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

/// What `host-runner precompile` made from the component.
struct Precompiled<'a> {
    description: &'a [u8],
    code: &'a [u8],
}

/// What is in a precompiled file, if it was made by a contract and from a component with
/// these digests.
fn made_from<'a>(contract: &[u8], digest: &[u8], file: &'a [u8]) -> Option<Precompiled<'a>> {
    let rest = file.strip_prefix(MAGIC)?.strip_prefix(contract)?;
    let rest = rest.strip_prefix(digest)?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (description, code) = rest.split_at_checked(length)?;
    Some(Precompiled { description, code })
}

/// Declares the constant `COMPONENT`.
fn component(
    out: &Path,
    wasm: &[u8],
    precompiled: Option<&[u8]>,
) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={CONTRACT}");
    let contract = Sha256::digest(fs::read(CONTRACT)?);
    let digest = Sha256::digest(wasm);
    let mut text = String::new();
    let mut description = "None".to_owned();
    let mut machine_code = "None";
    if let Some(precompiled) = precompiled.and_then(|file| made_from(&contract, &digest, file)) {
        let path = out.join("description");
        fs::write(&path, precompiled.description)?;
        description = format!("Some(include_bytes!({path:?}))");
        let path = out.join("machine_code");
        fs::write(&path, precompiled.code)?;
        text += &format!(
            "static MACHINE_CODE: host_runner_core::Pages<{}> =\n    \
             host_runner_core::Pages(*include_bytes!({path:?}));\n",
            precompiled.code.len()
        );
        machine_code = "Some(&MACHINE_CODE.0)";
    }
    // Without a compiler, only the machine code can be run.
    let packed = match env::var_os("CARGO_FEATURE_COMPILER") {
        None => "None".to_owned(),
        Some(_) => {
            let path = out.join("wasm");
            fs::write(&path, lz4_flex::compress_prepend_size(wasm))?;
            format!("Some(include_bytes!({path:?}))")
        }
    };
    text += &format!(
        "const COMPONENT: Option<EmbeddedComponent> = Some(EmbeddedComponent {{\n    \
         wasm: {packed},\n    size: {},\n    sha256: {:?},\n    \
         description: {description},\n    machine_code: {machine_code},\n}});\n",
        wasm.len(),
        digest.as_slice(),
    );
    Ok(text)
}
