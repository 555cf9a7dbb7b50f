//! `get_console_url`: the address under which the web interface opens a guest's console.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, GuestConfig, GuestType, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run};
use crate::tool_names;

/// The address of a guest's console.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetConsoleUrl {
    vmid: Vmid,
    /// Default: novnc for a VM, xtermjs (a terminal) for a container. For xtermjs a VM needs serial0.
    viewer: Option<Viewer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Viewer {
    Novnc,
    Xtermjs,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct Console {
    url: String,
    vmid: Vmid,
    node: String,
    viewer: Viewer,
    hint: String,
}

impl Run for GetConsoleUrl {
    type Output = Console;

    const CALLS: &'static [Calls] = &[Calls::All(LOOK_UP), Calls::Guest(&calls::guests::CONFIG)];

    fn run(self, pve: &Pve) -> Result<Reply<Console>> {
        let guest = Guest::find(pve, self.vmid)?;
        guest.reachable(pve)?;
        if guest.template.0 {
            return Err(Error::Conflict(format!(
                "{} is a template, which never runs and has no console: make a guest of it with {}",
                guest.label(),
                tool_names::CLONE_GUEST
            )));
        }
        let viewer = self.viewer.unwrap_or(match guest.kind {
            GuestType::Qemu => Viewer::Novnc,
            GuestType::Lxc => Viewer::Xtermjs,
        });
        if guest.kind == GuestType::Qemu && viewer == Viewer::Xtermjs {
            let (_, config) =
                Guest::with(pve, self.vmid, |guest| Ok(GuestConfig::read(pve, guest)?))?;
            if config.get("serial0").is_none() {
                return Err(Error::Conflict(format!(
                    "{} has no serial port for a terminal: take viewer novnc, or add one with qm \
                     set {} --serial0 socket on the node and let the guest's system use ttyS0",
                    guest.label(),
                    guest.vmid
                )));
            }
        }
        let url = address(pve.base(), &guest, viewer);
        let mut hint = format!(
            "open it in a browser that is logged in to {} as a user with VM.Console on /vms/{}; \
             the API token does not count there",
            pve.base(),
            guest.vmid
        );
        if guest.status == "stopped" {
            hint.push_str("; the guest seems to be stopped: its console is empty until it starts");
        }
        let text = format!("console of {}: {url}", guest.label());
        Ok(Reply::Done(
            Console {
                url,
                vmid: guest.vmid,
                node: guest.node,
                viewer,
                hint,
            },
            text,
        ))
    }
}

/// The address, with the parameters in the web interface's own order.
fn address(base: &str, guest: &Guest, viewer: Viewer) -> String {
    let kind = match guest.kind {
        GuestType::Qemu => "kvm",
        GuestType::Lxc => "lxc",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("console", kind);
    query.append_pair(
        match viewer {
            Viewer::Novnc => "novnc",
            Viewer::Xtermjs => "xtermjs",
        },
        "1",
    );
    query.append_pair("vmid", &guest.vmid.to_string());
    query.append_pair("vmname", guest.name.as_deref().unwrap_or_default());
    query.append_pair("node", &guest.node);
    if viewer == Viewer::Novnc {
        query.append_pair("resize", "off");
    }
    query.append_pair("cmd", "");
    format!("{base}/?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guest(json: &str) -> Guest {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn addresses_as_the_web_interface_forms_them() {
        let vm = guest(r#"{"vmid":100,"type":"qemu","node":"pve1","name":"web01"}"#);
        let ct = guest(r#"{"vmid":200,"type":"lxc","node":"pve1","name":"ct01"}"#);
        let base = "https://pve:8006";
        assert_eq!(
            address(base, &vm, Viewer::Novnc),
            "https://pve:8006/?console=kvm&novnc=1&vmid=100&vmname=web01&node=pve1&resize=off&cmd="
        );
        assert_eq!(
            address(base, &vm, Viewer::Xtermjs),
            "https://pve:8006/?console=kvm&xtermjs=1&vmid=100&vmname=web01&node=pve1&cmd="
        );
        assert_eq!(
            address("https://gate/pve", &ct, Viewer::Xtermjs),
            "https://gate/pve/?console=lxc&xtermjs=1&vmid=200&vmname=ct01&node=pve1&cmd="
        );
    }

    proptest! {
        #[test]
        fn any_name_survives(name in any::<String>()) {
            let mut vm = guest(r#"{"vmid":100,"type":"qemu","node":"pve1"}"#);
            vm.name = Some(name.clone());
            let url = url::Url::parse(&address("https://pve:8006", &vm, Viewer::Novnc)).unwrap();
            let found = url.query_pairs().find(|(key, _)| key == "vmname").unwrap().1.into_owned();
            prop_assert_eq!(found, name);
        }
    }
}
