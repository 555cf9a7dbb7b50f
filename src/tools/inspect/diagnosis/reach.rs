//! Why a running guest cannot be reached.

use super::cause::Cause;
use super::node::NodeFacts;
use super::start::missing_bridge;
use crate::pve::{Guest, GuestState, GuestType, Nic, PendingConfig};
use crate::tools::firewall::{GuestPath, Verdict};
use crate::{text, tool_names};

/// What was asked about, and what is known of the way to the guest.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// The address that somebody tries.
    pub(crate) address: Option<String>,
    pub(crate) port: Option<u16>,
    /// Those that the guest has; absent if it does not tell.
    pub(crate) addresses: Option<Vec<String>>,
    /// Why its agent does not tell.
    pub(crate) agent: Option<String>,
    pub(crate) firewall: Option<GuestPath>,
    /// Filesystems of the guest that are full.
    pub(crate) full: Vec<String>,
}

/// Causes of a VM that runs and does not: paused, out of space, crashed.
pub(crate) fn of_state(guest: &Guest, state: &GuestState) -> Option<Cause> {
    let said = state.qmpstatus.as_deref()?;
    let resume = format!("then {}", tool_names::RESUME_GUEST);
    let cause = match said {
        "io-error" => Cause::certain(
            "it is halted by an I/O error: mostly its storage or thin pool is full",
            format!(
                "make room ({}, {} of {}), {resume}",
                tool_names::LIST_STORAGE,
                tool_names::GET_NODE_HEALTH,
                guest.node
            ),
        ),
        "paused" | "suspended" => Cause::certain(
            "it is paused",
            format!("{} continues it", tool_names::RESUME_GUEST),
        ),
        "prelaunch" => Cause::certain(
            "its process runs, but it has not been started: a backup of a stopped VM does this",
            format!(
                "wait for the backup ({}), then start it",
                tool_names::LIST_TASKS
            ),
        ),
        "guest-panicked" => Cause::certain(
            "its system has crashed (kernel panic)",
            format!(
                "look at its screen ({}), then {}",
                tool_names::GET_CONSOLE_URL,
                tool_names::RESTART_GUEST
            ),
        ),
        "internal-error" => Cause::certain(
            "its virtual machine has failed",
            format!("stop it with {} and start it again", tool_names::STOP_GUEST),
        ),
        _ => return None,
    };
    Some(cause.on(format!("QEMU says {said}")))
}

/// Causes on the way to the guest.
pub(crate) fn of_path(
    guest: &Guest,
    state: &GuestState,
    config: &PendingConfig,
    nics: &[Nic],
    facts: &NodeFacts,
    path: &Path,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if nics.is_empty() {
        causes.push(Cause::certain(
            "it has no network card",
            "add one in the guest's hardware in the web interface",
        ));
    }
    for nic in nics {
        causes.extend(of_nic(guest, nic, config, facts));
    }
    causes.extend(of_addresses(guest, path));
    causes.extend(of_firewall(guest, path));
    for full in &path.full {
        causes.push(
            Cause::likely(
                "a filesystem inside the guest is full, and services then fail",
                format!(
                    "free space inside the guest, or grow the disk with {} and the filesystem \
                     after it",
                    tool_names::RESIZE_DISK
                ),
            )
            .on(full.clone()),
        );
    }
    if let Some(cpu) = state.cpu.filter(|cpu| cpu.0 >= BUSY) {
        causes.push(
            Cause::possible(
                "its processors are fully busy",
                format!("see for how long with {}", tool_names::GET_GUEST_METRICS),
            )
            .on(format!("CPU {}%", text::percent(cpu.0, 1.0))),
        );
    }
    causes
}

/// The share of its processors from which on a guest answers slowly.
const BUSY: f64 = 0.97;

fn of_nic(guest: &Guest, nic: &Nic, config: &PendingConfig, facts: &NodeFacts) -> Vec<Cause> {
    let mut causes = Vec::new();
    let id = &nic.id;
    if nic.link_down {
        causes.push(
            Cause::certain(
                format!("the link of {id} is down, as if its cable were unplugged"),
                format!("clear Disconnect of {id} in the guest's hardware in the web interface"),
            )
            .on(format!("{id}: link_down=1")),
        );
    }
    causes.extend(missing_bridge(guest, nic, facts));
    let bridge = nic.bridge.as_deref().and_then(|name| {
        let bridges = facts.bridges.as_ref()?;
        bridges.iter().find(|one| one.iface == name)
    });
    if let Some(bridge) = bridge {
        if !bridge.active.0 {
            causes.push(Cause::certain(
                format!(
                    "{id} is on {}, which is down on node {}",
                    bridge.iface, guest.node
                ),
                format!(
                    "see {} of {}, and apply the node's network configuration",
                    tool_names::LIST_NETWORKS,
                    guest.node
                ),
            ));
        }
        if let Some(tag) = nic
            .vlan
            .filter(|_| !bridge.is_vlan_aware() && !bridge.has_ports())
        {
            causes.push(
                Cause::likely(
                    format!(
                        "{id} has a VLAN tag, but {} is neither VLAN-aware nor has a port to put \
                         it on",
                        bridge.iface
                    ),
                    "remove the tag, or make the bridge VLAN-aware",
                )
                .on(format!("{id}: tag={tag}")),
            );
        }
    }
    if guest.kind == GuestType::Qemu && nic.bridge.is_none() {
        causes.push(Cause::certain(
            format!("{id} is on no bridge: it reaches out by NAT, and nothing reaches it"),
            "choose a bridge in the guest's hardware in the web interface",
        ));
    }
    if config.waits(id) {
        causes.push(Cause::possible(
            format!("a change of {id} waits for a restart"),
            format!("{} applies it", tool_names::RESTART_GUEST),
        ));
    }
    causes
}

fn of_addresses(guest: &Guest, path: &Path) -> Option<Cause> {
    let console = format!("look inside with {}", tool_names::GET_CONSOLE_URL);
    let Some(addresses) = &path.addresses else {
        let why = path.agent.clone()?;
        return Some(
            Cause::possible(
                "its guest agent does not answer, so its addresses are unknown: it may still be \
                 booting, hang, or have no agent",
                console,
            )
            .on(text::cut(&why, 200)),
        );
    };
    let has_link_local_only = !addresses.is_empty()
        && addresses
            .iter()
            .all(|one| one.starts_with("169.254.") || one.to_lowercase().starts_with("fe80:"));
    if addresses.is_empty() || has_link_local_only {
        let settings = match guest.kind {
            GuestType::Qemu => tool_names::GET_CLOUD_INIT,
            GuestType::Lxc => tool_names::GET_GUEST,
        };
        let cause = Cause::likely(
            "it has no address: DHCP does not answer, its VLAN is wrong, or none is configured",
            format!("compare {settings} and its VLAN; {console}"),
        );
        return Some(if has_link_local_only {
            cause.on(format!("only {}", addresses.join(", ")))
        } else {
            cause.on("its own system reports none")
        });
    }
    let wanted = path.address.as_deref()?;
    (!addresses.iter().any(|one| one.eq_ignore_ascii_case(wanted))).then(|| {
        Cause::certain(
            format!("it does not have the address {}", text::cut(wanted, 60)),
            "use one of those that it has, or correct its address settings (or DNS)",
        )
        .on(format!(
            "it has {}",
            text::names(addresses.iter().map(String::as_str))
        ))
    })
}

fn of_firewall(guest: &Guest, path: &Path) -> Vec<Cause> {
    let Some(firewall) = &path.firewall else {
        return Vec::new();
    };
    if firewall.in_effect == Some(false) {
        return Vec::new();
    }
    let what = path.port.map_or_else(
        || "connections to it".to_owned(),
        |port| format!("TCP port {port}"),
    );
    let fix = format!(
        "{} of {} shows the rules; {} lets it in",
        tool_names::AUDIT_FIREWALL,
        guest.vmid,
        tool_names::ADD_FIREWALL_RULE
    );
    let is_sure = firewall.in_effect == Some(true);
    let mut causes = Vec::new();
    let stopped = |cause: String| {
        if is_sure && path.port.is_some() {
            Cause::certain(cause, fix.clone())
        } else {
            Cause::likely(cause, fix.clone())
        }
    };
    match &firewall.verdict {
        Verdict::Open => {}
        Verdict::Policy { policy } => causes.push(
            stopped(format!("its firewall stops {what}: no rule accepts it"))
                .on(format!("policy_in {policy}")),
        ),
        Verdict::Stopped { rule } => {
            causes.push(stopped(format!("its firewall stops {what}")).on(rule.clone()));
        }
        Verdict::OnlyFrom { rule, source } => causes.push(
            Cause::possible(
                format!("its firewall lets in {what} from some addresses only"),
                fix,
            )
            .on(format!("{rule}: source {}", text::cut(source, 80))),
        ),
    }
    if !firewall.ignored.is_empty() {
        let mut cause = Cause::possible(
            "Proxmox ignores some of its firewall rules",
            format!("correct them: {}", tool_names::AUDIT_FIREWALL),
        );
        for ignored in firewall.ignored.iter().take(3) {
            cause = cause.on(ignored.clone());
        }
        causes.push(cause);
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::GuestConfig;
    use serde_json::json;

    fn guest() -> Guest {
        serde_json::from_value(json!({
            "vmid": 105, "type": "qemu", "node": "alpha", "status": "running", "name": "web"
        }))
        .unwrap()
    }

    fn causes(net: &str, facts: &NodeFacts, path: &Path) -> String {
        let config = GuestConfig::sample(GuestType::Qemu, json!({"net0": net}));
        let state: GuestState = serde_json::from_value(json!({"status": "running"})).unwrap();
        let found = of_path(
            &guest(),
            &state,
            &PendingConfig::from(&config),
            &config.nics(),
            facts,
            path,
        );
        let said: Vec<String> = found
            .iter()
            .map(|one| format!("{:?}: {}", one.certainty, one.cause))
            .collect();
        said.join("\n")
    }

    fn facts() -> NodeFacts {
        NodeFacts {
            bridges: serde_json::from_value(json!([
                {"iface": "vmbr0", "type": "bridge", "active": 1, "bridge_ports": "nic0"},
                {"iface": "vmbr1", "type": "bridge", "bridge_ports": ""},
            ]))
            .unwrap(),
            ..NodeFacts::default()
        }
    }

    const CARD: &str = "virtio=BC:24:11:00:00:01,bridge=";

    fn path(addresses: &[&str]) -> Path {
        Path {
            addresses: Some(addresses.iter().map(|one| (*one).to_owned()).collect()),
            ..Path::default()
        }
    }

    #[test]
    fn a_healthy_guest_has_no_causes() {
        let said = causes(&format!("{CARD}vmbr0"), &facts(), &path(&["192.0.2.5"]));
        assert_eq!(said, "");
    }

    #[test]
    fn cards_and_bridges() {
        let said = causes(
            &format!("{CARD}vmbr1,tag=30,link_down=1"),
            &facts(),
            &path(&["192.0.2.5"]),
        );
        for words in [
            "link of net0 is down",
            "vmbr1, which is down",
            "has a VLAN tag",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn addresses_that_are_not_the_one_that_is_tried() {
        let facts = facts();
        let net = format!("{CARD}vmbr0");
        let wrong = Path {
            address: Some("192.0.2.9".into()),
            ..path(&["192.0.2.5"])
        };
        assert!(causes(&net, &facts, &wrong).contains("Certain: it does not have the address"));
        assert!(causes(&net, &facts, &path(&["169.254.1.2"])).contains("has no address"));
        let silent = Path {
            agent: Some("does not answer".into()),
            ..Path::default()
        };
        assert!(causes(&net, &facts, &silent).contains("Possible: its guest agent"));
    }

    #[test]
    fn the_firewall_counts_where_it_is_in_effect() {
        let facts = facts();
        let net = format!("{CARD}vmbr0,firewall=1");
        let with = |in_effect, verdict| Path {
            port: Some(22),
            firewall: Some(GuestPath {
                in_effect,
                verdict,
                ignored: Vec::new(),
            }),
            ..path(&["192.0.2.5"])
        };
        let policy = Verdict::Policy {
            policy: "DROP".into(),
        };
        let said = causes(&net, &facts, &with(Some(true), policy.clone()));
        assert!(
            said.contains("Certain: its firewall stops TCP port 22"),
            "{said}"
        );
        assert!(causes(&net, &facts, &with(None, policy.clone())).contains("Likely"));
        assert_eq!(causes(&net, &facts, &with(Some(false), policy)), "");
    }

    #[test]
    fn states_of_qemu() {
        let of = |said: &str| {
            let state: GuestState =
                serde_json::from_value(json!({"status": "running", "qmpstatus": said})).unwrap();
            of_state(&guest(), &state).map(|cause| cause.cause)
        };
        assert!(of("io-error").unwrap().contains("I/O error"));
        assert!(of("paused").unwrap().contains("paused"));
        assert_eq!(of("running"), None);
    }
}
