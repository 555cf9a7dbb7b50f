//! A component that is loaded when it is first needed, and what the embedded one says
//! without being loaded.

use std::sync::Arc;

use host_runner_policy::fit::Held;
use tokio::sync::OnceCell;

use super::bindings::exports::proxmox::mcp::tools::{Tool, ToolError};
use super::bindings::guided::exports::proxmox::mcp::guide::Contents as Guide;
use super::limits::Limits;
use super::loading::{ComponentSource, LoadError};
#[cfg(feature = "compiler")]
use super::loading::{compile_for, embeddable, machine_code_for, one_line};
use super::{Machine, Plugin, description};
use crate::sandbox::Sandbox;

/// A component that is loaded when it is first needed: once, however many sandboxes its
/// calls run in.
pub(crate) struct Program {
    source: ComponentSource,
    limits: Limits,
    machine: OnceCell<Arc<Machine>>,
}

/// A program, and a sandbox for its calls.
pub(crate) struct Loader {
    program: Arc<Program>,
    sandbox: Arc<Sandbox>,
    environment: Arc<Vec<(String, String)>>,
}

impl Program {
    pub(crate) fn new(source: ComponentSource, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            source,
            limits,
            machine: OnceCell::new(),
        })
    }

    async fn machine(&self) -> Result<Arc<Machine>, LoadError> {
        let load = || async {
            let (source, limits) = (self.source.clone(), self.limits.clone());
            // Compiling takes a while and blocks.
            let machine = tokio::task::spawn_blocking(move || Machine::load(&source, limits))
                .await
                .map_err(|error| LoadError::Engine(error.to_string()))??;
            Ok(Arc::new(machine))
        };
        self.machine.get_or_try_init(load).await.cloned()
    }
}

impl Loader {
    /// `environment` is all that the component sees of the process's own.
    pub(crate) fn new(
        program: &Arc<Program>,
        sandbox: Sandbox,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self {
            program: Arc::clone(program),
            sandbox: Arc::new(sandbox),
            environment: Arc::new(environment),
        }
    }

    /// Does ahead of time what the first request would have to wait for.
    pub(crate) async fn prepare(&self) {
        self.sandbox.prepare().await;
    }

    /// The privileges that the token has, where Proxmox says so.
    pub(crate) async fn held_privileges(&self) -> Option<Held> {
        self.sandbox.held_privileges().await
    }

    /// The component, loaded now unless it has been.
    pub(crate) async fn plugin(&self) -> Result<Arc<Plugin>, LoadError> {
        let machine = self.program.machine().await?;
        let (sandbox, environment) = (Arc::clone(&self.sandbox), Arc::clone(&self.environment));
        Ok(Arc::new(Plugin::new(machine, sandbox, environment)))
    }

    /// How to use the tools, in the component's words for a model. The embedded
    /// component is not loaded for that.
    pub(crate) async fn instructions(&self) -> Result<Result<String, ToolError>, LoadError> {
        let description = self.program.source.description();
        match description.and_then(description::instructions) {
            Some(instructions) => Ok(Ok(instructions)),
            None => Ok(self.plugin().await?.instructions().await),
        }
    }

    /// All tools, in the component's order. The embedded component is not loaded
    /// for that.
    pub(crate) async fn list_tools(&self) -> Result<Result<Vec<Tool>, ToolError>, LoadError> {
        match self
            .program
            .source
            .description()
            .and_then(description::tools)
        {
            Some(tools) => Ok(Ok(tools)),
            None => Ok(self.plugin().await?.list_tools().await),
        }
    }

    /// The same as [`Self::guide`] of the embedded component, without waiting.
    pub(crate) fn embedded_guide(&self) -> Option<Guide> {
        let description = self.program.source.description();
        description.and_then(description::guide)
    }

    /// What there is besides the tools. The embedded component is not loaded for
    /// that.
    pub(crate) async fn guide(&self) -> Result<Result<Guide, ToolError>, LoadError> {
        match self.embedded_guide() {
            Some(guide) => Ok(Ok(guide)),
            None => Ok(self.plugin().await?.guide().await),
        }
    }
}

/// Compiles a component for any processor of this program's kind, and has it
/// describe itself, in the form that `build.rs` embeds. The machine code is that of
/// `target`; `native` is the target of this program.
#[cfg(feature = "compiler")]
pub(crate) async fn precompile(
    name: &str,
    wasm: &[u8],
    target: &str,
    native: &str,
) -> Result<Vec<u8>, LoadError> {
    // Only what is compiled for this system can describe itself here.
    let (engine, component) = compile_for(name, wasm, native)?;
    let invalid = |reason| LoadError::Invalid {
        name: name.to_owned(),
        reason,
    };
    let code = match target == native {
        true => {
            let code = component.serialize();
            code.map_err(|error| invalid(one_line(&error)))?
        }
        false => machine_code_for(name, wasm, target)?,
    };
    let limits = Limits::default();
    let sealed = Arc::new(Sandbox::sealed(limits.memory_bytes));
    let machine = Machine::link(name, &engine, &component, limits)?;
    let plugin = Plugin::new(Arc::new(machine), sealed, Arc::default());
    let faulty = |error: ToolError| invalid(format!("{error:?}"));
    let instructions = plugin.instructions().await.map_err(faulty)?;
    let tools = plugin.list_tools().await.map_err(faulty)?;
    let guide = plugin.guide().await.map_err(faulty)?;
    let description = description::encode(&instructions, &tools, &guide);
    let description = description.map_err(|error| invalid(error.to_string()))?;
    Ok(embeddable(wasm, &description, &code))
}

/// Fails: this program was built without a compiler.
#[cfg(not(feature = "compiler"))]
pub(crate) async fn precompile(
    name: &str,
    _: &[u8],
    _: &str,
    _: &str,
) -> Result<Vec<u8>, LoadError> {
    let name = name.to_owned();
    Err(LoadError::NoCompiler { name })
}
