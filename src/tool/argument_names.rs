//! The likely right name of an argument that a tool does not know.

use crate::text;

/// Words that mean the same argument. Of a group, the first that a tool knows
/// is the one that is named.
const SYNONYMS: &[&[&str]] = &[
    &[
        "vmid",
        "vm_id",
        "id",
        "guest",
        "guest_id",
        "vm",
        "ct",
        "ctid",
        "container",
        "container_id",
        "guest_vmid",
        "source_vmid",
        "source",
    ],
    &[
        "new_vmid",
        "newid",
        "new_id",
        "clone_id",
        "target_vmid",
        "vmid",
    ],
    &[
        "node",
        "node_name",
        "nodename",
        "host",
        "hostname",
        "server",
        "target_node",
    ],
    &[
        "target",
        "target_node",
        "destination_node",
        "to_node",
        "destination",
        "node",
    ],
    &["target_node", "target", "node"],
    &[
        "storage",
        "storage_id",
        "storage_name",
        "datastore",
        "target_storage",
        "disk_storage",
        "state_storage",
    ],
    &["target_storage", "targetstorage", "storage"],
    &[
        "name",
        "snapshot",
        "snapname",
        "snapshot_name",
        "snap",
        "hostname",
        "new_name",
        "search",
        "filter",
        "query",
    ],
    &["snapshot", "snapname", "snapshot_name", "name"],
    &["upid", "task", "task_id", "taskid", "id"],
    &[
        "volid",
        "archive",
        "backup",
        "backup_id",
        "volume",
        "volume_id",
        "file",
        "ostemplate",
    ],
    &["archive", "volid", "backup", "volume"],
    &["description", "notes", "note", "comment"],
    &["notes", "description", "comment", "notes_template"],
    &["comment", "description", "note"],
    &["tag", "tags"],
    &["tags", "tag", "add_tags"],
    &[
        "limit",
        "max",
        "max_results",
        "count",
        "lines",
        "log_lines",
        "page_size",
        "n",
    ],
    &["log_lines", "lines", "limit"],
    &["since", "start", "start_time", "from", "after", "begin"],
    &["log_start", "start", "offset"],
    &["offset", "skip", "cursor", "from_index"],
    &["until", "end", "end_time", "to", "before"],
    &["status", "state", "exit_status", "exitstatus"],
    &["kind", "type", "guest_type", "vm_type"],
    &["type", "kind", "task_type", "typefilter"],
    &["content", "content_type", "type"],
    &["sort", "sort_by", "order_by", "order"],
    &["user", "username", "ciuser", "userfilter"],
    &["password", "passwd", "cipassword", "pass"],
    &[
        "ssh_keys",
        "sshkeys",
        "ssh_key",
        "ssh_public_keys",
        "public_keys",
        "keys",
    ],
    &[
        "addresses",
        "ip",
        "ips",
        "ipconfig",
        "ipconfig0",
        "ip_config",
        "address",
        "ip_address",
    ],
    &["nic", "interface", "iface", "net", "card"],
    &["ipv4", "ip", "address"],
    &["ipv4_gateway", "gateway", "gw"],
    &["ipv6", "ip6"],
    &["ipv6_gateway", "gateway6", "gw6"],
    &[
        "dns_servers",
        "nameserver",
        "nameservers",
        "dns",
        "dns_server",
    ],
    &["search_domain", "searchdomain", "domain", "dns_domain"],
    &["upgrade", "ciupgrade"],
    &["cores", "cpus", "cpu", "vcpus", "cpu_cores"],
    &["cpu_limit", "cpulimit"],
    &[
        "memory_mib",
        "memory",
        "memory_mb",
        "ram",
        "mem",
        "memory_bytes",
    ],
    &["min_memory_mib", "balloon", "balloon_mib", "min_memory"],
    &["swap_mib", "swap", "swap_mb"],
    &["size", "disk_size", "new_size", "grow_by"],
    &["disk", "disk_id", "device", "drive"],
    &["start_at_boot", "onboot", "on_boot", "autostart"],
    &["enabled", "enable"],
    &["enable", "enabled"],
    &[
        "dport",
        "dest_port",
        "destination_port",
        "dst_port",
        "port",
        "ports",
    ],
    &["sport", "source_port", "src_port"],
    &["source", "src", "source_ip"],
    &["dest", "destination", "dst", "destination_ip"],
    &["proto", "protocol"],
    &["interface", "iface", "nic", "net"],
    &["position", "pos", "rule", "index", "number"],
    &["direction", "type", "dir"],
    &["icmp_type", "icmptype"],
    &["log", "log_level", "loglevel"],
    &["ram", "vmstate", "include_ram", "with_ram", "memory"],
    &["preview", "dry_run", "dryrun", "simulate"],
    &["mode", "force", "hard", "method"],
    &["force_after_timeout", "force", "force_stop"],
    &["timeout_seconds", "timeout", "shutdown_timeout_seconds"],
    &["shutdown_timeout_seconds", "timeout", "timeout_seconds"],
    &["online", "live"],
    &["with_local_disks", "withlocaldisks", "local_disks"],
    &[
        "bandwidth_limit_kibps",
        "bwlimit",
        "bandwidth",
        "bandwidth_limit",
    ],
    &["timeframe", "time_frame", "period", "range", "window"],
    &["unit", "service", "units"],
    &[
        "match", "contains", "word", "pattern", "grep", "filter", "search", "text", "query",
    ],
    &[
        "contains", "word", "pattern", "grep", "filter", "search", "text", "query",
    ],
    &["command", "cmd", "args", "argv"],
    &["stdin", "input", "input_data"],
    &["template", "is_template", "templates"],
    &["full", "full_clone", "linked"],
    &["pool", "pool_id", "poolid", "resource_pool"],
    &["wait", "follow", "wait_for_task", "background"],
    &["protected", "protect", "protection"],
    &["protection", "protected"],
    &["compress", "compression"],
    &["filename", "file_name", "name"],
    &["checksum_algorithm", "algorithm", "checksum_type"],
    &["verify_certificates", "verify", "verify_ssl", "insecure"],
];

/// What is said of an argument that a tool does not know.
pub(crate) fn unknown(name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "is not known: this tool takes no arguments".into();
    }
    let all = known.join(", ");
    match meant(name, known) {
        Some(near) => {
            format!("is not known: use {near} instead; known arguments: {all}")
        }
        None => format!("is not known; known arguments: {all}"),
    }
}

fn meant<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |name: &str| {
        let mut name = name.to_ascii_lowercase();
        name.retain(|letter| letter.is_ascii_alphanumeric());
        name
    };
    let wanted = plain(name);
    let names = || known.iter().copied();
    names()
        .find(|known| plain(known) == wanted)
        .or_else(|| {
            SYNONYMS
                .iter()
                .filter(|group| group.iter().any(|word| plain(word) == wanted))
                .flat_map(|group| group.iter())
                .find_map(|word| names().find(|known| known == word))
        })
        .or_else(|| text::nearest(name, names()))
}
