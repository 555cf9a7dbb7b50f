//! Why a running guest cannot be reached.

use std::net::IpAddr;

use super::cause::{Cause, Certainty};
use super::node::NodeFacts;
use crate::pve::{Guest, GuestState, GuestType, Nic, PendingConfig};
use crate::tools::firewall::{GuestPath, Verdict};
use crate::tools::guests::InsideInterface;
use crate::tools::inspect::get_guest_agent_info::FullFilesystem;
use crate::{text, tool_names};

/// What was asked about, and what is known of the way to the guest.
#[derive(Debug, Default)]
pub(crate) struct Path {
    /// The address that somebody tries.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
    /// The guest's interfaces by its own account; absent if it does not tell.
    pub(crate) inside: Option<Vec<InsideInterface>>,
    /// What Proxmox says of an agent that is enabled and does not run.
    pub(crate) silent_agent: Option<String>,
    pub(crate) firewall: Option<GuestPath>,
    /// Filesystems of the guest that are full, or nearly so.
    pub(crate) full: Vec<FullFilesystem>,
}

/// An address inside a guest, which may name its interface: `fe80::1%eth0`.
fn parsed(address: &str) -> Option<IpAddr> {
    address.split('%').next()?.trim().parse().ok()
}

fn is_same_mac(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Path {
    /// The addresses that the guest has.
    pub(crate) fn addresses(&self) -> Option<Vec<&str>> {
        let inside = self.inside.as_ref()?;
        let all = inside.iter().flat_map(|one| &one.addresses);
        Some(all.map(String::as_str).collect())
    }

    /// The card that the trouble is about: the only one, or that with the address.
    fn concerned<'a>(&self, nics: &'a [Nic]) -> Option<&'a Nic> {
        if let [only] = nics {
            return Some(only);
        }
        let wanted = Some(self.address?);
        let inside = self.inside.as_ref()?.iter().find(|one| {
            let mut addresses = one.addresses.iter();
            addresses.any(|address| parsed(address) == wanted)
        })?;
        let mac = inside.mac.as_deref()?;
        nics.iter()
            .find(|nic| nic.mac.as_deref().is_some_and(|own| is_same_mac(own, mac)))
    }
}

/// Causes of a VM that runs and does not: paused, out of space, crashed.
pub(crate) fn of_state(guest: &Guest, state: &GuestState) -> Option<Cause> {
    let said = state.qmpstatus.as_deref()?;
    let is_in_backup = state.lock() == Some("backup");
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
        "paused" | "suspended" if is_in_backup => Cause::likely(
            "a backup in suspend mode has paused it",
            format!(
                "wait until the backup has ended ({}): it resumes the VM",
                tool_names::LIST_TASKS
            ),
        ),
        "paused" | "suspended" => Cause::certain(
            "it is paused",
            format!("resume it with {}", tool_names::RESUME_GUEST),
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
        "watchdog" => Cause::certain(
            "its watchdog has halted it: the system inside no longer answered",
            format!(
                "look at its screen ({}), then {}",
                tool_names::GET_CONSOLE_URL,
                tool_names::RESTART_GUEST
            ),
        ),
        "debug" => Cause::certain(
            "a debugger has halted it",
            format!("resume it with {}", tool_names::RESUME_GUEST),
        ),
        "shutdown" => Cause::certain(
            "its system has shut down, but its QEMU process remains",
            format!(
                "end the process with {}, then {}",
                tool_names::STOP_GUEST,
                tool_names::START_GUEST
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

/// Causes on the way to the guest. Its cards are absent if they cannot be read.
pub(crate) fn of_path(
    guest: &Guest,
    state: &GuestState,
    config: &PendingConfig,
    nics: Option<&[Nic]>,
    facts: &NodeFacts,
    path: &Path,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(nics) = nics {
        causes.extend(of_nics(guest, nics, config, facts, path));
    }
    causes.extend(of_addresses(guest, path));
    causes.extend(of_firewall(guest, nics.unwrap_or_default(), path));
    causes.extend(path.full.iter().map(of_filesystem));
    causes.extend(of_load(state));
    causes
}

fn of_nics(
    guest: &Guest,
    nics: &[Nic],
    config: &PendingConfig,
    facts: &NodeFacts,
    path: &Path,
) -> Vec<Cause> {
    if nics.is_empty() {
        return vec![Cause::certain(
            "it has no network card",
            format!("add one with {}", tool_names::SET_NIC),
        )];
    }
    let all = |nic| {
        let mut causes = of_nic(guest, nic, config, facts);
        causes.extend(of_mac(nic, path));
        causes
    };
    match path.concerned(nics) {
        Some(nic) => all(nic),
        // Another card may be the one that matters.
        None => nics
            .iter()
            .flat_map(all)
            .map(|cause| cause.at_most(Certainty::Likely))
            .collect(),
    }
}

/// A card that the system inside does not show.
fn of_mac(nic: &Nic, path: &Path) -> Option<Cause> {
    let own = nic.mac.as_deref().filter(|_| !nic.link_down)?;
    let inside = path.inside.as_ref()?;
    let mut macs = inside
        .iter()
        .filter_map(|one| one.mac.as_deref())
        .peekable();
    macs.peek()?;
    let has = macs.any(|mac| is_same_mac(mac, own));
    (!has).then(|| {
        Cause::possible(
            format!(
                "no interface inside the guest has the MAC address of {}: its system does not use \
                 this card, or uses another address, which the firewall's MAC filter stops",
                nic.id
            ),
            format!(
                "compare {} with the network settings inside ({})",
                tool_names::GET_GUEST_NETWORK,
                tool_names::GET_CONSOLE_URL
            ),
        )
        .on(format!("{}: {own}", nic.id))
    })
}

fn of_filesystem(full: &FullFilesystem) -> Cause {
    let fix = format!(
        "free space inside the guest, or grow the disk with {} and the filesystem after it",
        tool_names::RESIZE_DISK
    );
    let cause = if full.is_full {
        Cause::likely(
            "a filesystem inside the guest is full, and services then fail",
            fix,
        )
    } else {
        Cause::possible("a filesystem inside the guest is nearly full", fix)
    };
    cause.on(full.words.clone())
}

fn of_load(state: &GuestState) -> Vec<Cause> {
    let metrics = format!("see for how long with {}", tool_names::GET_GUEST_METRICS);
    let mut causes = Vec::new();
    if let Some(cpu) = state.cpu.filter(|cpu| cpu.0 >= BUSY) {
        causes.push(
            Cause::possible("its processors are fully busy", metrics.clone())
                .on(format!("CPU {}%", text::percent(cpu.0, 1.0))),
        );
    }
    let pressure = [
        (state.pressurecpusome, CPU_PRESSURE, "a processor"),
        (state.pressureiofull, IO_PRESSURE, "disks"),
        (state.pressurememoryfull, MEMORY_PRESSURE, "memory"),
    ];
    for (percent, most, what) in pressure {
        if let Some(percent) = percent.filter(|percent| percent.0 >= most) {
            causes.push(
                Cause::possible(
                    format!("it answers slowly: it waits for {what} much of the time"),
                    metrics.clone(),
                )
                .on(format!(
                    "waited for {what} {}% of the last seconds",
                    text::round(percent.0, 1)
                )),
            );
        }
    }
    causes
}

/// The shares of time, in percent, from which on a guest that waits answers slowly.
const CPU_PRESSURE: f64 = 80.0;
const IO_PRESSURE: f64 = 50.0;
const MEMORY_PRESSURE: f64 = 30.0;

/// The share of its processors from which on a guest answers slowly.
const BUSY: f64 = 0.97;

fn of_nic(guest: &Guest, nic: &Nic, config: &PendingConfig, facts: &NodeFacts) -> Vec<Cause> {
    let mut causes = Vec::new();
    let id = &nic.id;
    if nic.link_down {
        causes.push(
            Cause::certain(
                format!("the link of {id} is down, as if its cable were unplugged"),
                format!("plug it in with {} (link_down: false)", tool_names::SET_NIC),
            )
            .on(format!("{id}: link_down=1")),
        );
    }
    let bridge = nic.bridge.as_deref().and_then(|name| facts.network(name));
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
                    format!(
                        "remove the tag with {} (vlan: 0), or make the bridge VLAN-aware",
                        tool_names::SET_NIC
                    ),
                )
                .on(format!("{id}: tag={tag}")),
            );
        }
    }
    if guest.kind == GuestType::Qemu && nic.bridge.is_none() {
        causes.push(Cause::certain(
            format!("{id} is on no bridge: it reaches out by NAT, and nothing reaches it"),
            format!("choose a bridge with {}", tool_names::SET_NIC),
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
    let Some(addresses) = path.addresses() else {
        // An agent that is off or may not be asked says nothing about the guest.
        let why = path.silent_agent.as_deref()?;
        return Some(
            Cause::possible(
                "its guest agent is enabled but does not run: the guest may still be booting, or \
                 hang",
                console,
            )
            .on(text::cut(why, 200)),
        );
    };
    let is_link_local = |one: &&str| match parsed(one) {
        Some(IpAddr::V4(address)) => address.is_link_local(),
        Some(IpAddr::V6(address)) => address.is_unicast_link_local(),
        None => false,
    };
    if addresses.iter().all(is_link_local) {
        let settings = match guest.kind {
            GuestType::Qemu => tool_names::GET_CLOUD_INIT,
            GuestType::Lxc => tool_names::GET_GUEST,
        };
        let cause = Cause::likely(
            "it has no address: DHCP does not answer, its VLAN is wrong, or none is configured",
            format!("compare {settings} and its VLAN; {console}"),
        );
        return Some(if addresses.is_empty() {
            cause.on("its own system reports none")
        } else {
            cause.on(format!("only {}", text::names(addresses)))
        });
    }
    let wanted = path.address?;
    let has = addresses.iter().any(|one| parsed(one) == Some(wanted));
    (!has).then(|| {
        Cause::certain(
            format!("it does not have the address {wanted}"),
            "use one of those that it has, or correct its address settings (or DNS)",
        )
        .on(format!("it has {}", text::names(addresses)))
    })
}

fn of_firewall(guest: &Guest, nics: &[Nic], path: &Path) -> Vec<Cause> {
    let Some(firewall) = &path.firewall else {
        return Vec::new();
    };
    let concerned = path.concerned(nics);
    if firewall.in_effect == Some(false) || concerned.is_some_and(|nic| !nic.firewall) {
        return Vec::new();
    }
    // The rules apply to some cards only, and which one matters is not known.
    let is_for_some = concerned.is_none() && nics.iter().any(|nic| !nic.firewall);
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
    let is_sure = firewall.in_effect == Some(true) && !is_for_some;
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
        let config = match net {
            "" => json!({}),
            net => json!({"net0": net}),
        };
        of_config(config, facts, path)
    }

    fn of_config(config: serde_json::Value, facts: &NodeFacts, path: &Path) -> String {
        let config = GuestConfig::sample(GuestType::Qemu, config);
        let state: GuestState = serde_json::from_value(json!({"status": "running"})).unwrap();
        let found = of_path(
            &guest(),
            &state,
            &PendingConfig::from(&config),
            Some(&config.nics()),
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
            networks: serde_json::from_value(json!([
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
            inside: Some(vec![InsideInterface {
                mac: Some("bc:24:11:00:00:01".to_owned()),
                addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
            }]),
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
            address: "192.0.2.9".parse().ok(),
            ..path(&["192.0.2.5"])
        };
        assert!(causes(&net, &facts, &wrong).contains("Certain: it does not have the address"));
        assert!(causes(&net, &facts, &path(&["169.254.1.2"])).contains("has no address"));
        let written_otherwise = Path {
            address: "2001:db8:0::5".parse().ok(),
            ..path(&["fe80::1%eth0", "2001:0db8::5"])
        };
        assert_eq!(causes(&net, &facts, &written_otherwise), "");
        let silent = Path {
            silent_agent: Some("QEMU guest agent is not running".into()),
            ..Path::default()
        };
        assert!(causes(&net, &facts, &silent).contains("Possible: its guest agent"));
        // An agent that is off is no evidence.
        assert_eq!(causes(&net, &facts, &Path::default()), "");
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
    fn cards_that_are_not_concerned() {
        let facts = facts();
        let two = json!({
            "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=0",
            "net1": "virtio=BC:24:11:00:00:02,bridge=vmbr0,firewall=1,link_down=1",
        });
        let dropped = || GuestPath {
            in_effect: Some(true),
            verdict: Verdict::Policy {
                policy: "DROP".into(),
            },
            ignored: Vec::new(),
        };
        let asked = Path {
            address: "192.0.2.5".parse().ok(),
            port: Some(22),
            firewall: Some(dropped()),
            ..path(&["192.0.2.5"])
        };
        assert_eq!(of_config(two.clone(), &facts, &asked), "");
        let unknown = Path {
            port: Some(22),
            firewall: Some(dropped()),
            ..path(&["192.0.2.5"])
        };
        let said = of_config(two, &facts, &unknown);
        assert!(said.contains("Likely: the link of net1 is down"), "{said}");
        assert!(
            said.contains("Likely: its firewall stops TCP port 22"),
            "{said}"
        );
    }

    #[test]
    fn what_could_not_be_read_is_no_cause() {
        let state: GuestState = serde_json::from_value(json!({"status": "running"})).unwrap();
        let config = PendingConfig::default();
        let path = Path::default();
        let found = of_path(
            &guest(),
            &state,
            &config,
            None,
            &NodeFacts::default(),
            &path,
        );
        assert!(found.is_empty(), "{found:?}");
        assert!(causes("", &facts(), &path).starts_with("Certain: it has no network card"));
    }

    #[test]
    fn a_mac_address_that_differs_inside() {
        let inside = path(&["192.0.2.5"]);
        let said = causes("virtio=BC:24:11:00:00:07,bridge=vmbr0", &facts(), &inside);
        assert!(said.starts_with("Possible: no interface inside"), "{said}");
    }

    #[test]
    fn full_disks_and_pressure() {
        let of = |is_full| {
            of_filesystem(&FullFilesystem {
                words: "/ is 95% full".into(),
                is_full,
            })
            .certainty
        };
        assert_eq!(
            (of(true), of(false)),
            (Certainty::Likely, Certainty::Possible)
        );
        let state: GuestState = serde_json::from_value(
            json!({"status": "running", "pressureiofull": "63.21", "pressurecpusome": null,
                "pressurememoryfull": 3}),
        )
        .unwrap();
        let found = of_load(&state);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].evidence,
            ["waited for disks 63.2% of the last seconds"]
        );
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
        for (halted, words) in [
            ("watchdog", "its watchdog"),
            ("debug", "a debugger"),
            ("shutdown", "has shut down"),
        ] {
            assert!(of(halted).unwrap().contains(words), "{halted}");
        }
        let in_backup: GuestState = serde_json::from_value(
            json!({"status": "running", "qmpstatus": "paused", "lock": "backup"}),
        )
        .unwrap();
        let cause = of_state(&guest(), &in_backup).unwrap();
        assert!(!cause.fix.contains("resume_guest"), "{cause:?}");
    }
}
