//! `list_templates`: templates to clone, and container templates on storages or to download.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::appliance::{Appliance, EMPTY_INDEX, index};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{
    Content, Guest, GuestType, Num, Pve, StorageContent, Vmid, Volume, complete_from_nodes, guests,
    nodes, storage_contents, storage_resources,
};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run};

/// Templates of every source.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTemplates {
    /// guest: templates to clone. storage: container templates on storages. index: those to download. Default: all.
    source: Option<Source>,
    /// Only names that contain this.
    name: Option<String>,
    /// Default: 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Guest,
    Storage,
    Index,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct TemplateList {
    pub(super) templates: Vec<Template>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// A template. A guest has a vmid, a file on a storage a volid, one of the
/// index a template to download.
#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Template {
    source: Source,
    kind: GuestType,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
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

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListTemplates {
    type Output = TemplateList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::LIST),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::TEMPLATES),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<TemplateList>> {
        let wants = |source| self.source.is_none_or(|wanted| wanted == source);
        let mut templates = Vec::new();
        let mut notes = Vec::new();
        if wants(Source::Guest) {
            let mut all = guests(pve)?;
            notes.extend(complete_from_nodes(pve, &mut all));
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
            notes.push("no part of Proxmox's response could be read: see skipped".into());
        }
        let (list, part) = self.cut(templates, notes);
        let text = text::count(list.total, "template");
        Ok(Reply::Listed(list, text, part))
    }
}

impl ListTemplates {
    pub(super) fn cut(
        &self,
        mut templates: Vec<Template>,
        mut notes: Vec<String>,
    ) -> (TemplateList, Part) {
        let seen = templates.len();
        if let Some(name) = self.name.as_deref().map(str::to_lowercase) {
            templates.retain(|template| template.called().to_lowercase().contains(&name));
        }
        let total = templates.len();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = page.cut(&mut templates, "/templates", "source or name");
        notes.extend(part.note());
        if total == 0 && seen > 0 {
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
        let list = TemplateList {
            templates,
            total,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        (list, part)
    }
}

/// Storages that cannot be read are left out and named, so that one node that is down
/// does not hide the others.
fn on_storages(pve: &Pve, templates: &mut Vec<Template>, notes: &mut Vec<String>) -> Result<()> {
    let mut resources = storage_resources(pve)?;
    resources.retain(|resource| resource.may_hold(Content::Vztmpl));
    for StorageContent { resource, volumes } in
        storage_contents(pve, resources, Some(Content::Vztmpl), None)
    {
        let left_out = |why: &str| {
            format!(
                "storage {} on node {} was left out: {}",
                resource.storage,
                resource.node,
                text::cut(why, 300)
            )
        };
        match volumes {
            Ok(found) => templates.extend(
                found
                    .into_iter()
                    .filter(|volume| volume.is(Content::Vztmpl))
                    .map(|volume| {
                        let node = (!resource.shared.0).then(|| resource.node.clone());
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
            "{} of the appliance index omitted, for want of a name",
            text::count(nameless, "template")
        ));
    } else if index.is_empty() {
        notes.push(EMPTY_INDEX.into());
    }
    // The plain systems are what most look for; appliances built on them
    // follow.
    order::by(&mut index, |a, b| {
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
            kind: GuestType::Lxc,
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
    /// The name by which it is searched.
    fn called(&self) -> &str {
        self.template
            .as_deref()
            .or(self.name.as_deref())
            .unwrap_or_default()
    }

    fn of_volume(volume: Volume, node: Option<String>) -> Self {
        Self {
            source: Source::Storage,
            kind: GuestType::Lxc,
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
