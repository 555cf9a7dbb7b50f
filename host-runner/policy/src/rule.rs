//! The rules by which requests are allowed and refused, by name.

use std::fmt;

/// The rule that decided about a request.
///
/// Their order is the one in which they are evaluated. Two of them judge twice:
/// [`ReadOnly`](Self::ReadOnly) and [`Deny`](Self::Deny) first by method and path,
/// and after [`UnknownCall`](Self::UnknownCall) by what the request does.
/// [`BuiltIn`](Self::BuiltIn) is also what refuses a download from a node, which is
/// recognized only when the nodes are known, after [`UnknownNode`](Self::UnknownNode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The call has made too many requests.
    Requests,
    /// There are no settings.
    Settings,
    /// It is not for the configured Proxmox VE.
    Origin,
    /// It could be read in two ways.
    RequestShape,
    /// No policy can allow it.
    BuiltIn,
    /// It is a change, and the server only reads.
    ReadOnly,
    /// A `deny` rule or a denied action.
    Deny,
    /// Not a call of the table, or not as the table has it.
    UnknownCall,
    /// An `allow` rule.
    Allow,
    /// By the actions that the policy allows.
    Actions,
    /// Outside the scope.
    Scope,
    /// A change by a tool that only reads.
    ReadOnlyTool,
    /// A call that the tool does not declare.
    UndeclaredCall,
    /// A node that the cluster does not have.
    UnknownNode,
    /// The user's consent is missing.
    Confirm,
    /// Too many changes in a minute.
    Limits,
    /// It cannot be written to the audit log.
    Audit,
}

impl Rule {
    /// All of them, in the order in which they are evaluated.
    pub const ALL: [Self; 17] = [
        Self::Requests,
        Self::Settings,
        Self::Origin,
        Self::RequestShape,
        Self::BuiltIn,
        Self::ReadOnly,
        Self::Deny,
        Self::UnknownCall,
        Self::Allow,
        Self::Actions,
        Self::Scope,
        Self::ReadOnlyTool,
        Self::UndeclaredCall,
        Self::UnknownNode,
        Self::Confirm,
        Self::Limits,
        Self::Audit,
    ];

    /// Its name in errors, logs and the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Requests => "requests",
            Self::Origin => "origin",
            Self::RequestShape => "request-shape",
            Self::BuiltIn => "built-in",
            Self::ReadOnly => "read-only",
            Self::Deny => "deny",
            Self::UnknownCall => "unknown-call",
            Self::Allow => "allow",
            Self::Actions => "actions",
            Self::Scope => "scope",
            Self::UnknownNode => "unknown-node",
            Self::ReadOnlyTool => "read-only-tool",
            Self::UndeclaredCall => "undeclared-call",
            Self::Confirm => "confirm",
            Self::Limits => "limits",
            Self::Audit => "audit",
        }
    }

    /// What it refuses, as `docs/policy.md` says it; none for a rule that only
    /// allows.
    pub const fn refuses(self) -> Option<&'static str> {
        Some(match self {
            Self::Allow => return None,
            Self::Settings => "Every request while no settings are given",
            Self::Requests => "Requests beyond the limit of the call (`--call-requests`)",
            Self::Origin => "Requests to anything other than `PROXMOX_URL`",
            Self::RequestShape => {
                "Requests that could be read in two ways: encoded slashes, dot segments, double \
                 encoding, control characters, empty segments, parameters in both query and \
                 body, a body that is not a form"
            }
            Self::BuiltIn => {
                "Deleting a guest, a storage, a volume, a disk or a backup; overwriting a guest; \
                 replacing or losing a disk by writing to a slot that is in use; inserting an ISO \
                 image that a VM would boot from before its disk; mounting a volume over one that \
                 a container has, or over a directory of the system; ignoring locks; \
                 changing users, tokens or permissions, or requesting tickets; changing nodes, \
                 services, storages, pools, replication or rules of high availability; removing \
                 guests from high availability; removing a backup job, or changing one so that its \
                 own runs could delete more backups; starting, stopping or migrating all guests of a node; running a \
                 command on a node; making a node fetch from itself, another node of the \
                 cluster, its local link or a metadata service; reads that make a node connect \
                 to an address given in the request (`scan/nfs` and similar, `acme/meta`, \
                 `acme/tos`, `query-oci-repo-tags`); and any change that is not in the policy's \
                 tables. No policy can allow these"
            }
            Self::ReadOnly => "Changes, under `--read-only`",
            Self::Deny => "Requests that match a `deny` rule or an action in `deny_actions`",
            Self::UnknownCall => {
                "Requests and parameters that no tool sends, and values that Proxmox could \
                 interpret differently from this server"
            }
            Self::Actions => "Actions that neither the preset nor `allow_actions` allows",
            Self::Scope => "Guests, nodes and storages outside the scope",
            Self::UnknownNode => {
                "Requests that name a node that the cluster does not have, in the path or in a \
                 parameter. Proxmox would look up the name in DNS. `host-runner` reads the list \
                 of nodes itself (`GET /nodes`, which every token may read), and again for an \
                 unknown name at most every 10 seconds. If it cannot read the list, it sends no \
                 request to a node that it has not seen before, and the tool reports the error \
                 from Proxmox"
            }
            Self::ReadOnlyTool => "Changes by a tool that is annotated as read-only",
            Self::UndeclaredCall => {
                "Requests that the tool does not declare among its calls (`host-runner tools \
                 -o json` shows them). This holds for the follow-up of its tasks, too"
            }
            Self::Confirm => "Changes that need the user's consent and did not get it",
            Self::Limits => {
                "Changes beyond the limits: too many in a minute, too many new guests in an hour, a disk, memory or CPUs above the maximum"
            }
            Self::Audit => "Changes that cannot be written to the audit log",
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
