//! `/nodes/{node}/qemu/{vmid}/agent`: what the guest says of itself.

use serde_json::{Value, json};

use crate::clock::{now, stamp};
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::params::{ARRAY, BOOL, INT, TEXT, opt, req};
use crate::permission::Permission::{self, All, Any};
use crate::state::{Guest, Power};
use pve_api::{GuestType, Method, calls};

const READ: Permission = Any(
    "/vms/{vmid}",
    &["VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"],
);

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(&calls::agent::INTERFACES, &[], READ, interfaces),
    on(&calls::agent::SYSTEM, &[], READ, os_info),
    on(&calls::agent::HOST_NAME, &[], READ, host_name),
    on(&calls::agent::FILESYSTEMS, &[], READ, file_systems),
    on(&calls::agent::LOGINS, &[], READ, users),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/qemu/{vmid}/agent/get-time",
        &[],
        READ,
        time,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/qemu/{vmid}/agent/info",
        &[],
        READ,
        info,
    ),
    on(&calls::agent::TIME_ZONE, &[], READ, time_zone),
    on(&calls::expert::PING_AGENT, &[], READ, ping),
    on(
        &calls::agent::EXEC,
        &[
            req("command", ARRAY),
            opt("input-data", TEXT.max_len(65_536)),
        ],
        UNRESTRICTED,
        exec,
    ),
    on(
        &calls::agent::EXEC_STATUS,
        &[req("pid", INT)],
        UNRESTRICTED,
        exec_status,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/qemu/{vmid}/agent/file-read",
        &[
            opt("count", INT.min(1).max(16_777_216)),
            opt("decode", BOOL),
            req("file", TEXT),
            opt("offset", INT.min(0)),
        ],
        Any(
            "/vms/{vmid}",
            &["VM.GuestAgent.FileRead", "VM.GuestAgent.Unrestricted"],
        ),
        file_read,
    ),
];

const UNRESTRICTED: Permission = All("/vms/{vmid}", &["VM.GuestAgent.Unrestricted"]);
const OS_RELEASE: &str = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nID=debian\n";

/// The guest of the path, if its agent answers.
pub(crate) fn reached<'a>(call: &'a Call<'_>) -> Result<&'a Guest, Fail> {
    let guest = call
        .cluster
        .guest(&call.node(), GuestType::Qemu, call.vmid())?;
    if !guest.agent_enabled() {
        return Err(Fail::die("No QEMU guest agent configured"));
    }
    if guest.power == Power::Stopped {
        return Err(Fail::die(format!("VM {} is not running", guest.vmid)));
    }
    if guest.power == Power::Paused || !agent_answers(call, guest) {
        return Err(Fail::die("QEMU guest agent is not running"));
    }
    Ok(guest)
}

/// An agent answers when it is installed, and its guest has booted.
fn agent_answers(call: &Call<'_>, guest: &Guest) -> bool {
    guest.agent_inside
        && guest.started.is_none_or(|started| {
            call.cluster.clock.at().saturating_sub(started) >= call.cluster.boot_time
        })
}

fn result(value: Value) -> Answer {
    Ok(json!({"result": value}))
}

fn interfaces(call: &mut Call<'_>) -> Answer {
    let guest = reached(call)?;
    let mut list = vec![interface(
        "lo",
        "00:00:00:00:00:00",
        &["127.0.0.1/8".into(), "::1/128".into()],
        0,
    )];
    for (number, value) in guest.nics() {
        let mac = mac_of(value).unwrap_or_default().to_ascii_lowercase();
        let traffic = crate::figures::traffic(guest);
        list.push(interface(
            &format!("eth{number}"),
            &mac,
            &guest.nic_addresses(number),
            traffic,
        ));
    }
    result(Value::Array(list))
}

/// The MAC address in a NIC's value, of either kind of guest.
pub(crate) fn mac_of(value: &str) -> Option<&str> {
    let is_mac = |text: &str| text.len() == 17 && text.bytes().filter(|b| *b == b':').count() == 5;
    crate::formats::fields(value)
        .map(|(_, field)| field)
        .find(|field| is_mac(field))
}

fn interface(name: &str, mac: &str, addresses: &[String], traffic: i64) -> Value {
    let addresses: Vec<Value> = addresses
        .iter()
        .filter_map(|address| address.split_once('/'))
        .map(|(ip, prefix)| {
            let kind = if ip.contains(':') { "ipv6" } else { "ipv4" };
            json!({"ip-address": ip, "ip-address-type": kind, "prefix": prefix.parse::<u8>().unwrap_or(0)})
        })
        .collect();
    json!({
        "name": name,
        "hardware-address": mac,
        "ip-addresses": addresses,
        "statistics": {
            "rx-bytes": traffic, "rx-packets": traffic / 900, "rx-errs": 0, "rx-dropped": 0,
            "tx-bytes": traffic / 3, "tx-packets": traffic / 2700, "tx-errs": 0, "tx-dropped": 0,
        },
    })
}

fn os_info(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!({
        "id": "debian",
        "name": "Debian GNU/Linux",
        "pretty-name": "Debian GNU/Linux 13 (trixie)",
        "version": "13 (trixie)",
        "version-id": "13",
        "machine": "x86_64",
        "kernel-release": "6.12.48+deb13-cloud-amd64",
        "kernel-version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2026-09-20)",
    }))
}

fn host_name(call: &mut Call<'_>) -> Answer {
    let name = reached(call)?.name();
    result(json!({"host-name": name}))
}

fn file_systems(call: &mut Call<'_>) -> Answer {
    let guest = reached(call)?;
    let size = guest.disk_size();
    result(json!([{
        "name": "sda1",
        "mountpoint": "/",
        "type": "ext4",
        "total-bytes": size / 100 * 95,
        "used-bytes": size / 100 * 41,
        "disk": [{"bus": 0, "bus-type": "scsi", "dev": "/dev/sda1", "target": 0, "unit": 0,
                  "pci-controller": {"bus": 1, "domain": 0, "function": 0, "slot": 1}}],
    }]))
}

fn users(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!([]))
}

fn time_zone(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!({"zone": "UTC", "offset": 0}))
}

fn time(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!(now() * 1_000_000_000))
}

fn info(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    let commands = [
        "guest-ping",
        "guest-network-get-interfaces",
        "guest-get-osinfo",
        "guest-exec",
        "guest-exec-status",
    ];
    let commands: Vec<Value> = commands
        .iter()
        .map(|name| json!({"name": name, "enabled": true, "success-response": true}))
        .collect();
    result(json!({"version": "10.0.3", "supported_commands": commands}))
}

fn ping(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    result(json!({}))
}

/// Runs one of the few commands that a simulated guest has.
fn exec(call: &mut Call<'_>) -> Answer {
    let guest = reached(call)?;
    let inside = Inside {
        host: guest.name(),
        uptime: guest.uptime(),
        disk: guest.disk_size(),
    };
    let command = call.list("command");
    let input = call.get("input-data").unwrap_or_default().to_owned();
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let Some(outcome) = outcome(&inside, &words, &input) else {
        let program = words.first().copied().unwrap_or_default();
        return Err(Fail::die(format!(
            "Agent error: Guest agent command failed, error was 'Failed to execute child process \u{201c}{program}\u{201d} (No such file or directory)'"
        )));
    };
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest_mut(&node, GuestType::Qemu, vmid)?;
    let pid = 800
        + u32::try_from(guest.commands.len()).unwrap_or_default() * 3
        + u32::try_from(now() % 1000).unwrap_or_default();
    let pid = (pid..)
        .find(|pid| !guest.commands.contains_key(pid))
        .unwrap_or(pid);
    guest.commands.insert(pid, outcome);
    Ok(json!({"pid": pid}))
}

/// What commands can see of their guest.
struct Inside {
    host: String,
    /// In seconds.
    uptime: i64,
    /// In bytes.
    disk: u64,
}

/// What a command prints and how it ends; `ready` is when.
fn outcome(inside: &Inside, words: &[&str], input: &str) -> Option<Value> {
    let (program, rest) = words.split_first()?;
    let program = program.rsplit('/').next()?;
    let host = &inside.host;
    let done = |code: i32, out: String, err: String| {
        Some(json!({"code": code, "out": out, "err": err, "ready": now()}))
    };
    match (program, rest) {
        ("busybox", rest) => outcome(inside, rest, input),
        ("true", _) => done(0, String::new(), String::new()),
        ("false", _) => done(1, String::new(), String::new()),
        ("echo", rest) => done(0, format!("{}\n", rest.join(" ")), String::new()),
        ("hostname", _) => done(0, format!("{host}\n"), String::new()),
        ("whoami", _) => done(0, "root\n".into(), String::new()),
        ("id", _) => done(
            0,
            "uid=0(root) gid=0(root) groups=0(root)\n".into(),
            String::new(),
        ),
        ("uname", ["-a"]) => done(
            0,
            format!(
                "Linux {host} 6.12.48+deb13-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 x86_64 GNU/Linux\n"
            ),
            String::new(),
        ),
        ("uname", _) => done(0, "Linux\n".into(), String::new()),
        ("df", _) => {
            let gib = |percent: u64| (inside.disk / 100 * percent) >> 30;
            let (used, all) = (gib(41), gib(95));
            done(
                0,
                format!(
                    "Filesystem      Size  Used Avail Use% Mounted on\n/dev/sda1       {all:3}G  {used:3}G  {:3}G  43% /\n",
                    all - used
                ),
                String::new(),
            )
        }
        ("uptime", _) => {
            let (days, hours) = (inside.uptime / 86_400, inside.uptime / 3600 % 24);
            let minutes = inside.uptime / 60 % 60;
            done(
                0,
                format!(
                    " {} up {days} days, {hours:2}:{minutes:02},  0 users,  load average: 0.21, 0.17, 0.11\n",
                    stamp(now()).split_once(' ')?.1
                ),
                String::new(),
            )
        }
        ("cat", []) => done(0, input.to_owned(), String::new()),
        ("cat", ["/etc/os-release"]) => done(0, OS_RELEASE.into(), String::new()),
        ("cat" | "ls", [file, ..]) => done(
            1,
            String::new(),
            format!("{program}: {file}: No such file or directory\n"),
        ),
        ("ls", []) => done(
            0,
            "bin\nboot\netc\nhome\nroot\nusr\nvar\n".into(),
            String::new(),
        ),
        ("seq", [last]) => {
            let last: u32 = last.parse().ok()?;
            let lines: String = (1..=last.min(200_000))
                .map(|number| format!("{number}\n"))
                .collect();
            done(0, lines, String::new())
        }
        ("sleep", [seconds]) => {
            let seconds: i64 = seconds.parse().ok()?;
            Some(json!({"code": 0, "out": "", "err": "", "ready": now() + seconds}))
        }
        ("sh" | "bash", ["-c", script]) => match script
            .strip_prefix("exit ")
            .and_then(|code| code.trim().parse().ok())
        {
            Some(code) => done(code, String::new(), String::new()),
            None => {
                let words: Vec<&str> = script.split_whitespace().collect();
                let name = words.first().copied().unwrap_or_default();
                outcome(inside, &words, input)
                    .or_else(|| done(127, String::new(), format!("sh: 1: {name}: not found\n")))
            }
        },
        _ => None,
    }
}

fn exec_status(call: &mut Call<'_>) -> Answer {
    reached(call)?;
    let pid = call.int("pid").unwrap_or_default();
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest_mut(&node, GuestType::Qemu, vmid)?;
    let known = u32::try_from(pid).ok();
    let Some(outcome) = known.and_then(|pid| guest.commands.get(&pid)).cloned() else {
        return Err(Fail::die(format!(
            "Agent error: PID {} does not exist",
            // The real agent loses the number in its message.
            if pid > 0 { "ld" } else { "0" }
        )));
    };
    if outcome
        .get("ready")
        .and_then(Value::as_i64)
        .is_some_and(|ready| ready > now())
    {
        return Ok(json!({"exited": 0}));
    }
    // Once told, it is forgotten.
    guest.commands.retain(|known, _| i64::from(*known) != pid);
    let mut answer = json!({"exited": 1, "exitcode": outcome.get("code")});
    if let Some(fields) = answer.as_object_mut() {
        for (ours, theirs, cut) in [
            ("out", "out-data", "out-truncated"),
            ("err", "err-data", "err-truncated"),
        ] {
            let text = outcome
                .get(ours)
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !text.is_empty() {
                fields.insert(theirs.into(), json!(text));
                fields.insert(cut.into(), json!(0));
            }
        }
    }
    Ok(answer)
}

fn file_read(call: &mut Call<'_>) -> Answer {
    let name = reached(call)?.name();
    let file = call.text("file");
    let content = match file.as_str() {
        "/etc/os-release" => OS_RELEASE.to_owned(),
        "/etc/hostname" => format!("{name}\n"),
        _ => {
            return Err(Fail::die(format!(
                "Agent error: failed to open file '{file}' (mode: 'r'): No such file or directory"
            )));
        }
    };
    Ok(json!({"bytes-read": content.len(), "content": content}))
}
