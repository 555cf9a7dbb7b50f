//! `audit_access`: users, tokens and roles, what is risky about them, and who may
//! do what to a guest.
//!
//! What somebody may do to a guest follows from the access control list, by
//! Proxmox's rules: the deepest path with an entry decides, entries of a user come
//! before those of its groups, the guest's pool adds to them, NoAccess takes all,
//! and a separated token has no more than its user.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use pve_api::grammar::list;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::risk::{abilities, risky};
use crate::clock;
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order::{self, Ordered as _};
use crate::pve::{At, Flag, Guest, Listed, Num, Params, Pve, Text, Vmid};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Reply, Run, bounds};
use crate::tools::finding::{Finding, Severity, summary, visible};

/// Who may do what.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditAccess {
    /// Also: who may do what to this guest.
    vmid: Option<Vmid>,
    /// Of users, and of holders of rights on the guest. Default 50.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Users to skip; with vmid, holders.
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 50;

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct AccessAudit {
    /// The most urgent first.
    findings: Vec<Finding>,
    /// Who may do what to the guest, with a vmid; those with the most privileges first.
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<Holder>>,
    users: Vec<User>,
    users_total: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Holder {
    /// A user, or a token: `user@realm!token`.
    user: String,
    abilities: Vec<String>,
    privilege_count: usize,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct User {
    user: String,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    second_factor: bool,
    /// Its own entries, as `role on path`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Token>,
    /// If not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_total: Option<usize>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Token {
    /// Without its user.
    token: String,
    /// Without separation it has all that its user has.
    separated: bool,
    /// Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

/// A user as Proxmox lists it. Names and addresses are not read.
#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawUser {
    userid: String,
    /// Absent of one that is enabled, where the list is not full.
    enable: Option<Flag>,
    /// 0 stands for never.
    expire: Option<Num<u64>>,
    groups: Option<Text>,
    /// Not empty of a user with a second factor: mostly `x`.
    keys: Option<IgnoredText>,
    /// `pam`, `pve`, `ldap`, `ad` or `openid`.
    realm_type: Option<String>,
    #[serde(default)]
    tokens: Vec<RawToken>,
}

#[derive(Debug, DeserializeFields)]
struct RawToken {
    tokenid: Text,
    privsep: Option<Flag>,
    expire: Option<Num<u64>>,
}

#[derive(Debug, DeserializeFields)]
struct RawEntry {
    path: String,
    roleid: String,
    #[serde(rename = "type", default)]
    kind: String,
    ugid: String,
    propagate: Option<Flag>,
}

#[derive(Debug, DeserializeFields)]
struct RawRole {
    roleid: String,
    privs: Option<Text>,
}

/// Whether a text is there that must not be kept.
#[derive(Debug)]
struct IgnoredText(bool);

impl<'de> Deserialize<'de> for IgnoredText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Self(!text.0.trim().is_empty()))
    }
}

/// What the API knows of rights.
#[derive(Debug, Default)]
struct Rights {
    users: Vec<RawUser>,
    acl: Vec<RawEntry>,
    /// The privileges of each role.
    roles: BTreeMap<String, Vec<String>>,
}

const MOST_FINDINGS: usize = 50;

/// How many tokens and groups of a user are shown.
const MOST_TOKENS: usize = 20;
const MOST_GROUPS: usize = 20;

const EVIDENCE_LENGTH: usize = 400;

const SUPERUSER: &str = "root@pam";

const NO_ACCESS: &str = "NoAccess";

impl Run for AuditAccess {
    type Output = AccessAudit;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::access::ACL),
        Calls::One(&calls::access::ROLES),
        Calls::One(&calls::access::USERS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<AccessAudit>> {
        let guest = self.vmid.map(|vmid| Guest::find(pve, vmid)).transpose()?;
        let mut unseen = Vec::new();
        let rights = Rights::read(pve, &mut unseen)?;
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let mut notes = Vec::new();
        if rights.users.is_empty() {
            notes.push(pve.empty_hint(Listed::Access));
        }
        unseen.extend(rights.unseen_entries(pve).map(str::to_owned));
        let mut holders = match &guest {
            // Without the roles or the entries, nobody would seem to have a right.
            Some(_) if rights.roles.is_empty() || rights.acl.is_empty() => None,
            Some(guest) => {
                if let Some(scope) = pve.scope() {
                    notes.push(format!(
                        "holders: entries for what is outside this server's scope ({scope}) do not \
                         count"
                    ));
                }
                Some(rights.holders(guest, clock::now()))
            }
            None => None,
        };
        let mut findings = rights.findings(clock::now());
        order::by_key(&mut findings, |finding| finding.severity);
        let mut users: Vec<User> = rights.users.iter().map(|user| rights.user(user)).collect();
        order::by(&mut users, |a, b| a.user.cmp(&b.user));
        let users_total = users.len();
        let text = headline(guest.as_ref(), holders.as_deref(), users_total, &findings);
        bounds::keep(&mut findings, MOST_FINDINGS, "findings", &mut notes);
        let part = match &mut holders {
            Some(holders) => {
                bounds::keep(&mut users, page.limit, "users", &mut notes);
                page.cut(holders, "/holders", "")
            }
            None => page.cut(&mut users, "/users", "vmid"),
        };
        notes.extend(part.note());
        let audit = AccessAudit {
            findings,
            holders,
            users,
            users_total,
            not_visible: unseen,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok(Reply::Listed(audit, text, part))
    }
}

fn headline(
    guest: Option<&Guest>,
    holders: Option<&[Holder]>,
    users: usize,
    findings: &[Finding],
) -> String {
    let text = format!("{}, {}", text::count(users, "user"), summary(findings));
    let (Some(guest), Some(holders)) = (guest, holders) else {
        return text;
    };
    format!(
        "{}: {} may do something to it; {text}",
        guest.label(),
        text::count(holders.len(), "user or token")
    )
}

fn names(text: Option<&Text>) -> Vec<String> {
    text.into_iter()
        .flat_map(|text| list(&text.0))
        .map(str::to_owned)
        .collect()
}

impl RawUser {
    fn is_enabled(&self) -> bool {
        self.enable.is_none_or(|flag| flag.0)
    }

    fn has_factor(&self) -> bool {
        self.keys.as_ref().is_some_and(|keys| keys.0)
    }

    /// Whether Proxmox could ask for one: an OpenID provider does that itself.
    fn lacks_factor(&self) -> bool {
        !self.has_factor() && self.realm_type.as_deref() != Some("openid")
    }

    fn has_expired(&self, now: u64) -> bool {
        has_expired(self.expire, now)
    }
}

impl RawToken {
    fn has_expired(&self, now: u64) -> bool {
        has_expired(self.expire, now)
    }

    /// Proxmox separates a token unless told otherwise.
    fn is_separated(&self) -> bool {
        self.privsep.is_none_or(|flag| flag.0)
    }

    fn never_expires(&self) -> bool {
        set(self.expire).is_none()
    }
}

/// A moment that is set: 0 stands for never.
fn set(moment: Option<Num<u64>>) -> Option<u64> {
    moment.map(|moment| moment.0).filter(|moment| *moment > 0)
}

fn has_expired(end: Option<Num<u64>>, now: u64) -> bool {
    set(end).is_some_and(|end| end < now)
}

fn end(moment: Option<Num<u64>>) -> Option<String> {
    set(moment).map(text::time)
}

impl Rights {
    fn read(pve: &Pve, unseen: &mut Vec<String>) -> Result<Self> {
        let none = Params::new();
        let users: Vec<RawUser> = pve.send(
            &calls::access::USERS.at([]),
            &Params::new().flag("full", true),
        )?;
        let acl = visible(
            pve.send(&calls::access::ACL.at([]), &none),
            "the access control list",
            unseen,
        );
        let roles: Option<Vec<RawRole>> = visible(
            pve.send(&calls::access::ROLES.at([]), &none),
            "roles",
            unseen,
        );
        Ok(Self {
            users,
            acl: acl.unwrap_or_default(),
            roles: roles
                .unwrap_or_default()
                .into_iter()
                .map(|role| (role.roleid, names(role.privs.as_ref())))
                .ordered(),
        })
    }

    /// What of the access control list the token does not see.
    fn unseen_entries(&self, pve: &Pve) -> Option<&'static str> {
        let held = pve.held();
        let sees_all = held.is_some_and(|held| held.has_any(&["Sys.Audit"], "/access"));
        if self.acl.is_empty() {
            Some("the access control list: nothing in it is visible")
        } else if sees_all {
            None
        } else {
            Some(
                "the access control list: only a part of it is visible without Sys.Audit on \
                 /access",
            )
        }
    }

    fn entries<'a>(&'a self, kind: &'a str, who: &'a str) -> impl Iterator<Item = &'a RawEntry> {
        self.acl
            .iter()
            .filter(move |entry| entry.kind == kind && entry.ugid == who)
    }

    fn shown(&self, kind: &str, who: &str) -> Vec<String> {
        self.entries(kind, who)
            .map(|entry| {
                let only = match entry.propagate {
                    Some(Flag(false)) => " (not below it)",
                    _ => "",
                };
                format!("{} on {}{only}", entry.roleid, entry.path)
            })
            .take(20)
            .collect()
    }

    fn user(&self, raw: &RawUser) -> User {
        User {
            user: raw.userid.clone(),
            enabled: raw.is_enabled(),
            expires_at: end(raw.expire),
            groups: {
                let mut groups = names(raw.groups.as_ref());
                groups.truncate(MOST_GROUPS);
                groups
            },
            tokens_total: (raw.tokens.len() > MOST_TOKENS).then_some(raw.tokens.len()),
            second_factor: raw.has_factor(),
            roles: self.shown("user", &raw.userid),
            tokens: raw
                .tokens
                .iter()
                .take(MOST_TOKENS)
                .map(|token| Token {
                    token: token.tokenid.0.clone(),
                    separated: token.is_separated(),
                    expires_at: end(token.expire),
                    roles: self.shown("token", &format!("{}!{}", raw.userid, token.tokenid)),
                })
                .collect(),
        }
    }

    /// Risky privileges of a user's own entries and of those of its groups, as
    /// `privilege (role on path)`.
    fn risks(&self, user: &RawUser) -> Vec<String> {
        let groups = names(user.groups.as_ref());
        let entries = self.acl.iter().filter(|entry| match entry.kind.as_str() {
            "user" => entry.ugid == user.userid,
            "group" => groups.contains(&entry.ugid),
            _ => false,
        });
        self.risks_of(entries)
    }

    fn risks_of<'a>(&self, entries: impl Iterator<Item = &'a RawEntry>) -> Vec<String> {
        let mut risks = Vec::new();
        for entry in entries {
            let place = format!("{} on {}", entry.roleid, entry.path);
            if entry.roleid == "Administrator" {
                risks.push(place);
                continue;
            }
            let Some(privileges) = self.roles.get(&entry.roleid) else {
                continue;
            };
            for (privilege, what) in risky(privileges.iter().map(String::as_str)) {
                risks.push(format!("{privilege} by {place}: {what}"));
            }
        }
        risks
    }

    fn findings(&self, now: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        let (mut endless, mut expired) = (Vec::new(), Vec::new());
        for user in &self.users {
            let name = &user.userid;
            let is_root = name == SUPERUSER;
            let risks = self.risks(user);
            let is_mighty = is_root || !risks.is_empty();
            let is_off = !user.is_enabled() || user.has_expired(now);
            for token in &user.tokens {
                let full = format!("{name}!{}", token.tokenid);
                if token.has_expired(now) {
                    expired.push(full);
                    continue;
                }
                findings.extend(self.finding_of_token(token, &full, is_root, is_mighty));
                if token.never_expires() {
                    endless.push(full);
                }
            }
            if is_off {
                if !user.tokens.is_empty() {
                    findings.push(Finding::new(
                        Severity::Low,
                        format!("the user {name} is disabled or has expired, but still has tokens"),
                        "remove the tokens: they work again when the user is enabled",
                    ));
                }
                continue;
            }
            if !is_root && !risks.is_empty() {
                findings.push(
                    Finding::new(
                        Severity::Medium,
                        format!("the user {name} has risky rights"),
                        "make sure that each is needed",
                    )
                    .on(text::cut(&risks.join("; "), EVIDENCE_LENGTH)),
                );
            }
            if is_mighty && user.lacks_factor() {
                findings.push(Finding::new(
                    Severity::Medium,
                    format!("the user {name} has far-reaching rights and no second factor"),
                    "add one in the web interface under Datacenter, Permissions, Two Factor, \
                     unless nobody logs in as this user",
                ));
            }
        }
        if !endless.is_empty() {
            findings.push(
                Finding::new(
                    Severity::Low,
                    format!("{} never expire", text::count(endless.len(), "token")),
                    "set an expiry, and renew them before it",
                )
                .on(text::names(endless.iter().map(String::as_str))),
            );
        }
        if !expired.is_empty() {
            findings.push(
                Finding::new(
                    Severity::Low,
                    format!("{} expired", text::count(expired.len(), "token")),
                    "remove them if they are not needed any more",
                )
                .on(text::names(expired.iter().map(String::as_str))),
            );
        }
        findings
    }

    /// What is risky about the rights of a token.
    fn finding_of_token(
        &self,
        token: &RawToken,
        full: &str,
        is_of_root: bool,
        is_of_mighty: bool,
    ) -> Option<Finding> {
        if token.is_separated() {
            let own = self.risks_of(self.entries("token", full));
            return (!own.is_empty()).then(|| {
                Finding::new(
                    Severity::Medium,
                    format!("the token {full} has risky rights, as far as its user has them"),
                    "give it a role without them, if it does not need them",
                )
                .on(text::cut(&own.join("; "), EVIDENCE_LENGTH))
            });
        }
        if is_of_root {
            return Some(Finding::new(
                Severity::High,
                format!("the token {full} may do everything: it has all rights of root"),
                "make a token of a user of its own, with the rights that it needs",
            ));
        }
        Some(Finding::new(
            if is_of_mighty {
                Severity::Medium
            } else {
                Severity::Low
            },
            format!("the token {full} has all rights of its user"),
            "separate its privileges, and grant the token those that it needs",
        ))
    }

    /// Who may do something to a guest.
    fn holders(&self, guest: &Guest, now: u64) -> Vec<Holder> {
        let path = format!("/vms/{}", guest.vmid);
        let mut holders = Vec::new();
        for user in &self.users {
            if !user.is_enabled() || user.has_expired(now) {
                continue;
            }
            let name = &user.userid;
            let groups = names(user.groups.as_ref());
            let of_user = self.effective(&Subject::user(name, &groups), &path, guest);
            for token in &user.tokens {
                if token.has_expired(now) {
                    continue;
                }
                let full = format!("{name}!{}", token.tokenid);
                let held = if token.is_separated() {
                    let own = self.effective(&Subject::token(&full), &path, guest);
                    own.intersection(&of_user).cloned().ordered()
                } else {
                    of_user.clone()
                };
                holders.extend(Holder::new(full, &held));
            }
            holders.extend(Holder::new(name.clone(), &of_user));
        }
        order::by(&mut holders, |a, b| {
            (b.privilege_count, &a.user).cmp(&(a.privilege_count, &b.user))
        });
        holders
    }

    /// The privileges that somebody has on a path, with those by the guest's pool.
    fn effective(&self, who: &Subject<'_>, path: &str, guest: &Guest) -> BTreeSet<String> {
        if who.name == SUPERUSER {
            return self.privileges(["Administrator"]);
        }
        let roles = self.roles_on(who, path);
        if roles.contains(NO_ACCESS) {
            return BTreeSet::new();
        }
        let mut held = self.privileges(roles.iter().copied());
        if let Some(pool) = &guest.pool {
            let roles = self.roles_on(who, &format!("/pool/{pool}"));
            // It takes what the guest's own path gives as well.
            if roles.contains(NO_ACCESS) {
                return BTreeSet::new();
            }
            held.extend(self.privileges(roles));
        }
        held
    }

    fn privileges<'a>(&self, roles: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        roles
            .into_iter()
            .filter_map(|role| self.roles.get(role))
            .flatten()
            .cloned()
            .ordered()
    }

    /// The roles that somebody has on a path: the deepest path with an entry
    /// decides, and on it the entries of the user or token before those of its
    /// groups.
    fn roles_on(&self, who: &Subject<'_>, path: &str) -> BTreeSet<&str> {
        let mut roles = BTreeSet::new();
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .filter(|at| *at > 0);
        let above = std::iter::once("/").chain(ends.filter_map(|at| path.get(..at)));
        for part in above.chain([path]) {
            let is_final = part == path;
            let here = |kind: &'static str, is: &dyn Fn(&str) -> bool| -> BTreeSet<&str> {
                self.acl
                    .iter()
                    .filter(|entry| entry.path == part && entry.kind == kind && is(&entry.ugid))
                    .filter(|entry| is_final || entry.propagate.is_none_or(|flag| flag.0))
                    .map(|entry| entry.roleid.as_str())
                    .ordered()
            };
            let own = here(who.kind, &|ugid| ugid == who.name);
            let found = if own.is_empty() {
                here("group", &|ugid| {
                    who.groups.iter().any(|group| group == ugid)
                })
            } else {
                own
            };
            if !found.is_empty() {
                roles = found;
            }
        }
        roles
    }
}

/// A user with its groups, or a token, which is in none.
struct Subject<'a> {
    kind: &'static str,
    name: &'a str,
    groups: &'a [String],
}

impl<'a> Subject<'a> {
    fn user(name: &'a str, groups: &'a [String]) -> Self {
        Self {
            kind: "user",
            name,
            groups,
        }
    }

    fn token(name: &'a str) -> Self {
        Self {
            kind: "token",
            name,
            groups: &[],
        }
    }
}

impl Holder {
    fn new(user: String, privileges: &BTreeSet<String>) -> Option<Self> {
        let abilities = abilities(privileges);
        (!abilities.is_empty()).then(|| Self {
            user,
            abilities: abilities.into_iter().map(str::to_owned).collect(),
            privilege_count: privileges.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rights() -> Rights {
        let roles: Vec<RawRole> = serde_json::from_value(json!([
            {"roleid": "Administrator", "privs": "Permissions.Modify,VM.Audit", "special": 1},
            {"roleid": "PVEVMUser", "privs": "VM.Audit,VM.GuestAgent.FileWrite"},
            {"roleid": "PVEAuditor", "privs": "VM.Audit,Sys.Audit"},
            {"roleid": "NoAccess"},
        ]))
        .unwrap();
        Rights {
            users: serde_json::from_value(json!([
                {"userid": "root@pam", "enable": 1, "expire": 0, "groups": "", "keys": "x", "tokens": [
                    {"tokenid": "full", "privsep": 0, "expire": 0},
                    {"tokenid": "sep", "privsep": 1, "expire": 1_800_000_000}]},
                {"userid": "ann@pve", "enable": 1, "groups": "ops", "tokens": [],
                    "email": "ann@example.com", "keys": ""},
                {"userid": "bot@pve", "enable": "0", "tokens": [{"tokenid": "old", "privsep": "1"}]},
                {"userid": "joe@id", "realm-type": "openid", "groups": "ops", "tokens": [
                    {"tokenid": "gone", "privsep": 0, "expire": 1_700_000_000}]},
                {"userid": "see@pve", "tokens": [{"tokenid": "ro", "privsep": 1, "expire": "0"}]},
            ]))
            .unwrap(),
            acl: serde_json::from_value(json!([
                {"path": "/", "roleid": "Administrator", "type": "group", "ugid": "ops",
                    "propagate": 1},
                {"path": "/", "roleid": "PVEAuditor", "type": "user", "ugid": "see@pve"},
                {"path": "/vms/100", "roleid": "PVEVMUser", "type": "token", "ugid": "see@pve!ro",
                    "propagate": 0},
            ]))
            .unwrap(),
            roles: roles
                .into_iter()
                .map(|role| (role.roleid, names(role.privs.as_ref())))
                .collect(),
        }
    }

    #[test]
    fn what_is_risky() {
        let found = rights().findings(1_795_338_154);
        let said: Vec<String> = found
            .iter()
            .map(|one| format!("{:?}: {}", one.severity, one.finding))
            .collect();
        for words in [
            "High: the token root@pam!full may do everything",
            "Medium: the user ann@pve has risky rights",
            "Medium: the user ann@pve has far-reaching rights and no second factor",
            "Low: the user bot@pve is disabled or has expired, but still has tokens",
            "Medium: the token see@pve!ro has risky rights",
            "Low: 3 tokens never expire",
            "Medium: the user joe@id has risky rights",
            "Low: 1 token expired",
        ] {
            assert!(
                said.iter().any(|one| one.starts_with(words)),
                "{words}: {said:#?}"
            );
        }
        assert_eq!(found.len(), 8, "{said:#?}");
        // An unreadable list of roles does not hide an administrator.
        let mut blind = rights();
        blind.roles.clear();
        let risks = blind.risks(&blind.users[1]);
        assert_eq!(risks, ["Administrator on /"]);
    }

    #[test]
    fn who_may_do_what_to_a_guest() {
        let guest = |vmid: u32, pool: Option<&str>| -> Guest {
            serde_json::from_value(
                json!({"vmid": vmid, "type": "qemu", "node": "alpha", "pool": pool}),
            )
            .unwrap()
        };
        let names = |rights: &Rights, guest: &Guest| -> Vec<String> {
            rights
                .holders(guest, 1_795_338_154)
                .into_iter()
                .map(|holder| format!("{} {}", holder.user, holder.abilities.join("/")))
                .collect()
        };
        let mut rights = rights();
        let all = [
            "ann@pve grant rights on it/see it",
            "joe@id grant rights on it/see it",
            "root@pam grant rights on it/see it",
            "root@pam!full grant rights on it/see it",
        ];
        let with = |more: &[&str]| -> Vec<String> {
            all.iter()
                .chain(more)
                .map(|one| (*one).to_owned())
                .collect()
        };
        // The token may write files, but its user may not.
        assert_eq!(
            names(&rights, &guest(100, None)),
            with(&["see@pve see it", "see@pve!ro see it"])
        );
        // Its entry is for that guest alone.
        assert_eq!(names(&rights, &guest(101, None)), with(&["see@pve see it"]));
        let more: Vec<RawEntry> = serde_json::from_value(json!([
            {"path": "/vms", "roleid": "NoAccess", "type": "user", "ugid": "see@pve"},
            {"path": "/pool/lab", "roleid": "PVEVMUser", "type": "user", "ugid": "ann@pve"},
        ]))
        .unwrap();
        rights.acl.extend(more);
        assert_eq!(names(&rights, &guest(101, None)), with(&[]));
        let of_pool = names(&rights, &guest(101, Some("lab/web")));
        assert_eq!(
            of_pool[0],
            "ann@pve grant rights on it/write files in it/see it"
        );
        let none: RawEntry = serde_json::from_value(
            json!({"path": "/pool/lab", "roleid": "NoAccess", "type": "user", "ugid": "ann@pve"}),
        )
        .unwrap();
        rights.acl.push(none);
        let shut_out = names(&rights, &guest(101, Some("lab/web")));
        assert!(!shut_out.join(";").contains("ann@pve"), "{shut_out:?}");
    }

    #[test]
    fn users_without_what_is_private() {
        let rights = rights();
        let shown = serde_json::to_value(
            rights
                .users
                .iter()
                .map(|user| rights.user(user))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        assert!(!shown.to_string().contains("example.com"));
        assert_eq!(shown[0]["second_factor"], true);
        assert_eq!(shown[0]["tokens"][1]["expires_at"], "2027-01-15T08:00:00Z");
        assert_eq!(shown[2]["enabled"], false);
        assert_eq!(
            shown[4]["tokens"][0]["roles"],
            json!(["PVEVMUser on /vms/100 (not below it)"])
        );
    }
}
