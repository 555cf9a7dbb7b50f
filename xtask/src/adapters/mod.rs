//! What is written from the tool list for adapters.

pub(crate) mod typed;
