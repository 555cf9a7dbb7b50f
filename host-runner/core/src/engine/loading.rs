//! From a component's bytes to something that can be instantiated.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::Limits;
use super::machine_code;
use super::state::MAX_TABLE_ELEMENTS;
use crate::digest::Digest;
use crate::sandbox::MAX_WAITING;
use crate::timings::{self, Milestone};

/// Begins what [`embeddable`] makes; `build.rs` looks for it.
#[cfg(feature = "compiler")]
const MAGIC: &[u8] = b"PMCWASM\x05";

/// The contract by which the description is encoded. Its SHA-256 digest is in the head: postcard
/// does not name fields, so one of another contract could be read without an error.
#[cfg(feature = "compiler")]
const CONTRACT: &[u8] = include_bytes!("../../../../wit/world.wit");

/// Core instances, memories and tables of one component: more than any
/// toolchain makes.
const CORE_INSTANCES: u32 = 12;
const MEMORIES: u32 = 2;
const TABLES: u32 = 6;

/// What the binary contains.
#[derive(Clone, Copy)]
pub struct Embedded {
    /// The component, unless the binary was built without one.
    pub component: Option<EmbeddedComponent>,
    /// The target triple that the binary was built for.
    pub target: &'static str,
}

/// A component inside the binary.
#[derive(Clone, Copy)]
pub struct EmbeddedComponent {
    /// Its WebAssembly, compressed by LZ4 with the size in front. A build without
    /// a compiler has no use for it.
    pub wasm: Option<&'static [u8]>,
    /// The size of its WebAssembly in bytes.
    pub size: usize,
    /// The SHA-256 digest of its WebAssembly.
    pub sha256: [u8; 32],
    /// What it says of itself, read when it was compiled.
    pub description: Option<&'static [u8]>,
    /// Its machine code: what `host-runner precompile` wrote, without its head, in
    /// [`Pages`](super::Pages). It is run as it is, so it must be part of the
    /// binary.
    pub machine_code: Option<&'static [u8]>,
}

/// Where a component comes from, and which it has to be.
#[derive(Clone)]
pub(crate) struct ComponentSource {
    location: Location,
    /// None: whichever is there.
    digest: Option<Digest>,
}

#[derive(Clone)]
enum Location {
    /// The one inside this program.
    Embedded(Embedded),
    /// A file in WebAssembly's binary format.
    File(PathBuf),
}

/// A component that can be linked.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    pub(super) component: Component,
    /// The size of its WebAssembly in bytes.
    pub(super) size: usize,
    /// The digest of its WebAssembly.
    pub(super) digest: Digest,
}

/// A component that cannot be used. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// This program was built without one.
    #[error(
        "this host-runner was built without a component: build it with `cargo xtask build`, or \
         give one with --component FILE"
    )]
    NotEmbedded,
    /// The file cannot be read.
    #[error("cannot read the component {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system reports.
        error: std::io::Error,
    },
    /// It is none.
    #[error("{name} is not a component that can be run: {reason}")]
    Invalid {
        /// The file, or what to call the embedded one.
        name: String,
        /// What the compiler reports.
        reason: String,
    },
    /// It is another one than the operator said.
    #[error("{name} has the SHA-256 digest {found}, but --component-sha256 requires {expected}")]
    Digest {
        /// The file, or what to call the embedded one.
        name: String,
        /// What was asked for.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// It imports what no component gets.
    #[error("{name} imports {}, which is granted to no component", .imports.join(", "))]
    Imports {
        /// The file, or what to call the embedded one.
        name: String,
        /// Which imports.
        imports: Vec<String>,
    },
    /// It would have to be compiled, and this program cannot.
    #[error(
        "{name} cannot be compiled, because this host-runner was built without a compiler: use \
         one from `cargo xtask build`"
    )]
    NoCompiler {
        /// The file, or what to call the embedded one.
        name: String,
    },
    /// The engine itself does not work here.
    #[error("the component engine cannot be started: {0}")]
    Engine(String),
}

impl ComponentSource {
    /// The one inside this program.
    pub(crate) fn embedded(embedded: Embedded) -> Self {
        Self {
            location: Location::Embedded(embedded),
            digest: None,
        }
    }

    /// A file in WebAssembly's binary format.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self {
            location: Location::File(path),
            digest: None,
        }
    }

    /// Refuses any component with another digest.
    pub(crate) fn expecting(self, digest: Option<Digest>) -> Self {
        Self { digest, ..self }
    }

    /// Whether the embedded machine code runs on this machine; if not, why, and then the
    /// component is compiled at each start. None without such code.
    pub(crate) fn machine_code_fits(&self, limits: &Limits) -> Option<Result<(), String>> {
        let Location::Embedded(embedded) = &self.location else {
            return None;
        };
        let code = embedded.component?.machine_code?;
        let run = run_in_place(limits, code).map(drop);
        Some(run.map_err(|error| one_line(&error)))
    }

    /// What to call it in a message.
    pub(super) fn name(&self) -> String {
        match &self.location {
            Location::Embedded(_) => "the embedded component".to_owned(),
            Location::File(path) => path.display().to_string(),
        }
    }

    /// What the component says of itself, where that was read when it was
    /// embedded. Another component than the operator requires says nothing.
    pub(super) fn description(&self) -> Option<&'static [u8]> {
        let Location::Embedded(embedded) = &self.location else {
            return None;
        };
        let component = embedded.component?;
        self.check(Digest::from(component.sha256)).ok()?;
        component.description
    }

    /// The component, ready to be linked, and an engine that runs it.
    pub(super) fn load(&self, limits: &Limits) -> Result<Loaded, LoadError> {
        let wasm = match &self.location {
            Location::Embedded(embedded) => {
                let embedded = embedded.component.ok_or(LoadError::NotEmbedded)?;
                self.check(Digest::from(embedded.sha256))?;
                // The build script took the code only if it was made from the
                // component.
                match embedded.machine_code.map(|code| run_in_place(limits, code)) {
                    Some(Ok((engine, component))) => {
                        return Ok(Loaded {
                            engine,
                            component,
                            size: embedded.size,
                            digest: Digest::from(embedded.sha256),
                        });
                    }
                    Some(Err(error)) => {
                        tracing::debug!("the precompiled code fails: {}", one_line(&error));
                    }
                    None => {}
                }
                self.unpack(embedded)?
            }
            Location::File(path) => read_file(path)?,
        };
        let digest = Digest::of(&wasm);
        self.check(digest)?;
        let (engine, component) = self.compile(limits, &wasm)?;
        Ok(Loaded {
            engine,
            component,
            size: wasm.len(),
            digest,
        })
    }

    fn check(&self, found: Digest) -> Result<(), LoadError> {
        match self.digest {
            Some(expected) if found != expected => Err(LoadError::Digest {
                name: self.name(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn unpack(&self, embedded: EmbeddedComponent) -> Result<Vec<u8>, LoadError> {
        let packed = embedded
            .wasm
            .ok_or_else(|| LoadError::NoCompiler { name: self.name() })?;
        lz4_flex::decompress_size_prepended(packed).map_err(|error| LoadError::Invalid {
            name: self.name(),
            reason: error.to_string(),
        })
    }

    #[cfg(feature = "compiler")]
    fn compile(&self, limits: &Limits, wasm: &[u8]) -> Result<(Engine, Component), LoadError> {
        tracing::debug!("compiling {}", self.name());
        let engine = engine(config, limits)?;
        let component =
            Component::from_binary(&engine, wasm).map_err(|error| LoadError::Invalid {
                name: self.name(),
                reason: one_line(&error),
            })?;
        Ok((engine, component))
    }

    #[cfg(not(feature = "compiler"))]
    fn compile(&self, _: &Limits, _: &[u8]) -> Result<(Engine, Component), LoadError> {
        Err(LoadError::NoCompiler { name: self.name() })
    }
}

/// Loads machine code where it is in the program: it is neither unpacked nor
/// copied.
fn run_in_place(limits: &Limits, code: &'static [u8]) -> wasmtime::Result<(Engine, Component)> {
    let config = || {
        let mut config = config();
        #[cfg(feature = "compiler")]
        config.enable_compiler(false);
        machine_code::configure(&mut config);
        config
    };
    let engine = engine(config, limits)?;
    timings::reached(Milestone::Engine);
    let component = machine_code::load(&engine, code)?;
    timings::reached(Milestone::MachineCode);
    Ok((engine, component))
}

/// The engine, with a pool for the instances if the system has the address space
/// for it.
fn engine(config: impl Fn() -> Config, limits: &Limits) -> Result<Engine, LoadError> {
    let mut pooling = config();
    pooling.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    if let Ok(engine) = Engine::new(&pooling) {
        return Ok(engine);
    }
    // An address space limit leaves no room for the pool, nor for reserving
    // 4 GiB per memory, by which compiled code saves its bounds checks.
    tracing::debug!("no address space for a pool: instances are allocated on demand");
    let mut config = config();
    config
        .memory_reservation(limits.memory_bytes as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0);
    Engine::new(&config).map_err(|error| LoadError::Engine(one_line(&error)))
}

/// Compiles a component for any processor of this program's kind.
#[cfg(feature = "compiler")]
pub(super) fn compile_for(
    name: &str,
    wasm: &[u8],
    target: &str,
) -> Result<(Engine, Component), LoadError> {
    let engine = compiler(name, target)?;
    let component = Component::from_binary(&engine, wasm);
    let component = component.map_err(|error| invalid(name, &error))?;
    Ok((engine, component))
}

/// The machine code of a component for another target, where it cannot run. Fails for
/// another kind of processor.
#[cfg(feature = "compiler")]
pub(super) fn machine_code_for(
    name: &str,
    wasm: &[u8],
    target: &str,
) -> Result<Vec<u8>, LoadError> {
    let code = compiler(name, target)?.precompile_component(wasm);
    code.map_err(|error| invalid(name, &error))
}

/// An engine that compiles for a target.
#[cfg(feature = "compiler")]
fn compiler(name: &str, target: &str) -> Result<Engine, LoadError> {
    let mut config = config();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(
            pool(&Limits::default()),
        ))
        .native_unwind_info(target.contains("windows"));
    // A named target has no more features than every processor of its kind.
    let config = config.target(target);
    let engine = config.and_then(|config| Engine::new(config));
    engine.map_err(|error| invalid(name, &error))
}

#[cfg(feature = "compiler")]
fn invalid(name: &str, error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid {
        name: name.to_owned(),
        reason: one_line(error),
    }
}

/// A component's machine code and its description, in the form that `build.rs`
/// embeds.
#[cfg(feature = "compiler")]
pub(super) fn embeddable(wasm: &[u8], description: &[u8], code: &[u8]) -> Vec<u8> {
    let (contract, digest) = (Digest::of(CONTRACT), Digest::of(wasm));
    let length = (description.len() as u64).to_le_bytes();
    let head = [MAGIC, contract.bytes(), digest.bytes(), &length];
    [&head.concat(), description, code].concat()
}

/// An error and its causes, in one line.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    causes.join(": ").replace('\n', " ")
}

/// Whether the component said more than the host copies. wasmtime keeps the
/// type of this error to itself.
pub(super) fn is_too_much_to_copy(error: &wasmtime::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}

fn config() -> Config {
    let mut config = Config::new();
    // No backtrace ever leaves the process, and the component is stripped.
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None)
        // Windows itself wants it.
        .native_unwind_info(cfg!(windows))
        .generate_address_map(false)
        .debug_symbols(false);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    // Those that wait for their users have given up their turns.
    let calls = limits.concurrency.saturating_add(MAX_WAITING);
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_memories(calls.saturating_mul(MEMORIES))
        .max_memories_per_component(MEMORIES)
        .total_tables(calls.saturating_mul(TABLES))
        .max_tables_per_component(TABLES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .total_stacks(calls)
        .max_memory_size(limits.memory_bytes)
        // Reuse the slots that are warm already.
        .max_unused_warm_slots(0)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(kept_bytes())
        .table_keep_resident(64 << 10);
    pool
}

/// How much of an instance's memory the next one inherits, cleared, instead of
/// getting new pages from the system.
///
/// Only where the system can report which pages were written. Otherwise, the first
/// pages would be cleared whether they were written or not, and they are the unused
/// end of the component's stack.
fn kept_bytes() -> usize {
    match PoolingAllocationConfig::is_pagemap_scan_available() {
        true => 1 << 20,
        false => 0,
    }
}

/// The most that a component's file may hold: compiling takes many times as
/// much memory.
const MAX_COMPONENT_BYTES: u64 = 32 << 20;

fn read_file(path: &Path) -> Result<Vec<u8>, LoadError> {
    let read = || {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_COMPONENT_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_COMPONENT_BYTES {
            let limit = MAX_COMPONENT_BYTES >> 20;
            return Err(io::Error::other(format!("it is larger than {limit} MiB")));
        }
        Ok(bytes)
    };
    read().map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })
}
