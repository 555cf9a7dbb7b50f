//! What a row of the table of calls is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::grammar::Grammar;
use crate::needs::Needs;
use crate::text::whole;

/// A call of the API: a row of the table. Only the table makes calls.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    method: Method,
    path: &'static str,
    params: Params,
    action: Action,
    effect: Option<Effect>,
    shown: Shown,
    given: Given,
    needs: &'static str,
    also_needs: &'static str,
    asks_agent: bool,
    since: Option<&'static str>,
}

/// A call that exists for VMs and for containers.
#[derive(Debug, Clone, Copy)]
pub struct GuestCall {
    /// Of VMs.
    pub qemu: Call,
    /// Of containers.
    pub lxc: Call,
}

/// The two types of guests, under the names that paths and lists have for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestType {
    /// A virtual machine.
    Qemu,
    /// A container.
    Lxc,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for GuestType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GuestType".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The kind of a guest.", "type": "string", "enum": ["qemu", "lxc"]
        })
    }
}

/// An HTTP method. pveproxy knows no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates something or starts an operation.
    Post,
    /// Changes something.
    Put,
    /// Removes something.
    Delete,
}

/// Which requests of a method and path a call is, where two calls have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// All.
    Any,
    /// Those with this parameter.
    With(&'static str),
    /// Those without it.
    Without(&'static str),
}

/// What an answer shows beyond the guest, node or storage in the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    OfPath,
    /// A list, whose entries can be filtered.
    List(Listing),
    /// Text that may be about any guest, which cannot be filtered.
    OfAnyGuest,
}

/// What an answer lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Guests, nodes, storages and pools, each with its `type`.
    Resources,
    /// Nodes, by `node` or `name`.
    Nodes,
    /// Guests of a node.
    Guests,
    /// Tasks, some of them about a guest.
    Tasks,
    /// Volumes, some of them a guest's.
    Content,
    /// Storages.
    Storages,
    /// Pools.
    Pools,
    /// Scheduled backups, with the guests that each selects.
    BackupJobs,
    /// Rules of the HA manager, with the resources that each is about.
    HaRules,
    /// Entries of the access control list, by `path`.
    Acl,
    /// Names that firewall rules can refer to. Proxmox keeps a set of addresses
    /// for each guest of a zone with IPAM: `guest-ipam-100`.
    References,
    /// Resources of the HA manager, by `sid`.
    HaResources,
    /// Replication jobs, by `guest`, with the node that each copies to.
    Replication,
    /// The token's own privileges, by path.
    Permissions,
    /// Nodes that a guest can migrate to.
    Targets,
}

/// What a call can do besides its action, depending on its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A shutdown with `forceStop` ends in a hard stop. So does any shutdown of
    /// a guest under high availability: its manager forces after the timeout,
    /// and at once for a timeout of 0.
    Shutdown,
    /// A container that does not reboot within the timeout is killed.
    ContainerReboot,
    /// A suspend to disk writes the memory to a storage.
    Suspend,
    /// A snapshot with `vmstate` writes the memory to a storage that Proxmox
    /// chooses.
    Snapshot,
    /// Volumes go to the storage in `storage`. Without it, a clone goes to the
    /// storage of its source, and a restored guest to that of the guest in the
    /// backup.
    Storage,
    /// A backup in another mode than `snapshot` interrupts its guest.
    Backup,
    /// A backup job in another mode than `snapshot` interrupts its guests. A change
    /// of a job may leave guests without backups, whichever it selected before. The
    /// backups of a new one may push out older ones, where another job prunes.
    BackupJob,
    /// High availability starts a guest whose state is to be `started`, and stops
    /// one whose state is to be `stopped`, which it forces after a while.
    HaState,
    /// Local volumes move to the target storages; without one, to the storage of
    /// the same name on the other node. High availability migrates a guest
    /// itself and does not pass the target storage on.
    Migrate,
    /// A firewall of the cluster or of a node can cut off nodes. It can cut off guests
    /// as well: guests have a firewall only if the cluster's is on, and use the
    /// cluster's security groups, aliases and IP sets.
    NodeFirewall,
    /// A firewall of a guest can cut that guest off.
    GuestFirewall,
}

/// The parameters of a call.
#[derive(Debug, Clone, Copy)]
pub enum Params {
    /// These.
    These(&'static [Param]),
    /// The settings of a guest, grouped by the action that a change of them is;
    /// beside them `digest`, and `delete`, a list of settings to remove. A name
    /// that ends in `#` stands for itself with a number: `ipconfig#` for
    /// `ipconfig0`.
    Config(&'static [(Action, &'static [Setting])]),
}

/// A setting of a guest.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name, as in [`Params::Config`].
    pub name: &'static str,
    /// Which values it may have.
    pub grammar: Grammar,
    /// The privilege on the guest that a change of it takes. What is put into a
    /// CD-ROM drive takes `VM.Config.CDROM` instead.
    pub privilege: &'static str,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name. One that ends in `#` stands for itself with a number, as in
    /// [`Params::Config`].
    pub name: &'static str,
    /// Which values it may have.
    pub grammar: Grammar,
    /// Whether it may be left out.
    pub need: Need,
}

/// Whether a parameter may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It may be left out: Proxmox's default does no harm.
    Optional,
    /// It must be given: what Proxmox does without it.
    Required(&'static str),
    /// It must be given with this value, 0 or 1: what Proxmox does otherwise.
    Fixed(&'static str, &'static str),
}

impl Call {
    /// Its HTTP method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Its path below [`API_PATH`](crate::API_PATH), as the API viewer writes
    /// it: `/nodes/{node}/qemu/{vmid}/config`. [`Grammar::of_segment`] tells
    /// what may stand for a name in braces.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// The parameters that may be sent. Proxmox knows more: those that
    /// overwrite, delete or skip a check are in no row.
    pub const fn params(&self) -> Params {
        self.params
    }

    /// What it does. A [`Params::Config`] has an action for each setting
    /// instead.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What else it can do, depending on its parameters.
    pub const fn effect(&self) -> Option<Effect> {
        self.effect
    }

    /// What its answer shows.
    pub const fn shown(&self) -> Shown {
        self.shown
    }

    /// Which parameter tells it apart from another call of the same method and
    /// path.
    pub const fn given(&self) -> Given {
        self.given
    }

    /// The privileges that Proxmox checks before the call runs, such as
    /// `VM.Audit on /vms/{vmid}`; empty where any token may make the call.
    pub const fn needs(&self) -> &'static str {
        self.needs
    }

    /// What Proxmox checks while it runs: privileges that depend on the
    /// parameters, or which entries of a list a token sees. Empty if nothing.
    pub const fn also_needs(&self) -> &'static str {
        self.also_needs
    }

    /// Whether the agent in a VM answers it.
    pub const fn asks_agent(&self) -> bool {
        self.asks_agent
    }

    /// The first version of Proxmox VE that knows it, where that is a version that
    /// may still be in use: `8.1`.
    pub const fn since(&self) -> Option<&'static str> {
        self.since
    }

    /// Whether this is the call of a request with these decoded path segments.
    pub fn matches(&self, method: Method, segments: &[impl AsRef<str>]) -> bool {
        let mut parts = self.segments();
        let mut segments = segments.iter();
        method == self.method
            && loop {
                match (parts.next(), segments.next()) {
                    (None, None) => break true,
                    (Some(part), Some(segment))
                        if part.starts_with('{') || part == segment.as_ref() => {}
                    _ => break false,
                }
            }
    }

    /// All that it may be, depending on its parameters.
    pub fn actions(&self) -> Vec<Action> {
        match self.params {
            Params::Config(groups) => groups.iter().map(|(action, _)| *action).collect(),
            Params::These(_) => vec![self.action],
        }
    }

    /// Whether this is the call of a request with such parameters, where another
    /// call has the same method and path.
    pub fn is_given(&self, has_param: impl Fn(&str) -> bool) -> bool {
        match self.given {
            Given::Any => true,
            Given::With(name) => has_param(name),
            Given::Without(name) => !has_param(name),
        }
    }

    /// The segments of its path; placeholders are in braces.
    pub fn segments(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.path.split('/').skip(1)
    }

    /// Whether it takes a parameter of this name.
    pub fn takes_param(&self, name: &str) -> bool {
        match self.params {
            Params::These(params) => params.iter().any(|param| stands_for(param.name, name)),
            Params::Config(_) => self
                .param_names()
                .into_iter()
                .any(|known| stands_for(known, name)),
        }
    }

    /// The names of its parameters.
    pub fn param_names(&self) -> Vec<&'static str> {
        match self.params {
            Params::These(params) => params.iter().map(|param| param.name).collect(),
            Params::Config(groups) => {
                let settings = groups.iter().flat_map(|(_, settings)| settings.iter());
                let names = settings.map(|setting| setting.name);
                names.chain(["delete", "digest"]).collect()
            }
        }
    }

    /// The privilege on the guest that a change of a setting takes, where the call
    /// has such a setting.
    pub fn setting_privilege(&self, name: &str) -> Option<&'static str> {
        let Params::Config(groups) = self.params else {
            return None;
        };
        let mut settings = groups.iter().flat_map(|(_, settings)| settings.iter());
        let known = settings.find(|setting| stands_for(setting.name, name));
        known.map(|setting| setting.privilege)
    }

    /// What Proxmox checks in any case, before the call runs and while it runs. What
    /// depends on the parameters in another way than by a name in braces is left out.
    pub fn always_needs(&self) -> impl Iterator<Item = Needs> + use<> {
        let also = self.also_needs.split("; ");
        std::iter::once(self.needs)
            .chain(also)
            .filter_map(Needs::read)
    }

    /// The privilege that it takes on each storage that it makes volumes on, whichever
    /// those are.
    pub fn needs_on_storages(&self) -> Option<&'static str> {
        self.also_needs
            .split("; ")
            .find_map(|needs| needs.strip_suffix(" on each storage in use"))
    }

    /// All privileges that it takes, for people: [`needs`](Self::needs) and
    /// [`also_needs`](Self::also_needs), or `any token`.
    pub fn privileges(&self) -> String {
        match (self.needs, self.also_needs) {
            ("", "") => "any token".to_owned(),
            ("", one) | (one, "") => one.to_owned(),
            (needs, also) => format!("{needs}; {also}"),
        }
    }
}

/// `GET /nodes/{node}/status`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl GuestCall {
    /// The call for guests of a type.
    pub const fn of(&'static self, guest: GuestType) -> &'static Call {
        match guest {
            GuestType::Qemu => &self.qemu,
            GuestType::Lxc => &self.lxc,
        }
    }
}

impl GuestType {
    /// `qemu` or `lxc`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Lxc => "lxc",
        }
    }
}

impl fmt::Display for GuestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Method {
    /// As it is written in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Reads a method. Case matters, as it does to pveproxy.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Delete]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a setting's name in the table stands for a name in a request:
/// `ipconfig#` for `ipconfig0` and its like.
pub fn stands_for(known: &str, name: &str) -> bool {
    let Some(prefix) = known.strip_suffix('#') else {
        return known == name;
    };
    name.strip_prefix(prefix)
        .is_some_and(|number| number.len() <= 3 && whole(number).is_some())
}

// The words that the table is written in.

/// A read.
pub(crate) const fn get(path: &'static str, needs: &'static str) -> Call {
    Call {
        method: Method::Get,
        path,
        params: Params::These(&[]),
        action: Action::Read,
        effect: None,
        shown: Shown::OfPath,
        given: Given::Any,
        needs,
        also_needs: "",
        asks_agent: false,
        since: None,
    }
}

pub(crate) const fn post(path: &'static str, action: Action, needs: &'static str) -> Call {
    Call {
        method: Method::Post,
        action,
        ..get(path, needs)
    }
}

pub(crate) const fn put(path: &'static str, action: Action, needs: &'static str) -> Call {
    Call {
        method: Method::Put,
        action,
        ..get(path, needs)
    }
}

pub(crate) const fn delete(path: &'static str, action: Action, needs: &'static str) -> Call {
    Call {
        method: Method::Delete,
        action,
        ..get(path, needs)
    }
}

impl Call {
    pub(crate) const fn takes(self, params: &'static [Param]) -> Self {
        Self {
            params: Params::These(params),
            ..self
        }
    }

    pub(crate) const fn settings(self, groups: &'static [(Action, &'static [Setting])]) -> Self {
        Self {
            params: Params::Config(groups),
            ..self
        }
    }

    pub(crate) const fn lists(self, listing: Listing) -> Self {
        Self {
            shown: Shown::List(listing),
            ..self
        }
    }

    pub(crate) const fn shows_any_guest(self) -> Self {
        Self {
            shown: Shown::OfAnyGuest,
            ..self
        }
    }

    /// For a read that is more than that.
    pub(crate) const fn is(self, action: Action) -> Self {
        Self { action, ..self }
    }

    /// For one of two calls of the same method and path.
    pub(crate) const fn only(self, given: Given) -> Self {
        Self { given, ..self }
    }

    /// For a call that the agent in a VM answers.
    pub(crate) const fn by_agent(self) -> Self {
        Self {
            asks_agent: true,
            ..self
        }
    }

    /// For a call that came with a version of Proxmox VE that may still be in use.
    pub(crate) const fn came_with(self, version: &'static str) -> Self {
        Self {
            since: Some(version),
            ..self
        }
    }

    pub(crate) const fn with(self, effect: Effect) -> Self {
        Self {
            effect: Some(effect),
            ..self
        }
    }

    pub(crate) const fn also(self, also_needs: &'static str) -> Self {
        Self { also_needs, ..self }
    }
}

impl GuestCall {
    /// A pair that differs in its path alone: see the macro `guest`.
    pub(crate) const fn get(
        (qemu, lxc): (&'static str, &'static str),
        needs: &'static str,
    ) -> Self {
        Self {
            qemu: get(qemu, needs),
            lxc: get(lxc, needs),
        }
    }

    pub(crate) const fn post(
        (qemu, lxc): (&'static str, &'static str),
        action: Action,
        needs: &'static str,
    ) -> Self {
        Self {
            qemu: post(qemu, action, needs),
            lxc: post(lxc, action, needs),
        }
    }

    pub(crate) const fn put(
        (qemu, lxc): (&'static str, &'static str),
        action: Action,
        needs: &'static str,
    ) -> Self {
        Self {
            qemu: put(qemu, action, needs),
            lxc: put(lxc, action, needs),
        }
    }

    pub(crate) const fn delete(
        (qemu, lxc): (&'static str, &'static str),
        action: Action,
        needs: &'static str,
    ) -> Self {
        Self {
            qemu: delete(qemu, action, needs),
            lxc: delete(lxc, action, needs),
        }
    }

    pub(crate) const fn takes(self, params: &'static [Param]) -> Self {
        Self {
            qemu: self.qemu.takes(params),
            lxc: self.lxc.takes(params),
        }
    }

    pub(crate) const fn lists(self, listing: Listing) -> Self {
        Self {
            qemu: self.qemu.lists(listing),
            lxc: self.lxc.lists(listing),
        }
    }

    pub(crate) const fn with(self, effect: Effect) -> Self {
        Self {
            qemu: self.qemu.with(effect),
            lxc: self.lxc.with(effect),
        }
    }

    pub(crate) const fn also(self, also_needs: &'static str) -> Self {
        Self {
            qemu: self.qemu.also(also_needs),
            lxc: self.lxc.also(also_needs),
        }
    }
}

/// A setting of a guest, with the privilege that a change of it takes.
pub(crate) const fn set(name: &'static str, grammar: Grammar, privilege: &'static str) -> Setting {
    Setting {
        name,
        grammar,
        privilege,
    }
}

/// A parameter that may be left out.
pub(crate) const fn opt(name: &'static str, grammar: Grammar) -> Param {
    Param {
        name,
        grammar,
        need: Need::Optional,
    }
}

/// A parameter that must be given, and why.
pub(crate) const fn must(name: &'static str, grammar: Grammar, why: &'static str) -> Param {
    Param {
        name,
        grammar,
        need: Need::Required(why),
    }
}

/// A switch that must be given with this value, and why.
pub(crate) const fn fixed(name: &'static str, value: &'static str, why: &'static str) -> Param {
    Param {
        name,
        grammar: Grammar::Bool,
        need: Need::Fixed(value, why),
    }
}
