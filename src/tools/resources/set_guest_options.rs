//! `set_guest_options`: name, notes, tags, start at boot and protection.

use pve_api::calls;
use schemars::JsonSchema;

use super::change::{self, DesiredSetting, Unit, nothing_given};
use super::settings::unreadable;
use crate::error::{Error, Problem, Result};
use crate::json::DeserializeFields;
use crate::pve::{Format, Guest, GuestType, PendingConfig, Pve, Vmid, owned_tags};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;

/// Changes a guest's options.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetGuestOptions {
    vmid: Option<Vmid>,
    /// Several, at most 25.
    #[schemars(extend("x-splits" = "words"))]
    vmids: Option<Vec<Vmid>>,
    /// All with this tag.
    tag: Option<String>,
    /// All in this pool.
    pool: Option<String>,
    /// All on this node.
    node: Option<String>,
    /// Only show what would be done.
    preview: Option<bool>,
    /// A DNS name; a container's host name. Empty clears a VM's.
    #[schemars(length(max = 253), extend("x-clears" = true))]
    name: Option<String>,
    /// Notes, in Markdown. Empty clears them.
    #[schemars(length(max = 8192), extend("x-clears" = true))]
    description: Option<String>,
    /// Replaces all tags.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    tags: Option<Vec<String>>,
    /// Tags to add.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    add_tags: Option<Vec<String>>,
    /// Tags to remove.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    remove_tags: Option<Vec<String>>,
    /// Start it when its node starts.
    start_at_boot: Option<bool>,
    /// Refuse to remove the guest or its disks.
    protection: Option<bool>,
}

impl OnGuests for SetGuestOptions {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(
            &calls::guests::SET_CONFIG.qemu,
            "name|description|tags|onboot|protection",
        ),
        Calls::With(
            &calls::guests::SET_CONFIG.lxc,
            "hostname|description|tags|onboot|protection",
        ),
    ];
}

impl ChangeGuest for SetGuestOptions {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        self.check_values()
    }

    fn verb(&self) -> String {
        "set options of".into()
    }

    fn pace(&self) -> Pace {
        Pace::Any
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        self.check_kind(guest)?;
        let before = PendingConfig::read(pve, guest)?;
        self.check_tags(guest, &before)?;
        let desired = self.desired(guest.kind, &before);
        let report = match preview {
            true => change::preview(guest, &before, &desired, "options"),
            false => change::write(pve, guest, &before, desired, "options")?,
        };
        Ok(Begun::Ended(report.on(guest)))
    }
}

impl SetGuestOptions {
    pub(super) fn check_values(&self) -> Result<()> {
        let lists = [
            ("tags", &self.tags),
            ("add_tags", &self.add_tags),
            ("remove_tags", &self.remove_tags),
        ];
        let given = [
            self.name.is_some(),
            self.description.is_some(),
            self.start_at_boot.is_some(),
            self.protection.is_some(),
        ];
        if !given.contains(&true) && lists.iter().all(|(_, list)| list.is_none()) {
            return Err(nothing_given(
                "name, description, tags ([] removes all), add_tags, remove_tags, start_at_boot, \
                 protection",
            ));
        }
        if self.name.is_some() && self.selector().is_for_several() {
            return Err(Error::argument(
                "name",
                "must be left out for several guests: no two should have the same name",
            ));
        }
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            Format::DnsName.check("name", name)?;
        }
        let problems: Vec<Problem> = lists
            .iter()
            .flat_map(|(name, list)| {
                list.iter()
                    .flatten()
                    .enumerate()
                    .filter(|(_, tag)| !is_tag(tag))
                    .map(move |(index, _)| Problem {
                        pointer: format!("/{name}/{index}"),
                        message: "must be a tag: a letter, digit or _, then letters, digits, _, \
                                  -, + and ."
                            .into(),
                    })
            })
            .collect();
        if !problems.is_empty() {
            return Err(Error::InvalidArguments(problems));
        }
        let (add, remove) = (self.add_tags.as_deref(), self.remove_tags.as_deref());
        if self.tags.is_some() && (add.is_some() || remove.is_some()) {
            return Err(Error::argument(
                "tags",
                "must be left out with add_tags or remove_tags: it replaces all tags",
            ));
        }
        let add = add.unwrap_or_default();
        if let Some(both) = remove
            .unwrap_or_default()
            .iter()
            .find(|tag| add.contains(tag))
        {
            return Err(Error::argument(
                "remove_tags",
                format!("must not contain {both}, which add_tags contains"),
            ));
        }
        Ok(())
    }

    pub(super) fn check_kind(&self, guest: &Guest) -> Result<()> {
        if guest.kind == GuestType::Lxc && self.name.as_deref() == Some("") {
            return Err(Error::argument(
                "name",
                format!(
                    "must not be empty: {} is a container, which needs one",
                    guest.label()
                ),
            ));
        }
        Ok(())
    }

    /// Refuses to add or remove tags if the current ones cannot be read.
    fn check_tags(&self, guest: &Guest, before: &PendingConfig) -> Result<()> {
        let builds_on_them = self.add_tags.is_some() || self.remove_tags.is_some();
        if !builds_on_them || !before.is_unreadable("tags") {
            return Ok(());
        }
        Err(unreadable(
            guest,
            "its tags",
            "give all tags that it is to have as tags",
        ))
    }

    pub(super) fn desired(&self, kind: GuestType, before: &PendingConfig) -> Vec<DesiredSetting> {
        let name = match kind {
            GuestType::Qemu => "name",
            GuestType::Lxc => "hostname",
        };
        let flag = |argument, key, value: Option<bool>| {
            Some(DesiredSetting::new(
                argument,
                key,
                Some("0"),
                Unit::YesNo,
                u8::from(value?).to_string(),
            ))
        };
        let plain = |argument, key, value: String| {
            DesiredSetting::new(argument, key, None, Unit::Plain, value)
        };
        [
            self.name.clone().map(|value| plain("name", name, value)),
            self.description
                .as_deref()
                .map(|value| plain("description", "description", value.trim_end().to_owned())),
            self.wanted_tags(before)
                .map(|tags| plain("tags", "tags", join_tags(&tags))),
            flag("start_at_boot", "onboot", self.start_at_boot),
            flag("protection", "protection", self.protection),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// All tags that the guest is to have; none if the call does not change tags.
    fn wanted_tags(&self, before: &PendingConfig) -> Option<Vec<String>> {
        if let Some(tags) = &self.tags {
            return Some(merge_tags(Vec::new(), tags, &[]));
        }
        if self.add_tags.is_none() && self.remove_tags.is_none() {
            return None;
        }
        let has = owned_tags(before.wanted("tags").unwrap_or_default());
        Some(merge_tags(
            has,
            self.add_tags.as_deref().unwrap_or_default(),
            self.remove_tags.as_deref().unwrap_or_default(),
        ))
    }
}

/// Whether a text is a tag.
pub(in crate::tools) fn is_tag(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(letter)
        && text
            .bytes()
            .all(|b| letter(b) || matches!(b, b'-' | b'+' | b'.'))
}

pub(super) fn join_tags(tags: &[String]) -> String {
    tags.join(";")
}

/// The tags in their order, each once. A tag to remove matches in any case,
/// unless there is one in exactly that case: most clusters have lower case only.
pub(super) fn merge_tags(has: Vec<String>, add: &[String], remove: &[String]) -> Vec<String> {
    let goes = |tag: &String| {
        remove
            .iter()
            .any(|gone| gone == tag || (gone.eq_ignore_ascii_case(tag) && !has.contains(gone)))
    };
    let kept = has.iter().filter(|tag| !goes(tag));
    let mut tags: Vec<String> = Vec::with_capacity(has.len() + add.len());
    for tag in kept.chain(add) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}
