//! `create_container`: makes a container from a template.

use pve_api::{GuestType, calls, hardware};
use schemars::JsonSchema;

use super::appliance::index;
use super::creation::{Creation, Download, REMOVAL, Step, Wanted, start_hint};
use super::download_template::known;
use super::preflight::{
    Addresses, NewGuest, Place, card, check_dns, check_names, check_tags, check_wait, read_keys,
    set_common, set_dns,
};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Content, Pve, StorageStatus, Vmid, storages, volumes};
use crate::text;
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::secret::Secret;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::tool_names;
use crate::tools::cloudinit::keys::SshKey;

/// A new container.
#[derive(DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateContainer {
    /// Its host name.
    name: String,
    /// A volume on a storage, or a name of the appliance index such as debian-13-standard: downloaded if missing.
    #[schemars(length(min = 1, max = 255))]
    template: String,
    /// Default: the next free one.
    new_vmid: Option<Vmid>,
    /// Default: the only one online.
    node: Option<String>,
    /// For its root disk. Default: the only suitable one.
    storage: Option<String>,
    /// Default: 8G.
    disk_size: Option<String>,
    /// Default: 512.
    #[schemars(range(min = 16, max = 4_000_000))]
    memory_mib: Option<u32>,
    /// Default: 512.
    #[schemars(range(max = 4_000_000))]
    swap_mib: Option<u32>,
    /// Default: 1.
    #[schemars(range(min = 1, max = 512))]
    cores: Option<u32>,
    /// Default: vmbr0, or the only one.
    bridge: Option<String>,
    /// VLAN tag.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u32>,
    /// CIDR, dhcp (default) or none.
    ipv4: Option<String>,
    /// Its gateway.
    ipv4_gateway: Option<String>,
    /// CIDR, dhcp, auto or none.
    ipv6: Option<String>,
    /// Its gateway.
    ipv6_gateway: Option<String>,
    /// IP addresses.
    #[schemars(length(max = 8), extend("x-splits" = "words"))]
    dns_servers: Option<Vec<String>>,
    /// Of root; sshd usually takes only keys.
    #[schemars(length(min = 5, max = 64), extend("writeOnly" = true))]
    password: Option<Secret>,
    /// Public keys of root, each a whole .pub line.
    #[schemars(length(max = 64), extend("x-splits" = "lines"))]
    ssh_keys: Option<Vec<String>>,
    /// Default: true; systemd needs it.
    nesting: Option<bool>,
    /// Pool to put it in.
    pool: Option<String>,
    /// Its tags.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    tags: Option<Vec<String>>,
    /// Notes.
    description: Option<String>,
    /// Start it. Default: false.
    start: Option<bool>,
    /// After the start, wait until it has an address.
    wait_for_address: Option<bool>,
    /// Only show the plan.
    preview: Option<bool>,
    /// False: return after the first step has begun.
    wait: Option<bool>,
}

impl Run for CreateContainer {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::One(&calls::cluster::NEXT_ID),
        Calls::With(
            &calls::create::CONTAINER,
            "cores&hostname&memory&net#&rootfs",
        ),
        Calls::One(&calls::guests::CONTAINER_INTERFACES),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::NETWORK),
        Calls::One(&calls::power::START.lxc),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::DOWNLOAD_TEMPLATE),
        Calls::One(&calls::storage::LIST),
        Calls::One(&calls::storage::TEMPLATES),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("vmid", "new_vmid"),
        ("hostname", "name"),
        ("ostemplate", "template"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let keys = self.check()?;
        let size = self.disk_size.as_deref().unwrap_or("8G");
        let gib = crate::tools::resources::hardware::gibibytes("disk_size", size)?;
        let place = NewGuest {
            new_vmid: self.new_vmid,
            node: self.node.as_deref(),
            storage: self.storage.as_deref(),
            content: Content::Rootdir,
            disk_gib: gib,
            bridge: self.bridge.as_deref(),
            pool: self.pool.as_deref(),
            config_privileges: &["CPU", "Disk", "Memory", "Network", "Options"],
        }
        .place(pve)?;
        let (template, download) = self.template(pve, &place)?;
        let mut wanted = self.wanted(&place, gib, &template, &keys);
        wanted.download = download;
        wanted.run(pve, self.preview, self.wait)
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        Creation::resume(pve, state)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        Creation::cancel(pve, state)
    }
}

impl CreateContainer {
    /// Checks what needs no request, and reads the keys.
    fn check(&self) -> Result<Vec<SshKey>> {
        check_names(&self.name, self.storage.as_deref(), self.pool.as_deref())?;
        if self.template.contains(':') && !hardware::is_template(&self.template) {
            return Err(Error::argument(
                "template",
                format!(
                    "must be a container template as {} lists it, such as \
                     local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst, not {}",
                    tool_names::LIST_TEMPLATES,
                    text::quoted(&self.template)
                ),
            ));
        }
        check_wait("container", self.start, self.wait_for_address)?;
        if self
            .password
            .as_ref()
            .is_some_and(|one| one.0.contains(char::is_control))
        {
            return Err(Error::argument(
                "password",
                "must not contain line breaks or control characters",
            ));
        }
        self.addresses().check()?;
        check_tags(self.tags.as_deref())?;
        check_dns(self.dns_servers.as_deref())?;
        read_keys(self.ssh_keys.as_deref())
    }

    fn addresses(&self) -> Addresses<'_> {
        Addresses {
            ipv4: self.ipv4.as_deref(),
            ipv4_gateway: self.ipv4_gateway.as_deref(),
            ipv6: self.ipv6.as_deref(),
            ipv6_gateway: self.ipv6_gateway.as_deref(),
        }
    }

    /// The template's volume, and the download that it takes where no storage of
    /// the node has it.
    fn template(&self, pve: &Pve, place: &Place) -> Result<(String, Option<Download>)> {
        if self.template.contains(':') {
            place.has_file(pve, "template", &self.template, Content::Vztmpl)?;
            return Ok((self.template.clone(), None));
        }
        let mut there = Vec::new();
        let mut target: Option<StorageStatus> = None;
        for storage in storages(pve, &place.node)? {
            if !storage.holds(Content::Vztmpl) || !storage.is_usable() {
                continue;
            }
            let content = Some(Content::Vztmpl);
            there.extend(volumes(pve, &place.node, &storage.storage, content, None)?);
            let room = |one: &StorageStatus| one.avail.as_ref().map_or(0, |avail| avail.0);
            if target
                .as_ref()
                .is_none_or(|best| room(best) < room(&storage))
            {
                target = Some(storage);
            }
        }
        let names = there.iter().map(|volume| volume.name());
        if let Some(name) = newest(&self.template, names)
            && let Some(volume) = there.iter().find(|volume| volume.name() == name)
        {
            return Ok((volume.volid.clone(), None));
        }
        let index = index(pve, &place.node)?.0;
        let offered = index.iter().map(|one| one.template.as_str());
        let Some(name) = newest(&self.template, offered) else {
            known(&index, &self.template, &place.node)?;
            return Err(Error::Internal("a template without a name".into()));
        };
        let Some(target) = target else {
            return Err(Error::Conflict(format!(
                "no storage of node {} that is active holds container templates, so {name} cannot \
                 be downloaded; {} shows what they hold",
                place.node,
                tool_names::LIST_STORAGE
            )));
        };
        let volid = format!("{}:vztmpl/{name}", target.storage);
        let download = Download {
            storage: target.storage,
            template: name.to_owned(),
        };
        Ok((volid, Some(download)))
    }

    fn wanted(&self, place: &Place, gib: u64, template: &str, keys: &[SshKey]) -> Wanted {
        let mut settings: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        set("hostname", self.name.clone());
        set("ostemplate", template.to_owned());
        set("unprivileged", "1".to_owned());
        set("rootfs", format!("{}:{gib}", place.storage));
        set("memory", self.memory_mib.unwrap_or(512).to_string());
        set("swap", self.swap_mib.unwrap_or(512).to_string());
        set("cores", self.cores.unwrap_or(1).to_string());
        let nesting = u8::from(self.nesting.unwrap_or(true));
        set("features", format!("nesting={nesting}"));
        let mut nic = vec![card("name=eth0", &place.bridge, self.vlan)];
        nic.extend(self.addresses().settings());
        set("net0", nic.join(","));
        set_dns(&mut set, self.dns_servers.as_deref());
        if let Some(Secret(password)) = &self.password {
            set("password", password.clone());
        }
        if !keys.is_empty() {
            let lines: Vec<String> = keys.iter().map(SshKey::line).collect();
            set("ssh-public-keys", lines.join("\n"));
        }
        set_common(
            &mut set,
            self.pool.as_deref(),
            self.tags.as_deref(),
            self.description.as_deref(),
        );
        let then = Step::after(self.start, self.wait_for_address);
        let mut warnings = place.warnings.clone();
        if keys.is_empty() && self.password.is_none() {
            warnings.push(
                "neither a password nor a key is given, and they can be set only now: enter it with \
                 pct enter on its node"
                    .to_owned(),
            );
        }
        let start = start_hint(self.start);
        Wanted {
            download: None,
            checked: place.checked.clone(),
            guest_type: GuestType::Lxc,
            node: place.node.clone(),
            vmid: self.new_vmid,
            name: Some(self.name.clone()),
            settings,
            then,
            warnings,
            next_step: format!(
                "{start}{} changes its addresses; {REMOVAL}",
                tool_names::SET_NIC
            ),
        }
    }
}

/// The file that a name means: the one of just this name, or else the newest whose
/// name is this one and a version. `debian-13-standard` means
/// `debian-13-standard_13.1-2_amd64.tar.zst`.
fn newest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let version = |name: &str| -> Vec<u64> {
        let rest = name.get(wanted.len()..).unwrap_or_default();
        rest.split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect()
    };
    let is_meant = |name: &&str| {
        let rest = name.strip_prefix(wanted);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    names
        .filter(is_meant)
        .max_by_key(|name| (*name == wanted, version(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(arguments: Value) -> CreateContainer {
        serde_json::from_value(arguments).unwrap()
    }

    #[test]
    fn what_is_sent_is_in_the_table() {
        let place = Place {
            node: "pve1".into(),
            storage: "local-lvm".into(),
            bridge: "vmbr0".into(),
            free_bytes: None,
            may_set_hardware: true,
            checked: String::new(),
            warnings: Vec::new(),
        };
        let ct = container(
            json!({"name": "ct01", "template": "a.tar.zst", "ipv4": "192.0.2.9/24",
            "ipv4_gateway": "192.0.2.1", "vlan": 7, "password": "hush-hush", "start": true,
            "tags": ["a", "b"], "dns_servers": ["192.0.2.53"]}),
        );
        let keys = ct.check().unwrap();
        let wanted = ct.wanted(&place, 8, "local:vztmpl/a.tar.zst", &keys);
        let settings: Vec<String> = wanted
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            settings,
            [
                "hostname=ct01",
                "ostemplate=local:vztmpl/a.tar.zst",
                "unprivileged=1",
                "rootfs=local-lvm:8",
                "memory=512",
                "swap=512",
                "cores=1",
                "features=nesting=1",
                "net0=name=eth0,bridge=vmbr0,firewall=1,tag=7,ip=192.0.2.9/24,gw=192.0.2.1",
                "nameserver=192.0.2.53",
                "password=hush-hush",
                "tags=a;b",
            ]
        );
        for (name, value) in &wanted.settings {
            assert!(calls::create::CONTAINER.takes_param(name), "{name}");
            assert!(
                name != "net0" || hardware::is_container_nic(value),
                "{value}"
            );
        }
        assert_eq!(wanted.then, [Step::Start]);
        let Reply::Done(report, _) = wanted.preview() else {
            panic!("a preview that runs");
        };
        let shown = serde_json::to_string(&report).unwrap();
        assert!(
            shown.contains("(hidden)") && !shown.contains("hush-hush"),
            "{shown}"
        );
        assert!(!format!("{:?}", ct.password).contains("hush"));
    }

    #[test]
    fn a_name_means_its_newest_version() {
        let all = [
            "debian-13-standard_13.1-2_amd64.tar.zst",
            "debian-13-standard_13.10-1_amd64.tar.zst",
            "debian-13-turnkey-x_19.0-1_amd64.tar.gz",
            "debian-13-standard-extra_99.0-1_amd64.tar.gz",
        ];
        let means = |name| newest(name, all.into_iter());
        assert_eq!(means("debian-13-standard"), Some(all[1]));
        assert_eq!(means(all[0]), Some(all[0]));
        assert_eq!(means("debian-13"), None);
        assert_eq!(means(""), None);
    }

    #[test]
    fn refused_before_anything_is_sent() {
        for (arguments, name) in [
            (json!({"name": "a_b", "template": "a"}), "name"),
            (
                json!({"name": "a", "template": "local:backup/vzdump-lxc-200.tar.zst"}),
                "template",
            ),
            (json!({"name": "a", "template": "a", "ipv4": "x"}), "ipv4"),
            (
                json!({"name": "a", "template": "a", "wait_for_address": true}),
                "wait_for_address",
            ),
            (
                json!({"name": "a", "template": "a", "password": "hush\nhush"}),
                "password",
            ),
        ] {
            let message = container(arguments.clone()).check().unwrap_err().message();
            assert!(
                message.starts_with(&format!("{name}: ")),
                "{arguments}: {message}"
            );
        }
    }
}
