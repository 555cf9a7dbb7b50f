//! Cloud-init: the settings from which a VM sets itself up when it boots.

mod address;
mod keys;
mod mask;

use std::fmt;

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Problem, Result};
use crate::pve::{
    Failure, Format, Guest, GuestConfig, GuestState, Halt, Kind, Num, Params, Properties, Pve, Text,
};
use crate::text;
use crate::tool::report::{Change, Report};
use crate::tool::{Reply, Run};
use crate::tool_names;
use address::{Plan, Wanted};
use keys::SshKey;
use mask::{HIDDEN, mask};

pub(crate) use address::NicAddress;

/// New cloud-init settings for a VM.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCloudInit {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// The account that cloud-init sets up. Empty removes the setting.
    #[schemars(length(max = 64), extend("x-clears" = true))]
    user: Option<String>,
    /// Its password. Empty removes it.
    #[schemars(length(max = 256), extend("writeOnly" = true, "x-clears" = true))]
    password: Option<Secret>,
    /// Public keys, each a whole .pub line; they replace all. [] removes all.
    #[schemars(length(max = 64), extend("x-splits" = "lines"))]
    ssh_keys: Option<Vec<String>>,
    /// Per network card; cards and values that are not given stay.
    #[schemars(length(max = 32))]
    addresses: Option<Vec<Wanted>>,
    /// IP addresses; they replace all. [] removes all.
    #[schemars(length(max = 8), extend("x-splits" = "words"))]
    dns_servers: Option<Vec<String>>,
    /// Empty removes it.
    #[schemars(extend("x-clears" = true))]
    search_domain: Option<String>,
    /// Upgrade packages at the first boot.
    upgrade: Option<bool>,
}

/// A text that no message, no report and no debug print ever shows.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Run for SetCloudInit {
    type Output = Report;

    /// A card may be given by its number alone.
    fn adapt(arguments: &mut Map<String, Value>) {
        let Some(addresses) = arguments.get_mut("addresses") else {
            return;
        };
        if let Value::String(text) = addresses
            && let Ok(parsed) = serde_json::from_str(text)
        {
            *addresses = parsed;
        }
        let addresses = match addresses {
            Value::Array(several) => several.as_mut_slice(),
            one @ Value::Object(_) => std::slice::from_mut(one),
            _ => return,
        };
        for nic in addresses.iter_mut().filter_map(|one| one.get_mut("nic")) {
            let number = match &*nic {
                Value::Number(number) => {
                    let number = number.to_string();
                    number.strip_suffix(".0").unwrap_or(&number).to_owned()
                }
                Value::String(text) => text.clone(),
                _ => continue,
            };
            if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
                *nic = Value::String(format!("net{number}"));
            }
        }
    }

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let wish = self.check()?;
        let (guest, (state, edit)) = Guest::attempt(pve, self.vmid, |guest| {
            let Read { config, state } = Read::new(pve, guest)?;
            state.unlocked(guest)?;
            if drive(&config).is_none() {
                return Err(Halt::Refused(no_drive(guest)));
            }
            let edit = wish.against(guest, &config)?;
            if !edit.is_empty() {
                write(pve, guest, &config, &edit)?;
            }
            Ok((state, edit))
        })?;
        let written = !edit.is_empty();
        // A drive may have been left behind by an earlier call that broke.
        if !written && pending(pve, &guest)?.is_empty() {
            let action = format!("cloud-init of {}", guest.label());
            return Ok(Reply::report(Report::unchanged(action).on(&guest)));
        }
        pve.put::<IgnoredAny>(&guest.path(["cloudinit"]), &Params::new())
            .map_err(|failure| {
                Error::from(failure).context(if written {
                    "the settings are written, but the cloud-init drive was not regenerated: repeat \
                     the call to do so"
                } else {
                    "the cloud-init drive was not regenerated"
                })
            })?;
        Ok(Reply::report(report(&guest, &state, edit)))
    }
}

/// The checked arguments.
#[derive(Debug, Default)]
struct Wish {
    /// An empty text removes the setting.
    user: Option<String>,
    password: Option<Secret>,
    ssh_keys: Option<Vec<SshKey>>,
    addresses: Vec<Plan>,
    dns_servers: Option<String>,
    search_domain: Option<String>,
    upgrade: Option<bool>,
}

/// What is to be written, and what to say about it.
#[derive(Default)]
struct Edit {
    set: Vec<(String, Secret)>,
    delete: Vec<String>,
    changes: Vec<Change>,
    warnings: Vec<String>,
}

/// A VM's configuration and state.
struct Read {
    config: GuestConfig,
    state: GuestState,
}

impl Read {
    fn new(pve: &Pve, guest: &Guest) -> Result<Self, Halt> {
        no_container(guest)?;
        Ok(Self {
            config: GuestConfig::read(pve, guest)?,
            state: guest.state(pve)?,
        })
    }
}

fn no_container(guest: &Guest) -> Result<(), Halt> {
    if guest.kind != Kind::Lxc {
        return Ok(());
    }
    Err(Halt::Refused(Error::Conflict(format!(
        "{} is a container, which has no cloud-init: its SSH keys and password can be set only \
         when it is created, its addresses are settings of its network cards",
        guest.label()
    ))))
}

impl SetCloudInit {
    /// Checks what needs no request.
    fn check(&self) -> Result<Wish> {
        let mut problems = Vec::new();
        let wish = self.wish(&mut problems);
        if !problems.is_empty() {
            return Err(Error::InvalidArguments(problems));
        }
        if wish.is_empty() {
            return Err(Error::InvalidArguments(vec![Problem {
                pointer: String::new(),
                message: "nothing to set: give at least one of user, password, ssh_keys, \
                          addresses, dns_servers, search_domain and upgrade"
                    .into(),
            }]));
        }
        Ok(wish)
    }

    fn wish(&self, problems: &mut Vec<Problem>) -> Wish {
        let mut wish = Wish {
            upgrade: self.upgrade,
            ..Wish::default()
        };
        let mut wrong = |pointer: String, message: String| {
            problems.push(Problem { pointer, message });
        };
        if let Some(user) = &self.user {
            // It goes into a YAML document as it is.
            if !user.is_empty() && !is_user(user) {
                wrong(
                    "/user".into(),
                    "must start with a letter or _, followed by letters, digits, _, -, . and @"
                        .into(),
                );
            }
            wish.user = Some(user.clone());
        }
        if let Some(Secret(password)) = &self.password {
            if password.contains(char::is_control) {
                wrong(
                    "/password".into(),
                    "must not contain line breaks or control characters".into(),
                );
            }
            wish.password = Some(Secret(password.clone()));
        }
        if let Some(lines) = &self.ssh_keys {
            let mut keys: Vec<SshKey> = Vec::new();
            for (index, line) in lines.iter().enumerate() {
                match SshKey::parse(line) {
                    Ok(key) if keys.contains(&key) => {}
                    Ok(key) => keys.push(key),
                    Err(message) => wrong(format!("/ssh_keys/{index}"), message),
                }
            }
            wish.ssh_keys = Some(keys);
        }
        for (index, wanted) in self.addresses.iter().flatten().enumerate() {
            match wanted.check(index) {
                Ok(plan) if wish.addresses.iter().any(|one: &Plan| one.nic == plan.nic) => wrong(
                    format!("/addresses/{index}/nic"),
                    format!("must not repeat {}", plan.nic),
                ),
                Ok(plan) => wish.addresses.push(plan),
                Err(Error::InvalidArguments(more)) => {
                    for problem in more {
                        wrong(problem.pointer, problem.message);
                    }
                }
                Err(error) => wrong(format!("/addresses/{index}"), error.message()),
            }
        }
        if let Some(servers) = &self.dns_servers {
            for (index, server) in servers.iter().enumerate() {
                if server.parse::<std::net::IpAddr>().is_err() {
                    wrong(
                        format!("/dns_servers/{index}"),
                        "must be an IP address, such as 192.0.2.53".into(),
                    );
                }
            }
            wish.dns_servers = Some(servers.join(" "));
        }
        if let Some(domain) = &self.search_domain {
            if !domain.is_empty() && !Format::DnsName.fits(domain) {
                wrong(
                    "/search_domain".into(),
                    "must be a domain name, such as example.com".into(),
                );
            }
            wish.search_domain = Some(domain.clone());
        }
        wish
    }
}

impl Wish {
    fn is_empty(&self) -> bool {
        self.user.is_none()
            && self.password.is_none()
            && self.ssh_keys.is_none()
            && self.addresses.is_empty()
            && self.dns_servers.is_none()
            && self.search_domain.is_none()
            && self.upgrade.is_none()
    }

    /// What it changes about a configuration.
    fn against(&self, guest: &Guest, config: &GuestConfig) -> Result<Edit> {
        let mut edit = Edit::default();
        let plain = |value: &str| value.to_owned();
        if let Some(user) = &self.user {
            edit.put(config, "ciuser", "user", user, plain);
        }
        if let Some(Secret(password)) = &self.password {
            edit.put(config, "cipassword", "password", password, |_| {
                HIDDEN.into()
            });
        }
        if let Some(keys) = &self.ssh_keys {
            let value = keys::encode(keys);
            let lines = |value: &str| keys::decode(value);
            // Proxmox keeps the value as it was written, by whatever encoder.
            if config.is_unreadable("sshkeys")
                || lines(&value) != lines(config.get("sshkeys").unwrap_or_default())
            {
                edit.put(config, "sshkeys", "ssh_keys", &value, key_names);
            }
        }
        for plan in &self.addresses {
            let cards = config.nics();
            let key = plan.key();
            for key in [plan.nic.as_str(), key.as_str()] {
                if config.is_unreadable(key) {
                    return Err(Error::Conflict(format!(
                        "{key} of {}, as Proxmox answered it, cannot be read, and a change would lose \
                         what is there: nothing was changed; look at it in the web interface, and \
                         change it there",
                        guest.label()
                    )));
                }
            }
            if !cards.iter().any(|nic| nic.id == plan.nic) {
                let there: Vec<&str> = cards.iter().map(|nic| nic.id.as_str()).collect();
                return Err(Error::Conflict(format!(
                    "{} has no network card {}; it has {}",
                    guest.label(),
                    plan.nic,
                    if there.is_empty() {
                        "none".into()
                    } else {
                        there.join(", ")
                    }
                )));
            }
            let value = plan.apply(config.get(&key).unwrap_or_default())?;
            edit.warnings.extend(address::warning(&plan.nic, &value));
            edit.put(
                config,
                &key,
                &format!("addresses of {}", plan.nic),
                &value,
                plain,
            );
        }
        if let Some(servers) = &self.dns_servers {
            edit.put(config, "nameserver", "dns_servers", servers, plain);
        }
        if let Some(domain) = &self.search_domain {
            edit.put(config, "searchdomain", "search_domain", domain, plain);
        }
        if let Some(upgrade) = self.upgrade
            // Proxmox upgrades by default.
            && (config.is_unreadable("ciupgrade")
                || config.flag("ciupgrade").unwrap_or(true) != upgrade)
        {
            let value = u8::from(upgrade).to_string();
            edit.put(config, "ciupgrade", "upgrade", &value, |value| {
                (value == "1").to_string()
            });
        }
        Ok(edit)
    }
}

impl Edit {
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty()
    }

    /// Notes a setting's new value, where it differs; an empty one removes it.
    fn put(
        &mut self,
        config: &GuestConfig,
        key: &str,
        what: &str,
        value: &str,
        show: impl Fn(&str) -> String,
    ) {
        let old = config.get(key);
        // A password cannot be compared: Proxmox shows stars.
        if !config.is_unreadable(key)
            && old.unwrap_or_default() == value
            && (key != "cipassword" || value.is_empty())
        {
            return;
        }
        if value.is_empty() {
            self.delete.push(key.to_owned());
        } else {
            self.set.push((key.to_owned(), Secret(value.to_owned())));
        }
        self.changes.push(Change {
            what: what.to_owned(),
            from: match config.is_unreadable(key) {
                true => Some("(unreadable)".to_owned()),
                false => old.map(&show),
            },
            to: (!value.is_empty()).then(|| show(value)),
            waits_for_reboot: false,
        });
    }
}

fn write(pve: &Pve, guest: &Guest, config: &GuestConfig, edit: &Edit) -> Result<(), Halt> {
    let mut form = Params::new();
    for (key, Secret(value)) in &edit.set {
        form = form.set(key.clone(), value);
    }
    form = form
        .opt(
            "delete",
            (!edit.delete.is_empty()).then(|| edit.delete.join(",")),
        )
        .opt("digest", config.digest());
    match pve.put::<IgnoredAny>(&guest.path(["config"]), &form) {
        Ok(_) => Ok(()),
        Err(Failure::Api(error)) if error.says("ssh public key validation") => {
            Err(Halt::Refused(Error::argument(
                "ssh_keys",
                "contain one that ssh-keygen on the node does not accept as a public key: check \
                 each against its .pub file",
            )))
        }
        Err(Failure::Api(mut error)) => {
            // What Proxmox says of a value may hold it.
            if let Some(said) = error.errors.get_mut("cipassword") {
                "the password was not accepted".clone_into(said);
            }
            Err(Failure::Api(error).into())
        }
        Err(failure) => Err(failure.into()),
    }
}

fn report(guest: &Guest, state: &GuestState, edit: Edit) -> Report {
    let mut report = Report::done(format!("set cloud-init of {}", guest.label())).on(guest);
    report.changes = edit.changes;
    report.warnings = edit.warnings;
    if state.is_running() {
        for change in &mut report.changes {
            change.waits_for_reboot = true;
        }
        report.next(format!(
            "the drive is up to date, and the guest reads it at boot: {} reboots it",
            tool_names::RESTART_GUEST
        ))
    } else if guest.template.0 {
        report.next(format!(
            "clones get these settings: {} makes one",
            tool_names::CLONE_GUEST
        ))
    } else {
        report.next(format!(
            "{} starts it, and it reads the settings at boot",
            tool_names::START_GUEST
        ))
    }
}

/// The cloud-init settings of a VM.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetCloudInit {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CloudInit {
    vmid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    node: String,
    /// The drive's key, such as `ide2`. Without one, the settings have no
    /// effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    drive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    has_password: bool,
    /// Whole public keys.
    ssh_keys: Vec<String>,
    addresses: Vec<NicAddress>,
    /// Addresses set for network cards that the VM does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses_without_card: Vec<NicAddress>,
    dns_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_domain: Option<String>,
    upgrade: bool,
    /// Documents of the operator that take the place of Proxmox's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<String>,
    /// What is set, but not on the drive yet. Absent where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Vec<Pending>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Documents>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Pending {
    setting: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_drive: Option<String>,
    /// Absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
}

/// What the guest reads, passwords taken out. One that Proxmox cannot make is
/// absent.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Documents {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<String>,
}

/// The settings, and what is known beside them.
struct Found {
    config: GuestConfig,
    pending: Option<Vec<Pending>>,
    documents: Option<Documents>,
    unavailable: Vec<String>,
}

/// The most characters shown of a document.
const DOCUMENT_CHARACTERS: usize = 6_000;

impl Run for GetCloudInit {
    type Output = CloudInit;

    fn run(self, pve: &Pve) -> Result<Reply<CloudInit>> {
        let (guest, found) = Guest::attempt(pve, self.vmid, |guest| Found::read(pve, guest))?;
        let found = CloudInit::new(guest, found);
        let mut text = format!(
            "cloud-init of guest {}: {}, {}",
            found.vmid,
            found.user.as_deref().unwrap_or("default user"),
            text::count(found.ssh_keys.len(), "key"),
        );
        if let Some(pending) = &found.pending {
            text.push_str(&format!(
                ", {} pending",
                text::count(pending.len(), "change")
            ));
        }
        Ok(Reply::Done(found, text))
    }
}

impl Found {
    fn read(pve: &Pve, guest: &Guest) -> Result<Self, Halt> {
        no_container(guest)?;
        let config = GuestConfig::read(pve, guest)?;
        let mut unavailable = Vec::new();
        // Neither of these must hide the settings.
        let pending = told("pending changes", pending(pve, guest), &mut unavailable)?;
        let documents = match drive(&config) {
            Some(_) => Some(Documents::read(pve, guest, &mut unavailable)?),
            None => None,
        };
        Ok(Self {
            config,
            pending,
            documents,
            unavailable,
        })
    }
}

/// What was read, or a note of why not. A guest that has moved is an error: it
/// is looked for anew.
fn told<T>(
    what: &str,
    read: Result<T, Failure>,
    unavailable: &mut Vec<String>,
) -> Result<Option<T>, Failure> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Api(error)) if error.is_missing_guest() => Err(Failure::Api(error)),
        Err(failure) => {
            unavailable.push(format!(
                "{what}: {}",
                text::cut(&Error::from(failure).message(), 300)
            ));
            Ok(None)
        }
    }
}

impl CloudInit {
    fn new(guest: Guest, found: Found) -> Self {
        let Found {
            config,
            pending,
            documents,
            unavailable,
        } = found;
        let config = &config;
        let own = |key: &str| config.get(key).map(str::to_owned);
        let mut notes = Vec::new();
        if drive(config).is_none() {
            notes.push(no_drive(&guest).message());
        } else if pending.as_ref().is_some_and(|all| !all.is_empty()) {
            notes.push("what is pending is put on the drive when the guest starts".into());
        }
        if let Some(custom) = config.get("cicustom") {
            notes.extend(replaced(custom));
        }
        let cards: Vec<String> = config.nics().into_iter().map(|nic| nic.id).collect();
        let mut addresses_without_card = Vec::new();
        for (key, _) in config.iter() {
            let nic = match key.strip_prefix("ipconfig") {
                Some(number) => format!("net{number}"),
                None => continue,
            };
            if !cards.contains(&nic) {
                notes.push(format!(
                    "{key} is set, but the VM has no network card {nic}"
                ));
                addresses_without_card.push(NicAddress::of(config, &nic));
            }
        }
        Self {
            vmid: guest.vmid,
            name: own("name").or(guest.name),
            node: guest.node,
            drive: drive(config),
            user: own("ciuser"),
            has_password: config.get("cipassword").is_some() || config.is_unreadable("cipassword"),
            ssh_keys: config.get("sshkeys").map_or_else(Vec::new, keys::decode),
            addresses: cards
                .iter()
                .map(|nic| NicAddress::of(config, nic))
                .collect(),
            addresses_without_card,
            dns_servers: config
                .get("nameserver")
                .unwrap_or_default()
                .split([' ', ',', ';'])
                .filter(|server| !server.is_empty())
                .map(str::to_owned)
                .collect(),
            search_domain: own("searchdomain"),
            upgrade: config.flag("ciupgrade").unwrap_or(true),
            custom: own("cicustom"),
            pending,
            documents,
            unavailable,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

impl Documents {
    fn read(pve: &Pve, guest: &Guest, unavailable: &mut Vec<String>) -> Result<Self, Failure> {
        let mut read = |kind: &str| {
            let document = pve.get::<Option<String>>(
                &guest.path(["cloudinit", "dump"]),
                &Params::new().set("type", kind),
            );
            let document = told(&format!("the {kind} document"), document, unavailable)?;
            Ok::<_, Failure>(
                document
                    .map(|text| text::cut(&mask(&text.unwrap_or_default()), DOCUMENT_CHARACTERS)),
            )
        };
        Ok(Self {
            user: read("user")?,
            network: read("network")?,
            meta: read("meta")?,
        })
    }
}

/// Which settings a document of the operator puts out of effect.
fn replaced(custom: &str) -> Option<String> {
    let custom = Properties::parse(custom);
    let parts: Vec<String> = [
        ("user", "user, password, SSH keys and upgrade"),
        ("network", "addresses and DNS"),
        ("meta", "the instance's identity"),
        ("vendor", "vendor data"),
    ]
    .into_iter()
    .filter_map(|(key, what)| {
        let volid = custom.get(key)?;
        Some(format!("{what} come from {volid}"))
    })
    .collect();
    (!parts.is_empty()).then(|| format!("{}, not from the settings", parts.join(", ")))
}

/// A setting, as it is on the drive and as it is wanted.
#[derive(Deserialize)]
struct Entry {
    key: String,
    value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Num<u8>>,
}

/// What is set, but not on the drive yet.
fn pending(pve: &Pve, guest: &Guest) -> Result<Vec<Pending>, Failure> {
    let entries: Vec<Entry> = pve.get(&guest.path(["cloudinit"]), &Params::new())?;
    Ok(entries.into_iter().filter_map(Entry::pending).collect())
}

impl Entry {
    fn pending(self) -> Option<Pending> {
        let removed = self.delete.is_some_and(|Num(delete)| delete > 0);
        if self.pending.is_none() && !removed {
            return None;
        }
        let show = |Text(value): Text| match self.key.as_str() {
            "cipassword" => HIDDEN.to_owned(),
            "sshkeys" => key_names(&value),
            _ => value,
        };
        Some(Pending {
            on_drive: self.value.map(show),
            wanted: self.pending.filter(|_| !removed).map(show),
            setting: self.key,
        })
    }
}

/// The key of the cloud-init drive.
fn drive(config: &GuestConfig) -> Option<String> {
    config
        .disks()
        .into_iter()
        .find(|disk| disk.cloud_init)
        .map(|disk| disk.id)
}

fn no_drive(guest: &Guest) -> Error {
    Error::Conflict(format!(
        "{} has no cloud-init drive, without which the settings have no effect: add one in its \
         Hardware tab (Add, CloudInit Drive), or on node {} with qm set {} --ide2 \
         STORAGE:cloudinit",
        guest.label(),
        guest.node,
        guest.vmid
    ))
}

fn key_names(value: &str) -> String {
    keys::decode(value)
        .iter()
        .map(|line| keys::name(line))
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_user(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::keys::tests::key;
    use super::*;
    use serde_json::{Value, json};

    fn wish(arguments: Value) -> Result<Wish> {
        let mut whole = json!({"vmid": 100});
        whole
            .as_object_mut()
            .unwrap()
            .extend(arguments.as_object().unwrap().clone());
        serde_json::from_value::<SetCloudInit>(whole)
            .unwrap()
            .check()
    }

    fn guest() -> Guest {
        serde_json::from_value(json!({"vmid": 100, "type": "qemu", "node": "pve1",
            "status": "running", "name": "web01"}))
        .unwrap()
    }

    fn config() -> GuestConfig {
        GuestConfig::sample(
            Kind::Qemu,
            json!({
                "digest": "ab", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
                "ide2": "local:100/vm-100-cloudinit.qcow2,media=cdrom", "ciuser": "debian",
                "cipassword": "**********", "ipconfig0": "ip=192.0.2.50/24,gw=192.0.2.1",
                "sshkeys": keys::encode(&[SshKey::parse(&key(0, 1, "me@home")).unwrap()]),
                "searchdomain": "example.com"
            }),
        )
    }

    fn edit(arguments: Value) -> Edit {
        wish(arguments)
            .unwrap()
            .against(&guest(), &config())
            .unwrap()
    }

    #[test]
    fn only_what_differs_is_written() {
        for same in [
            json!({"user": "debian"}),
            json!({"ssh_keys": [key(0, 1, "me@home"), key(0, 1, "me@home")]}),
            json!({"addresses": [{"nic": "net0", "ipv4": "192.0.2.50/24"}]}),
            json!({"dns_servers": []}),
            json!({"upgrade": true}),
        ] {
            assert!(edit(same.clone()).is_empty(), "{same}");
        }
        let edit = edit(json!({
            "user": "admin", "password": "correct horse", "search_domain": "",
            "dns_servers": ["192.0.2.53", "2001:db8::53"], "upgrade": false,
            "addresses": [{"nic": "net0", "ipv6": "auto"}],
        }));
        let set: Vec<_> = edit
            .set
            .iter()
            .map(|(key, value)| (key.as_str(), value.0.as_str()))
            .collect();
        assert_eq!(
            set,
            [
                ("ciuser", "admin"),
                ("cipassword", "correct horse"),
                ("ipconfig0", "ip=192.0.2.50/24,gw=192.0.2.1,ip6=auto"),
                ("nameserver", "192.0.2.53 2001:db8::53"),
                ("ciupgrade", "0"),
            ]
        );
        assert_eq!(edit.delete, ["searchdomain"]);
        let told = serde_json::to_string(&edit.changes).unwrap();
        assert!(!told.contains("horse") && told.contains(HIDDEN), "{told}");
    }

    #[test]
    fn a_password_is_written_again_and_never_told() {
        assert!(!edit(json!({"password": "**********"})).is_empty());
        assert_eq!(edit(json!({"password": ""})).delete, ["cipassword"]);
        let wish = wish(json!({"password": "hush"})).unwrap();
        assert!(!format!("{wish:?}").contains("hush"));
    }

    #[test]
    fn keys_are_told_by_name() {
        let edit = edit(json!({"ssh_keys": [key(1, 2, "you@work")]}));
        assert_eq!(edit.changes[0].from.as_deref(), Some("ssh-ed25519 me@home"));
        assert_eq!(edit.changes[0].to.as_deref(), Some("ssh-rsa you@work"));
        assert_eq!(
            super::tests::edit(json!({"ssh_keys": []})).delete,
            ["sshkeys"]
        );
    }

    #[test]
    fn every_bad_argument_is_told_before_anything_is_sent() {
        let Err(Error::InvalidArguments(problems)) = wish(json!({
            "user": "a: b", "password": "a\nb", "ssh_keys": [key(0, 1, ""), "ssh-rsa x"],
            "addresses": [{"nic": "net0", "ipv4": "x"}, {"nic": "net1", "ipv4": "dhcp"}, {"nic": "net1", "ipv6": "auto"}],
            "dns_servers": ["192.0.2.1", "dns.example"], "search_domain": "a b",
        })) else {
            panic!("taken")
        };
        let pointers: Vec<_> = problems
            .iter()
            .map(|problem| problem.pointer.as_str())
            .collect();
        assert_eq!(
            pointers,
            [
                "/user",
                "/password",
                "/ssh_keys/1",
                "/addresses/0/ipv4",
                "/addresses/2/nic",
                "/dns_servers/1",
                "/search_domain"
            ]
        );
        assert!(wish(json!({})).is_err());
    }

    #[test]
    fn a_card_must_be_there() {
        let wish = wish(json!({"addresses": [{"nic": "net1", "ipv4": "dhcp"}]})).unwrap();
        let message = wish.against(&guest(), &config()).err().unwrap().message();
        assert_eq!(
            message,
            "qemu guest 100 (web01) has no network card net1; it has net0"
        );
    }

    #[test]
    fn pending_settings() {
        let entries: Vec<Entry> = serde_json::from_value(json!([
            {"key": "ciuser", "value": "debian"},
            {"key": "cipassword", "value": "old", "pending": "new"},
            {"key": "ipconfig0", "value": "ip=dhcp", "delete": 1},
        ]))
        .unwrap();
        let pending: Vec<Pending> = entries.into_iter().filter_map(Entry::pending).collect();
        assert_eq!(
            serde_json::to_value(pending).unwrap(),
            json!([
                {"setting": "cipassword", "on_drive": "(hidden)", "wanted": "(hidden)"},
                {"setting": "ipconfig0", "on_drive": "ip=dhcp"},
            ])
        );
    }

    fn found(config: GuestConfig) -> Found {
        Found {
            config,
            pending: Some(Vec::new()),
            documents: None,
            unavailable: Vec::new(),
        }
    }

    #[test]
    fn nothing_is_lost_for_a_card_that_is_not_there() {
        let config = GuestConfig::sample(
            Kind::Qemu,
            json!({"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0", "ipconfig7": "ip6=dhcp",
                "ide2": "local:100/vm-100-cloudinit.qcow2,media=cdrom",
                "cicustom": "user=local:snippets/u.yml,network=local:snippets/n.yml"}),
        );
        let shown = serde_json::to_value(CloudInit::new(guest(), found(config))).unwrap();
        assert_eq!(shown["addresses"], json!([{"nic": "net0"}]));
        assert_eq!(
            shown["addresses_without_card"],
            json!([{"nic": "net7", "ipv6": "dhcp"}])
        );
        let hint = shown["hint"].as_str().unwrap();
        assert!(
            hint.contains("addresses and DNS come from local:snippets/n.yml"),
            "{hint}"
        );
    }

    #[test]
    fn settings_are_shown_whole() {
        let shown = serde_json::to_value(CloudInit::new(guest(), found(config()))).unwrap();
        assert_eq!(shown["drive"], "ide2");
        assert_eq!(shown["ssh_keys"], json!([key(0, 1, "me@home")]));
        assert_eq!(
            shown["addresses"],
            json!([{"nic": "net0", "ipv4": "192.0.2.50/24", "ipv4_gateway": "192.0.2.1"}])
        );
        assert!(!shown.to_string().contains("***"));
        let bare = GuestConfig::sample(Kind::Qemu, json!({"ide2": "none,media=cdrom"}));
        let shown = CloudInit::new(guest(), found(bare));
        assert!(shown.hint.unwrap().contains("has no cloud-init drive"));
    }
}
