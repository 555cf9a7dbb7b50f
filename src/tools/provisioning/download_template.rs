//! `download_template`: downloads a container template from the appliance index.

use pve_api::calls;
use schemars::JsonSchema;

use super::appliance::{Appliance, EMPTY_INDEX, index};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    At, Content, Format, Params, Pve, Started, check_node_name, choose, choose_node, volumes,
};
use crate::tool::declared::{Calls, FOLLOW_TASK};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// A download of a container template from the appliance index.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownloadTemplate {
    /// Its name in the index, such as debian-13-standard_13.1-2_amd64.tar.zst.
    #[schemars(length(min = 1, max = 255))]
    template: String,
    /// Default: the only one online.
    node: Option<String>,
    /// Default: the only one that holds container templates.
    storage: Option<String>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for DownloadTemplate {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(FOLLOW_TASK),
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::DOWNLOAD_TEMPLATE),
        Calls::One(&calls::storage::LIST),
        Calls::One(&calls::storage::TEMPLATES),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_node_name("node", self.node.as_deref())?;
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        let node = choose_node(pve, "node", self.node.as_deref())?;
        known(&index(pve, &node)?.0, &self.template, &node)?;
        let storage = choose(pve, &node, Content::Vztmpl, self.storage.as_deref())?.storage;
        let there = volumes(pve, &node, &storage, Some(Content::Vztmpl), None)?;
        if let Some(volume) = there.iter().find(|volume| volume.name() == self.template) {
            return Err(Error::Conflict(format!(
                "{} is already on node {node}: no download is needed",
                volume.volid
            )));
        }
        let started: Started = pve.send(
            &calls::storage::DOWNLOAD_TEMPLATE.at([&node]),
            &Params::new()
                .set("storage", &storage)
                .set("template", &self.template),
        )?;
        let mut report = Report::done(format!(
            "download of template {} to {storage}",
            self.template
        ))
        .volid(format!("{storage}:vztmpl/{}", self.template));
        report.node = Some(node);
        report.started(&started, self.wait)
    }
}

/// Refuses a template that the index does not know.
pub(super) fn known(index: &[Appliance], template: &str, node: &str) -> Result<()> {
    if index.iter().any(|one| one.template == template) {
        return Ok(());
    }
    if index.is_empty() {
        return Err(Error::NotFound(format!("{EMPTY_INDEX} (node {node})")));
    }
    let near = text::nearest(template, index.iter().map(|one| one.template.as_str()))
        .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
    Err(Error::NotFound(format!(
        "the appliance index of node {node} has no such template{near}: {} with source index \
         lists it, pveam update on the node refreshes it",
        tool_names::LIST_TEMPLATES,
    )))
}
