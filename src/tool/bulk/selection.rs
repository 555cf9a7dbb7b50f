//! Which guests a call is about.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::order::Ordered as _;
use crate::pve::{Guest, Listed, Pve, Vmid, complete_from_nodes, guests, known_node};
use crate::text;
use crate::tool::guest_filter;
use crate::tool_names;

/// How many guests one call changes at most.
pub(crate) const MOST_GUESTS: usize = 25;

/// The arguments that name guests. Those that select several add up: guests with this tag
/// on this node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selector<'a> {
    pub(crate) vmid: Option<Vmid>,
    pub(crate) vmids: Option<&'a [Vmid]>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) pool: Option<&'a str>,
    pub(crate) node: Option<&'a str>,
    pub(crate) preview: bool,
}

/// One guest or several.
pub(super) enum Target {
    One(Vmid),
    Several,
}

/// The guests that a selector selects.
#[derive(Debug)]
pub(super) struct Selected {
    /// By vmid.
    pub(super) guests: Vec<Guest>,
    /// Guests that fit and are not changed, each with the reason.
    pub(super) left_out: Vec<String>,
    /// What the caller may not have meant.
    pub(super) notes: Vec<String>,
    /// Words that follow "5 guests": ` with tag web on node pve1`.
    pub(super) words: String,
    pub(super) preview: bool,
}

/// The selector of a tool that has the arguments `vmid`, `vmids`, `tag`, `pool`, `node` and
/// `preview`.
macro_rules! selector {
    ($arguments:expr) => {
        $crate::tool::bulk::Selector {
            vmid: $arguments.vmid,
            vmids: $arguments.vmids.as_deref(),
            tag: $arguments.tag.as_deref(),
            pool: $arguments.pool.as_deref(),
            node: $arguments.node.as_deref(),
            preview: $arguments.preview == Some(true),
        }
    };
}
pub(crate) use selector;

impl Selector<'_> {
    /// Whether it selects several guests, even if only one fits.
    pub(crate) fn is_for_several(&self) -> bool {
        self.vmids.is_some() || self.tag.is_some() || self.pool.is_some() || self.node.is_some()
    }

    pub(super) fn target(&self) -> Result<Target> {
        match (self.vmid, self.is_for_several()) {
            (Some(vmid), false) => Ok(Target::One(vmid)),
            (None, true) => Ok(Target::Several),
            (Some(_), true) => Err(Error::argument(
                "vmid",
                "must be left out with vmids, tag, pool or node, which select several guests",
            )),
            (None, false) => Err(Error::argument(
                "vmid",
                "is missing: give the vmid of a guest, or vmids, tag, pool or node for several",
            )),
        }
    }

    /// Reads the list of guests and selects. Fails if none fits, if a vmid, tag, pool or
    /// node does not exist, and if there are more than [`MOST_GUESTS`].
    pub(super) fn select(&self, pve: &Pve) -> Result<Selected> {
        let mut all = guests(pve)?;
        if all.is_empty() {
            return Err(Error::NotFound(pve.empty_hint(Listed::Guests)));
        }
        // Until pvestatd has reported a guest, only its node knows its tags.
        complete_from_nodes(pve, &mut all);
        let mut notes = Vec::new();
        if let Some(node) = self.node
            && !all.iter().any(|guest| guest.node == node)
        {
            known_node(pve, node)?;
        }
        if let Some(tag) = self.tag {
            notes.extend(guest_filter::check_tag(tag, &all)?);
        }
        if let Some(pool) = self.pool {
            notes.extend(guest_filter::check_pool(pve, pool, &all)?);
        }
        self.check_vmids(pve, &all)?;
        let (templates, guests): (Vec<Guest>, Vec<Guest>) = all
            .into_iter()
            .filter(|guest| self.fits(guest))
            .partition(|guest| guest.template.0);
        let left_out: Vec<String> = templates
            .iter()
            .map(|guest| format!("{} is a template", guest.label()))
            .collect();
        let words = self.words();
        if guests.is_empty() {
            let templates = match left_out.is_empty() {
                true => String::new(),
                false => format!(", apart from {}", text::count(left_out.len(), "template")),
            };
            return Err(Error::NotFound(format!(
                "there is no guest{words}{templates}: {} lists the guests that can be seen",
                tool_names::LIST_GUESTS
            )));
        }
        if guests.len() > MOST_GUESTS {
            let vmids: Vec<String> = guests.iter().map(|guest| guest.vmid.to_string()).collect();
            return Err(Error::Conflict(format!(
                "{}{words} were found, but one call changes at most {MOST_GUESTS}: narrow the \
                 selection by tag, pool or node, or give at most {MOST_GUESTS} vmids; nothing was \
                 changed; found: {}",
                text::count(guests.len(), "guest"),
                text::cut(&vmids.join(", "), 1_000)
            )));
        }
        Ok(Selected {
            guests,
            left_out,
            notes,
            words,
            preview: self.preview,
        })
    }

    fn fits(&self, guest: &Guest) -> bool {
        self.vmids.is_none_or(|vmids| vmids.contains(&guest.vmid))
            && self
                .tag
                .is_none_or(|tag| guest.tags().iter().any(|own| own == tag))
            && self
                .pool
                .is_none_or(|pool| guest_filter::is_in_pool(guest, pool))
            && self.node.is_none_or(|node| guest.node == node)
    }

    fn check_vmids(&self, pve: &Pve, all: &[Guest]) -> Result<()> {
        let known: BTreeSet<Vmid> = all.iter().map(|guest| guest.vmid).ordered();
        let missing: Vec<Vmid> = self
            .vmids
            .unwrap_or_default()
            .iter()
            .copied()
            .filter(|vmid| !known.contains(vmid))
            .collect();
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let names: Vec<String> = missing.iter().map(Vmid::to_string).collect();
        Err(Error::NotFound(format!(
            "vmids: there is no guest {}, or {}; nothing was changed: {} shows the guests that can \
             be seen",
            text::distinct(names.iter().map(String::as_str)),
            pve.unseen(Some(*first)),
            tool_names::LIST_GUESTS
        )))
    }

    fn words(&self) -> String {
        let mut words = String::new();
        if let Some(tag) = self.tag {
            words.push_str(&format!(" with tag {tag}"));
        }
        if let Some(pool) = self.pool {
            words.push_str(&format!(" in pool {pool}"));
        }
        if let Some(node) = self.node {
            words.push_str(&format!(" on node {node}"));
        }
        if let Some(vmids) = self.vmids {
            let vmids: Vec<String> = vmids.iter().map(Vmid::to_string).collect();
            let vmids = text::names(vmids.iter().map(String::as_str));
            words.push_str(&format!(" of vmids {vmids}"));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector() -> Selector<'static> {
        Selector {
            vmid: None,
            vmids: None,
            tag: None,
            pool: None,
            node: None,
            preview: false,
        }
    }

    #[test]
    fn one_guest_or_several_and_never_neither() {
        let vmid = Vmid::new(100);
        let one = Selector { vmid, ..selector() };
        assert!(matches!(one.target(), Ok(Target::One(_))));
        let several = Selector {
            tag: Some("web"),
            ..selector()
        };
        assert!(matches!(several.target(), Ok(Target::Several)));
        let both = Selector { vmid, ..several };
        assert!(
            both.target()
                .is_err_and(|error| error.message().contains("left out"))
        );
        assert!(
            selector()
                .target()
                .is_err_and(|error| error.message().contains("missing"))
        );
    }
}
