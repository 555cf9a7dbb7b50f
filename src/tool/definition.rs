//! A tool: its arguments, result and handler by type, everything else in its
//! line of the table.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::declared::Calls;
use super::effects::Effects;
use super::follow::{Complete, Detail};
use super::outcome::{Finished, Outcome, Reply, Running};
use super::page::Part;
use super::report::Report;
use super::schema::{self, Schemas};
use super::ticket::{self, Pending};
use super::{arguments, schemas};
use crate::error::{Error, Problem, Result};
use crate::json::{self, Wrong};
use crate::pve::{Pve, Upid};

/// A tool's work. The type itself is the tool's arguments.
pub(crate) trait Run: DeserializeOwned + JsonSchema + 'static {
    /// The result.
    type Output: Serialize + JsonSchema;

    /// The calls to Proxmox that the tool may make, those of its tickets
    /// included. The host refuses all others.
    const CALLS: &'static [Calls];

    /// Other names that callers give an argument, such as Proxmox's own, and
    /// the name that it has here. They are taken where the argument itself is
    /// not given; no schema shows them.
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[];

    /// Brings other ways to write the arguments into the one that the schema
    /// describes. The schema is checked afterwards.
    fn adapt(_arguments: &mut Map<String, Value>) {}

    /// Runs the tool.
    fn run(self, pve: &Pve) -> Result<Reply<Self::Output>>;

    /// Completes the report of a task that this tool has started or followed,
    /// after the task has ended well: with the file that it made, for example.
    fn complete(_pve: &Pve, _upid: &Upid, report: Report) -> Report {
        report
    }

    /// Looks once at what this tool has left running and follows on its own, see
    /// [`Pending::own`].
    fn resume(_pve: &Pve, _state: &str) -> Result<Outcome> {
        Err(ticket::refused())
    }

    /// Stops what [`Self::resume`] looks at.
    fn cancel(_pve: &Pve, _state: &str) -> Result<Finished> {
        Err(ticket::refused())
    }
}

/// How soon to look after something that has just been started.
const FIRST_LOOK_MS: u32 = 500;

/// A group of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Toolset(pub(crate) &'static str);

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) toolset: Toolset,
    pub(crate) effects: Effects,
    pub(crate) schemas: &'static Schemas,
    /// What the generated schemas are made of.
    #[cfg(test)]
    pub(crate) input_schema: fn() -> Value,
    #[cfg(test)]
    pub(crate) output_schema: fn() -> Value,
    /// The calls to Proxmox that it may make.
    pub(crate) calls: &'static [Calls],
    pub(crate) other_names: &'static [(&'static str, &'static str)],
    adapt: fn(&mut Map<String, Value>),
    run: fn(&Pve, &str) -> Result<Reply<String>>,
    complete: Complete,
    resume: fn(&Pve, &str) -> Result<Outcome>,
    cancel: fn(&Pve, &str) -> Result<Finished>,
}

impl Tool {
    /// A line of the table, whose schemas and handler come from a type.
    pub(crate) const fn new<T: Run>(
        toolset: Toolset,
        name: &'static str,
        title: &'static str,
        effects: Effects,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            description,
            toolset,
            effects,
            schemas: schemas::of(name),
            #[cfg(test)]
            input_schema: super::derived::input::<T>,
            #[cfg(test)]
            output_schema: super::derived::output::<T::Output>,
            calls: T::CALLS,
            other_names: T::OTHER_NAMES,
            adapt: T::adapt,
            run: run::<T>,
            complete: T::complete,
            resume: T::resume,
            cancel: T::cancel,
        }
    }

    /// Whether it has an argument `preview` or `plan`, with which it only reads.
    pub(crate) fn previews(&self) -> bool {
        ["preview", "plan"]
            .into_iter()
            .any(|name| self.schemas.input.takes(name))
    }

    /// Checks the arguments and calls the handler. The client is made only
    /// when the arguments are right.
    pub(crate) fn call(
        &self,
        pve: impl FnOnce() -> Result<Pve>,
        mut arguments: Value,
    ) -> Result<Outcome> {
        if let Value::Object(fields) = &mut arguments {
            for (other, name) in self.other_names {
                if !fields.contains_key(*name)
                    && let Some(value) = fields.remove(*other)
                {
                    fields.insert((*name).to_owned(), value);
                }
            }
            (self.adapt)(fields);
        }
        let schema = &self.schemas.input;
        let given = arguments::read(schema, arguments).map_err(Error::InvalidArguments)?;
        let pve = pve()?;
        match (self.run)(&pve, &given.to_string()) {
            Ok(reply) => Ok(outcome(&pve, reply)),
            Err(Error::InvalidArguments(problems)) => Err(Error::InvalidArguments(
                schema::quoting(schema, &given, problems),
            )),
            Err(error) => Err(scoped(&pve, error)),
        }
    }

    /// Looks once at what a call of this tool has left running.
    pub(crate) fn resume(&self, pve: &Pve, pending: Pending) -> Result<Outcome> {
        match pending {
            Pending::Own(state) => (self.resume)(pve, &state),
            other => other.look(pve, self.complete, Detail::Progress)?.outcome(),
        }
    }

    /// Stops what a call of this tool has left running. Fails with
    /// [`Error::Conflict`] where it cannot be stopped any more.
    pub(crate) fn cancel(&self, pve: &Pve, pending: Pending) -> Result<Finished> {
        match pending {
            Pending::Task(task) => task.cancel(pve),
            Pending::Guest(guest) => Err(guest.not_stoppable()),
            Pending::Own(state) => (self.cancel)(pve, &state),
        }
    }
}

/// What is compiled for each tool, which is as little as possible; all else has
/// one type.
fn run<T: Run>(pve: &Pve, arguments: &str) -> Result<Reply<String>> {
    let arguments: T = json::read(arguments).map_err(unread)?;
    arguments.run(pve)?.written()
}

/// What a tool has answered, as JSON.
fn outcome(pve: &Pve, reply: Reply<String>) -> Outcome {
    match reply {
        Reply::Done(json, text) => done(pve, json, text, None),
        Reply::Listed(json, text, part) => done(pve, json, text, Some(part)),
        Reply::Running(pending, json, text) => Outcome::Running(Running {
            pending,
            message: text.clone(),
            progress: None,
            retry_after_ms: FIRST_LOOK_MS,
            interim: Finished::bounded(json, text, None).skipping(pve),
        }),
    }
}

fn done(pve: &Pve, json: String, text: String, part: Option<Part>) -> Outcome {
    Outcome::Done(Finished::bounded(json, text, part).skipping(pve))
}

/// Arguments that fit their schema, but not their type.
fn unread(wrong: Wrong) -> Error {
    Error::InvalidArguments(vec![Problem {
        pointer: String::new(),
        message: wrong.to_string(),
    }])
}

/// Whatever was looked for, the lists that it was looked for in may be cut.
fn scoped(pve: &Pve, error: Error) -> Error {
    match (error, pve.scope()) {
        (Error::NotFound(message), Some(scope)) if !message.contains("scope") => Error::NotFound(
            format!("{message}; what is outside this server's scope ({scope}) is not shown"),
        ),
        (error, _) => error,
    }
}
