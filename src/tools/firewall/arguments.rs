//! Arguments that the tools that write rules share.

use schemars::JsonSchema;

use crate::json::DeserializeFields;

/// What a rule matches and how it is logged, as a caller gives it. Absent:
/// unchanged; empty: removed.
///
/// A tool flattens this into its arguments. serde then ignores unknown fields,
/// so such a tool sets `additionalProperties` itself: arguments are checked
/// against the schema before they are read.
#[derive(Debug, Clone, Default, DeserializeFields, JsonSchema)]
pub(super) struct RuleArguments {
    /// Such as SSH, instead of proto and ports.
    pub(super) r#macro: Option<String>,
    /// Interface such as net0.
    pub(super) interface: Option<String>,
    /// IP, CIDR, range a-b, comma list, alias or +ipset.
    pub(super) source: Option<String>,
    /// As source.
    pub(super) dest: Option<String>,
    /// tcp, udp…; ports need it.
    pub(super) proto: Option<String>,
    /// Port, 80:85, service or comma list.
    pub(super) dport: Option<String>,
    /// As dport.
    pub(super) sport: Option<String>,
    /// ICMP type such as echo-request.
    pub(super) icmp_type: Option<String>,
    /// Level, such as info.
    pub(super) log: Option<String>,
    /// One line.
    pub(super) comment: Option<String>,
    /// Even if nodes become unreachable.
    pub(super) accept_lockout: Option<bool>,
}
