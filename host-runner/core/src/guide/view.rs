//! A view: a page that shows results of tools to the user of a client.

use std::collections::BTreeSet;

use crate::engine::{self, Tool};

/// The scheme of a view's URI, by which clients know it.
const SCHEME: &str = "ui://";

/// A view of tools that are offered.
#[derive(Debug)]
pub(crate) struct View {
    declared: engine::View,
}

impl View {
    /// None for one that shows no offered tool, or that has no URI of a view.
    /// `shown` are the tools that have a view already.
    pub(super) fn new(
        mut declared: engine::View,
        tools: &[Tool],
        shown: &mut BTreeSet<String>,
    ) -> Option<Self> {
        declared.uri.strip_prefix(SCHEME)?;
        let is_offered = |name: &String| tools.iter().any(|tool| tool.name == *name);
        declared
            .tools
            .retain(|name| is_offered(name) && shown.insert(name.clone()));
        (!declared.tools.is_empty()).then_some(Self { declared })
    }

    /// As the component declares it, with the tools that have it.
    pub(crate) fn declared(&self) -> &engine::View {
        &self.declared
    }
}
