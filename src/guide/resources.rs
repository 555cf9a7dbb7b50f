//! What can be read without calling a tool by name.

/// One resource, or one for each value of a variable.
#[derive(Debug)]
pub(crate) struct Resource {
    /// A URI template. Each variable is an argument of the tool.
    pub(crate) uri: &'static str,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// Whose result it shows.
    pub(crate) tool: &'static str,
    /// The other arguments, in JSON.
    pub(crate) arguments: &'static str,
    /// Pointers to what it does not show of the result.
    pub(crate) omitted: &'static [&'static str],
    /// Pointers to what changes all the time.
    pub(crate) volatile: &'static [&'static str],
    /// It is listed with every suggested value of its variable.
    pub(crate) listed: bool,
}

/// All resources. One that is watched for changes is read again and again, so each has
/// a tool that makes few requests.
pub(crate) const RESOURCES: &[Resource] = &[
    Resource {
        uri: "pve://cluster",
        name: "cluster",
        title: "Cluster",
        description: "Quorum, nodes, high availability, and what needs attention.",
        tool: "get_cluster_status",
        arguments: "{}",
        omitted: &[],
        volatile: &["/read_from_node"],
        listed: false,
    },
    Resource {
        uri: "pve://nodes/{node}",
        name: "node",
        title: "Node",
        description: "One node: load, memory, root filesystem, Proxmox version, kernel.",
        tool: "get_node",
        arguments: "{}",
        omitted: &[],
        volatile: &[
            "/uptime_seconds",
            "/cpu/used_percent",
            "/cpu/io_wait_percent",
            "/cpu/load_average",
            "/memory/used_bytes",
            "/memory/used_percent",
            "/swap/used_bytes",
            "/swap/used_percent",
            "/root/used_bytes",
            "/root/used_percent",
        ],
        listed: true,
    },
    Resource {
        uri: "pve://guests/{vmid}",
        name: "guest",
        title: "Guest",
        description: "One VM or container: status, load, settings, lock, HA, pending changes.",
        tool: "get_guest",
        arguments: "{}",
        omitted: &[],
        volatile: &["/uptime_seconds", "/cpu/used_percent", "/memory/used_bytes"],
        listed: true,
    },
    Resource {
        uri: "pve://guests/{vmid}/config",
        name: "guest_config",
        title: "Guest's configuration",
        description: "How a VM or container is configured, without its status and load.",
        tool: "get_guest",
        arguments: "{}",
        omitted: &[
            "/status",
            "/uptime_seconds",
            "/cpu/used_percent",
            "/memory/used_bytes",
            "/ha/state",
        ],
        volatile: &[],
        listed: false,
    },
    Resource {
        uri: "pve://tasks/{upid}/log",
        name: "task_log",
        title: "Task's log",
        description: "One task: how it is going or how it ended, and the last 1000 lines of its \
            log.",
        tool: "get_task",
        arguments: r#"{"log_lines":1000}"#,
        omitted: &["/hint"],
        volatile: &["/duration_seconds"],
        listed: false,
    },
];
