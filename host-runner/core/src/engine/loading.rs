//! From a component's bytes to something that can be instantiated.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use wasmtime::component::Component;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::Limits;
use super::state::MAX_TABLE_ELEMENTS;
use crate::digest::Digest;
use crate::sandbox::MAX_WAITING;

/// Begins what [`precompile`] makes; `build.rs` looks for it.
const MAGIC: &[u8; 8] = b"PMCWASM\x01";

/// Core instances, memories and tables of one component: more than any
/// toolchain makes.
const CORE_INSTANCES: u32 = 12;
const MEMORIES: u32 = 2;
const TABLES: u32 = 6;

/// What the binary carries inside, packed by LZ4 with the size before it.
#[derive(Clone, Copy)]
pub struct Embedded {
    /// The component.
    pub wasm: Option<&'static [u8]>,
    /// The same, precompiled: what `host-runner precompile` wrote, without
    /// its head. It is run as it is, so it must be part of the binary.
    pub precompiled: Option<&'static [u8]>,
    /// The target triple that the binary was built for.
    pub target: &'static str,
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
        /// Why.
        error: std::io::Error,
    },
    /// It is none.
    #[error("{name} is not a component that can be run: {reason}")]
    Invalid {
        /// The file, or what to call the embedded one.
        name: String,
        /// Why.
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

    /// What to call it in a message.
    pub(super) fn name(&self) -> String {
        match &self.location {
            Location::Embedded(_) => "the embedded component".to_owned(),
            Location::File(path) => path.display().to_string(),
        }
    }

    pub(super) fn component(&self, engine: &Engine) -> Result<Component, LoadError> {
        if self.digest.is_some() {
            return self.compile(engine, &self.read()?);
        }
        // Without unpacking the component itself.
        match self.precompiled(engine) {
            Some(component) => Ok(component),
            None => self.compile_anew(engine, &self.read()?),
        }
    }

    /// The component itself.
    pub(super) fn read(&self) -> Result<Vec<u8>, LoadError> {
        let wasm = match &self.location {
            Location::Embedded(embedded) => {
                let packed = embedded.wasm.ok_or(LoadError::NotEmbedded)?;
                lz4_flex::decompress_size_prepended(packed).map_err(|error| LoadError::Invalid {
                    name: self.name(),
                    reason: error.to_string(),
                })?
            }
            Location::File(path) => read_file(path)?,
        };
        if let Some(expected) = self.digest {
            let found = Digest::of(&wasm);
            if found != expected {
                return Err(LoadError::Digest {
                    name: self.name(),
                    expected,
                    found,
                });
            }
        }
        Ok(wasm)
    }

    /// What [`ComponentSource::read`] gave, ready to be linked.
    pub(super) fn compile(&self, engine: &Engine, wasm: &[u8]) -> Result<Component, LoadError> {
        match self.precompiled(engine) {
            Some(component) => Ok(component),
            None => self.compile_anew(engine, wasm),
        }
    }

    /// The build script took the code only if it was made from the component.
    fn precompiled(&self, engine: &Engine) -> Option<Component> {
        match &self.location {
            Location::Embedded(embedded) => map(engine, embedded.precompiled?),
            Location::File(_) => None,
        }
    }

    fn compile_anew(&self, engine: &Engine, wasm: &[u8]) -> Result<Component, LoadError> {
        tracing::debug!("compiling {}", self.name());
        Component::from_binary(engine, wasm).map_err(|error| LoadError::Invalid {
            name: self.name(),
            reason: one_line(&error),
        })
    }
}

/// The engine, with a pool for the instances where the system can give one.
pub(super) fn engine(limits: &Limits) -> Result<Engine, LoadError> {
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    if let Ok(engine) = Engine::new(&config) {
        return Ok(engine);
    }
    // An address space limit leaves no room for the pool, nor for reserving
    // 4 GiB per memory, by which compiled code saves its bounds checks.
    tracing::debug!("no address space for a pool: instances are allocated on demand");
    let mut config = self::config();
    config
        .memory_reservation(limits.memory_bytes as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0);
    Engine::new(&config).map_err(|error| LoadError::Engine(one_line(&error)))
}

/// Compiles a component for any processor of this program's kind, in the form
/// that `build.rs` embeds.
pub(crate) fn precompile(name: &str, wasm: &[u8], target: &str) -> Result<Vec<u8>, LoadError> {
    let invalid = |error: wasmtime::Error| LoadError::Invalid {
        name: name.to_owned(),
        reason: one_line(&error),
    };
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(
        pool(&Limits::default()),
    ));
    // A named target has no more features than every processor of its kind.
    config.target(target).map_err(invalid)?;
    let engine = Engine::new(&config).map_err(invalid)?;
    let code = engine.precompile_component(wasm).map_err(invalid)?;
    Ok([MAGIC.as_slice(), Digest::of(wasm).bytes(), &code].concat())
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

#[expect(
    unsafe_code,
    reason = "a precompiled component can only be loaded this way"
)]
fn map(engine: &Engine, packed: &'static [u8]) -> Option<Component> {
    let code = lz4_flex::decompress_size_prepended(packed).ok()?;
    // SAFETY: the bytes are part of this program, as the build script of the
    // binary embedded them: it takes only what `precompile` made from the very
    // component that is embedded too. They are not input from outside:
    // changing them takes changing the program around them. wasmtime itself refuses code of
    // another version, configuration or processor.
    let component = unsafe { Component::deserialize(engine, &code) };
    component
        .inspect_err(|error| tracing::debug!("compiling, as the precompiled code fails: {error}"))
        .ok()
}

fn config() -> Config {
    let mut config = Config::new();
    // No backtrace ever leaves the process, and the component is stripped.
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(None)
        .native_unwind_info(false)
        .generate_address_map(false);
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
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10);
    pool
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
