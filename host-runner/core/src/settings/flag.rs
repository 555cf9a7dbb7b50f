//! The options of the command line that have no other meaning than their flag: the
//! environment and the named file of settings can give them, too.

/// An option of the command line, and the variable that gives it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flag {
    /// Its identifier in the description of the command line.
    pub(crate) arg: &'static str,
    /// The variable.
    pub(crate) name: &'static str,
    /// A value.
    pub(crate) example: &'static str,
    /// It decides which file is read, so no file can give it.
    pub(crate) only_environment: bool,
}

const fn flag(arg: &'static str, name: &'static str, example: &'static str) -> Flag {
    Flag {
        arg,
        name,
        example,
        only_environment: false,
    }
}

const fn of_environment(arg: &'static str, name: &'static str, example: &'static str) -> Flag {
    Flag {
        only_environment: true,
        ..flag(arg, name, example)
    }
}

/// All of them.
pub(crate) static FLAGS: [Flag; 34] = [
    of_environment("env_file", "PROXMOX_MCP_ENV_FILE", "/etc/proxmox-mcp/env"),
    of_environment("dotenv", "PROXMOX_MCP_DOTENV", "true"),
    of_environment("demo", "PROXMOX_MCP_DEMO", "true"),
    of_environment("demo_state", "PROXMOX_MCP_DEMO_STATE", "demo.json"),
    flag("cluster", "PROXMOX_MCP_CLUSTER", "paris"),
    flag("preset", "PROXMOX_MCP_PRESET", "observe"),
    flag("read_only", "PROXMOX_MCP_READ_ONLY", "true"),
    flag("toolsets", "PROXMOX_MCP_TOOLSETS", "default,firewall"),
    flag("tools", "PROXMOX_MCP_TOOLS", "list_guests,get_guest"),
    flag("exclude_tools", "PROXMOX_MCP_EXCLUDE_TOOLS", "stop_guest"),
    flag("allow_tools", "PROXMOX_MCP_ALLOW_TOOL", "run_in_guest"),
    flag("vmids", "PROXMOX_MCP_VMIDS", "100-199"),
    flag("pools", "PROXMOX_MCP_POOLS", "development"),
    flag("tags", "PROXMOX_MCP_TAGS", "dev"),
    flag("nodes", "PROXMOX_MCP_NODES", "pve1"),
    flag("storages", "PROXMOX_MCP_STORAGES", "local"),
    flag("confirm", "PROXMOX_MCP_CONFIRM", "destructive"),
    flag("confirm_fallback", "PROXMOX_MCP_CONFIRM_FALLBACK", "refuse"),
    flag("writes_per_minute", "PROXMOX_MCP_WRITES_PER_MINUTE", "10"),
    flag(
        "destructive_per_minute",
        "PROXMOX_MCP_DESTRUCTIVE_PER_MINUTE",
        "1",
    ),
    flag(
        "audit",
        "PROXMOX_MCP_AUDIT",
        "/var/log/proxmox-mcp/audit.jsonl",
    ),
    flag("audit_required", "PROXMOX_MCP_AUDIT_REQUIRED", "true"),
    flag(
        "component",
        "PROXMOX_MCP_COMPONENT",
        "/opt/proxmox_mcp.wasm",
    ),
    flag(
        "component_sha256",
        "PROXMOX_MCP_COMPONENT_SHA256",
        "6f1e0c3a9b5d48e27c10fa3b64d8952e7f0a1b2c3d4e5f60718293a4b5c6d7e8",
    ),
    flag("wait_seconds", "PROXMOX_MCP_WAIT_SECONDS", "50"),
    flag("memory_mib", "PROXMOX_MCP_MEMORY_MIB", "64"),
    flag("cpu_seconds", "PROXMOX_MCP_CPU_SECONDS", "10"),
    flag("call_seconds", "PROXMOX_MCP_CALL_SECONDS", "120"),
    flag("concurrency", "PROXMOX_MCP_CONCURRENCY", "16"),
    flag("call_requests", "PROXMOX_MCP_CALL_REQUESTS", "1000"),
    flag("timings", "PROXMOX_MCP_TIMINGS", "true"),
    flag("output", "PROXMOX_MCP_OUTPUT", "json"),
    flag("listen", "PROXMOX_MCP_FORWARD_LISTEN", "127.0.0.1:8007"),
    flag(
        "key_file",
        "PROXMOX_MCP_FORWARD_KEY_FILE",
        "/etc/proxmox-mcp/forward-key",
    ),
];
