//! Where the values of arguments come from.

/// Where the values of the arguments of one name come from.
#[derive(Debug)]
pub(crate) struct Suggestion {
    /// The argument of a resource or a prompt.
    pub(crate) argument: &'static str,
    /// Whose result has the values.
    pub(crate) tool: &'static str,
    /// Its arguments, in JSON.
    pub(crate) arguments: &'static str,
    /// A pointer to the list.
    pub(crate) values: &'static str,
    /// The member of an entry that is the value.
    pub(crate) field: &'static str,
    /// The member that names it for people.
    pub(crate) label: Option<&'static str>,
    /// Arguments of the tool that have to be known.
    pub(crate) given: &'static [&'static str],
    /// A pointer to the number of entries, of which the list may have only the first.
    pub(crate) total: Option<&'static str>,
}

/// All suggestions. A host reads those of long lists in parts, by `offset`.
pub(crate) const SUGGESTIONS: &[Suggestion] = &[
    Suggestion {
        argument: "node",
        tool: "list_nodes",
        arguments: "{}",
        values: "/nodes",
        field: "node",
        label: None,
        given: &[],
        total: Some("/total"),
    },
    Suggestion {
        argument: "vmid",
        tool: "list_guests",
        arguments: r#"{"limit":500}"#,
        values: "/guests",
        field: "vmid",
        label: Some("name"),
        given: &[],
        total: Some("/total"),
    },
    Suggestion {
        argument: "template",
        tool: "list_templates",
        arguments: r#"{"source":"guest","limit":500}"#,
        values: "/templates",
        field: "vmid",
        label: Some("name"),
        given: &[],
        total: Some("/total"),
    },
    Suggestion {
        argument: "storage",
        tool: "list_storage",
        arguments: "{}",
        values: "/storages",
        field: "storage",
        label: None,
        given: &[],
        total: Some("/total"),
    },
    Suggestion {
        argument: "snapshot",
        tool: "list_snapshots",
        arguments: r#"{"limit":500}"#,
        values: "/snapshots",
        field: "snapshot",
        label: Some("description"),
        // Those of all guests take a request for each guest.
        given: &["vmid"],
        total: Some("/total"),
    },
    Suggestion {
        argument: "pool",
        tool: "list_pools",
        arguments: r#"{"limit":500}"#,
        values: "/pools",
        field: "pool",
        label: Some("comment"),
        given: &[],
        total: Some("/total"),
    },
    Suggestion {
        argument: "upid",
        tool: "list_tasks",
        arguments: r#"{"limit":100}"#,
        values: "/tasks",
        field: "upid",
        label: Some("type"),
        given: &[],
        total: Some("/total"),
    },
];
