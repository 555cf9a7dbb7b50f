//! `get_cloud_init`: a VM's cloud-init settings and the documents made from them.

use pve_api::calls;
use schemars::JsonSchema;

use super::address::NicAddress;
use super::drive::{Pending, drive, no_container, no_drive, pending};
use super::keys;
use super::mask::mask;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Guest, GuestConfig, Params, Properties, Pve, Vmid};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run};

/// The cloud-init settings of a VM.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetCloudInit {
    vmid: Vmid,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct CloudInit {
    vmid: Vmid,
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
    /// Custom documents that replace those of Proxmox.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<String>,
    /// Settings that are not on the drive yet. Absent if they cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Vec<Pending>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Documents>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// What the guest reads, without passwords. A document that Proxmox cannot make is
/// absent.
#[derive(Debug, Default, SerializeFields, JsonSchema)]
pub(super) struct Documents {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<String>,
}

/// The settings, and what else was read with them.
pub(super) struct CloudInitState {
    pub(super) config: GuestConfig,
    pub(super) pending: Option<Vec<Pending>>,
    pub(super) documents: Option<Documents>,
    pub(super) unavailable: Vec<String>,
}

/// The most characters shown of a document.
const DOCUMENT_CHARACTERS: usize = 6_000;

impl Run for GetCloudInit {
    type Output = CloudInit;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::guests::CLOUD_INIT),
        Calls::One(&calls::guests::CLOUD_INIT_DUMP),
        Calls::Guest(&calls::guests::CONFIG),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<CloudInit>> {
        let (guest, found) = Guest::with(pve, self.vmid, |guest| CloudInitState::read(pve, guest))?;
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

impl CloudInitState {
    fn read(pve: &Pve, guest: &Guest) -> Result<Self> {
        no_container(guest)?;
        let config = GuestConfig::read(pve, guest)?;
        let mut unavailable = Vec::new();
        // Neither of these must hide the settings.
        let pending = or_note("pending changes", pending(pve, guest), &mut unavailable)?;
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

/// What was read, or none and a note of the reason. A guest that has moved is an
/// error, so that it is looked up again.
pub(super) fn or_note<T>(
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
    pub(super) fn new(guest: Guest, found: CloudInitState) -> Self {
        let CloudInitState {
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
            notes.push("pending settings are written to the drive when the guest starts".into());
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
            let document = pve.send::<Option<String>>(
                &guest.request(&calls::guests::CLOUD_INIT_DUMP),
                &Params::new().set("type", kind),
            );
            let document = or_note(&format!("the {kind} document"), document, unavailable)?;
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

/// Which settings have no effect because of the operator's custom document.
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
