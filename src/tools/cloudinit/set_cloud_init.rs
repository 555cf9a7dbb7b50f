//! `set_cloud_init`: changes a VM's cloud-init settings and renews its drive.

use pve_api::calls;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::address::{AddressArguments, AddressPlan};
use super::drive::{add_drive, drive, key_names, no_container, no_drive, pending};
use super::keys::SshKey;
use super::{address, keys};
use crate::error::{Error, Problem, Result};
use crate::json::DeserializeFields;
use crate::pve::{Failure, Format, Guest, GuestConfig, GuestState, Params, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::report::{Change, Report};
use crate::tool::secret::{HIDDEN, Secret};
use crate::tool::{Reply, Run};
use crate::tool_names;

/// New cloud-init settings for a VM.
#[derive(DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCloudInit {
    vmid: Vmid,
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
    addresses: Option<Vec<AddressArguments>>,
    /// IP addresses; they replace all. [] removes all.
    #[schemars(length(max = 8), extend("x-splits" = "words"))]
    dns_servers: Option<Vec<String>>,
    /// Empty removes it.
    #[schemars(extend("x-clears" = true))]
    search_domain: Option<String>,
    /// Upgrade packages at the first boot.
    upgrade: Option<bool>,
    /// Of a VM without a cloud-init drive: adds one there.
    storage: Option<String>,
}

impl Run for SetCloudInit {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::guests::CLOUD_INIT),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::PENDING),
        Calls::One(&calls::guests::SET_CONFIG.qemu),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::guests::UPDATE_CLOUD_INIT),
        Calls::One(&calls::storage::LIST),
    ];

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
        let desired = self.check()?;
        let (guest, (state, edit)) = Guest::with(pve, self.vmid, |guest| {
            let VmState { mut config, state } = VmState::new(pve, guest)?;
            state.unlocked(guest)?;
            // What is wrong with the arguments shows before a drive is added.
            let mut edit = desired.changes_to(guest, &config)?;
            match (drive(&config), &self.storage) {
                (None, None) => return Err(no_drive(guest)),
                (None, Some(storage)) => {
                    let added = add_drive(pve, guest, storage)?;
                    let name = added.what.clone();
                    edit.changes.insert(0, added);
                    config = GuestConfig::read(pve, guest)?;
                    if !edit.is_empty() {
                        write(pve, guest, &config, &edit).map_err(|error| {
                            error.context(&format!(
                                "the cloud-init drive {name} was added, but the settings were not \
                                 written"
                            ))
                        })?;
                    }
                    return Ok((state, edit));
                }
                (Some(slot), Some(_)) => edit.warnings.push(format!(
                    "storage was not used, because there is a cloud-init drive already ({slot})"
                )),
                (Some(_), None) => {}
            }
            if !edit.is_empty() {
                write(pve, guest, &config, &edit)?;
            }
            Ok((state, edit))
        })?;
        let written = !edit.changes.is_empty();
        // A drive may have been left behind by an earlier call that broke.
        if !written && pending(pve, &guest)?.is_empty() {
            let action = format!("cloud-init of {}", guest.label());
            return Ok(Reply::report(Report::unchanged(action).on(&guest)));
        }
        pve.send::<IgnoredAny>(
            &guest.request(&calls::guests::UPDATE_CLOUD_INIT),
            &Params::new(),
        )
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

/// The arguments after their checks. An absent setting stays as it is.
#[derive(Debug, Default)]
pub(super) struct DesiredSettings {
    /// An empty text removes the setting.
    user: Option<String>,
    password: Option<Secret>,
    ssh_keys: Option<Vec<SshKey>>,
    addresses: Vec<AddressPlan>,
    dns_servers: Option<String>,
    search_domain: Option<String>,
    upgrade: Option<bool>,
}

/// The changes to send, and how they are reported.
#[derive(Default)]
pub(super) struct Edit {
    pub(super) set: Vec<(String, Secret)>,
    pub(super) delete: Vec<String>,
    pub(super) changes: Vec<Change>,
    warnings: Vec<String>,
}

/// A VM's configuration and state.
struct VmState {
    config: GuestConfig,
    state: GuestState,
}

impl VmState {
    fn new(pve: &Pve, guest: &Guest) -> Result<Self> {
        no_container(guest)?;
        Ok(Self {
            config: GuestConfig::read(pve, guest)?,
            state: guest.state(pve)?,
        })
    }
}

impl SetCloudInit {
    /// Checks what needs no request.
    pub(super) fn check(&self) -> Result<DesiredSettings> {
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        let mut problems = Vec::new();
        let desired = self.desired(&mut problems);
        if !problems.is_empty() {
            return Err(Error::InvalidArguments(problems));
        }
        if desired.is_empty() && self.storage.is_none() {
            return Err(Error::InvalidArguments(vec![Problem {
                pointer: String::new(),
                message: "nothing to set: give at least one of user, password, ssh_keys, \
                          addresses, dns_servers, search_domain and upgrade, or storage to add a \
                          drive"
                    .into(),
            }]));
        }
        Ok(desired)
    }

    fn desired(&self, problems: &mut Vec<Problem>) -> DesiredSettings {
        let mut desired = DesiredSettings {
            upgrade: self.upgrade,
            ..DesiredSettings::default()
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
            desired.user = Some(user.clone());
        }
        if let Some(Secret(password)) = &self.password {
            if password.contains(char::is_control) {
                wrong(
                    "/password".into(),
                    "must not contain line breaks or control characters".into(),
                );
            }
            desired.password = Some(Secret(password.clone()));
        }
        desired.ssh_keys = self
            .ssh_keys
            .as_ref()
            .map(|lines| parse_keys(lines, &mut wrong));
        desired.addresses = self.plans(&mut wrong);
        if let Some(servers) = &self.dns_servers {
            for (index, server) in servers.iter().enumerate() {
                if server.parse::<std::net::IpAddr>().is_err() {
                    wrong(
                        format!("/dns_servers/{index}"),
                        "must be an IP address, such as 192.0.2.53".into(),
                    );
                }
            }
            desired.dns_servers = Some(servers.join(" "));
        }
        if let Some(domain) = &self.search_domain {
            if !domain.is_empty() && !Format::DnsName.fits(domain) {
                wrong(
                    "/search_domain".into(),
                    "must be a domain name, such as example.com".into(),
                );
            }
            desired.search_domain = Some(domain.clone());
        }
        desired
    }

    fn plans(&self, wrong: &mut impl FnMut(String, String)) -> Vec<AddressPlan> {
        let mut plans: Vec<AddressPlan> = Vec::new();
        for (index, wanted) in self.addresses.iter().flatten().enumerate() {
            match wanted.check(index) {
                Ok(plan) if plans.iter().any(|one| one.nic == plan.nic) => wrong(
                    format!("/addresses/{index}/nic"),
                    format!("must not repeat {}", plan.nic),
                ),
                Ok(plan) => plans.push(plan),
                Err(Error::InvalidArguments(more)) => {
                    for problem in more {
                        wrong(problem.pointer, problem.message);
                    }
                }
                Err(error) => wrong(format!("/addresses/{index}"), error.message()),
            }
        }
        plans
    }
}

/// Reads public keys, each once.
fn parse_keys(lines: &[String], wrong: &mut impl FnMut(String, String)) -> Vec<SshKey> {
    let mut keys: Vec<SshKey> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match SshKey::parse(line) {
            Ok(key) if keys.contains(&key) => {}
            Ok(key) => keys.push(key),
            Err(message) => wrong(format!("/ssh_keys/{index}"), message),
        }
    }
    keys
}

impl DesiredSettings {
    fn is_empty(&self) -> bool {
        self.user.is_none()
            && self.password.is_none()
            && self.ssh_keys.is_none()
            && self.addresses.is_empty()
            && self.dns_servers.is_none()
            && self.search_domain.is_none()
            && self.upgrade.is_none()
    }

    /// The changes that make a configuration as desired.
    pub(super) fn changes_to(&self, guest: &Guest, config: &GuestConfig) -> Result<Edit> {
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
            // Proxmox keeps the value as its writer encoded it.
            if config.is_unreadable("sshkeys")
                || lines(&value) != lines(config.get("sshkeys").unwrap_or_default())
            {
                edit.put(config, "sshkeys", "ssh_keys", &value, key_names);
            }
        }
        for plan in &self.addresses {
            edit.put_addresses(guest, config, plan)?;
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
    /// Notes the addresses of a network card. Refused if the VM has no such
    /// card, or if its settings cannot be read.
    fn put_addresses(
        &mut self,
        guest: &Guest,
        config: &GuestConfig,
        plan: &AddressPlan,
    ) -> Result<()> {
        let key = plan.key();
        for key in [plan.nic.as_str(), key.as_str()] {
            if config.is_unreadable(key) {
                return Err(Error::Conflict(format!(
                    "{key} of {} in Proxmox's response cannot be read, and a change would lose the \
                     current value: nothing was changed; look at it in the web interface, and \
                     change it there",
                    guest.label()
                )));
            }
        }
        let cards = config.nics();
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
        self.warnings.extend(address::warning(&plan.nic, &value));
        let what = format!("addresses of {}", plan.nic);
        self.put(config, &key, &what, &value, str::to_owned);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.delete.is_empty()
    }

    /// Adds a setting's new value if it differs. An empty value removes it.
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

fn write(pve: &Pve, guest: &Guest, config: &GuestConfig, edit: &Edit) -> Result<()> {
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
    match pve.send::<IgnoredAny>(&guest.request(&calls::guests::SET_CONFIG), &form) {
        Ok(_) => Ok(()),
        Err(Failure::Api(error)) if error.says("ssh public key validation") => {
            Err(Error::argument(
                "ssh_keys",
                "contain one that ssh-keygen on the node does not accept as a public key: check \
                 each against its .pub file",
            ))
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
            "the cloud-init drive is up to date; the guest reads it at its next boot ({} reboots \
             it)",
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

/// Whether cloud-init can make an account of this name.
pub(in crate::tools) fn is_user(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'))
}
