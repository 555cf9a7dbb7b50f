//! Runs the component: a fresh instance for every call, within limits.
//!
//! Only this module imports wasmtime.

mod bindings;
mod description;
mod guest_log;
mod inspection;
mod limits;
mod linking;
mod loader;
mod loading;
mod machine_code;
mod processor;
mod sayings;
mod sizes;
mod state;
mod streams;
mod ticker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;

#[cfg(test)]
pub(crate) use self::bindings::exports::proxmox::mcp::tools::FailedTask;
pub(crate) use self::bindings::exports::proxmox::mcp::tools::{
    Annotations, ArgumentProblem, InvalidArguments, Outcome, Pending, ProxmoxTask, Tool, ToolError,
    ToolResult,
};
pub(crate) use self::bindings::guided::exports::proxmox::mcp::guide::{
    Contents as Guide, Prompt, PromptArgument, ResourceTemplate, Suggestion, View,
};
pub(crate) use self::inspection::{Import, Inspection, inspect};
pub(crate) use self::limits::Limits;
pub(crate) use self::loader::{Loader, Program, precompile};
pub(crate) use self::loading::{ComponentSource, LoadError};
pub use self::loading::{Embedded, EmbeddedComponent};
pub use self::machine_code::Pages;

use self::bindings::RunnerPre;
use self::bindings::exports::proxmox::mcp::tools::Guest;
use self::bindings::guided::GuidedPre;
use self::loading::{Loaded, one_line};
use self::processor::{Bounded, Meter, OutOfTime, Workers};
use self::state::{MAX_RESOURCES, Report, State};
use self::ticker::Ticker;
use crate::audit::CallStart;
use crate::sandbox::{Gate, Sandbox, Terms};
use crate::timings::{self, Milestone};

/// How many calls may wait for their turn.
const MAX_WAITING: usize = 256;

/// Handles that a component may have, for its own resources and the host's.
const MAX_HANDLES: usize = 16 * MAX_RESOURCES;

/// A component, ready to be called from many tasks at once, and the sandbox that its calls
/// run in.
pub(crate) struct Plugin {
    machine: Arc<Machine>,
    sandbox: Arc<Sandbox>,
    environment: Arc<Vec<(String, String)>>,
}

/// A component that has been loaded: once, for all sandboxes.
struct Machine {
    shared: Arc<Shared>,
    /// Where calls run.
    workers: Workers,
    turns: Arc<Semaphore>,
    /// Places for those that wait for their turn.
    queue: Semaphore,
}

/// What calls need while they run.
struct Shared {
    instances: RunnerPre<State>,
    /// None where the component has no guide.
    guided: Option<GuidedPre<State>>,
    ticker: Ticker,
    limits: Limits,
}

/// One call of one function of the component: everything that it has is made
/// anew and thrown away after it.
struct Call {
    shared: Arc<Shared>,
    store: Store<State>,
    report: Arc<Report>,
    meter: Arc<Meter>,
}

impl Machine {
    fn load(source: &ComponentSource, limits: Limits) -> Result<Self, LoadError> {
        let Loaded {
            engine, component, ..
        } = source.load(&limits)?;
        let machine = Self::link(&source.name(), &engine, &component, limits)?;
        timings::reached(Milestone::Component);
        Ok(machine)
    }

    fn link(
        name: &str,
        engine: &Engine,
        component: &Component,
        limits: Limits,
    ) -> Result<Self, LoadError> {
        let imports = linking::refused_imports(engine, component);
        if !imports.is_empty() {
            return Err(LoadError::Imports {
                name: name.to_owned(),
                imports,
            });
        }
        let invalid = |error: wasmtime::Error| LoadError::Invalid {
            name: name.to_owned(),
            reason: one_line(&error),
        };
        let linker = linking::linker(engine).map_err(invalid)?;
        let instances: InstancePre<State> = linker.instantiate_pre(component).map_err(invalid)?;
        let guided = linking::has_guide(engine, component)
            .then(|| GuidedPre::new(instances.clone()))
            .transpose();
        let system = |error: std::io::Error| LoadError::Engine(error.to_string());
        Ok(Self {
            workers: Workers::start().map_err(system)?,
            turns: Arc::new(Semaphore::new(limits.concurrency)),
            queue: Semaphore::new(MAX_WAITING),
            shared: Arc::new(Shared {
                instances: RunnerPre::new(instances).map_err(invalid)?,
                guided: guided.map_err(invalid)?,
                ticker: Ticker::start(engine).map_err(system)?,
                limits,
            }),
        })
    }
}

impl Plugin {
    fn new(
        machine: Arc<Machine>,
        sandbox: Arc<Sandbox>,
        environment: Arc<Vec<(String, String)>>,
    ) -> Self {
        Self {
            machine,
            sandbox,
            environment,
        }
    }

    /// What the policy's scope names and the cluster does not show.
    pub(crate) async fn missing_of_scope(&self) -> &[String] {
        self.sandbox.missing_of_scope().await
    }

    /// The name of the cluster that its calls are for, where there are several.
    pub(crate) fn cluster(&self) -> Option<&Arc<str>> {
        self.sandbox.cluster()
    }

    /// The gate of one call.
    pub(crate) fn gate(&self, terms: Terms, start: Option<&CallStart<'_>>) -> Arc<Gate> {
        Gate::new(&self.sandbox, terms, start)
    }

    /// Calls a tool. `arguments` is a JSON object.
    pub(crate) async fn call_tool(
        &self,
        name: &str,
        arguments: &str,
        gate: &Arc<Gate>,
    ) -> Result<Outcome, ToolError> {
        let turn = self.turn().await?;
        let call = self.call(gate);
        let (own, name, arguments) = (Arc::clone(gate), name.to_owned(), arguments.to_owned());
        let answer = async move {
            let function = async |tools: &Guest, store: &mut _| {
                tools.call_call_tool(store, &name, &arguments).await
            };
            judged(call.run(&own, function).await?)
        };
        self.on_workers(turn, gate, answer).await
    }

    /// Looks after the task behind a ticket. Waits for its turn as long as it takes: the
    /// task runs on meanwhile.
    pub(crate) async fn resume(
        &self,
        ticket: &str,
        gate: &Arc<Gate>,
    ) -> Result<Outcome, ToolError> {
        let turn = Arc::clone(&self.machine.turns).acquire_owned().await;
        let turn = turn.map_err(|_| ToolError::Internal("the server is ending".to_owned()))?;
        gate.begin_look();
        let call = self.call(gate);
        let (own, ticket) = (Arc::clone(gate), ticket.to_owned());
        let answer = async move {
            let function =
                async |tools: &Guest, store: &mut _| tools.call_resume(store, &ticket).await;
            judged(call.run(&own, function).await?)
        };
        self.on_workers(turn, gate, answer).await
    }

    fn call(&self, gate: &Arc<Gate>) -> Call {
        Call::new(&self.machine.shared, &self.environment, gate)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ToolError> {
        let Machine {
            turns,
            queue,
            shared,
            ..
        } = &*self.machine;
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Ok(turn);
        }
        let _place = queue.try_acquire().map_err(|_| {
            ToolError::Internal(format!(
                "{MAX_WAITING} calls are waiting already: nothing was done; call again once some \
                 of them have finished"
            ))
        })?;
        let Limits {
            wall, concurrency, ..
        } = shared.limits;
        match tokio::time::timeout(wall, Arc::clone(turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ToolError::Internal(format!(
                "all {concurrency} slots were busy for {} s: nothing was done; call again once a \
                 call has finished",
                wall.as_secs()
            ))),
        }
    }

    /// Runs a call where calls run. Its turn ends with it, also when its answer
    /// is no longer wanted.
    async fn on_workers<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        gate: &Arc<Gate>,
        call: impl Future<Output = Result<T, ToolError>> + Send + 'static,
    ) -> Result<T, ToolError> {
        let failed = |reason: &str| ToolError::Internal(format!("the call failed: {reason}"));
        let gate = Arc::clone(gate);
        let running = self.machine.workers.spawn(async move {
            let _running = gate.turn().begin(turn);
            call.await
        });
        match running {
            Some(running) => running
                .await
                .unwrap_or_else(|error| Err(failed(&error.to_string()))),
            None => Err(failed("the server is ending")),
        }
    }
}

impl Call {
    fn new(shared: &Arc<Shared>, environment: &[(String, String)], gate: &Arc<Gate>) -> Self {
        let report = Arc::new(Report::default());
        let meter = Meter::new(shared.limits.cpu);
        let state = State::new(
            environment,
            Arc::clone(gate),
            shared.limits.memory_bytes,
            Arc::clone(&meter),
            Arc::clone(&report),
        );
        let mut store = Store::new(shared.instances.engine(), state);
        store.limiter_async(|state| &mut state.memory);
        store.set_hostcall_fuel(sizes::MAX_COPIED_BYTES);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        // Others get their turn, and the limits their look.
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        Self {
            shared: Arc::clone(shared),
            store,
            report,
            meter,
        }
    }

    /// Runs one function of the tools within the limits.
    async fn run<T>(
        self,
        gate: &Gate,
        function: impl AsyncFnOnce(&Guest, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<(T, Arc<Report>), ToolError> {
        let function = async |shared: &Shared, store: &mut Store<State>| {
            let plugin = shared.instances.instantiate_async(&mut *store).await?;
            function(plugin.proxmox_mcp_tools(), store).await
        };
        self.within_limits(gate, function).await
    }

    /// Makes an instance and runs a function of it within the limits.
    async fn within_limits<T>(
        self,
        gate: &Gate,
        function: impl AsyncFnOnce(&Shared, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<(T, Arc<Report>), ToolError> {
        let Self {
            shared,
            mut store,
            report,
            meter,
        } = self;
        let _running = shared.ticker.running();
        let call = Bounded::new(meter, async { function(&shared, &mut store).await });
        let answer = tokio::select! {
            answer = call => Some(answer),
            () = out_of_time(shared.limits.wall, gate) => None,
        };
        let reason = match answer {
            Some(Ok(Ok(answer))) => return Ok((answer, report)),
            Some(Ok(Err(error))) if loading::is_too_much_to_copy(&error) => {
                return Err(sizes::not_copied());
            }
            Some(Ok(Err(error))) => shared.fault(&error, &report),
            Some(Err(OutOfTime)) => format!(
                "used more than {} s of processor time and was stopped",
                shared.limits.cpu.as_secs()
            ),
            None => format!(
                "took longer than {} s and was stopped",
                shared.limits.wall.as_secs()
            ),
        };
        Err(ToolError::Internal(format!(
            "the component {reason}: if the call was meant to change something, check whether it \
             did before you repeat it; host-runner's log has details"
        )))
    }
}

impl Shared {
    /// What to say of a trap. The details are for the log.
    fn fault(&self, error: &wasmtime::Error, report: &Report) -> String {
        let mut details = one_line(error);
        let last_words = report.log.last_lines();
        if !last_words.is_empty() {
            details = format!("{details}; it wrote: {last_words}");
        }
        tracing::error!("the component failed: {details}");
        if report.is_out_of_memory() {
            let mebibytes = self.limits.memory_bytes >> 20;
            format!("needed more than {mebibytes} MiB of memory and was stopped")
        } else if error.is::<I32Exit>() {
            "exited without a result".to_owned()
        } else {
            "failed".to_owned()
        }
    }
}

/// Returns when a call that begins now has used up its wall time. What its user
/// takes to answer a question does not count.
async fn out_of_time(wall: Duration, gate: &Gate) {
    let began = Instant::now();
    let paused_before = gate.paused();
    loop {
        let paused = gate.paused().saturating_sub(paused_before);
        let used = began.elapsed().saturating_sub(paused);
        match wall.checked_sub(used) {
            Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
            _ => return,
        }
    }
}

/// An answer as the caller gets it.
fn judged(
    (answer, report): (Result<Outcome, ToolError>, Arc<Report>),
) -> Result<Outcome, ToolError> {
    sizes::checked(answer).map_err(|error| explained(error, &report))
}

/// Adds the details that no code of wasi:http expresses.
fn explained(error: ToolError, report: &Report) -> ToolError {
    match (error, report.failure()) {
        (ToolError::Unreachable(message), Some(detail)) if !message.contains(&detail) => {
            ToolError::Unreachable(format!("{message} ({detail})"))
        }
        (ToolError::Denied(message), Some(detail)) if !message.contains(&detail) => {
            ToolError::Denied(format!("{message} ({detail})"))
        }
        (error, _) => error,
    }
}
