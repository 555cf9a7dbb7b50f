//! What a tool is, whatever it does: its line in the table, its arguments and
//! their schema, the report of a change, and the ticket of something that is
//! still running.
//!
//! Nothing here knows a tool, but for the generated schemas: `crate::tools` has
//! them.

mod argument_names;
pub(crate) mod arguments;
pub(crate) mod bounds;
pub(crate) mod budget;
pub(crate) mod bulk;
pub(crate) mod declared;
mod definition;
#[cfg(test)]
pub(crate) mod derived;
mod effects;
pub(crate) mod expected;
mod failed_task;
pub(crate) mod follow;
pub(crate) mod guest_filter;
mod outcome;
pub(crate) mod page;
pub(crate) mod report;
mod room;
pub(crate) mod schema;
mod schemas;
pub(crate) mod secret;
pub(crate) mod ticket;

pub(crate) use definition::{Run, Tool, Toolset};
pub(crate) use effects::{DESTROY, READ, SET, WRITE};
pub(crate) use outcome::{Finished, Outcome, Reply, Running};
pub(crate) use page::{Offset, Page, Part};
