//! The table of (policy, request) → verdict, and what holds for any request.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn request(method: &str, target: &str, body: &str) -> Result<ApiRequest, Malformed> {
    let form = "application/x-www-form-urlencoded";
    let content_type = (!body.is_empty()).then_some(form);
    ApiRequest::parse(method, target, content_type, body.as_bytes())
}

fn decide(policy: &Policy, method: &str, path: &str, body: &str) -> Verdict {
    let target = format!("/api2/json{path}");
    policy.decide(request(method, &target, body).as_ref(), &directory())
}

fn directory() -> Directory {
    let resident = |node: &str, pool: Option<&str>, tags: &[&str]| Resident {
        node: node.into(),
        pool: pool.map(str::to_owned),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        is_under_ha: false,
    };
    Directory::from([
        (100, resident("pve1", Some("prod"), &["web"])),
        (
            101,
            Resident {
                is_under_ha: true,
                ..resident("pve1", None, &[])
            },
        ),
        (200, resident("pve2", Some("lab"), &["web", "db"])),
    ])
}

/// For observe, operate, admin, and admin with --read-only: `a` allowed, `-`
/// refused by what the policy allows, `B` built in, `?` not in the table, `S`
/// not understood.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    // reads
    ("GET", "/version", "", "aaaa"),
    ("GET", "/nodes", "", "aaaa"),
    ("GET", "/cluster/resources?type=vm", "", "aaaa"),
    ("GET", "/cluster/status", "", "aaaa"),
    ("GET", "/cluster/tasks", "", "aaaa"),
    ("GET", "/cluster/log?max=50", "", "aaaa"),
    ("GET", "/cluster/nextid", "", "aaaa"),
    ("GET", "/access/permissions", "", "aaaa"),
    ("GET", "/nodes/pve1/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:/log?limit=12", "", "aaaa"),
    ("GET", "/nodes/pve1/storage/local/content?content=iso", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:EXAMPLE%5Cann@ldap:/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:%C3%BC.o%27neill@sso!a:/status", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a%2Fb@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qm%5Cstart:100:a@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a%20b@pam:/status", "", "SSSS"),
    ("GET", "/nodes/pve1/query-url-metadata?url=https%3A%2F%2Fexample.com%2Fa.iso", "", "-aa-"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F169.254.169.254%2Flatest", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F%5B%3A%3Affff%3A127.0.0.1%5D%3A8006%2F", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=http%3A%2F%2F0x7f.1%2F", "", "BBBB"),
    ("GET", "/nodes/pve1/query-url-metadata?url=file%3A%2F%2F%2Fetc%2Fpasswd", "", "????"),
    ("GET", "/nodes/localhost/status", "", "????"),
    ("GET", "/nodes/pve1.example.com/status", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config?snapshot=before", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/config?snapshot=before%00", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config?other=1", "", "????"),
    ("GET", "/nodes/pve1/tasks?statusfilter=error,unknown&source=archive&limit=5", "", "aaaa"),
    ("GET", "/nodes/pve1/tasks?statusfilter=error%0Aok", "", "????"),
    ("GET", "/cluster/nextid?vmid=100", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/config", "", "aaaa"),
    ("GET", "/nodes/pve1/lxc/200/interfaces", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/firewall/rules", "", "aaaa"),
    ("GET", "/nodes/pve1/qemu/100/agent/network-get-interfaces", "", "aaaa"),
    ("GET", "/nodes/pve1/time", "", "aaaa"),
    ("GET", "/nodes/pve1/syslog?limit=10", "", "aaaa"),
    ("GET", "/cluster/ha/resources", "", "aaaa"),
    ("GET", "/pools", "", "aaaa"),
    ("GET", "/pools?poolid=prod", "", "????"),
    ("GET", "/pools/prod", "", "????"),
    // power
    ("POST", "/nodes/pve1/qemu/100/status/start", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=60", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=60&forceStop=0", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "forceStop=1", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/shutdown", "forceStop=yes", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/shutdown", "forceStop=maybe", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=0", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=00", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/shutdown", "timeout=-1", "????"),
    ("POST", "/nodes/pve1/qemu/101/status/shutdown", "timeout=60", "--a-"),
    ("POST", "/nodes/pve1/qemu/999/status/shutdown", "timeout=60", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "", "-aa-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "timeout=60", "-aa-"),
    ("POST", "/nodes/pve1/lxc/200/status/reboot", "timeout=5", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/reboot", "timeout=5", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/reboot", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/suspend", "todisk=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/status/stop", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/status/reset", "", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/stop", "", "--a-"),
    ("POST", "/nodes/pve1/lxc/200/status/reset", "", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "skiplock=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "machine=pc", "????"),
    ("POST", "/nodes/pve1/qemu/100/status/current", "", "????"),
    ("PUT", "/nodes/pve1/qemu/100/status/start", "", "????"),
    ("GET", "/nodes/pve1/qemu/100/status/start", "", "????"),
    // making guests
    ("POST", "/nodes/pve1/qemu/9000/clone", "newid=105&name=web02&full=1", "-aa-"),
    ("POST", "/nodes/pve1/lxc/9001/clone", "newid=105&hostname=ct02", "-aa-"),
    ("POST", "/nodes/pve1/qemu/9000/clone", "newid=5", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2Fa.vma.zst&unique=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu", "vmid=100&archive=local%3Abackup%2Fa.vma.zst&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&scsi0=local%3A8", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&args=-device%20x", "BBBB"),
    ("POST", "/nodes/pve1/qemu", "vmid=105", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=%2Fvar%2Fa.vma", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2F..%2Fa.vma", "????"),
    ("POST", "/nodes/pve1/qemu", "vmid=105&archive=local%3Abackup%2Fa.vma.zst&start=1", "????"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Avztmpl%2Fa.tar.zst", "BBBB"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Abackup%2Fa.tar.zst&restore=1", "-aa-"),
    ("POST", "/nodes/pve1/lxc", "vmid=105&ostemplate=local%3Abackup%2Fa.tar.zst&restore=1&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/template", "", "????"),
    // configuration
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&memory=4096&digest=aa", "-aa-"),
    ("PUT", "/nodes/pve1/lxc/200/config", "swap=0", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "tags=a%3Bb", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/config", "tags=a%3Bb", "????"),
    ("POST", "/nodes/pve1/lxc/200/config", "tags=a", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "ciuser=debian&sshkeys=ssh-ed25519%2520AAAA&ipconfig0=ip%3Ddhcp", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%2Ctags", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=scsi0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%2Cunused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%20unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description%00unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=description&delete=unused0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "delete=net0", "????"),
    ("PUT", "/nodes/pve1/lxc/200/config", "delete=mp0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "scsi0=none", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "scsi1=local%3A101%2Fvm-101-disk-0.qcow2", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "ide2=local%3Aiso%2Fa.iso%2Cmedia%3Dcdrom", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "args=-monitor%20tcp", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "hookscript=local%3Asnippets%2Fx.sh", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "hostpci0=01%3A00", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "net0=virtio%2Cbridge%3Dvmbr0", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&skiplock=1", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=4&force=1", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cicustom=user%3Dlocal%3Asnippets%2Fx", "????"),
    ("PUT", "/nodes/pve1/qemu/100/cloudinit", "", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/resize", "disk=scsi0&size=%2B1G", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/unlink", "idlist=scsi0", "BBBB"),
    ("PUT", "/nodes/pve1/qemu/100/unlink", "idlist=scsi0&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/move_disk", "disk=scsi0&storage=bulk&delete=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/move_disk", "disk=scsi0&storage=bulk", "????"),
    ("POST", "/nodes/pve1/lxc/200/move_volume", "volume=rootfs&storage=bulk&delete=1", "BBBB"),
    ("DELETE", "/nodes/pve1/storage/nas/prunebackups", "", "BBBB"),
    ("DELETE", "/nodes/pve1/ceph/pool/x", "", "BBBB"),
    // migration, snapshots, backups
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&online=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&force=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=localhost", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk,tank%3Alocal", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%09tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%C2%A0tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%3Abulk%E3%80%80tank%3Alocal", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2&targetstorage=local%00tank", "????"),
    ("POST", "/nodes/pve1/qemu/100/migrate", "online=1", "????"),
    ("POST", "/nodes/pve1/lxc/200/migrate", "target=pve2&restart=1", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/remote_migrate", "target-vmid=1", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/snapshot", "snapname=a1&vmstate=1", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/snapshot/a1", "", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/snapshot/a1?force=1", "", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/snapshot/a1/rollback", "start=1", "--a-"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&mode=snapshot&compress=zstd&remove=0", "-aa-"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&mode=snapshot&compress=zstd", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&storage=nas&remove=0", "????"),
    ("POST", "/nodes/pve1/vzdump", "storage=nas&remove=0&mode=snapshot", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=0&mode=stop&stop=1", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=0&mode=snapshot&prune-backups=keep-last%3D1", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "all=1&storage=nas", "????"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&script=%2Fx", "BBBB"),
    ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=1", "BBBB"),
    // firewall
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&enable=1", "-aa-"),
    ("PUT", "/nodes/pve1/qemu/100/firewall/rules/0", "enable=0&digest=aa", "-aa-"),
    ("DELETE", "/nodes/pve1/qemu/100/firewall/rules/0?digest=aa", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&comment=a%20caf%C3%A9", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/firewall/rules", "type=in&action=ACCEPT&comment=a%0A%5BOPTIONS%5D%0Aenable%3A%200", "????"),
    ("PUT", "/cluster/firewall/rules/0", "comment=a%0Db", "????"),
    ("PUT", "/cluster/firewall/rules/0", "comment=a%E2%80%A8b", "????"),
    ("PUT", "/cluster/firewall/rules/0", "delete=source%09type", "????"),
    ("PUT", "/nodes/pve1/firewall/options", "protection_synflood=1&nf_conntrack_max=32768", "-aa-"),
    ("PUT", "/cluster/firewall/options", "nftables=1", "????"),
    ("PUT", "/nodes/pve1/qemu/100/firewall/options", "enable=1", "-aa-"),
    ("PUT", "/cluster/firewall/options", "enable=1", "-aa-"),
    ("DELETE", "/cluster/firewall/groups/web", "", "????"),
    // images, tasks, agent
    ("POST", "/nodes/pve1/storage/local/download-url", "content=iso&filename=a.iso&url=https%3A%2F%2Fexample.com", "-aa-"),
    ("POST", "/nodes/pve1/aplinfo", "storage=local&template=a.tar.zst", "-aa-"),
    ("POST", "/nodes/pve1/storage/local/upload", "content=iso", "????"),
    ("DELETE", "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:a:1:b@pam:", "", "-aa-"),
    ("POST", "/nodes/pve1/qemu/100/agent/exec", "command=ls&command=-l", "--a-"),
    ("GET", "/nodes/pve1/qemu/100/agent/exec-status?pid=1", "", "--a-"),
    ("POST", "/nodes/pve1/qemu/100/agent/file-write", "file=%2Fetc%2Fpasswd&content=x", "????"),
    ("GET", "/nodes/pve1/qemu/100/agent/file-read?file=%2Fetc%2Fshadow", "", "????"),
    ("POST", "/nodes/pve1/qemu/100/agent/set-user-password", "username=root&password=x", "????"),
    // what nobody may
    ("DELETE", "/nodes/pve1/qemu/100", "", "BBBB"),
    ("DELETE", "/nodes/pve1/qemu/100?purge=1", "", "BBBB"),
    ("DELETE", "/nodes/pve1/lxc/200", "", "BBBB"),
    ("DELETE", "/nodes/pve1/lxc/%32%30%30", "", "BBBB"),
    ("DELETE", "/storage/local", "", "BBBB"),
    ("DELETE", "/nodes/pve1/storage/local/content/local:100", "", "BBBB"),
    ("DELETE", "/pools/prod", "", "BBBB"),
    ("DELETE", "/cluster/ha/resources/vm:100", "", "BBBB"),
    ("POST", "/access/users", "userid=x@pve", "BBBB"),
    ("PUT", "/access/acl", "path=%2F&roles=Administrator", "BBBB"),
    ("PUT", "/access/password", "userid=x", "BBBB"),
    ("GET", "/access/ticket", "", "BBBB"),
    ("POST", "/access/users/root@pam/token/x", "", "BBBB"),
    ("GET", "/access/users", "", "????"),
    ("POST", "/nodes/pve1/execute", "commands=x", "BBBB"),
    ("POST", "/nodes/pve1/termproxy", "", "BBBB"),
    ("POST", "/nodes/pve1/vncshell", "", "BBBB"),
    ("POST", "/nodes/pve1/spiceshell", "", "BBBB"),
    ("GET", "/nodes/pve1/vncwebsocket?port=5900", "", "BBBB"),
    ("POST", "/nodes/pve1/status", "command=shutdown", "BBBB"),
    ("PUT", "/nodes/pve1/disks/wipedisk", "disk=%2Fdev%2Fsda", "BBBB"),
    ("POST", "/nodes/pve1/qemu/100/monitor", "command=quit", "BBBB"),
    // not in the table
    ("GET", "/nodes/pve1/report", "", "????"),
    ("GET", "/cluster/backup", "", "????"),
    ("POST", "/cluster/backup", "vmid=100", "BBBB"),
    ("POST", "/nodes/pve1/stopall", "", "BBBB"),
    ("POST", "/cluster/bulk-action/guest/shutdown", "", "BBBB"),
    ("DELETE", "/cluster/replication/100-0", "", "BBBB"),
    ("POST", "/nodes/pve1/replication/100-0/schedule_now", "", "BBBB"),
    ("DELETE", "/cluster/config/nodes/pve2", "", "BBBB"),
    ("POST", "/nodes/pve1/services/pveproxy/stop", "", "BBBB"),
    ("PUT", "/nodes/pve1/network", "", "BBBB"),
    ("POST", "/cluster/ha/resources", "sid=vm%3A100", "BBBB"),
    ("PUT", "/pools", "poolid=lab&vms=100", "BBBB"),
    ("POST", "/storage", "storage=x&type=dir", "BBBB"),
    ("PUT", "/cluster/options", "max_workers=1", "BBBB"),
    ("GET", "/nodes/pve1/qemu/100/config/x", "", "????"),
    ("GET", "/nodes/pve1/qemu/abc/config", "", "????"),
    ("GET", "/nodes/pve1/qemu/0100/config", "", "????"),
    ("PUT", "/nodes/pve1/qemu/100/config", "cores=1&cores=2", "????"),
    // not understood
    ("get", "/version", "", "SSSS"),
    ("PATCH", "/version", "", "SSSS"),
    ("GET", "", "", "SSSS"),
    ("GET", "/", "", "SSSS"),
    ("GET", "//version", "", "SSSS"),
    ("GET", "/nodes/", "", "SSSS"),
    ("GET", "/nodes/./status", "", "SSSS"),
    ("GET", "/nodes/../access/users", "", "SSSS"),
    ("GET", "/nodes/%2e%2e/status", "", "SSSS"),
    ("GET", "/nodes/%2E/status", "", "SSSS"),
    ("GET", "/nodes/pve1%2Fqemu/status", "", "SSSS"),
    ("GET", "/nodes/pve1%5cqemu/status", "", "SSSS"),
    ("GET", "/nodes/pve1%252f/status", "", "SSSS"),
    ("GET", "/nodes/pve1%25/status", "", "SSSS"),
    ("GET", "/nodes/pve1%/status", "", "SSSS"),
    ("GET", "/nodes/pve1%0d%0aHost:x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%00/status", "", "SSSS"),
    ("GET", "/nodes/pve1%09/status", "", "SSSS"),
    ("GET", "/nodes/pve1;x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%3Bx/status", "", "SSSS"),
    ("GET", "/nodes/pve1#x/status", "", "SSSS"),
    ("GET", "/nodes/pve1%23/status", "", "SSSS"),
    ("GET", "/nodes/pve1%3Fx/status", "", "SSSS"),
    ("GET", "/nodes/pv\u{e9}1/status", "", "SSSS"),
    ("GET", "/nodes/pv%C3%A9/status", "", "SSSS"),
    ("GET", "/nodes/pv%FF/status", "", "SSSS"),
    ("GET", "/cluster/resources?type=vm;x=1", "", "SSSS"),
    ("GET", "/cluster/resources?type", "", "SSSS"),
    ("GET", "/cluster/resources?type=a=b", "", "SSSS"),
    ("GET", "/cluster/resources?ty%00pe=a", "", "SSSS"),
    ("GET", "/version", "a=b", "SSSS"),
    ("DELETE", "/nodes/pve1/tasks/x", "a=b", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start?skiplock=1", "", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "skiplock", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=1;skiplock=1", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=b=c", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "a=%zz", "SSSS"),
    ("POST", "/nodes/pve1/qemu/100/status/start", "{\"skiplock\":1}", "SSSS"),
];

#[test]
fn every_verdict_of_the_table() {
    let mut read_only = Policy::preset(Preset::Admin);
    read_only.read_only = true;
    let policies = [
        ("observe", Policy::preset(Preset::Observe)),
        ("operate", Policy::preset(Preset::Operate)),
        ("admin", Policy::preset(Preset::Admin)),
        ("read-only", read_only),
    ];
    let mut cases = 0;
    for (method, path, body, expected) in TABLE {
        for ((name, policy), expected) in policies.iter().zip(expected.chars()) {
            let verdict = decide(policy, method, path, body);
            let wanted: &[&str] = match expected {
                'a' => &["actions"],
                '-' => &["actions", "read-only"],
                'B' => &["built-in"],
                // --read-only looks at the method first.
                '?' => &["unknown-call", "read-only"],
                _ => &["request-shape"],
            };
            let case = format!("{name}: {method} {path} {body}: {verdict:?}");
            assert_eq!(verdict.allowed, expected == 'a', "{case}");
            assert!(wanted.contains(&verdict.rule.name()), "{case}");
            cases += 1;
        }
    }
    assert!(cases >= 300, "{cases} cases");
}

fn scoped(change: impl FnOnce(&mut Scope)) -> Policy {
    let mut policy = Policy::preset(Preset::Admin);
    change(&mut policy.scope);
    policy
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn scopes() {
    let allowed = |policy: &Policy, method: &str, path: &str, body: &str| {
        let verdict = decide(policy, method, path, body);
        assert!(
            verdict.allowed || verdict.rule.name() == "scope",
            "{verdict:?}"
        );
        verdict.allowed
    };
    let start = |policy: &Policy, vmid: u32| {
        let path = format!("/nodes/pve1/qemu/{vmid}/status/start");
        allowed(policy, "POST", &path, "")
    };
    let ids = scoped(|scope| scope.vmids = vec![100..=100, 500..=599]);
    assert!(start(&ids, 100) && start(&ids, 550));
    assert!(!start(&ids, 101) && !start(&ids, 600));
    assert!(allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=500"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=700"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/101/clone",
        "newid=500"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100%2C101&storage=local&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &ids,
        "PUT",
        "/cluster/firewall/options",
        "enable=1"
    ));
    assert!(allowed(&ids, "GET", "/cluster/resources", ""));

    let pool = scoped(|scope| scope.pools = names(&["lab"]));
    assert!(start(&pool, 200) && !start(&pool, 100) && !start(&pool, 999));
    assert!(allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700&pool=lab"
    ));
    assert!(!allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700&pool=prod"
    ));
    assert!(!allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700"
    ));

    let tag = scoped(|scope| scope.tags = names(&["web"]));
    assert!(start(&tag, 100) && start(&tag, 200) && !start(&tag, 101));

    let node = scoped(|scope| scope.nodes = names(&["pve1"]));
    assert!(start(&node, 101) && !start(&node, 999));
    assert!(!allowed(&node, "GET", "/nodes/pve2/status", ""));
    assert!(!allowed(
        &node,
        "POST",
        "/nodes/pve1/qemu/100/migrate",
        "target=pve2"
    ));

    let storage = scoped(|scope| scope.storages = names(&["local"]));
    assert!(allowed(
        &storage,
        "GET",
        "/nodes/pve1/storage/local/content",
        ""
    ));
    assert!(!allowed(
        &storage,
        "GET",
        "/nodes/pve1/storage/nas/content",
        ""
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&storage=nas&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&mode=snapshot&remove=0"
    ));
    assert!(allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&storage=local&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=500&archive=nas%3Abackup%2Fa"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=500&archive=local%3Abackup%2Fa"
    ));
    let migrate = "/nodes/pve1/qemu/100/migrate";
    assert!(!allowed(
        &storage,
        "POST",
        migrate,
        "target=pve2&targetstorage=nas"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        migrate,
        "target=pve2&targetstorage=local%3Anas"
    ));
    // A disk on a storage that the map does not have stays on one of its name.
    for body in [
        "target=pve2&targetstorage=nas%3Alocal",
        "target=pve2&targetstorage=local%3Alocal",
        "target=pve2&online=1&targetstorage=nas%3Alocal",
        "target=pve2&online=1&with-local-disks=1&targetstorage=local%3Alocal",
    ] {
        assert!(!allowed(&storage, "POST", migrate, body), "{body}");
    }
    for body in [
        "target=pve2&targetstorage=local",
        "target=pve2&online=1&with-local-disks=1&targetstorage=nas%3Alocal,local",
    ] {
        assert!(allowed(&storage, "POST", migrate, body), "{body}");
    }
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve2/lxc/200/migrate",
        "target=pve1&restart=1&target-storage=local%3Alocal"
    ));
    // High availability drops the storage and takes local disks along. A guest
    // that is not listed could be under it.
    for vmid in [101, 999] {
        for body in ["target=pve2&online=1", "target=pve2&targetstorage=local"] {
            let path = format!("/nodes/pve1/qemu/{vmid}/migrate");
            assert!(!allowed(&storage, "POST", &path, body), "{path} {body}");
            let unlimited = Policy::preset(Preset::Operate);
            assert!(decide(&unlimited, "POST", &path, body).allowed);
        }
    }
    let asked = request("POST", &format!("/api2/json{migrate}"), "target=pve2");
    let asked = asked.unwrap();
    assert!(storage.needs_directory(&asked));
    assert!(!Policy::preset(Preset::Operate).needs_directory(&asked));

    // What Proxmox would put where it likes.
    for (path, body) in [
        ("/nodes/pve1/qemu/100/clone", "newid=500&full=1"),
        ("/nodes/pve1/qemu/100/clone", "newid=500"),
        ("/nodes/pve1/qemu/100/clone", "newid=500&full=1&storage=nas"),
        ("/nodes/pve1/qemu/100/status/suspend", "todisk=1"),
        ("/nodes/pve1/qemu/100/snapshot", "snapname=a1&vmstate=1"),
        (migrate, "target=pve2&targetstorage=1"),
        (migrate, "target=pve2&targetstorage=local,1"),
        (migrate, "target=pve2"),
        (migrate, "target=pve2&online=1&with-local-disks=1"),
        ("/nodes/pve2/lxc/200/migrate", "target=pve1&restart=1"),
        ("/nodes/pve1/qemu", "vmid=500&archive=local%3Abackup%2Fa"),
    ] {
        assert!(!allowed(&storage, "POST", path, body), "{path} {body}");
    }
    for (path, body) in [
        (
            "/nodes/pve1/qemu/100/clone",
            "newid=500&full=1&storage=local",
        ),
        (
            "/nodes/pve1/qemu/100/status/suspend",
            "todisk=1&statestorage=local",
        ),
        ("/nodes/pve1/qemu/100/status/suspend", ""),
        ("/nodes/pve1/qemu/100/snapshot", "snapname=a1"),
        (migrate, "target=pve2&online=1"),
    ] {
        assert!(allowed(&storage, "POST", path, body), "{path} {body}");
    }

    // A task is about the guest in its UPID, and a log is about all guests.
    let upid = |vmid: u32| {
        format!("/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:{vmid}:a@pam:")
    };
    assert!(allowed(&ids, "GET", &format!("{}/log", upid(100)), ""));
    assert!(!allowed(&ids, "GET", &format!("{}/log", upid(101)), ""));
    assert!(!allowed(&ids, "DELETE", &upid(101), ""));
    assert!(!allowed(&ids, "GET", "/cluster/log", ""));
    assert!(!allowed(&ids, "GET", "/nodes/pve1/syslog", ""));
    assert!(allowed(&node, "GET", "/nodes/pve1/syslog", ""));
    // A task that names no guest may tell of any, unless it fetches a file.
    for (task, shown) in [
        ("vzdump:", false),
        ("startall:", false),
        ("imgdel:101@local", false),
        ("imgdel:100@local", true),
        ("download:a.iso", true),
    ] {
        let log =
            format!("/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:{task}:a@pam:/log");
        assert_eq!(allowed(&ids, "GET", &log, ""), shown, "{task}");
    }
    // A node's firewall is every guest's; a vmid that is asked for is none.
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/firewall/rules",
        "type=in&action=DROP"
    ));
    assert!(allowed(
        &node,
        "POST",
        "/nodes/pve1/firewall/rules",
        "type=in&action=DROP"
    ));
    assert!(allowed(&pool, "GET", "/cluster/nextid", ""));
    assert!(!allowed(
        &ids,
        "GET",
        "/nodes/pve1/storage/local/content?vmid=101",
        ""
    ));
    // A clone takes the tags of its source along.
    assert!(allowed(
        &tag,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=700"
    ));
    assert!(!allowed(
        &tag,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=700&archive=nas%3Abackup%2Fa"
    ));
}

#[test]
fn side_effects_are_actions_too() {
    let actions = |path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Admin), "POST", path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.actions
    };
    let vzdump = |mode: &str| {
        actions(
            "/nodes/pve1/vzdump",
            &format!("vmid=100&remove=0&mode={mode}"),
        )
    };
    assert_eq!(vzdump("snapshot"), [Action::Backup]);
    assert_eq!(vzdump("stop"), [Action::Backup, Action::Shutdown]);
    let shutdown = |body: &str| actions("/nodes/pve1/qemu/100/status/shutdown", body);
    assert_eq!(
        shutdown("forceStop=1"),
        [Action::Shutdown, Action::HardStop]
    );
    let restart = actions("/nodes/pve1/lxc/200/migrate", "target=pve2&restart=1");
    assert_eq!(restart, [Action::Migrate, Action::Shutdown]);
}

/// An expert's rule lets no harm through, and nothing of which nobody knows
/// whether it is harm.
#[test]
fn no_rule_allows_what_is_built_in() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["* /**".parse().unwrap()];
    for (method, path, body) in [
        ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=1"),
        ("POST", "/nodes/pve1/vzdump", "vmid=100&mode=snapshot"),
        (
            "POST",
            "/nodes/pve1/vzdump",
            "vmid=100&remove=0&mode=snapshot&stop=1",
        ),
        (
            "PUT",
            "/nodes/pve1/qemu/100/config",
            "hookscript=local:snippets/a",
        ),
        ("PUT", "/nodes/pve1/qemu/100/config", "args=-x"),
        ("PUT", "/nodes/pve1/qemu/100/config", "delete=net0"),
        ("PUT", "/nodes/pve1/qemu/100/config", "vmstatestorage=nas"),
        (
            "POST",
            "/nodes/pve1/qemu",
            "vmid=105&hookscript=local:snippets/a",
        ),
        ("POST", "/nodes/pve1/qemu/100/template", ""),
        ("DELETE", "/cluster/replication/100-0", ""),
        ("DELETE", "/cluster/config/nodes/pve2", ""),
        ("DELETE", "/nodes/pve2", ""),
        ("POST", "/nodes/pve1/services/pvedaemon/stop", ""),
        ("PUT", "/cluster/ha/resources/vm:100", "state=disabled"),
        ("DELETE", "/cluster/ha/rules/a", ""),
        ("PUT", "/pools/lab", "vms=101"),
        ("POST", "/nodes/pve1/stopall", ""),
        ("POST", "/nodes/pve1/migrateall", "target=pve2"),
        ("POST", "/cluster/bulk-action/guest/shutdown", ""),
        ("DELETE", "/cluster/backup/job", ""),
        ("POST", "/nodes/pve1/qemu/100/agent/file-write", "file=a"),
        ("POST", "/nodes/pve1/qemu/100/agent/shutdown", ""),
        ("PUT", "/nodes/pve1/qemu/100/sendkey", "key=ctrl-alt-delete"),
        (
            "POST",
            "/nodes/pve1/qemu/100/move_disk",
            "disk=scsi0&target-vmid=101",
        ),
        ("DELETE", "/nodes/pve1/something/new", ""),
        ("POST", "/something/new", "a=b"),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert!(!verdict.allowed, "{method} {path} {body}: {verdict:?}");
    }
    for (method, path, body) in [
        (
            "POST",
            "/nodes/pve1/qemu/100/move_disk",
            "disk=scsi0&storage=bulk",
        ),
        ("POST", "/cluster/firewall/groups", "group=web"),
        ("GET", "/nodes/pve1/disks/list", ""),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert_eq!(
            verdict.rule.name(),
            "allow",
            "{method} {path} {body}: {verdict:?}"
        );
        let mut scoped = policy.clone();
        scoped.scope.vmids = vec![100..=100];
        let verdict = decide(&scoped, method, path, body);
        assert_eq!(
            verdict.allowed,
            method == "GET",
            "{method} {path}: {verdict:?}"
        );
    }
}

/// What the operator denies by name is denied, whatever else allows it.
#[test]
fn denied_actions_are_above_all_that_allows() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["* /**".parse().unwrap()];
    policy.denied = [Action::GuestExec].into();
    let exec = "/nodes/pve1/qemu/100/agent/exec";
    assert_eq!(
        decide(&policy, "POST", exec, "command=id").rule.name(),
        "deny"
    );
}

/// How much memory a guest has now is not known, so any change may take some
/// that it uses.
#[test]
fn changes_of_memory_are_destructive() {
    let is_destructive = |path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Operate), "PUT", path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.is_destructive()
    };
    let (vm, container) = ("/nodes/pve1/qemu/100/config", "/nodes/pve2/lxc/200/config");
    for body in ["memory=16", "swap=0", "cores=2&memory=8192", "delete=swap"] {
        assert!(is_destructive(container, body), "{body}");
    }
    for body in ["memory=16", "balloon=16", "delete=cores,balloon"] {
        assert!(is_destructive(vm, body), "{body}");
    }
    for body in ["cores=2", "cpulimit=1.5", "delete=cores", "tags=a"] {
        assert!(!is_destructive(vm, body), "{body}");
        assert!(!is_destructive(container, body), "{body}");
    }
}

/// The gate compares them with the names of nodes.
#[test]
fn hosts_that_a_node_fetches_from_are_named() {
    let policy = Policy::preset(Preset::Operate);
    for (method, path, body) in [
        (
            "POST",
            "/nodes/pve1/storage/local/download-url",
            "content=iso&filename=a.iso&url=http%3A%2F%2FPVE1.%3A8006%2Fa.iso",
        ),
        (
            "GET",
            "/nodes/pve1/query-url-metadata?url=https%3A%2F%2Fpve1%2Fa.iso",
            "",
        ),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert!(verdict.allowed, "{verdict:?}");
        assert_eq!(verdict.meaning.hosts, ["pve1"], "{path}");
    }
}

/// These would let a reader use a node to look around its network.
#[test]
fn no_read_makes_a_node_connect_to_an_address() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["GET /**".parse().unwrap()];
    for path in [
        "/cluster/acme/meta?directory=http%3A%2F%2F192.0.2.1%2F",
        "/cluster/acme/tos?directory=http%3A%2F%2F127.0.0.1%3A85%2F",
        "/cluster/acme/meta",
        "/nodes/pve1/scan/pbs?server=127.0.0.1&username=a&password=b",
        "/nodes/pve1/scan/iscsi?portal=192.0.2.1",
        "/nodes/pve1/scan/nfs?server=x.example.com",
        "/nodes/pve1/scan/cifs?server=192.0.2.1",
        "/nodes/pve1/scan/glusterfs?server=192.0.2.1",
        "/nodes/pve1/query-oci-repo-tags?reference=192.0.2.1%3A5000%2Fx",
        "/access/users/root@pam/tfa",
        "/access/tfa",
    ] {
        let verdict = decide(&policy, "GET", path, "");
        assert_eq!(verdict.rule.name(), "built-in", "{path}: {verdict:?}");
    }
    for path in [
        "/nodes/pve1/scan/zfs",
        "/nodes/pve1/scan",
        "/cluster/acme/plugins",
        "/access/users",
    ] {
        let verdict = decide(&policy, "GET", path, "");
        assert!(verdict.allowed, "{path}: {verdict:?}");
    }
}

#[test]
fn what_may_lock_out_is_destructive() {
    let meaning = |method: &str, path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Operate), method, path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.is_destructive()
    };
    let options = "/cluster/firewall/options";
    assert!(meaning("PUT", options, "enable=1"));
    assert!(meaning("PUT", options, "policy_in=DROP"));
    assert!(!meaning("PUT", options, "policy_in=ACCEPT&enable=0"));
    let rules = "/nodes/pve1/firewall/rules";
    assert!(meaning("POST", rules, "type=in&action=DROP&enable=1"));
    assert!(!meaning("POST", rules, "type=in&action=ACCEPT&enable=1"));
    assert!(meaning("PUT", "/nodes/pve1/firewall/rules/0", "enable=0"));
    let guest = "/nodes/pve1/qemu/100/firewall/options";
    assert!(!meaning("PUT", guest, "enable=1"));
}

#[test]
fn volumes_are_named() {
    let archive = "vmid=105&archive=nas%3Abackup%2Fvzdump-qemu-101-a.vma";
    let verdict = decide(
        &Policy::preset(Preset::Operate),
        "POST",
        "/nodes/pve1/qemu",
        archive,
    );
    assert!(verdict.allowed, "{verdict:?}");
    let [volid] = verdict.meaning.volids.as_slice() else {
        panic!("{verdict:?}");
    };
    assert_eq!(owner_of(volid).map(pve_api::Vmid::get), Some(101));
}

#[test]
fn a_backup_of_a_guest_outside_is_not_restored() {
    let ids = scoped(|scope| scope.vmids = vec![100..=105]);
    let restore = |archive: &str| {
        let form = format!("vmid=105&archive={archive}&unique=1");
        decide(&ids, "POST", "/nodes/pve1/qemu", &form)
    };
    for own in [
        "nas%3Abackup%2Fvzdump-qemu-101-a.vma.zst",
        "pbs%3Abackup%2Fvm%2F101%2F2026-01-01T00%3A00%3A00Z",
    ] {
        let verdict = restore(own);
        assert!(verdict.allowed, "{verdict:?}");
    }
    for other in [
        "nas%3Abackup%2Fvzdump-qemu-201-a.vma.zst",
        "pbs%3Abackup%2Fvm%2F201%2F2026-01-01T00%3A00%3A00Z",
        // Nobody can tell whose it is.
        "nas%3Abackup%2Fa.vma.zst",
    ] {
        let verdict = restore(other);
        assert_eq!(
            (verdict.allowed, verdict.rule.name()),
            (false, "scope"),
            "{verdict:?}"
        );
    }
    // The cluster's log tells of every node.
    let nodes = scoped(|scope| scope.nodes = names(&["pve1"]));
    let verdict = decide(&nodes, "GET", "/cluster/log", "");
    assert_eq!(
        (verdict.allowed, verdict.rule.name()),
        (false, "scope"),
        "{verdict:?}"
    );
}

#[test]
fn reads_are_all_that_a_reader_sends() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.read_only = true;
    let url = "/nodes/pve1/query-url-metadata?url=https%3A%2F%2F10.0.0.1";
    assert_eq!(decide(&policy, "GET", url, "").rule.name(), "read-only");
    let exec = "/nodes/pve1/qemu/100/agent/exec-status?pid=1";
    assert_eq!(decide(&policy, "GET", exec, "").rule.name(), "read-only");
}

#[test]
fn lists_show_what_is_in_scope() {
    let filtered = |scope: &Scope, listing: Listing, data: serde_json::Value| {
        let answer = json!({ "data": data }).to_string();
        assert!(scope.filters(listing), "{listing:?}");
        let shown = scope.filter(listing, answer.as_bytes(), &directory());
        let mut shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        shown["data"].take()
    };
    let pool = scoped(|scope| scope.pools = names(&["lab"])).scope;
    let node = scoped(|scope| scope.nodes = names(&["pve1"])).scope;
    let storage = scoped(|scope| scope.storages = names(&["nas"])).scope;

    let resources = json!([
        { "type": "qemu", "vmid": 100, "node": "pve1", "pool": "prod" },
        { "type": "lxc", "vmid": "200", "node": "pve2", "pool": "lab" },
        { "type": "qemu", "vmid": 900, "node": "pve1" },
        { "type": "node", "node": "pve1" },
        { "type": "node", "node": "pve2" },
        { "type": "storage", "storage": "nas", "node": "pve2" },
        { "type": "storage", "storage": "local", "node": "pve1" },
        { "type": "pool", "pool": "lab" },
        { "type": "pool", "pool": "prod" },
    ]);
    let count = |scope: &Scope| {
        let left = filtered(scope, Listing::Resources, resources.clone());
        left.as_array().unwrap().len()
    };
    assert_eq!((count(&pool), count(&node), count(&storage)), (6, 6, 8));

    let guests = json!([{ "vmid": 100 }, { "vmid": 200 }, { "vmid": 999 }]);
    let left = filtered(&pool, Listing::Guests, guests.clone());
    assert_eq!(left, json!([{ "vmid": 200 }]));
    let left = filtered(&node, Listing::Guests, guests);
    assert_eq!(left, json!([{ "vmid": 100 }]));

    let tasks = json!([
        { "id": "100", "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a@pam:" },
        { "id": "200", "node": "pve2", "upid": "UPID:pve2:0000011D:000BED85:6B02AFAA:qmstart:200:a@pam:" },
        { "id": "", "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:aptupdate::a@pam:" },
        { "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstop:100:a@pam:" },
    ]);
    let left = filtered(&pool, Listing::Tasks, tasks);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    let content = json!([
        { "volid": "nas:iso/a.iso" },
        { "volid": "nas:backup/vzdump-qemu-100.vma", "vmid": 100 },
        { "volid": "nas:vm-200-disk-0", "vmid": "200" },
        { "volid": "nas:x", "vmid": 0 },
    ]);
    let left = filtered(&pool, Listing::Content, content);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    let storages = json!([{ "storage": "nas" }, { "storage": "local" }]);
    let left = filtered(&storage, Listing::Storages, storages);
    assert_eq!(left, json!([{ "storage": "nas" }]));
    let ha = json!([{ "sid": "vm:100" }, { "sid": "ct:200" }, { "id": "quorum" }]);
    let left = filtered(&pool, Listing::HaResources, ha);
    assert_eq!(left, json!([{ "sid": "ct:200" }, { "id": "quorum" }]));
    let paths = json!({ "/": {}, "/vms/100": {}, "/vms/200": {}, "/pool/prod": {} });
    let left = filtered(&pool, Listing::Permissions, paths);
    assert_eq!(left, json!({ "/": {}, "/vms/200": {} }));
    let targets = json!({
        "allowed_nodes": ["pve1", "pve2"],
        "not_allowed_nodes": { "pve2": {} },
        "local_disks": ["x"],
    });
    let left = filtered(&node, Listing::Targets, targets);
    assert_eq!(
        left,
        json!({ "allowed_nodes": ["pve1"], "not_allowed_nodes": {}, "local_disks": ["x"] })
    );
    let nodes = json!([{ "node": "pve1" }, { "type": "cluster", "name": "c" }, { "name": "pve2", "type": "node" }]);
    let left = filtered(&node, Listing::Nodes, nodes);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
}

/// Each shape that the answer to a listed read can have, with something of a
/// guest, node or storage outside of the scope in it.
#[test]
fn no_shape_of_an_answer_shows_what_is_outside() {
    let guests = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    let node = scoped(|scope| scope.nodes = names(&["pve1"])).scope;
    let storage = scoped(|scope| scope.storages = names(&["nas"])).scope;
    let lines = |scope: &Scope, listing, data: serde_json::Value| {
        let answer = json!({ "data": data, "total": 77 }).to_string();
        let shown = scope
            .filter(listing, answer.as_bytes(), &directory())
            .unwrap();
        String::from_utf8(shown).unwrap()
    };
    for (listing, line) in [
        (
            Listing::Tasks,
            json!({ "id": "104@local", "type": "imgdel", "node": "pve1" }),
        ),
        (Listing::Tasks, json!({ "id": "104-0", "node": "pve1" })),
        (
            Listing::Tasks,
            json!({ "id": "100", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:104:a@pam:" }),
        ),
        (
            Listing::Tasks,
            json!({ "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:imgdel:104@local:a@pam:" }),
        ),
        (
            Listing::Tasks,
            json!("UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:104:a@pam:"),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:backup/vzdump-qemu-104-2026_01_01-00_00_00.vma.zst" }),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:vm-104-disk-0", "vmid": 100 }),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:snippets/104.yaml" }),
        ),
        (
            Listing::Resources,
            json!({ "type": "openvz", "vmid": 104, "node": "pve1" }),
        ),
        (Listing::Resources, json!({ "vmid": 104 })),
        (
            Listing::Guests,
            json!({ "name": "a guest 104 without a vmid" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "service:vm:104", "status": "vm:104" }),
        ),
        (
            Listing::References,
            json!({ "name": "guest-ipam-104", "ref": "+sdn/guest-ipam-104" }),
        ),
    ] {
        let shown = lines(&guests, listing, json!([line.clone()]));
        assert_eq!(shown, r#"{"data":[]}"#, "{listing:?} {line}");
    }
    for (listing, line) in [
        (
            Listing::Tasks,
            json!({ "id": "100@local", "type": "imgdel", "node": "pve1" }),
        ),
        (
            Listing::Tasks,
            json!({ "id": "debian-2404.iso", "type": "download", "node": "pve1" }),
        ),
        (
            Listing::Tasks,
            json!({ "id": "pveproxy", "type": "srvreload", "node": "pve1" }),
        ),
        (Listing::Content, json!({ "volid": "nas:iso/a.iso" })),
        (
            Listing::Content,
            json!({ "volid": "nas:vm-100-disk-0", "vmid": 100 }),
        ),
        (
            Listing::Resources,
            json!({ "type": "sdn", "sdn": "zone1", "node": "pve1" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "service:vm:100", "sid": "vm:100" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "lrm:pve1", "type": "lrm", "node": "pve1" }),
        ),
        (
            Listing::References,
            json!({ "name": "web", "ref": "+dc/web" }),
        ),
        (Listing::References, json!({ "name": "guest-ipam-100" })),
    ] {
        let shown = lines(&guests, listing, json!([line.clone()]));
        assert_eq!(shown, format!(r#"{{"data":[{line}]}}"#), "{listing:?}");
    }
    // Where a guest can go, as a VM and as a container have it.
    let targets = json!({
        "allowed_nodes": ["pve1", "pve2"],
        "allowed-nodes": ["pve1", "pve2"],
        "not_allowed_nodes": {
            "pve1": { "blocking-ha-resources": [{ "sid": "vm:104" }, { "sid": "vm:100" }] },
            "pve2": { "unavailable_storages": ["tank"] },
        },
        "not-allowed-nodes": { "pve2": {} },
        "dependent-ha-resources": ["vm:104", "vm:100"],
    });
    let of = |scope: &Scope| -> serde_json::Value {
        serde_json::from_str(&lines(scope, Listing::Targets, targets.clone())).unwrap()
    };
    let shown = of(&guests);
    assert!(!shown.to_string().contains("104"), "{shown}");
    assert!(shown.to_string().contains("vm:100"), "{shown}");
    let shown = of(&node);
    assert!(!shown.to_string().contains("pve2"), "{shown}");
    let shown = of(&storage);
    assert!(!shown.to_string().contains("tank"), "{shown}");
}

/// What a line that is shown tells of others is taken out of it.
#[test]
fn lines_tell_of_nobody_outside() {
    let guests = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    let shown = |listing, data: serde_json::Value| {
        let answer = json!({ "data": data }).to_string();
        let shown = guests.filter(listing, answer.as_bytes(), &directory());
        let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        shown["data"].clone()
    };
    let task = |id: &str, status: &str| json!({ "id": id, "type": "vzdump", "node": "pve1", "status": status });
    let tasks = json!([
        task("", "unable to back up guest 104"),
        task("", "OK"),
        task("100", "it failed")
    ]);
    let left = shown(Listing::Tasks, tasks);
    assert!(!left.to_string().contains("104"), "{left}");
    assert_eq!(left[1]["status"], "OK");
    assert_eq!(left[2]["status"], "it failed");

    let volume =
        |parent: &str| json!({ "volid": "nas:vm-100-disk-0", "vmid": 100, "parent": parent });
    let volumes = json!([
        volume("base-9000-disk-0@__base__"),
        volume("rpool/data/base-9000-disk-0@__base__"),
        volume("../9000/base-9000-disk-0.qcow2"),
    ]);
    let left = shown(Listing::Content, volumes);
    assert_eq!(left.as_array().unwrap().len(), 3);
    assert!(!left.to_string().contains("9000"), "{left}");

    let paths = json!({ "/": {}, "/pool/lab": {}, "/pool/lab/secret": {}, "/pool/prod/web": {} });
    let answer = json!({ "data": paths }).to_string();
    for (pool, left) in [
        ("lab", json!({ "/": {}, "/pool/lab": {} })),
        ("prod/web", json!({ "/": {}, "/pool/prod/web": {} })),
    ] {
        let scope = scoped(|scope| scope.pools = names(&[pool])).scope;
        let shown = scope.filter(Listing::Permissions, answer.as_bytes(), &directory());
        let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        assert_eq!(shown["data"], left, "{pool}");
    }
}

/// A parameter of a read that selects another shape of its answer is refused
/// unless the table has it.
#[test]
fn reads_have_listed_parameters() {
    let mut policy = Policy::preset(Preset::Admin);
    for path in [
        "/pools?poolid=prod",
        "/pools?type=qemu",
        "/access/permissions?userid=root@pam",
        "/access/permissions?path=/vms/104",
        "/cluster/nextid?vmid=104",
        "/cluster/ha/resources?type=vm",
        "/nodes/pve1/qemu?full=1",
        "/nodes/pve1/storage?target=pve2",
        "/nodes/pve1/storage?format=1",
        "/nodes/pve1/qemu/100/config?current=1",
        "/nodes/pve1/qemu/100/migrate?target=pve2",
        "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:a:100:b@pam:/log?download=1",
        "/nodes?verbose=1",
    ] {
        assert_eq!(
            decide(&policy, "GET", path, "").rule.name(),
            "unknown-call",
            "{path}"
        );
    }
    // A filter cannot name what is outside.
    policy.scope.vmids = vec![100..=100];
    for path in [
        "/nodes/pve1/tasks?vmid=104",
        "/nodes/pve1/storage/nas/content?vmid=104",
    ] {
        assert_eq!(
            decide(&policy, "GET", path, "").rule.name(),
            "scope",
            "{path}"
        );
    }
}

#[test]
fn names_that_the_cluster_does_not_have_are_reported() {
    let resources = json!({ "data": [
        { "type": "qemu", "vmid": 100, "node": "pve1", "pool": "prod", "tags": "web" },
        { "type": "node", "node": "pve1" },
        { "type": "storage", "storage": "local", "node": "pve1" },
        { "type": "pool", "pool": "lab" },
    ]});
    let inventory = read_inventory(resources.to_string().as_bytes()).unwrap();
    let scope = scoped(|scope| {
        scope.vmids = vec![100..=100, 101..=101, 500..=599];
        scope.pools = names(&["lab", "prod", "labb"]);
        scope.nodes = names(&["pve1", "pve9"]);
        scope.storages = names(&["local", "nass"]);
    })
    .scope;
    let missing = scope.missing(&inventory);
    assert_eq!(missing.len(), 4, "{missing:#?}");
    for (line, says) in missing.iter().zip([
        ["guest 101 (scope.vmids)", "it sees 100"],
        ["pool labb (scope.pools)", "it sees lab, prod"],
        ["node pve9 (scope.nodes)", "it sees pve1"],
        ["storage nass (scope.storages)", "it sees local"],
    ]) {
        assert!(says.iter().all(|words| line.contains(words)), "{line}");
    }
    let nothing = scope.missing(&Inventory::default());
    assert!(
        nothing
            .iter()
            .all(|line| line.contains("the token sees none"))
    );
}

#[test]
fn the_nodes_of_a_cluster_are_read() {
    let answer = json!({ "data": [
        { "node": "pve1", "status": "online" },
        { "node": "pve2", "status": "offline" },
        { "node": "a.example" },
        { "type": "node" },
    ]});
    let nodes = read_nodes(answer.to_string().as_bytes()).unwrap();
    assert_eq!(nodes, names(&["pve1", "pve2"]));
    let many: Vec<_> = (0..2000)
        .map(|n| json!({ "node": format!("n{n}") }))
        .collect();
    for wrong in [
        json!({ "data": null }),
        json!({ "data": {} }),
        json!({ "data": many }),
    ] {
        assert_eq!(read_nodes(wrong.to_string().as_bytes()), None, "{wrong}");
    }
}

/// An answer of another shape could show anything.
#[test]
fn what_is_no_list_is_not_shown() {
    let scope = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    for answer in [
        json!({}),
        json!([]),
        json!({ "data": "x" }),
        json!({ "data": { "a": 1 } }),
    ] {
        let answer = answer.to_string();
        let shown = scope.filter(Listing::Guests, answer.as_bytes(), &directory());
        assert_eq!(shown, None);
    }
    for answer in [r#"{"data":null}"#, r#"{"data":[]}"#] {
        let shown = scope.filter(Listing::Guests, answer.as_bytes(), &directory());
        assert_eq!(shown.as_deref(), Some(answer.as_bytes()));
    }
}

#[test]
fn expert_rules() {
    let mut policy = Policy::preset(Preset::Observe);
    policy.allow = vec![
        "GET /nodes/*/disks/**".parse().unwrap(),
        "DELETE /**".parse().unwrap(),
    ];
    policy.deny = vec!["* /nodes/pve2/**".parse().unwrap()];
    let rule = |method: &str, path: &str| decide(&policy, method, path, "").rule.name();
    assert_eq!(rule("GET", "/nodes/pve1/disks/list"), "allow");
    assert_eq!(rule("GET", "/nodes/pve1/disks"), "allow");
    assert_eq!(rule("GET", "/nodes/pve2/disks/list"), "deny");
    assert_eq!(rule("GET", "/nodes/pve2/status"), "deny");
    assert_eq!(rule("DELETE", "/nodes/pve1/qemu/100"), "built-in");
    assert_eq!(rule("DELETE", "/cluster/firewall/groups/web"), "allow");
    assert_eq!(rule("GET", "/nodes/localhost/disks/list"), "unknown-call");
    assert_eq!(
        rule("GET", "/nodes/pve1/disks/list?a=b%00c"),
        "unknown-call"
    );
    for wrong in [
        "/nodes",
        "FETCH /nodes",
        "GET nodes",
        "GET /nodes/p*e",
        "GET /",
        "GET /a//b",
        "",
    ] {
        assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
    }
    for pattern in ["GET /nodes/*/disks/**", "* /**", "PUT /a"] {
        assert_eq!(pattern.parse::<Pattern>().unwrap().to_string(), pattern);
    }
}

/// Any way to write a segment: some characters escaped, in either case.
fn encodings(segment: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(0..3u8, segment.len()).prop_map(move |choices| {
        segment
            .bytes()
            .zip(choices)
            .map(|(byte, choice)| match choice {
                0 => char::from(byte).to_string(),
                1 => format!("%{byte:02x}"),
                _ => format!("%{byte:02X}"),
            })
            .collect()
    })
}

/// All that no policy can allow.
fn forbidden() -> Vec<(&'static str, &'static str, &'static str)> {
    TABLE
        .iter()
        .filter(|(.., expected)| *expected == "BBBB")
        .map(|(method, path, body, _)| (*method, *path, *body))
        .collect()
}

proptest! {
    #[test]
    fn no_encoding_of_what_is_forbidden_is_allowed(
        (method, path, body) in prop::sample::select(forbidden()),
        choices in prop::collection::vec(0..4u8, 1..80),
        tail in prop::sample::select(vec!["", "", "", "/", "//", "/.", "/..", "%2f", "%5c", "%00", "%20", ";x", "#x"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let (plain, query) = path.split_once('?').unwrap_or((path, ""));
        let mut target = String::new();
        for (byte, choice) in plain.bytes().zip(choices.iter().cycle()) {
            match choice {
                1 if byte != b'/' => target.push_str(&format!("%{byte:02x}")),
                2 if byte != b'/' => target.push_str(&format!("%{byte:02X}")),
                // What is encoded twice is decoded twice by some.
                3 if byte != b'/' && choices.len() % 7 == 0 => target.push_str(&format!("%25{byte:02x}")),
                _ => target.push(char::from(byte)),
            }
        }
        target.push_str(tail);
        if !query.is_empty() {
            target.push_str(&format!("?{query}"));
        }
        let verdict = decide(&policy, method, &target, body);
        prop_assert!(!verdict.allowed, "{} {} {}: {:?}", method, target, body, verdict);
    }

    #[test]
    fn no_encoding_of_a_deletion_is_allowed(
        nodes in encodings("nodes"), node in encodings("pve1"), kind in encodings("qemu"), vmid in encodings("100"),
        tail in prop::sample::select(vec!["", "?purge=1", "/", "//", "/.", "/%2e", "?", "#", "%00", "%20", "/..", ";x"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let path = format!("/{nodes}/{node}/{kind}/{vmid}{tail}");
        prop_assert!(!decide(&policy, "DELETE", &path, "").allowed);
    }

    #[test]
    fn no_spelling_of_a_disk_removal_is_allowed(
        key in encodings("delete"), disk in encodings("unused0"),
        before in prop::sample::select(vec!["", "description%2C", "tags%20", "%20", "%2C%2C", "tags%3B", "tags%0A", "tags%09"]),
    ) {
        let mut policy = Policy::preset(Preset::Admin);
        policy.allow = vec!["* /**".parse().unwrap()];
        let body = format!("{key}={before}{disk}");
        prop_assert!(!decide(&policy, "PUT", "/nodes/pve1/qemu/100/config", &body).allowed);
    }

    #[test]
    fn any_request_gets_a_verdict(
        method in "[A-Z]{3,6}", target in any::<String>(), body in any::<String>(), path in "(/[a-z0-9%.;:]{0,6}){0,6}",
    ) {
        let policy = Policy::preset(Preset::Operate);
        let _ = policy.decide(request(&method, &target, &body).as_ref(), &directory());
        let _ = decide(&policy, &method, &path, &body);
    }

    #[test]
    fn what_is_read_is_what_a_form_reader_reads(pairs in prop::collection::vec(("[a-z][a-z0-9_-]{0,8}", any::<String>()), 0..5)) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let read = request("POST", "/api2/json/nodes", &form).unwrap();
        prop_assert_eq!(read.params, pairs);
    }
}
