//! Emptying a node: what is known beforehand, where each guest goes, and the
//! moves themselves, some at a time.

pub(super) mod facts;
pub(super) mod plan;
pub(super) mod result;
pub(super) mod run;
#[cfg(test)]
mod tests;
