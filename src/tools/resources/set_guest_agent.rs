//! `set_guest_agent`: says whether a VM has the QEMU guest agent.

use pve_api::calls;
use schemars::JsonSchema;

use super::hardware::{readable, write};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestType, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// Whether a VM has the guest agent.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetGuestAgent {
    vmid: Vmid,
    /// True where the agent is installed inside.
    enabled: bool,
}

impl Run for SetGuestAgent {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(&calls::guests::SET_CONFIG.qemu, "agent"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let (_, report) = Guest::with(pve, self.vmid, |guest| {
            if guest.kind == GuestType::Lxc {
                return Err(Error::Conflict(format!(
                    "{} is a container, which needs no guest agent",
                    guest.label()
                )));
            }
            let before = readable(pve, guest, "agent")?;
            let value = switched(before.wanted("agent").unwrap_or_default(), self.enabled);
            let word = if self.enabled { "enable" } else { "disable" };
            let action = format!("{word} the guest agent of {}", guest.label());
            if is_on(before.wanted("agent")) == self.enabled && !before.waits("agent") {
                return Ok(Report::unchanged(action).on(guest));
            }
            write(pve, guest, &before, ("agent", &value), action)
        })?;
        Ok(Reply::report(report))
    }
}

fn is_on(value: Option<&str>) -> bool {
    let head = value
        .unwrap_or_default()
        .split(',')
        .next()
        .unwrap_or_default();
    matches!(head.strip_prefix("enabled=").unwrap_or(head), "1" | "on")
}

/// The setting with the switch in another position, and its options as they are.
fn switched(value: &str, on: bool) -> String {
    let is_switch = |part: &&str| part.starts_with("enabled=") || !part.contains('=');
    let options = value.split(',').filter(|part| !is_switch(part));
    let switch = u8::from(on).to_string();
    std::iter::once(switch.as_str())
        .chain(options)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stay() {
        for (value, on, becomes) in [
            ("", true, "1"),
            ("1", false, "0"),
            ("0,fstrim_cloned_disks=1", true, "1,fstrim_cloned_disks=1"),
            ("type=isa,enabled=1", false, "0,type=isa"),
        ] {
            assert_eq!(switched(value, on), becomes);
            assert!(pve_api::hardware::is_agent(becomes), "{becomes}");
        }
        assert!(is_on(Some("enabled=1,type=isa")) && !is_on(Some("0")) && !is_on(None));
    }
}
