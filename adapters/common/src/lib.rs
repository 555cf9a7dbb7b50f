//! What every adapter does with the tools component that it is composed with:
//! list the tools, call one by its name, wait a bounded time for its task.
//!
//! An adapter exports the contract of one kind of host and imports
//! `proxmox:mcp/tools` (`wit/world.wit`) by way of this crate. It knows nothing
//! of Proxmox: names, schemas and texts all come from the component.
//!
//! ```no_run
//! for tool in adapter_common::tools() {
//!     println!("{}: {}", tool.name, tool.description);
//! }
//! match adapter_common::call("get_guest", r#"{"vmid": 100}"#) {
//!     Ok(answer) => println!("{}", answer.structured),
//!     Err(failure) => println!("{}: {}", failure.kind, failure.text()),
//! }
//! ```
//!
//! # Which tools there are
//!
//! [`tools`] lists, and [`call`] calls, the tools that the build chose and no
//! others: `cargo xtask adapters` compiles this crate with their names in
//! `ADAPTER_TOOLS`, separated by commas. Without that variable they are all
//! tools but the dangerous ones. Nothing at run time can add one.
//!
//! # Long tasks
//!
//! The component never waits for a task of Proxmox: it answers with a ticket.
//! The hosts that adapters are for know no tickets, so [`call`] looks after the
//! task for [`Patience`], 45 seconds unless `PROXMOX_MCP_WAIT_SECONDS` in the
//! environment says otherwise. After that it returns the component's interim
//! result, which names the task's UPID, and the task continues.

#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod bindings;
mod choice;
mod failure;
mod patience;

use std::thread;
use std::time::{Duration, Instant};

use bindings::proxmox::mcp::tools as component;

pub use bindings::proxmox::mcp::tools::{Annotations, ArgumentProblem, FailedTask, Tool};
pub use failure::{Failure, Kind};
pub use patience::{Patience, Progress};

use bindings::proxmox::mcp::tools::{Outcome, ToolError};

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// A JSON object, as text, that conforms to the tool's `output_schema`.
    pub structured: String,
    /// The same in a few words, for a person. May be empty.
    pub text: String,
    /// Whether a task of Proxmox continues: the wait ended before the task did.
    pub running: bool,
}

/// How to use the tools, for a model: the component's own text. Needs no settings
/// and sends nothing.
pub fn instructions() -> String {
    component::instructions()
}

/// The tools that there are, in the component's order. Needs no settings and
/// sends nothing.
pub fn tools() -> Vec<Tool> {
    let choice = choice::of_this_build();
    component::list_tools()
        .into_iter()
        .filter(|tool| choice.offers(&tool.name, tool.annotations.dangerous))
        .collect()
}

/// Calls a tool and waits for its task as long as the environment says.
///
/// `arguments` is a JSON object as text; an empty text counts as `{}`. Fails
/// with [`Kind::UnknownTool`] for a tool that is not among [`tools`].
pub fn call(name: &str, arguments: &str) -> Result<Answer, Failure> {
    let patience = Patience::from_env()?;
    call_within(name, arguments, patience, &mut |_| {})
}

/// Calls a tool and waits for its task for so long. `on_progress` gets what the
/// component says of the task each time that it was looked after.
pub fn call_within(
    name: &str,
    arguments: &str,
    patience: Patience,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Answer, Failure> {
    if !is_offered(name) {
        return Err(Failure::not_offered(name));
    }
    let outcome = component::call_tool(name, arguments)?;
    patience.settle(outcome, &mut Component::new(), on_progress)
}

fn is_offered(name: &str) -> bool {
    let choice = choice::of_this_build();
    choice.names(name).unwrap_or_else(|| {
        component::list_tools()
            .iter()
            .any(|tool| tool.name == name && choice.offers(name, tool.annotations.dangerous))
    })
}

/// The component and the clock, as [`Patience`] sees them.
struct Component {
    started: Instant,
}

impl Component {
    fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl patience::Follow for Component {
    fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        thread::sleep(time);
    }

    fn resume(&mut self, ticket: &str) -> Result<Outcome, ToolError> {
        component::resume(ticket)
    }
}
