//! Runs the component: a fresh instance for every call, within limits.
//!
//! Nothing else in this program knows of wasmtime.

mod bindings;
mod guest_log;
mod inspection;
mod linking;
mod loading;
mod state;
mod ticker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;

#[cfg(test)]
pub(crate) use self::bindings::exports::proxmox::mcp::tools::{
    Annotations, ArgumentProblem, FailedTask, InvalidArguments,
};
pub(crate) use self::bindings::exports::proxmox::mcp::tools::{
    Outcome, Pending, Tool, ToolError, ToolResult,
};
pub(crate) use self::inspection::{Import, Inspection, inspect};
pub use self::loading::Embedded;
pub(crate) use self::loading::{ComponentSource, LoadError, precompile};

use self::bindings::RunnerPre;
use self::loading::one_line;
use self::state::{Report, State};
use self::ticker::{OutOfTime, Ticker};
use crate::audit::CallStart;
use crate::sandbox::{Gate, Sandbox, Terms};

/// How many calls may wait for their turn.
const MAX_WAITING: usize = 256;

/// What a call may use.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Memory, over all of an instance's memories.
    pub memory_bytes: usize,
    /// Processor time.
    pub cpu: Duration,
    /// Time in all, waiting for Proxmox included.
    pub wall: Duration,
    /// Calls that run at the same time; others wait for their turn.
    pub concurrency: usize,
}

/// The most that a call may answer.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A component, ready to be called from many tasks at once.
pub(crate) struct Plugin {
    instances: RunnerPre<State>,
    ticker: Ticker,
    turns: Semaphore,
    /// Places for those that wait for their turn.
    queue: Semaphore,
    limits: Limits,
    sandbox: Arc<Sandbox>,
    environment: Vec<(String, String)>,
}

/// A component that is loaded by whoever needs it first.
pub(crate) struct Loader {
    source: ComponentSource,
    limits: Limits,
    sandbox: Arc<Sandbox>,
    environment: Vec<(String, String)>,
    plugin: OnceCell<Arc<Plugin>>,
}

impl Loader {
    /// `environment` is all that the component sees of the process's own.
    pub(crate) fn new(
        source: ComponentSource,
        limits: Limits,
        sandbox: Sandbox,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self {
            source,
            limits,
            sandbox: Arc::new(sandbox),
            environment,
            plugin: OnceCell::new(),
        }
    }

    /// Does ahead of time what the first request would have to wait for.
    pub(crate) async fn prepare(&self) {
        self.sandbox.prepare().await;
    }

    /// The component, loaded now if nobody has yet.
    pub(crate) async fn plugin(&self) -> Result<Arc<Plugin>, LoadError> {
        let load = || async {
            let source = self.source.clone();
            let limits = self.limits.clone();
            let sandbox = Arc::clone(&self.sandbox);
            let environment = self.environment.clone();
            // Compiling takes a while and blocks.
            let load = move || Plugin::load(&source, limits, sandbox, environment);
            let plugin = tokio::task::spawn_blocking(load)
                .await
                .map_err(|error| LoadError::Engine(error.to_string()))??;
            Ok(Arc::new(plugin))
        };
        self.plugin.get_or_try_init(load).await.cloned()
    }
}

impl Plugin {
    fn load(
        source: &ComponentSource,
        limits: Limits,
        sandbox: Arc<Sandbox>,
        environment: Vec<(String, String)>,
    ) -> Result<Self, LoadError> {
        let engine = loading::engine(&limits)?;
        let component = source.component(&engine)?;
        let imports = linking::refused_imports(&engine, &component);
        if !imports.is_empty() {
            return Err(LoadError::Imports {
                name: source.name(),
                imports,
            });
        }
        let invalid = |error: wasmtime::Error| LoadError::Invalid {
            name: source.name(),
            reason: one_line(&error),
        };
        let linker = linking::linker(&engine).map_err(invalid)?;
        let instances: InstancePre<State> = linker.instantiate_pre(&component).map_err(invalid)?;
        let ticker =
            Ticker::start(&engine).map_err(|error| LoadError::Engine(error.to_string()))?;
        Ok(Self {
            instances: RunnerPre::new(instances).map_err(invalid)?,
            ticker,
            turns: Semaphore::new(limits.concurrency),
            queue: Semaphore::new(MAX_WAITING),
            limits,
            sandbox,
            environment,
        })
    }

    /// All tools, in the component's order.
    pub(crate) async fn list_tools(&self) -> Result<Vec<Tool>, ToolError> {
        let _turn = self.turn().await?;
        // Whoever lists tools has nothing to ask of Proxmox.
        let gate = Arc::new(Sandbox::sealed()).gate(Terms::default(), None);
        let (mut store, report) = self.store(&gate);
        self.bounded(&gate, &report, async {
            let plugin = self.instances.instantiate_async(&mut store).await?;
            plugin.proxmox_mcp_tools().call_list_tools(&mut store).await
        })
        .await
    }

    /// The way out of one call.
    pub(crate) fn gate(&self, terms: Terms, start: Option<&CallStart<'_>>) -> Arc<Gate> {
        self.sandbox.gate(terms, start)
    }

    /// Calls a tool. `arguments` is a JSON object.
    pub(crate) async fn call_tool(
        &self,
        name: &str,
        arguments: &str,
        gate: &Arc<Gate>,
    ) -> Result<Outcome, ToolError> {
        let _turn = self.turn().await?;
        let (mut store, report) = self.store(gate);
        let answer = self.bounded(gate, &report, async {
            let plugin = self.instances.instantiate_async(&mut store).await?;
            let tools = plugin.proxmox_mcp_tools();
            tools.call_call_tool(&mut store, name, arguments).await
        });
        measured(answer.await?).map_err(|error| explained(error, &report))
    }

    /// Looks after the task behind a ticket.
    pub(crate) async fn resume(
        &self,
        ticket: &str,
        gate: &Arc<Gate>,
    ) -> Result<Outcome, ToolError> {
        let _turn = self.turn().await?;
        let (mut store, report) = self.store(gate);
        let answer = self.bounded(gate, &report, async {
            let plugin = self.instances.instantiate_async(&mut store).await?;
            let tools = plugin.proxmox_mcp_tools();
            tools.call_resume(&mut store, ticket).await
        });
        measured(answer.await?).map_err(|error| explained(error, &report))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ToolError> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        let _place = self.queue.try_acquire().map_err(|_| {
            ToolError::Internal(format!(
                "{MAX_WAITING} calls are waiting already: nothing was done, call again when some \
                 of them have been answered"
            ))
        })?;
        match tokio::time::timeout(self.limits.wall, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(ToolError::Internal(format!(
                "{} calls were running for {} s: nothing was done, call again when they have ended",
                self.limits.concurrency,
                self.limits.wall.as_secs()
            ))),
        }
    }

    /// Everything that a call has, made anew and thrown away after it.
    fn store(&self, gate: &Arc<Gate>) -> (Store<State>, Arc<Report>) {
        let report = Arc::new(Report::default());
        let state = State::new(
            &self.environment,
            Arc::clone(gate),
            self.limits.memory_bytes,
            self.ticker.stopwatch(self.limits.cpu),
            Arc::clone(&report),
        );
        let mut store = Store::new(self.instances.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().stopwatch.tick()?;
            // Others get their turn, and the time limit its look.
            Ok(UpdateDeadline::Yield(1))
        });
        (store, report)
    }

    async fn bounded<T>(
        &self,
        gate: &Gate,
        report: &Report,
        call: impl Future<Output = wasmtime::Result<T>>,
    ) -> Result<T, ToolError> {
        let _running = self.ticker.running();
        let answer = tokio::select! {
            answer = call => Some(answer),
            () = self.out_of_time(gate) => None,
        };
        let reason = match answer {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => self.fault(&error, report),
            None => format!(
                "took longer than {} s and was stopped",
                self.limits.wall.as_secs()
            ),
        };
        Err(ToolError::Internal(format!(
            "the component {reason}: if the call was to change something, look whether it did \
             before calling again; the log of host-runner tells more"
        )))
    }

    /// Returns when a call that begins now has used up its wall time. What its
    /// user takes to answer a question does not count.
    async fn out_of_time(&self, gate: &Gate) {
        let began = Instant::now();
        let paused_before = gate.paused();
        loop {
            let paused = gate.paused().saturating_sub(paused_before);
            let used = began.elapsed().saturating_sub(paused);
            match self.limits.wall.checked_sub(used) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }

    /// What to say of a trap. The details are for the log.
    fn fault(&self, error: &wasmtime::Error, report: &Report) -> String {
        let mut details = one_line(error);
        let last_words = report.log.last_lines();
        if !last_words.is_empty() {
            details = format!("{details}; it wrote: {last_words}");
        }
        tracing::error!("the component failed: {details}");
        if error.is::<OutOfTime>() {
            let seconds = self.limits.cpu.as_secs();
            format!("used more than {seconds} s of processor time and was stopped")
        } else if report.is_out_of_memory() {
            let mebibytes = self.limits.memory_bytes >> 20;
            format!("wanted more than {mebibytes} MiB of memory and failed")
        } else if error.is::<I32Exit>() {
            "ended itself instead of answering".to_owned()
        } else {
            "failed".to_owned()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 128 << 20,
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(120),
            concurrency: 16,
        }
    }
}

/// What a component answers goes to a model, and nobody can read that much.
fn measured(answer: Result<Outcome, ToolError>) -> Result<Outcome, ToolError> {
    let of = |result: &ToolResult| result.structured.len() + result.text.len();
    let bytes = match &answer {
        Ok(Outcome::Done(result)) => of(result),
        Ok(Outcome::Running(pending)) => {
            of(&pending.interim) + pending.ticket.len() + pending.message.len()
        }
        Err(ToolError::InvalidArguments(invalid)) => {
            let problems = invalid.problems.iter();
            let problems = problems.map(|one| 64 + one.pointer.len() + one.message.len());
            invalid.message.len() + problems.sum::<usize>()
        }
        Err(ToolError::FailedTask(failed)) => {
            let lines = failed.log_tail.iter().map(|line| 64 + line.len());
            failed.message.len()
                + failed.upid.len()
                + failed.exit_status.len()
                + lines.sum::<usize>()
        }
        Err(
            ToolError::UnknownTool(message)
            | ToolError::Denied(message)
            | ToolError::NotFound(message)
            | ToolError::Conflict(message)
            | ToolError::Unreachable(message)
            | ToolError::Unauthorized(message)
            | ToolError::Internal(message),
        ) => message.len(),
    };
    if bytes <= MAX_ANSWER_BYTES {
        return answer;
    }
    Err(ToolError::Internal(format!(
        "the answer is larger than {} MiB and was thrown away: if the call was to change \
         something, look whether it did; if it was to list something, ask for less",
        MAX_ANSWER_BYTES >> 20
    )))
}

/// wasi:http has but a code for what went wrong: whoever reads the message
/// shall know it all.
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
