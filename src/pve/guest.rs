//! Guests: where they are, and how their paths are made.

use pve_api::{GuestType, Vmid, calls};
use serde_json::Value;

use super::client::Pve;
use super::num::{Flag, Num};
use super::params::Params;
use super::request::{At, OfGuest, Request};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::tool_names;

/// A guest by `/cluster/resources`. On an offline node only the
/// first three and the status are known.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct Guest {
    pub(crate) vmid: Vmid,
    #[serde(rename = "type")]
    pub(crate) kind: GuestType,
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) template: Flag,
    #[serde(default)]
    pub(crate) tags: Option<String>,
    #[serde(default)]
    pub(crate) pool: Option<String>,
    #[serde(default)]
    pub(crate) lock: Option<String>,
    #[serde(default)]
    pub(crate) hastate: Option<String>,
    #[serde(default)]
    pub(crate) cpu: Option<Num<f64>>,
    #[serde(default)]
    pub(crate) maxcpu: Option<Num<f64>>,
    #[serde(default)]
    pub(crate) mem: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) maxmem: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) maxdisk: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) uptime: Option<Num<u64>>,
}

impl Guest {
    /// Finds a guest by its vmid, on whatever node it is.
    pub(crate) fn find(pve: &Pve, vmid: Vmid) -> Result<Self> {
        let found = guests(pve)?.into_iter().find(|guest| guest.vmid == vmid);
        if let Some(guest) = found {
            // What is odd about other guests has nothing to do with this one.
            pve.forget_skipped(&resources());
            return Ok(guest);
        }
        let skipped = pve.skipped();
        if let Some(skipped) = &skipped
            && is_listed(pve, vmid)
        {
            return Err(Error::Conflict(format!(
                "guest {vmid} exists, but its entry in the guest list cannot be read, so no tool \
                 can act on it: {skipped}; look at it in the web interface"
            )));
        }
        let skipped = skipped.map_or_else(String::new, |skipped| format!("; {skipped}"));
        Err(Error::NotFound(format!(
            "there is no guest {vmid}, or {}: {} shows the guests that can be seen{skipped}",
            pve.unseen(Some(vmid)),
            tool_names::LIST_GUESTS,
        )))
    }

    /// Finds a guest, refuses one whose node is offline, and does something with
    /// it. This is the way to do anything to a guest; see
    /// [`Self::retry_if_moved`].
    pub(crate) fn with<T>(
        pve: &Pve,
        vmid: Vmid,
        run: impl Fn(&Self) -> Result<T>,
    ) -> Result<(Self, T)> {
        let guest = Self::find(pve, vmid)?;
        guest.reachable(pve)?;
        guest.retry_if_moved(pve, run)
    }

    /// Does something with a guest that was found already. If the guest has left
    /// its node since, which Proxmox reports before it does anything, the guest is
    /// found again and `run` is called once more. Returns the guest where it was
    /// found last.
    pub(crate) fn retry_if_moved<T>(
        self,
        pve: &Pve,
        run: impl Fn(&Self) -> Result<T>,
    ) -> Result<(Self, T)> {
        let gone = match run(&self) {
            Err(Error::GuestMoved(message)) => message,
            other => return Ok((self, other?)),
        };
        let moved = Self::find(pve, self.vmid)?;
        if moved.node == self.node && moved.kind == self.kind {
            return Err(Error::NotFound(gone));
        }
        match run(&moved) {
            Err(Error::GuestMoved(message)) => Err(Error::NotFound(message)),
            other => Ok((moved, other?)),
        }
    }

    /// A call about this guest.
    pub(crate) fn request(&self, call: &'static (impl OfGuest + ?Sized)) -> Request {
        self.request_named(call, [])
    }

    /// A call about something of this guest, such as a snapshot, whose name comes
    /// after the guest in the path.
    pub(crate) fn request_named<const N: usize>(
        &self,
        call: &'static (impl OfGuest + ?Sized),
        names: [&str; N],
    ) -> Request {
        Request::of_guest(call.of_type(self.kind), &self.node, self.vmid, names)
    }

    /// "qemu guest 100 (web01)".
    pub(crate) fn label(&self) -> String {
        let kind = self.kind.as_str();
        match self.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => format!("{kind} guest {} ({name})", self.vmid),
            None => format!("{kind} guest {}", self.vmid),
        }
    }

    /// What high availability calls it: `vm:100`.
    pub(crate) fn ha_id(&self) -> String {
        let kind = match self.kind {
            GuestType::Qemu => "vm",
            GuestType::Lxc => "ct",
        };
        format!("{kind}:{}", self.vmid)
    }

    /// Whether it is running; `status` says paused guests are, too.
    pub(crate) fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Whether it migrates: by its lock, or by what high availability does with it, during
    /// which the lock comes and goes.
    pub(crate) fn is_migrating(&self) -> bool {
        self.lock.as_deref() == Some("migrate")
            || matches!(self.hastate.as_deref(), Some("migrate" | "relocate"))
    }

    /// Its tags, in Proxmox's order.
    pub(crate) fn tags(&self) -> Vec<String> {
        owned_tags(self.tags.as_deref().unwrap_or_default())
    }

    /// Refuses a guest whose node is offline. A status that is not known says
    /// nothing of the node: pvestatd reports a new guest some seconds late, and
    /// nothing at all where it hangs.
    pub(crate) fn reachable(&self, pve: &Pve) -> Result<()> {
        if self.has_known_status() || !pve.membership().has_lost(&self.node) {
            return Ok(());
        }
        Err(Error::Unreachable(format!(
            "{} is on node {}, which is offline: nothing can be read or changed there until the \
             node is back",
            self.label(),
            self.node
        )))
    }

    /// Whether pvestatd has reported the guest. Where it has not, the list has
    /// no name, no numbers and no status of it; [`Self::state`] has the status.
    pub(crate) fn has_known_status(&self) -> bool {
        !matches!(self.status.as_str(), "" | "unknown")
    }
}

/// The tags in a guest's `tags`.
pub(crate) fn owned_tags(text: &str) -> Vec<String> {
    pve_api::tags(text).map(str::to_owned).collect()
}

/// All guests that the token sees, by vmid, in one call that offline nodes do
/// not hold up.
pub(crate) fn guests(pve: &Pve) -> Result<Vec<Guest>> {
    let mut guests: Vec<Guest> = pve.send(&resources(), &Params::new().set("type", "vm"))?;
    order::by_key(&mut guests, |guest| guest.vmid);
    Ok(guests)
}

/// Whether the list has an entry of a vmid, readable or not.
fn is_listed(pve: &Pve, vmid: Vmid) -> bool {
    let entries = pve.send::<Vec<Value>>(&resources(), &Params::new().set("type", "vm"));
    let is = |entry: &Value| {
        let read = |key| serde_json::from_value::<Num<Vmid>>(entry.get(key)?.clone()).ok();
        read("vmid").is_some_and(|found| found.0 == vmid)
    };
    entries.is_ok_and(|entries| entries.iter().any(is))
}

fn resources() -> Request {
    calls::cluster::RESOURCES.at([])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(json: &str) -> Guest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn offline_guests_have_five_fields() {
        let guest =
            guest(r#"{"id":"qemu/300","status":"unknown","type":"qemu","vmid":300,"node":"pve2"}"#);
        assert_eq!(guest.label(), "qemu guest 300");
        assert!(!guest.has_known_status());
        assert_eq!(
            guest
                .request_named(&calls::snapshots::DELETE, ["a/b"])
                .to_string(),
            "DELETE /nodes/pve2/qemu/300/snapshot/a%2Fb"
        );
    }

    #[test]
    fn tags_by_any_separator() {
        let guest = guest(
            r#"{"status":"running","type":"lxc","vmid":200,"node":"pve1","tags":"prod;web,a b"}"#,
        );
        assert_eq!(guest.tags(), ["prod", "web", "a", "b"]);
    }
}
