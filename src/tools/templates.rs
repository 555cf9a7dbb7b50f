//! Templates: of guests, of containers on storages, and in the appliance index.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::freshness;
use crate::error::{Error, Result};
use crate::pve::{
    Content, Failure, Format, Guest, Kind, Num, Params, Path, Pve, Shelf, Started, Volume,
    check_node_name, choose, choose_node, guests, nodes, places, shelves, volumes,
};
use crate::text;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Templates of every source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTemplates {
    /// guest: VM and container templates to clone. storage: container templates on storages. index: container templates to download. Default: all.
    source: Option<Source>,
    /// Only names that contain this.
    name: Option<String>,
    /// Default: 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Guest,
    Storage,
    Index,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TemplateList {
    templates: Vec<Template>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A template. A guest has a vmid, a file on a storage a volid, one of the
/// index a template to download.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Template {
    source: Source,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volid: Option<String>,
    /// Absent where every node sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// `system`, `turnkeylinux`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    section: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headline: Option<String>,
}

/// An entry of the appliance index.
#[derive(Debug, Clone, Deserialize)]
struct Appliance {
    /// The file's name, by which it is downloaded.
    #[serde(default)]
    template: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    section: Option<String>,
    #[serde(default)]
    headline: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListTemplates {
    type Output = TemplateList;

    fn run(self, pve: &Pve) -> Result<Reply<TemplateList>> {
        let wants = |source| self.source.is_none_or(|wanted| wanted == source);
        let mut templates = Vec::new();
        let mut notes = Vec::new();
        if wants(Source::Guest) {
            let mut all = guests(pve)?;
            notes.extend(freshness::complete(pve, &mut all));
            templates.extend(
                all.into_iter()
                    .filter(|guest| guest.template.0)
                    .map(Template::from),
            );
        }
        if wants(Source::Storage) {
            on_storages(pve, &mut templates, &mut notes)?;
        }
        if wants(Source::Index) {
            match in_index(pve, &mut templates, &mut notes) {
                Ok(()) => {}
                Err(error) if self.source == Some(Source::Index) => return Err(error),
                // It is one source of several.
                Err(error) => notes.push(format!(
                    "the appliance index cannot be read: {}",
                    text::cut(&error.message(), 300)
                )),
            }
        }
        if templates.is_empty() && pve.skipped().is_some() {
            notes.push("nothing of what Proxmox answered could be read: see skipped".into());
        }
        let list = self.cut(templates, notes);
        let text = text::count(list.templates.len(), "template");
        Ok(Reply::Done(list, text))
    }
}

impl ListTemplates {
    fn cut(&self, mut templates: Vec<Template>, mut notes: Vec<String>) -> TemplateList {
        let seen = templates.len();
        if let Some(name) = self.name.as_deref().map(str::to_lowercase) {
            templates.retain(|template| template.called().to_lowercase().contains(&name));
        }
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        if templates.len() > limit {
            notes.push(format!(
                "{} more are not shown: narrow by source or name, or raise limit",
                templates.len() - limit
            ));
            templates.truncate(limit);
        } else if templates.is_empty() && seen > 0 {
            notes.push(format!(
                "none of {} has such a name",
                text::count(seen, "template")
            ));
        } else if seen == 0 && notes.is_empty() {
            notes.push(
                "there are none, or the token may not see them (VM.Audit on /vms, Datastore.Audit \
                 on /storage)"
                    .into(),
            );
        }
        TemplateList {
            templates,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

/// What cannot be read now is left out and named: one node that is away must
/// not hide all others.
fn on_storages(pve: &Pve, templates: &mut Vec<Template>, notes: &mut Vec<String>) -> Result<()> {
    let mut places = places(pve)?;
    places.retain(|place| place.may_hold(Content::Vztmpl));
    for Shelf { place, volumes } in shelves(pve, places, Some(Content::Vztmpl), None) {
        let left_out = |why: &str| {
            format!(
                "storage {} on node {} was left out: {}",
                place.storage,
                place.node,
                text::cut(why, 300)
            )
        };
        match volumes {
            Ok(found) => templates.extend(
                found
                    .into_iter()
                    .filter(|volume| volume.is(Content::Vztmpl))
                    .map(|volume| {
                        let node = (!place.shared.0).then(|| place.node.clone());
                        Template::of_volume(volume, node)
                    }),
            ),
            Err(error) => notes.push(left_out(&error.message())),
        }
    }
    Ok(())
}

fn in_index(pve: &Pve, templates: &mut Vec<Template>, notes: &mut Vec<String>) -> Result<()> {
    let Some(node) = nodes(pve)?.into_iter().find(|node| !node.is_offline()) else {
        notes.push("no node is online to read the appliance index".into());
        return Ok(());
    };
    let (mut index, nameless) = index(pve, &node.node)?;
    if nameless > 0 {
        notes.push(format!(
            "{} of the appliance index left out for want of a name",
            text::count(nameless, "template")
        ));
    } else if index.is_empty() {
        notes.push(EMPTY_INDEX.into());
    }
    // The plain systems are what most look for; appliances built on them
    // follow.
    index.sort_by(|a, b| {
        let key = |one: &Appliance| {
            (
                one.section.as_deref() != Some("system"),
                one.template.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    templates.extend(index.into_iter().map(Template::from));
    Ok(())
}

const EMPTY_INDEX: &str = "the appliance index is empty: pveam update on a node fetches it";

/// What the index of a node holds, and how many entries have no name.
fn index(pve: &Pve, node: &str) -> Result<(Vec<Appliance>, usize), Failure> {
    let mut index: Vec<Appliance> =
        pve.get(&Path::new(["nodes", node, "aplinfo"]), &Params::new())?;
    let all = index.len();
    index.retain(|one| !one.template.is_empty());
    let nameless = all.saturating_sub(index.len());
    Ok((index, nameless))
}

impl From<Guest> for Template {
    fn from(guest: Guest) -> Self {
        Self {
            source: Source::Guest,
            kind: guest.kind,
            name: guest.name,
            template: None,
            vmid: Some(guest.vmid),
            volid: None,
            node: Some(guest.node),
            size_bytes: guest.maxdisk.map(|Num(bytes)| bytes),
            version: None,
            section: None,
            headline: None,
        }
    }
}

impl From<Appliance> for Template {
    fn from(one: Appliance) -> Self {
        Self {
            source: Source::Index,
            kind: Kind::Lxc,
            name: None,
            template: Some(one.template),
            vmid: None,
            volid: None,
            node: None,
            size_bytes: None,
            version: one.version,
            section: one.section,
            headline: one.headline.map(|headline| text::cut(headline.trim(), 80)),
        }
    }
}

impl Template {
    /// What people know it by.
    fn called(&self) -> &str {
        self.template
            .as_deref()
            .or(self.name.as_deref())
            .unwrap_or_default()
    }

    fn of_volume(volume: Volume, node: Option<String>) -> Self {
        Self {
            source: Source::Storage,
            kind: Kind::Lxc,
            name: Some(volume.name().to_owned()),
            template: None,
            vmid: None,
            size_bytes: volume.size.map(|Num(bytes)| bytes),
            volid: Some(volume.volid),
            node,
            version: None,
            section: None,
            headline: None,
        }
    }
}

/// A download of a container template from the appliance index.
#[derive(Debug, Deserialize, JsonSchema)]
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
        let started: Started = pve.post(
            &Path::new(["nodes", &node, "aplinfo"]),
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
fn known(index: &[Appliance], template: &str, node: &str) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn appliances() -> Vec<Appliance> {
        serde_json::from_value(json!([
            {"template": "debian-13-standard_13.1-2_amd64.tar.zst", "section": "system",
             "version": "13.1-2", "headline": "Debian 13", "type": "lxc", "sha512sum": "00"},
            {"template": "alpine-3.22-default_20250617_amd64.tar.xz", "section": "system"},
        ]))
        .unwrap()
    }

    #[test]
    fn unknown_templates_are_refused_with_the_nearest() {
        let index = appliances();
        assert!(known(&index, "alpine-3.22-default_20250617_amd64.tar.xz", "pve1").is_ok());
        let message = known(&index, "debian-13-standard_13.1-1_amd64.tar.zst", "pve1")
            .unwrap_err()
            .message();
        assert!(message.contains("perhaps debian-13-standard_13.1-2_amd64.tar.zst is meant"));
        let message = known(&[], "x", "pve1").unwrap_err().message();
        assert!(message.contains("pveam update"));
    }

    #[test]
    fn lists_are_cut_and_say_so() {
        let list = |arguments: serde_json::Value| {
            let tool: ListTemplates = serde_json::from_value(arguments).unwrap();
            tool.cut(
                appliances().into_iter().map(Template::from).collect(),
                Vec::new(),
            )
        };
        assert_eq!(list(json!({})).templates.len(), 2);
        assert_eq!(list(json!({})).hint, None);
        assert_eq!(list(json!({"name": "DEBIAN"})).templates.len(), 1);
        assert_eq!(
            list(json!({"limit": 1})).hint.unwrap(),
            "1 more are not shown: narrow by source or name, or raise limit"
        );
        assert!(
            list(json!({"name": "plan9"}))
                .hint
                .unwrap()
                .contains("none of 2 templates")
        );
    }
}
