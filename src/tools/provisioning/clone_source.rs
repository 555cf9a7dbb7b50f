//! The guest or template to clone, by vmid or name.

use super::clone_guest::CloneGuest;
use crate::error::{Error, Result};
use crate::pve::{Guest, Pve, complete_from_nodes};
use crate::{text, tool_names};

impl CloneGuest {
    /// Looks up the names, and whether they are templates, of guests that
    /// pvestatd has not reported, as far as the source may be among them. Says
    /// what remains unknown.
    pub(super) fn complete(&self, pve: &Pve, all: &mut [Guest]) -> Vec<String> {
        match self.vmid {
            None => complete_from_nodes(pve, all),
            Some(vmid) => all
                .iter_mut()
                .find(|guest| guest.vmid == vmid)
                .map_or_else(Vec::new, |guest| {
                    complete_from_nodes(pve, std::slice::from_mut(guest))
                }),
        }
    }

    pub(super) fn source(&self, pve: &Pve, all: &[Guest]) -> Result<Guest> {
        match (&self.source_name, self.vmid) {
            (Some(name), _) => by_name(&pve.unseen(None), all, name),
            (None, Some(vmid)) => match all.iter().find(|guest| guest.vmid == vmid) {
                Some(guest) => Ok(guest.clone()),
                None => Guest::find(pve, vmid),
            },
            (None, None) => Err(Error::argument("vmid", "must be given, or source_name")),
        }
    }
}

fn by_name(unseen: &str, all: &[Guest], name: &str) -> Result<Guest> {
    let named = |same: fn(&str, &str) -> bool| {
        all.iter()
            .filter(|guest| guest.name.as_deref().is_some_and(|own| same(own, name)))
            .collect::<Vec<_>>()
    };
    let mut found = named(|own, name| own == name);
    if found.is_empty() {
        found = named(|own, name| own.eq_ignore_ascii_case(name));
    }
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let near = text::nearest(name, all.iter().filter_map(|guest| guest.name.as_deref()))
                .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
            Err(Error::NotFound(format!(
                "there is no guest or template of this name, or {unseen}{near}: {} shows the templates",
                tool_names::LIST_TEMPLATES,
            )))
        }
        several => Err(Error::argument(
            "source_name",
            format!(
                "is the name of several guests: give one of them as vmid: {}",
                text::names(
                    several
                        .iter()
                        .map(|guest| candidate(guest))
                        .collect::<Vec<_>>()
                        .iter()
                        .map(String::as_str)
                )
            ),
        )),
    }
}

fn candidate(guest: &Guest) -> String {
    format!(
        "{} ({} {} on {}, {})",
        guest.vmid,
        guest.kind.as_str(),
        if guest.template.0 {
            "template"
        } else {
            "guest"
        },
        guest.node,
        guest.status
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_must_be_of_one() {
        let all: Vec<Guest> = serde_json::from_value(json!([
            {"vmid": 100, "type": "qemu", "node": "pve1", "status": "running", "name": "web"},
            {"vmid": 200, "type": "lxc", "node": "pve2", "status": "stopped", "name": "web"},
            {"vmid": 9000, "type": "qemu", "node": "pve1", "status": "stopped",
             "name": "Debian-13", "template": 1},
        ]))
        .unwrap();
        assert_eq!(
            by_name("it is hidden", &all, "debian-13")
                .unwrap()
                .vmid
                .get(),
            9000
        );
        assert_eq!(
            by_name("it is hidden", &all, "web").unwrap_err().message(),
            "source_name: is the name of several guests: give one of them as vmid: 100 (qemu \
             guest on pve1, running), 200 (lxc guest on pve2, stopped)"
        );
        let message = by_name("it is hidden", &all, "Debian-12")
            .unwrap_err()
            .message();
        assert!(message.contains("perhaps Debian-13 is meant"), "{message}");
    }
}
