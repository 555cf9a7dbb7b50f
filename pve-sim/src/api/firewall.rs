//! The firewall of the cluster, a node, a guest or a security group.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{CONFIG_IDS, Format, Props, split_list};
use crate::params::{Arg, BOOL, INT, Kind, Param, TEXT, matches_whole, opt, req};
use crate::permission::Permission::{self, All, Everyone};
use crate::state::{Firewall, Group, IpSet, Rule, digest_of, options_digest, rules_digest};
use pve_api::{Method, calls};

const CLUSTER_READ: Permission = All("/", &["Sys.Audit"]);
const CLUSTER_WRITE: Permission = All("/", &["Sys.Modify"]);
const NODE_READ: Permission = All("/nodes/{node}", &["Sys.Audit"]);
const NODE_WRITE: Permission = All("/nodes/{node}", &["Sys.Modify"]);
const GUEST_READ: Permission = All("/vms/{vmid}", &["VM.Audit"]);
const GUEST_WRITE: Permission = All("/vms/{vmid}", &["VM.Config.Network"]);

const NAME_PATTERN: &str = "[A-Za-z][A-Za-z0-9\\-\\_]+";
const NAME: Kind = TEXT.min_len(2).max_len(64).pattern(NAME_PATTERN);
const GROUP: Kind = TEXT.min_len(2).max_len(18).pattern(NAME_PATTERN);
const ACTION: Kind = TEXT.min_len(2).max_len(20).pattern(NAME_PATTERN);
const RULE_TYPE: Kind = TEXT.choices(&["in", "out", "forward", "group"]);
const LOG_LEVEL: Kind = TEXT.choices(&[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
]);
const POLICY: Kind = TEXT.choices(&["ACCEPT", "REJECT", "DROP"]);
const ADDRESSES: Kind = TEXT
    .max_len(512)
    .format(Format::Named("pve-fw-addr-spec", check_addresses));
const FW_DIGEST: Kind = TEXT.max_len(64);
const POS: Param = opt("pos", INT.min(0));

/// What every rule may have.
const RULE: &[Param] = &[
    opt("comment", TEXT),
    opt("dest", ADDRESSES),
    opt("digest", FW_DIGEST),
    opt(
        "dport",
        TEXT.format(Format::Named("pve-fw-dport-spec", check_ports)),
    ),
    opt("enable", INT.min(0)),
    opt(
        "icmp-type",
        TEXT.format(Format::Named("pve-fw-icmp-type-spec", check_icmp)),
    ),
    opt(
        "iface",
        TEXT.min_len(2)
            .max_len(20)
            .format(Format::Named("pve-iface", check_iface)),
    ),
    opt("log", LOG_LEVEL),
    opt("macro", TEXT.max_len(128)),
    POS,
    opt(
        "proto",
        TEXT.format(Format::Named("pve-fw-protocol-spec", check_protocol)),
    ),
    opt("source", ADDRESSES),
    opt(
        "sport",
        TEXT.format(Format::Named("pve-fw-sport-spec", check_ports)),
    ),
];
const NEW_RULE: &[Param] = &[req("action", ACTION), req("type", RULE_TYPE)];
const NEW_GROUP_RULE: &[Param] = &[
    req("group", GROUP),
    req("action", ACTION),
    req("type", RULE_TYPE),
];
const CHANGED_RULE: &[Param] = &[
    opt("action", ACTION),
    opt("type", RULE_TYPE),
    opt("delete", CONFIG_IDS),
    opt("moveto", INT.min(0)),
];
const CHANGED_GROUP_RULE: &[Param] = &[
    req("group", GROUP),
    opt("action", ACTION),
    opt("type", RULE_TYPE),
    opt("delete", CONFIG_IDS),
    opt("moveto", INT.min(0)),
];
const REMOVED_RULE: &[Param] = &[opt("digest", FW_DIGEST), POS];

static RATE_LIMIT: Props = Props {
    params: &[
        opt("burst", INT.min(0)),
        req("enable", BOOL),
        opt(
            "rate",
            TEXT.pattern(r"[1-9][0-9]*\/(second|minute|hour|day)"),
        ),
    ],
    default_key: Some("enable"),
    aliases: &[],
};

const CLUSTER_OPTIONS: &[Param] = &[
    opt("delete", CONFIG_IDS),
    opt("digest", FW_DIGEST),
    opt("ebtables", BOOL),
    opt("enable", INT.min(0)),
    opt("log_ratelimit", TEXT.props(&RATE_LIMIT)),
    opt("policy_forward", TEXT.choices(&["ACCEPT", "DROP"])),
    opt("policy_in", POLICY),
    opt("policy_out", POLICY),
];
const NODE_OPTIONS: &[Param] = &[
    opt("delete", CONFIG_IDS),
    opt("digest", FW_DIGEST),
    opt("enable", BOOL),
    opt("log_level_forward", LOG_LEVEL),
    opt("log_level_in", LOG_LEVEL),
    opt("log_level_out", LOG_LEVEL),
    opt("log_nf_conntrack", BOOL),
    opt("ndp", BOOL),
    opt("nf_conntrack_allow_invalid", BOOL),
    opt("nf_conntrack_max", INT.min(32_768)),
    opt("nf_conntrack_tcp_timeout_established", INT.min(7875)),
    opt("nf_conntrack_tcp_timeout_syn_recv", INT.min(30).max(60)),
    opt("nftables", BOOL),
    opt("nosmurfs", BOOL),
    opt("protection_synflood", BOOL),
    opt("protection_synflood_burst", INT),
    opt("protection_synflood_rate", INT),
    opt("smurf_log_level", LOG_LEVEL),
    opt("tcp_flags_log_level", LOG_LEVEL),
    opt("tcpflags", BOOL),
];
const GUEST_OPTIONS: &[Param] = &[
    opt("delete", CONFIG_IDS),
    opt("dhcp", BOOL),
    opt("digest", FW_DIGEST),
    opt("enable", BOOL),
    opt("ipfilter", BOOL),
    opt("log_level_in", LOG_LEVEL),
    opt("log_level_out", LOG_LEVEL),
    opt("macfilter", BOOL),
    opt("ndp", BOOL),
    opt("policy_in", POLICY),
    opt("policy_out", POLICY),
    opt("radv", BOOL),
];
const REFS: &[Param] = &[opt("type", TEXT.choices(&["alias", "ipset"]))];
const NAMED: &[Param] = &[req("name", NAME)];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::firewall::CLUSTER_RULES,
        &[],
        CLUSTER_READ,
        list_rules,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/firewall/rules/{pos}",
        &[POS],
        CLUSTER_READ,
        show_rule,
    ),
    on(
        &calls::firewall::ADD_CLUSTER_RULE,
        NEW_RULE,
        CLUSTER_WRITE,
        add_rule,
    )
    .with(RULE),
    on(
        &calls::firewall::SET_CLUSTER_RULE,
        CHANGED_RULE,
        CLUSTER_WRITE,
        change_rule,
    )
    .with(RULE),
    on(
        &calls::firewall::DELETE_CLUSTER_RULE,
        REMOVED_RULE,
        CLUSTER_WRITE,
        remove_rule,
    ),
    on(
        &calls::firewall::CLUSTER_OPTIONS,
        &[],
        CLUSTER_READ,
        show_options,
    ),
    on(
        &calls::firewall::SET_CLUSTER_OPTIONS,
        CLUSTER_OPTIONS,
        CLUSTER_WRITE,
        set_options,
    ),
    on(&calls::firewall::MACROS, &[], Everyone, macros),
    on(
        &calls::firewall::CLUSTER_REFERENCES,
        REFS,
        CLUSTER_READ,
        refs,
    ),
    on(&calls::firewall::GROUPS, &[], Everyone, groups),
    on(
        &calls::expert::ADD_GROUP,
        &[
            opt("comment", TEXT),
            opt("digest", FW_DIGEST),
            req("group", GROUP),
            opt("rename", GROUP),
        ],
        CLUSTER_WRITE,
        add_group,
    ),
    on(
        &calls::firewall::GROUP_RULES,
        &[req("group", GROUP)],
        CLUSTER_READ,
        list_rules,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/firewall/groups/{group}/{pos}",
        &[req("group", GROUP), POS],
        CLUSTER_READ,
        show_rule,
    ),
    on(
        &calls::expert::ADD_GROUP_RULE,
        NEW_GROUP_RULE,
        CLUSTER_WRITE,
        add_rule,
    )
    .with(RULE),
    on(
        &calls::expert::SET_GROUP_RULE,
        CHANGED_GROUP_RULE,
        CLUSTER_WRITE,
        change_rule,
    )
    .with(RULE),
    on(
        &calls::expert::DELETE_GROUP_RULE,
        &[req("group", GROUP), opt("digest", FW_DIGEST), POS],
        CLUSTER_WRITE,
        remove_rule,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/firewall/aliases",
        &[],
        CLUSTER_READ,
        aliases,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/firewall/aliases/{name}",
        NAMED,
        CLUSTER_READ,
        show_alias,
    ),
    on(
        &calls::expert::ADD_ALIAS,
        &[
            req(
                "cidr",
                TEXT.format(Format::Named("IPorCIDR", check_ip_or_cidr)),
            ),
            opt("comment", TEXT),
            req("name", NAME),
        ],
        CLUSTER_WRITE,
        add_alias,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/firewall/ipset",
        &[],
        CLUSTER_READ,
        ipsets,
    ),
    on(&calls::firewall::IPSET, NAMED, CLUSTER_READ, show_ipset),
    on(
        &calls::expert::ADD_IPSET,
        &[
            opt("comment", TEXT),
            opt("digest", FW_DIGEST),
            req("name", NAME),
            opt("rename", NAME),
        ],
        CLUSTER_WRITE,
        add_ipset,
    ),
    on(
        &calls::expert::ADD_IPSET_ENTRY,
        &[
            req(
                "cidr",
                TEXT.format(Format::Named("IPorCIDRorAlias", check_ip_or_cidr_or_alias)),
            ),
            opt("comment", TEXT),
            req("name", NAME),
            opt("nomatch", BOOL),
        ],
        CLUSTER_WRITE,
        add_ipset_entry,
    ),
    on(&calls::firewall::NODE_RULES, &[], NODE_READ, list_rules),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/firewall/rules/{pos}",
        &[POS],
        NODE_READ,
        show_rule,
    ),
    on(
        &calls::firewall::ADD_NODE_RULE,
        NEW_RULE,
        NODE_WRITE,
        add_rule,
    )
    .with(RULE),
    on(
        &calls::firewall::SET_NODE_RULE,
        CHANGED_RULE,
        NODE_WRITE,
        change_rule,
    )
    .with(RULE),
    on(
        &calls::firewall::DELETE_NODE_RULE,
        REMOVED_RULE,
        NODE_WRITE,
        remove_rule,
    ),
    on(&calls::firewall::NODE_OPTIONS, &[], NODE_READ, show_options),
    on(
        &calls::firewall::SET_NODE_OPTIONS,
        NODE_OPTIONS,
        NODE_WRITE,
        set_options,
    ),
];

/// The same for VMs and for containers. Guests' rules lie in the cluster's file system:
/// any node answers, options aside.
macro_rules! of_guests {
    ($kind:ident) => {
        &[
            on(
                &calls::firewall::GUEST_RULES.$kind,
                &[],
                GUEST_READ,
                list_rules,
            )
            .local(),
            apart(
                Why::Recorded,
                Method::Get,
                concat!(
                    "/nodes/{node}/",
                    stringify!($kind),
                    "/{vmid}/firewall/rules/{pos}"
                ),
                &[POS],
                GUEST_READ,
                show_rule,
            )
            .local(),
            on(
                &calls::firewall::ADD_GUEST_RULE.$kind,
                NEW_RULE,
                GUEST_WRITE,
                add_rule,
            )
            .with(RULE)
            .local(),
            on(
                &calls::firewall::SET_GUEST_RULE.$kind,
                CHANGED_RULE,
                GUEST_WRITE,
                change_rule,
            )
            .with(RULE)
            .local(),
            on(
                &calls::firewall::DELETE_GUEST_RULE.$kind,
                REMOVED_RULE,
                GUEST_WRITE,
                remove_rule,
            )
            .local(),
            on(
                &calls::firewall::GUEST_OPTIONS.$kind,
                &[],
                GUEST_READ,
                show_options,
            ),
            on(
                &calls::firewall::SET_GUEST_OPTIONS.$kind,
                GUEST_OPTIONS,
                GUEST_WRITE,
                set_options,
            ),
            on(
                &calls::firewall::GUEST_REFERENCES.$kind,
                REFS,
                GUEST_READ,
                refs,
            )
            .local(),
            apart(
                Why::Recorded,
                Method::Get,
                concat!(
                    "/nodes/{node}/",
                    stringify!($kind),
                    "/{vmid}/firewall/aliases"
                ),
                &[],
                GUEST_READ,
                aliases,
            )
            .local(),
            apart(
                Why::Recorded,
                Method::Get,
                concat!(
                    "/nodes/{node}/",
                    stringify!($kind),
                    "/{vmid}/firewall/ipset"
                ),
                &[],
                GUEST_READ,
                ipsets,
            )
            .local(),
            apart(
                Why::Recorded,
                Method::Get,
                concat!(
                    "/nodes/{node}/",
                    stringify!($kind),
                    "/{vmid}/firewall/ipset/{name}"
                ),
                NAMED,
                GUEST_READ,
                show_ipset,
            )
            .local(),
        ]
    };
}

pub(crate) static OF_VMS: &[Endpoint] = of_guests!(qemu);
pub(crate) static OF_CONTAINERS: &[Endpoint] = of_guests!(lxc);

const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

/// Addresses, networks, ranges, `+ipset` and alias names, separated by commas.
fn check_addresses(text: &str) -> Result<(), String> {
    if matches_whole(r"\+?(dc/|guest/)?[A-Za-z][A-Za-z0-9_-]+", text)
        || matches_whole("[A-Za-z][A-Za-z0-9_-]+", text)
    {
        return Ok(());
    }
    let mut version = None;
    for part in text.split(',') {
        let first = part.split('-').next().unwrap_or_default();
        let valid = match part.split_once('-') {
            Some((from, to)) => from.parse::<IpAddr>().is_ok() && to.parse::<IpAddr>().is_ok(),
            None => is_ip_or_cidr(part),
        };
        if !valid {
            return Err(format!("invalid IP address: unable to parse '{part}'\n"));
        }
        let this = first.contains(':');
        if version.is_some_and(|version| version != this) {
            return Err(format!(
                "detected mixed ipv4/ipv6 addresses in address list '{text}'\n"
            ));
        }
        version = Some(this);
    }
    Ok(())
}

fn is_ip_or_cidr(text: &str) -> bool {
    let (ip, bits) = text
        .split_once('/')
        .map_or((text, None), |(ip, bits)| (ip, Some(bits)));
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return false;
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse().is_ok_and(|bits: u8| bits <= most))
}

fn check_ip_or_cidr(text: &str) -> Result<(), String> {
    if is_ip_or_cidr(text) {
        Ok(())
    } else {
        Err("value does not look like a valid IP address or CIDR network\n".into())
    }
}

fn check_ip_or_cidr_or_alias(text: &str) -> Result<(), String> {
    if matches_whole("(dc/|guest/)?[A-Za-z][A-Za-z0-9_-]+", text) {
        Ok(())
    } else {
        check_ip_or_cidr(text)
    }
}

/// Numbers, names and ranges, separated by commas.
fn check_ports(text: &str) -> Result<(), String> {
    for part in text.split(',') {
        let number = |text: &str| text.parse::<u32>().ok();
        match part.split_once(':') {
            Some((from, to)) => match (number(from), number(to)) {
                (Some(from), Some(to)) if from > to => {
                    return Err(format!(
                        "backwards range '{from}:{to}' not allowed, did you mean '{to}:{from}'?\n"
                    ));
                }
                (Some(from), Some(to)) if from <= 65_535 && to <= 65_535 => {}
                _ => return Err(format!("invalid port '{part}'\n")),
            },
            None => match number(part) {
                Some(port) if port <= 65_535 => {}
                Some(_) => return Err(format!("invalid port '{part}'\n")),
                None if matches_whole("[a-z][a-z0-9-]+", part) && SERVICES.contains(&part) => {}
                None => return Err(format!("invalid port '{part}'\n")),
            },
        }
    }
    Ok(())
}

const SERVICES: [&str; 16] = [
    "ssh",
    "http",
    "https",
    "smtp",
    "domain",
    "ftp",
    "imap",
    "imaps",
    "pop3",
    "pop3s",
    "ntp",
    "snmp",
    "ldap",
    "ldaps",
    "mysql",
    "postgresql",
];
const PROTOCOLS: [&str; 14] = [
    "tcp",
    "udp",
    "icmp",
    "igmp",
    "ggp",
    "ipv6-icmp",
    "icmpv6",
    "esp",
    "ah",
    "gre",
    "ospf",
    "sctp",
    "udplite",
    "vrrp",
];
const WITH_PORTS: [&str; 5] = ["tcp", "udp", "sctp", "udplite", "dccp"];

fn check_protocol(text: &str) -> Result<(), String> {
    if PROTOCOLS.contains(&text) || text.parse::<u8>().is_ok() {
        return Ok(());
    }
    Err(format!("unknown protocol '{text}'\n"))
}

fn check_icmp(text: &str) -> Result<(), String> {
    if matches_whole("[0-9]+(/[0-9]+)?|any|[a-z][a-z0-9-]+", text) {
        Ok(())
    } else {
        Err(format!("unknown icmp-type '{text}'\n"))
    }
}

fn check_iface(text: &str) -> Result<(), String> {
    if matches_whole(r"[a-zA-Z][a-zA-Z0-9_]{1,20}([:.]\d+)?", text) {
        return Ok(());
    }
    Err(format!("invalid network interface name '{text}'\n"))
}

/// Which firewall a request is about.
fn firewall<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Firewall, Fail> {
    if call.has("vmid") {
        let vmid = call.vmid();
        return Ok(call.cluster.guest_firewalls.entry(vmid).or_default());
    }
    if call.has("node") {
        let name = call.node();
        let node = call.cluster.nodes.iter_mut().find(|node| node.name == name);
        return node
            .map(|node| &mut node.firewall)
            .ok_or_else(|| Fail::die("no such cluster node"));
    }
    Ok(&mut call.cluster.firewall)
}

fn rules<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Vec<Rule>, Fail> {
    match call.get("group").map(str::to_owned) {
        None => Ok(&mut firewall(call)?.rules),
        Some(name) => {
            let group = call.cluster.firewall.groups.get_mut(&name);
            group
                .map(|group| &mut group.rules)
                .ok_or_else(|| Fail::die(format!("no such security group '{name}'")))
        }
    }
}

/// A rule as it is shown. The position is a number in lists, and text alone.
fn rule_json(rule: &Rule, pos: Value, digest: &str) -> Value {
    let mut fields: Map<String, Value> = rule
        .iter()
        .map(|(key, value)| {
            let shown = if key == "enable" {
                json!(value.parse::<i64>().unwrap_or(0))
            } else {
                json!(value)
            };
            (key.clone(), shown)
        })
        .collect();
    let version = ["source", "dest"]
        .iter()
        .filter_map(|key| rule.get(*key))
        .find_map(|text| {
            let first = text.split([',', '-']).next()?.split('/').next()?;
            first
                .parse::<IpAddr>()
                .ok()
                .map(|ip| if ip.is_ipv4() { 4 } else { 6 })
        });
    if let Some(version) = version {
        fields.insert("ipversion".into(), json!(version));
    }
    fields.insert("pos".into(), pos);
    fields.insert("digest".into(), json!(digest));
    Value::Object(fields)
}

fn list_rules(call: &mut Call<'_>) -> Answer {
    let rules = rules(call)?;
    let digest = rules_digest(rules);
    Ok(rules
        .iter()
        .enumerate()
        .map(|(pos, rule)| rule_json(rule, json!(pos), &digest))
        .collect())
}

fn position(call: &Call<'_>) -> usize {
    call.int("pos")
        .and_then(|pos| usize::try_from(pos).ok())
        .unwrap_or(0)
}

fn show_rule(call: &mut Call<'_>) -> Answer {
    let (pos, text) = (position(call), call.text("pos"));
    let rules = rules(call)?;
    let digest = rules_digest(rules);
    let rule = rules
        .get(pos)
        .ok_or_else(|| Fail::die(format!("no rule at position {pos}")))?;
    Ok(rule_json(rule, json!(text), &digest))
}

const RULE_KEYS: [&str; 13] = [
    "action",
    "type",
    "comment",
    "dest",
    "dport",
    "enable",
    "icmp-type",
    "iface",
    "log",
    "macro",
    "proto",
    "source",
    "sport",
];

/// Takes over what a request says of a rule; an empty text removes.
fn copy_into(rule: &mut Rule, call: &Call<'_>) {
    for key in RULE_KEYS {
        match call.args.get(key) {
            Some(Arg::One(text)) if !text.is_empty() => {
                rule.insert(key.to_owned(), text.clone());
            }
            Some(Arg::One(_)) => {
                rule.remove(key);
            }
            _ => {}
        }
    }
}

/// What a rule must be besides its parameters' types.
fn verify(call: &Call<'_>, rule: &Rule) -> Result<(), Fail> {
    let mut errors: BTreeMap<String, String> = BTreeMap::new();
    let get = |key: &str| rule.get(key).map(String::as_str);
    let action = get("action").unwrap_or_default();
    let is_group = get("type") == Some("group");
    if get("type") == Some("forward") && call.has("vmid") {
        errors.insert(
            "type".into(),
            "invalid rule type 'forward' for rule_env 'vm'".into(),
        );
    }
    if is_group {
        if call.has("group") {
            errors.insert("type".into(), "security groups cannot be nested".into());
        } else if !call.cluster.firewall.groups.contains_key(action) {
            errors.insert(
                "action".into(),
                format!("no such security group '{action}'"),
            );
        }
    } else if !matches!(action, "ACCEPT" | "DROP" | "REJECT") {
        errors.insert("action".into(), format!("unknown action '{action}'"));
    }
    if let Some(iface) = get("iface")
        && call.has("vmid")
        && !matches_whole(r"net\d+", iface)
    {
        errors.insert(
            "iface".into(),
            "value does not match the regex pattern 'net\\d+'".into(),
        );
    }
    if let Some(name) = get("macro")
        && !MACROS
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        errors.insert("macro".into(), format!("unknown macro '{name}'"));
    }
    for port in ["dport", "sport"] {
        if get(port).is_none() || get("macro").is_some() {
            continue;
        }
        match get("proto") {
            None => {
                errors.insert(
                    "proto".into(),
                    format!("missing property - '{port}' requires this property"),
                );
            }
            Some(proto) if !WITH_PORTS.contains(&proto) && !proto.contains("icmp") => {
                errors.insert(
                    port.into(),
                    format!("protocol '{proto}' does not support ports"),
                );
            }
            Some(_) => {}
        }
    }
    for key in ["source", "dest"] {
        let Some(text) = get(key) else { continue };
        if let Some(set) = text.strip_prefix('+') {
            let name = set.trim_start_matches("dc/").trim_start_matches("guest/");
            if !known_in(call, |firewall| firewall.ipsets.contains_key(name)) {
                errors.insert(key.into(), format!("no such ipset '{name}'"));
            }
        } else if text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
            let name = text.trim_start_matches("dc/").trim_start_matches("guest/");
            if !known_in(call, |firewall| firewall.aliases.contains_key(name)) {
                errors.insert(key.into(), format!("no such alias '{name}'"));
            }
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Fail::params(errors))
    }
}

/// Whether the cluster's firewall or the guest's own has it.
fn known_in(call: &Call<'_>, has: impl Fn(&Firewall) -> bool) -> bool {
    let own = call
        .has("vmid")
        .then(|| call.cluster.guest_firewalls.get(&call.vmid()))
        .flatten();
    has(&call.cluster.firewall) || own.is_some_and(has)
}

fn add_rule(call: &mut Call<'_>) -> Answer {
    rules(call)?;
    let mut rule = Rule::new();
    copy_into(&mut rule, call);
    verify(call, &rule)?;
    rule.entry("enable".into()).or_insert_with(|| "0".into());
    // A new rule comes first, whatever `pos` says.
    rules(call)?.insert(0, rule);
    Ok(Value::Null)
}

/// Refuses when the caller has read other rules than these.
fn check_digest(call: &Call<'_>, digest: &str) -> Result<(), Fail> {
    match call.get("digest") {
        Some(given) if given != digest => Err(Fail::die(MODIFIED)),
        _ => Ok(()),
    }
}

fn change_rule(call: &mut Call<'_>) -> Answer {
    let pos = position(call);
    let current = rules(call)?.clone();
    check_digest(call, &rules_digest(&current))?;
    let mut rule = current
        .get(pos)
        .cloned()
        .ok_or_else(|| Fail::die(format!("no rule at position {pos}")))?;
    let to = call
        .int("moveto")
        .and_then(|to| usize::try_from(to).ok())
        .filter(|to| *to != pos);
    if let Some(to) = to {
        let mut moved = Vec::with_capacity(current.len());
        for (at, other) in current.iter().enumerate().filter(|(at, _)| *at != pos) {
            if at == to {
                moved.push(rule.clone());
            }
            moved.push(other.clone());
        }
        if to >= current.len() {
            moved.push(rule);
        }
        *rules(call)? = moved;
        return Ok(Value::Null);
    }
    copy_into(&mut rule, call);
    for key in call
        .get("delete")
        .map(str::to_owned)
        .iter()
        .flat_map(|list| split_list(list))
    {
        rule.remove(key);
    }
    verify(call, &rule)?;
    if let Some(place) = rules(call)?.get_mut(pos) {
        *place = rule;
    }
    Ok(Value::Null)
}

fn remove_rule(call: &mut Call<'_>) -> Answer {
    let pos = position(call);
    let digest = rules_digest(rules(call)?);
    check_digest(call, &digest)?;
    let rules = rules(call)?;
    if pos >= rules.len() {
        return Err(Fail::die(format!("no rule at position {pos}")));
    }
    rules.remove(pos);
    Ok(Value::Null)
}

fn show_options(call: &mut Call<'_>) -> Answer {
    let options = &firewall(call)?.options;
    let mut fields: Map<String, Value> = options
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                value
                    .parse::<i64>()
                    .map_or_else(|_| json!(value), |number| json!(number)),
            )
        })
        .collect();
    fields.insert("digest".into(), json!(options_digest(options)));
    Ok(Value::Object(fields))
}

fn set_options(call: &mut Call<'_>) -> Answer {
    let digest = options_digest(&firewall(call)?.options);
    check_digest(call, &digest)?;
    let given: Vec<(String, String)> = call
        .args
        .keys()
        .filter(|key| !matches!(key.as_str(), "node" | "vmid" | "digest" | "delete"))
        .filter_map(|key| Some((key.clone(), call.get(key)?.to_owned())))
        .collect();
    let deleted = call.get("delete").map(str::to_owned);
    let options = &mut firewall(call)?.options;
    for key in deleted.iter().flat_map(|list| split_list(list)) {
        options.remove(key);
    }
    options.extend(given);
    Ok(Value::Null)
}

fn macros(_: &mut Call<'_>) -> Answer {
    Ok(MACROS
        .iter()
        .map(|(name, text)| json!({"macro": name, "descr": text}))
        .collect())
}

fn groups(call: &mut Call<'_>) -> Answer {
    let groups = &call.cluster.firewall.groups;
    let digest = digest_of(groups);
    Ok(groups
        .iter()
        .map(|(name, group)| {
            let mut entry = json!({"group": name, "digest": digest});
            if let Some(fields) = entry.as_object_mut().filter(|_| !group.comment.is_empty()) {
                fields.insert("comment".into(), json!(group.comment));
            }
            entry
        })
        .collect())
}

fn add_group(call: &mut Call<'_>) -> Answer {
    let (name, comment) = (call.text("group"), call.text("comment"));
    let groups = &mut call.cluster.firewall.groups;
    if groups.contains_key(&name) {
        return Err(Fail::param(
            "group",
            format!("Security group '{name}' already exists"),
        ));
    }
    groups.insert(
        name,
        Group {
            comment,
            rules: Vec::new(),
        },
    );
    Ok(Value::Null)
}

fn aliases(call: &mut Call<'_>) -> Answer {
    let aliases = &firewall(call)?.aliases;
    let digest = digest_of(aliases);
    Ok(aliases
        .iter()
        .map(|(name, alias)| alias_json(name, alias, &digest))
        .collect())
}

fn alias_json(name: &str, (cidr, comment): &(String, String), digest: &str) -> Value {
    let version = if cidr.contains(':') { 6 } else { 4 };
    let mut entry = json!({"name": name, "cidr": cidr, "ipversion": version, "digest": digest});
    if let Some(fields) = entry.as_object_mut().filter(|_| !comment.is_empty()) {
        fields.insert("comment".into(), json!(comment));
    }
    entry
}

fn show_alias(call: &mut Call<'_>) -> Answer {
    let name = call.text("name");
    let aliases = &firewall(call)?.aliases;
    let alias = aliases
        .get(&name)
        .ok_or_else(|| Fail::param("name", "no such alias"))?;
    Ok(alias_json(&name, alias, &digest_of(aliases)))
}

fn add_alias(call: &mut Call<'_>) -> Answer {
    let (name, cidr, comment) = (call.text("name"), call.text("cidr"), call.text("comment"));
    let aliases = &mut firewall(call)?.aliases;
    if aliases.contains_key(&name) {
        return Err(Fail::param(
            "name",
            format!("alias '{name}' already exists"),
        ));
    }
    aliases.insert(name, (cidr, comment));
    Ok(Value::Null)
}

fn ipsets(call: &mut Call<'_>) -> Answer {
    let sets = &firewall(call)?.ipsets;
    let digest = digest_of(sets);
    Ok(sets
        .iter()
        .map(|(name, set)| {
            let mut entry = json!({"name": name, "digest": digest});
            if let Some(fields) = entry.as_object_mut().filter(|_| !set.comment.is_empty()) {
                fields.insert("comment".into(), json!(set.comment));
            }
            entry
        })
        .collect())
}

fn show_ipset(call: &mut Call<'_>) -> Answer {
    let name = call.text("name");
    let set = firewall(call)?.ipsets.get(&name).cloned();
    let set = set.ok_or_else(|| Fail::die(format!("no such IPSet '{name}'")))?;
    let digest = digest_of(&set);
    Ok(set
        .entries
        .iter()
        .map(|(cidr, excluded, comment)| {
            let mut entry = json!({"cidr": cidr, "digest": digest});
            if let Some(fields) = entry.as_object_mut() {
                if *excluded {
                    fields.insert("nomatch".into(), json!(1));
                }
                if !comment.is_empty() {
                    fields.insert("comment".into(), json!(comment));
                }
            }
            entry
        })
        .collect())
}

fn add_ipset(call: &mut Call<'_>) -> Answer {
    let (name, comment) = (call.text("name"), call.text("comment"));
    let sets = &mut firewall(call)?.ipsets;
    if sets.contains_key(&name) {
        return Err(Fail::param(
            "name",
            format!("IPSet '{name}' already exists"),
        ));
    }
    sets.insert(
        name,
        IpSet {
            comment,
            entries: Vec::new(),
        },
    );
    Ok(Value::Null)
}

fn add_ipset_entry(call: &mut Call<'_>) -> Answer {
    let (name, cidr, comment, excluded) = (
        call.text("name"),
        call.text("cidr"),
        call.text("comment"),
        call.flag("nomatch"),
    );
    let set = firewall(call)?.ipsets.get_mut(&name);
    let set = set.ok_or_else(|| Fail::die(format!("no such IPSet '{name}'")))?;
    if set.entries.iter().any(|(known, _, _)| *known == cidr) {
        return Err(Fail::param(
            "cidr",
            format!("address '{cidr}' already exists"),
        ));
    }
    set.entries.insert(0, (cidr, excluded, comment));
    Ok(Value::Null)
}

/// Names that rules may refer to.
fn refs(call: &mut Call<'_>) -> Answer {
    let wanted = call.get("type").map(str::to_owned);
    let own = call.has("vmid").then(|| call.vmid());
    let mut list = Vec::new();
    let guest = own
        .and_then(|vmid| call.cluster.guest_firewalls.get(&vmid))
        .map(|firewall| (firewall, "guest"));
    for (firewall, scope) in [(&call.cluster.firewall, "dc")].into_iter().chain(guest) {
        if wanted.as_deref().is_none_or(|kind| kind == "alias") {
            list.extend(firewall.aliases.iter().map(|(name, (_, comment))| {
                json!({"type": "alias", "name": name, "ref": format!("{scope}/{name}"), "scope": scope, "comment": comment})
            }));
        }
        if wanted.as_deref().is_none_or(|kind| kind == "ipset") {
            list.extend(firewall.ipsets.iter().map(|(name, set)| {
                json!({"type": "ipset", "name": name, "ref": format!("+{scope}/{name}"), "scope": scope, "comment": set.comment})
            }));
        }
    }
    Ok(Value::Array(list))
}

const MACROS: &[(&str, &str)] = &[
    ("Amanda", "Amanda Backup"),
    ("Auth", "Auth (identd) traffic"),
    ("BGP", "Border Gateway Protocol traffic"),
    (
        "Ceph",
        "Ceph Storage Cluster traffic (Ceph Monitors, OSD & MDS Daemons)",
    ),
    ("DHCPfwd", "Forwarded DHCP traffic"),
    ("DHCPv6", "DHCPv6 traffic"),
    ("DNS", "Domain Name System traffic (upd and tcp)"),
    ("FTP", "File Transfer Protocol"),
    ("GRE", "Generic Routing Encapsulation tunneling protocol"),
    ("Git", "Git distributed revision control traffic"),
    ("HTTP", "Hypertext Transfer Protocol (WWW)"),
    ("HTTPS", "Hypertext Transfer Protocol (WWW) over SSL"),
    ("IMAP", "Internet Message Access Protocol"),
    ("IMAPS", "Internet Message Access Protocol over SSL"),
    ("IPsec", "IPsec traffic"),
    ("LDAP", "Lightweight Directory Access Protocol traffic"),
    (
        "LDAPS",
        "Secure Lightweight Directory Access Protocol traffic",
    ),
    ("MDNS", "Multicast DNS"),
    ("MSSQL", "Microsoft SQL Server"),
    ("Mail", "Mail traffic (SMTP, SMTPS, Submission)"),
    ("MySQL", "MySQL server"),
    ("NTP", "Network Time Protocol (ntpd)"),
    (
        "NeighborDiscovery",
        "IPv6 neighbor solicitation, neighbor and router advertisement",
    ),
    ("OpenVPN", "OpenVPN traffic"),
    ("PMG", "Proxmox Mail Gateway web interface"),
    ("POP3", "POP3 traffic"),
    ("POP3S", "Encrypted POP3 traffic"),
    ("Ping", "ICMP echo request"),
    ("PostgreSQL", "PostgreSQL server"),
    ("RDP", "Microsoft Remote Desktop Protocol traffic"),
    ("Rsync", "Rsync server"),
    ("SMB", "Microsoft SMB traffic"),
    ("SMTP", "Simple Mail Transfer Protocol"),
    ("SMTPS", "Encrypted Simple Mail Transfer Protocol"),
    ("SNMP", "Simple Network Management Protocol"),
    ("SPICEproxy", "Proxmox VE SPICE display proxy traffic"),
    ("SSH", "Secure shell traffic"),
    ("Submission", "Mail message submission traffic"),
    ("Syslog", "Syslog protocol (RFC 5424) traffic"),
    ("TFTP", "Trivial File Transfer Protocol traffic"),
    ("Telnet", "Telnet traffic"),
    ("Trcrt", "Traceroute (for up to 30 hops) traffic"),
    ("VNC", "VNC traffic for VNC display's 0 - 99"),
    ("Web", "WWW traffic (HTTP and HTTPS)"),
    ("Webcache", "Web Cache/Proxy traffic (port 8080)"),
    ("Whois", "Whois (nicname, RFC 3912) traffic"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_checked() {
        for good in [
            "192.0.2.1",
            "192.0.2.0/24,198.51.100.1",
            "2001:db8::/32",
            "192.0.2.1-192.0.2.9",
            "+management",
            "dc/office",
            "office",
        ] {
            assert_eq!(check_addresses(good), Ok(()), "{good}");
        }
        for bad in [
            "192.0.2.300",
            "192.0.2.0/33",
            "192.0.2.1,2001:db8::1",
            "1.2.3",
        ] {
            assert!(check_addresses(bad).is_err(), "{bad}");
        }
        for good in ["22", "80,443", "8000:8100", "ssh"] {
            assert_eq!(check_ports(good), Ok(()), "{good}");
        }
        for bad in ["70000", "90:80", "nonsense", ""] {
            assert!(check_ports(bad).is_err(), "{bad}");
        }
    }
}
