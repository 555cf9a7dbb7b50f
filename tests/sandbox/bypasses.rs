//! What no component gets past the policy, whatever it says and however it
//! spells it.

use harness::hostile::{ends_well, hostile, paths, refused, refused_as, start_sim};
use harness::with;
use serde_json::{Value, json};

/// The headers of a form, if there is one.
fn form(body: &str) -> Value {
    match body {
        "" => json!({}),
        _ => json!({ "content-type": ["application/x-www-form-urlencoded"] }),
    }
}

/// Whatever shape a request has that Proxmox could understand otherwise than
/// host-runner: it is refused, by the rule named there, and even under
/// the preset that allows most. Nothing of it arrives.
#[tokio::test]
async fn disguised_requests_are_refused() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--preset=admin").connect().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let good = json!({
        "method": "GET",
        "scheme": "https",
        "authority": authority,
        "path": "/api2/json/version",
    });
    let mut wrong = Vec::new();
    let targets = [
        ("/api2/json/../json/version", "origin"),
        ("/api2/json/./version", "origin"),
        ("/api2/json/nodes/..", "origin"),
        ("/api2/json/%2e%2e/extjs/version", "origin"),
        ("/api2/json/%2E%2E%2Fextjs/version", "origin"),
        ("/api2/json/%252e%252e/version", "origin"),
        ("/api2/json/nodes%252fpve1", "request-shape"),
        ("/api2/json/nodes%2fpve1", "request-shape"),
        ("/api2/json/nodes%5cpve1", "request-shape"),
        ("/api2/json//version", "request-shape"),
        ("//api2/json/version", "origin"),
        ("/api2//json/version", "origin"),
        ("/api2/json/version/", "request-shape"),
        ("/api2/json/version;a=b", "request-shape"),
        ("/api2/json/;/version", "request-shape"),
        ("/api2/json/..;/version", "origin"),
        ("/api2/json/version%09", "origin"),
        ("/api2/json/version\t", "wasi"),
        ("/api2/json/version%0d%0aX:%20y", "origin"),
        ("/api2/json/version\r\nX: y", "wasi"),
        ("/api2/json/version HTTP/1.1\r\n\r\nDELETE /", "wasi"),
        ("/api2/json/version%00", "origin"),
        ("/api2/json/version%20", "request-shape"),
        ("/api2/json/versio\u{f1}", "request-shape"),
        ("/api2/json/versio%f1", "request-shape"),
        ("/api2/json/\u{ff0e}\u{ff0e}/version", "request-shape"),
        ("/api2/json/%c0%ae%c0%ae/version", "request-shape"),
        ("/api2/json/version%", "origin"),
        ("/api2/json/version%zz", "origin"),
        ("/api2/json/version?a", "request-shape"),
        ("/api2/json/version?a=b;c=d", "request-shape"),
        ("/api2/json/version?a=b=c", "request-shape"),
        ("/api2/json/version?%0d=1", "request-shape"),
        ("/api2/json/version?a[]=b", "request-shape"),
        ("https://127.0.0.1/api2/json/version", "wasi"),
        ("https://evil.example/api2/json/version", "wasi"),
        ("*", "wasi"),
        ("api2/json/version", "wasi"),
        ("/API2/json/version", "origin"),
        ("/api2/extjs/version", "origin"),
        ("/api2/json", "request-shape"),
        ("", "origin"),
        // None of these has a line in the table.
        ("/api2/json/Version", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/100", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/0100/config", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/+100/config", "unknown-call"),
        (
            "/api2/json/cluster/resources?type=vm&type=vm",
            "unknown-call",
        ),
    ];
    for (path, rule) in targets {
        let request = with(&good, json!({ "path": path }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{path:?}: {found}, not {rule}"));
        }
    }

    let port = sim.port()?;
    let authorities = [
        (format!("root@127.0.0.1:{port}"), "origin"),
        (format!("127.0.0.1:{port}@127.0.0.1:{port}"), "origin"),
        (format!("127.0.0.1:{port}@evil.example"), "origin"),
        (format!("127.0.0.1.:{port}"), "origin"),
        (format!("127.1:{port}"), "origin"),
        (format!("0x7f.1:{port}"), "origin"),
        (format!("127.0.0.1%00:{port}"), "wasi"),
        (format!("localhost:{port}"), "origin"),
        (format!("[::1]:{port}"), "origin"),
        (format!("[::1%25lo]:{port}"), "origin"),
        (format!("[::ffff:127.0.0.1]:{port}"), "origin"),
        (format!("\u{ff11}27.0.0.1:{port}"), "wasi"),
        (format!("127\u{3002}0.0.1:{port}"), "wasi"),
        ("127.0.0.1".to_owned(), "origin"),
        ("127.0.0.1:".to_owned(), "origin"),
        (format!("127.0.0.1:{}", u32::from(port) + 65536), "origin"),
        (format!("127.0.0.1:{port},evil.example"), "origin"),
        (format!("127.0.0.1:{port}/x"), "wasi"),
        (format!("127.0.0.1 :{port}"), "wasi"),
        (String::new(), "wasi"),
    ];
    for (authority, rule) in authorities {
        let request = with(&good, json!({ "authority": authority }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{authority:?}: {found}, not {rule}"));
        }
    }
    for (scheme, rule) in [("http", "origin"), ("ftp", "origin"), ("ws", "origin")] {
        let request = with(&good, json!({ "scheme": scheme }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{scheme:?}: {found}, not {rule}"));
        }
    }
    for (method, rule) in [
        ("get", "request-shape"),
        ("delete", "request-shape"),
        ("PATCH", "request-shape"),
        ("HEAD", "request-shape"),
        ("CONNECT", "request-shape"),
        ("TRACE", "request-shape"),
        ("OPTIONS", "request-shape"),
        ("PROPFIND", "request-shape"),
        ("DELETE ", "wasi"),
        ("GET /api2/json/nodes HTTP/1.1\r\n\r\nGET", "wasi"),
        ("", "wasi"),
    ] {
        let request = with(&good, json!({ "method": method }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{method:?}: {found}, not {rule}"));
        }
    }
    for (headers, rule) in [
        (json!({ "host": ["evil.example", "127.0.0.1"] }), "wasi"),
        (
            json!({ "Authorization": ["PVEAPIToken=a@pam!b=c"] }),
            "wasi",
        ),
        (json!({ "transfer-encoding": ["chunked"] }), "wasi"),
        (json!({ "x-long": ["x".repeat(8000)] }), "request-shape"),
        (
            json!({ "accept": vec!["x".repeat(1020); 7] }),
            "request-shape",
        ),
    ] {
        let request = with(&good, json!({ "headers": headers }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{headers:?}: {found}, not {rule}"));
        }
    }
    let long = format!("/api2/json/version?a={}", "x".repeat(8000));
    let request = with(&good, json!({ "path": long }));
    assert_eq!(refused(&client, request).await?, "request-shape");
    assert_eq!(wrong, Vec::<String>::new());
    // Beyond all measure: the call itself ends.
    let huge = json!({ "headers": { "x-huge": ["x".repeat(1_000_000)] } });
    client.request("send_raw", with(&good, huge)).await??;

    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    // As it is, it does arrive.
    assert_eq!(refused(&client, good).await?, "answered");
    assert_eq!(sim.served().await?, 1);
    ends_well(client).await
}

/// What no policy can allow, in every spelling, with the token that may do all.
#[tokio::test]
async fn harm_that_no_policy_allows_is_refused_in_every_spelling() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    // Not even for an operator who allows all that can be allowed.
    let policy = "preset = \"admin\"\nallow = [\"* /**\"]\n";
    let host = hostile(&sim)?.file("policy.toml", policy)?;
    let client = host.arg("--policy=policy.toml").connect().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let node = "/api2/json/nodes/pve1";
    for (method, path, body) in [
        ("DELETE", format!("{node}/qemu/100"), ""),
        ("DELETE", format!("{node}/lxc/200"), ""),
        ("DELETE", format!("{node}/qemu/%31%30%30"), ""),
        (
            "DELETE",
            "/api2/json/%6eodes/pve1/%71emu/100".to_owned(),
            "",
        ),
        ("DELETE", format!("{node}/qemu/100?purge=1&skiplock=1"), ""),
        ("DELETE", format!("{node}/qemu/100?"), ""),
        (
            "POST",
            format!("{node}/qemu"),
            "vmid=100&archive=a:b&force=1",
        ),
        (
            "POST",
            format!("{node}/qemu"),
            "vmid=100&archive=a:b&f%6Frce=1",
        ),
        (
            "POST",
            format!("{node}/qemu"),
            "force=0&vmid=100&archive=a:b&force=1",
        ),
        (
            "POST",
            format!("{node}/lxc"),
            "vmid=200&ostemplate=a:b&restore=1&force=yes",
        ),
        (
            "DELETE",
            format!("{node}/storage/local/content/local:100%2Fa"),
            "",
        ),
        (
            "DELETE",
            format!("{node}/storage/local/content/local:iso"),
            "",
        ),
        ("DELETE", "/api2/json/storage/local".to_owned(), ""),
        ("DELETE", "/api2/json/pools/prod".to_owned(), ""),
        ("POST", "/api2/json/access/users".to_owned(), "userid=a@pve"),
        (
            "PUT",
            "/api2/json/access/acl".to_owned(),
            "path=/&roles=Administrator&users=a@pve",
        ),
        (
            "PUT",
            "/api2/json/access/password".to_owned(),
            "userid=root@pam&password=x",
        ),
        (
            "POST",
            "/api2/json/access/ticket".to_owned(),
            "username=root@pam&password=x",
        ),
        (
            "DELETE",
            "/api2/json/%61ccess/users/root@pam".to_owned(),
            "",
        ),
        ("POST", format!("{node}/execute"), "commands=%5B%5D"),
        ("POST", format!("{node}/termproxy"), ""),
        ("POST", format!("{node}/vncshell"), ""),
        ("POST", format!("{node}/spiceshell"), ""),
        ("GET", format!("{node}/vncwebsocket?port=1&vncticket=x"), ""),
        ("POST", format!("{node}/qemu/100/monitor"), "command=quit"),
        ("POST", format!("{node}/status"), "command=shutdown"),
        ("PUT", format!("{node}/qemu/100/unlink"), "idlist=scsi0"),
        ("PUT", format!("{node}/qemu/100/config"), "delete=scsi0"),
        (
            "PUT",
            format!("{node}/qemu/100/config"),
            "delete=name,%20scsi0",
        ),
        ("PUT", format!("{node}/qemu/100/config"), "args=-chardev"),
        (
            "PUT",
            format!("{node}/qemu/100/config"),
            "hookscript=local:snippets/a",
        ),
        ("POST", format!("{node}/qemu/100/status/stop"), "skiplock=1"),
        ("PUT", format!("{node}/disks/wipedisk"), "disk=/dev/sda"),
    ] {
        let request = json!({
            "method": method,
            "scheme": "https",
            "authority": authority,
            "path": path,
            "headers": form(body),
            "body": body,
        });
        let rule = refused(&client, request).await?;
        let expected = match path.contains("%2F") {
            true => "request-shape",
            false => "built-in",
        };
        assert_eq!(rule, expected, "{method} {path} {body}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

/// A change is read before it is sent: what cannot be read is not sent.
#[tokio::test]
async fn forms_that_could_be_read_in_two_ways_are_refused() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let good = json!({
        "method": "PUT",
        "scheme": "https",
        "authority": format!("127.0.0.1:{}", sim.port()?),
        "path": "/api2/json/nodes/pve1/qemu/103/config",
        "headers": form("x"),
        "body": "description=a",
    });
    let kinds = |kinds: &[&str]| json!({ "headers": { "content-type": kinds } });
    let plain = "application/x-www-form-urlencoded";
    for (change, rule) in [
        (json!({ "body": "description" }), "request-shape"),
        (
            json!({ "body": "description=a;delete=scsi0" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a&delete=scsi0=" }),
            "request-shape",
        ),
        (json!({ "body": "description=%zz" }), "request-shape"),
        (json!({ "body": "description=\u{e4}" }), "request-shape"),
        (json!({ "body": "description=a&" }), "request-shape"),
        (
            json!({ "body": "{\"description\":\"a\"}" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a\r\nDELETE / HTTP/1.1" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a&description=b" }),
            "unknown-call",
        ),
        (
            json!({ "body": "descriptio%6E=a&description=b" }),
            "unknown-call",
        ),
        (json!({ "body": "net0=virtio" }), "unknown-call"),
        (kinds(&["application/json"]), "request-shape"),
        (kinds(&["multipart/form-data; boundary=x"]), "request-shape"),
        (kinds(&["text/plain"]), "request-shape"),
        (kinds(&[plain, "application/json"]), "request-shape"),
        (kinds(&[plain, plain]), "request-shape"),
        (
            kinds(&["application/x-www-form-urlencoded; charset=utf-16"]),
            "request-shape",
        ),
        (kinds(&[]), "request-shape"),
        (
            json!({ "path": "/api2/json/nodes/pve1/qemu/103/config?delete=scsi0" }),
            "request-shape",
        ),
        (
            json!({ "path": "/api2/json/nodes/pve1/qemu/103/config?description=b" }),
            "request-shape",
        ),
        (json!({ "method": "GET" }), "request-shape"),
        (json!({ "method": "DELETE" }), "request-shape"),
    ] {
        let request = with(&good, change.clone());
        assert_eq!(refused(&client, request).await?, rule, "{change}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    // As it is, it is a change like any other, and of its headers only those
    // leave that Proxmox has a use for.
    let other = json!({ "headers": {
        "content-type": [plain],
        "x-original-url": ["/api2/json/access/users"],
        "x-http-method": ["DELETE"],
    }});
    assert_eq!(refused(&client, with(&good, other)).await?, "answered");
    let mut requests = sim.requests()?;
    // The host itself asks which nodes there are.
    requests.retain(|request| request["path"] != "/nodes");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0]["params"],
        json!({ "description": "a" }),
        "{requests:?}"
    );
    ends_well(client).await
}

/// A tool's word can only forbid.
#[tokio::test]
async fn false_annotations_allow_nothing() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let post = |path: &str, body: &str| {
        json!({
            "method": "POST",
            "scheme": "https",
            "authority": authority,
            "path": format!("/api2/json/nodes/pve1/{path}"),
            "headers": form(body),
            "body": body,
        })
    };
    let start = post("qemu/103/status/start", "");
    let exec = post("qemu/100/agent/exec", "command=id");

    let client = hostile(&sim)?.arg("--preset=admin").connect().await?;
    let rule = refused_as(&client, "send_raw_calmly", start.clone()).await?;
    assert_eq!(rule, "read-only-tool");
    // Not dangerous by its own word: then it does nothing dangerous.
    for tool in ["send_raw", "send_raw_calmly"] {
        assert_eq!(refused_as(&client, tool, exec.clone()).await?, "actions");
    }
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // It calls itself dangerous, so it is not offered by default.
    let client = hostile(&sim)?.connect().await?;
    let error = client
        .protocol_error("send_raw_dangerously", exec.clone())
        .await?;
    assert!(error.message.contains("--allow-tool"), "{error:?}");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // Under --read-only it is not even offered, and what is offered reads.
    let client = hostile(&sim)?.arg("--read-only").connect().await?;
    client.protocol_error("send_raw", start.clone()).await?;
    let rule = refused_as(&client, "send_raw_calmly", start).await?;
    assert_eq!(rule, "read-only");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // Where the operator allows the very tool it may, or the refusals above
    // would show nothing.
    let allowed = "--allow-tool=send_raw_dangerously";
    let client = hostile(&sim)?.arg(allowed).connect().await?;
    let rule = refused_as(&client, "send_raw_dangerously", exec).await?;
    assert_eq!(rule, "answered");
    let asked = paths(&sim)?;
    assert_eq!(asked, ["/nodes", "/nodes/pve1/qemu/100/agent/exec"]);
    ends_well(client).await
}

/// The names of nodes carry nothing away, and asking which there are is not a
/// way to hammer Proxmox.
#[tokio::test]
async fn nodes_that_the_cluster_does_not_list_are_refused() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let policy = "preset = \"admin\"\nallow = [\"GET /cluster/mapping/pci\"]\n";
    let client = hostile(&sim)?
        .file("policy.toml", policy)?
        .args(["--policy", "policy.toml"])
        .connect()
        .await?;
    let request = |method: &str, path: &str, body: &str| {
        json!({
            "method": method, "scheme": "https",
            "authority": format!("127.0.0.1:{}", sim.port().unwrap_or_default()),
            "path": format!("/api2/json{path}"), "headers": form(body), "body": body,
        })
    };
    for number in 0..20 {
        let path = format!("/nodes/736563726574{number}/status");
        let rule = refused_as(&client, "send_raw_calmly", request("GET", &path, "")).await?;
        assert_eq!(rule, "unknown-node", "{path}");
    }
    let upper = request("GET", "/nodes/PVE1/status", "");
    assert_eq!(
        refused_as(&client, "send_raw_calmly", upper).await?,
        "unknown-node"
    );
    let guest = "/nodes/pve1/qemu/100";
    for (method, path, body) in [
        ("POST", format!("{guest}/migrate"), "target=7365637265"),
        (
            "POST",
            format!("{guest}/clone"),
            "newid=900&target=7365637265",
        ),
        (
            "POST",
            "/nodes/7365637265/aplinfo".to_owned(),
            "storage=local&template=a",
        ),
        (
            "GET",
            "/cluster/mapping/pci?check-node=7365637265".to_owned(),
            "",
        ),
    ] {
        let rule = refused(&client, request(method, &path, body)).await?;
        assert_eq!(rule, "unknown-node", "{method} {path}");
    }
    let asked = paths(&sim)?;
    assert!(asked.iter().all(|path| path == "/nodes"), "{asked:?}");
    assert!(asked.len() <= 3, "{asked:?}");
    let url = format!("{}/api2/json/nodes/pve1/status", sim.url);
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["status"], 200, "{report}");
    ends_well(client).await
}

/// host-runner itself removes from an answer what is not in scope.
#[tokio::test]
async fn answers_show_only_what_is_in_scope() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--vmids=100,200").connect().await?;
    let get = |path: &str| json!({ "url": format!("{}/api2/json/{path}", sim.url) });
    for path in [
        "cluster/resources",
        "cluster/resources?type=vm",
        "%63luster/resources",
        "nodes/pve1/qemu",
        "nodes/pve1/lxc",
        "cluster/tasks",
        "nodes/pve1/tasks",
        "access/permissions",
        "cluster/ha/resources",
        "pools",
    ] {
        let report = client.call("send_request", get(path)).await?;
        assert_eq!(report["status"], 200, "{path}: {report}");
        let body: Value = serde_json::from_str(report["body"].as_str().unwrap_or_default())?;
        for line in body["data"].as_array().into_iter().flatten() {
            if let Some(vmid) = line.get("vmid").and_then(Value::as_u64) {
                assert!([100, 200].contains(&vmid), "{path}: {line}");
            }
        }
        for other in ["101", "103", "104", "300"] {
            for mark in [
                format!("/vms/{other}"),
                format!("qemu/{other}"),
                format!(":{other}:"),
            ] {
                assert!(!body.to_string().contains(&mark), "{path}: {body}");
            }
        }
    }
    for path in [
        "nodes/pve1/qemu/103/config",
        "nodes/pve1/qemu/%31%303/config",
        "nodes/pve1/qemu/103/status/current",
        "nodes/pve2/lxc/300/config",
        "cluster/log",
        "nodes/pve1/journal",
    ] {
        let report = client.call("send_request", get(path)).await?;
        assert_eq!(report["outcome"], "refused", "{path}: {report}");
    }
    // The owner of the task has to be named.
    let stop = json!({
        "method": "DELETE",
        "scheme": "https",
        "authority": format!("127.0.0.1:{}", sim.port()?),
        "path": "/api2/json/nodes/pve1/tasks/UPID:pve1:00000001:00000001:68000000:vzdump::root@pam:",
    });
    assert_eq!(refused(&client, stop).await?, "scope");
    let asked = sim.requests()?;
    let beyond = asked
        .iter()
        .any(|request| request["path"].to_string().contains("103"));
    assert!(!beyond, "{asked:?}");
    ends_well(client).await
}

/// Beneath the policy: what a tool does not declare is refused although the
/// policy allows it, and what the policy refuses is refused by its own rule.
#[tokio::test]
async fn a_tool_is_held_to_the_calls_that_it_declares() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--preset=admin").connect().await?;
    let authority = sim.url.trim_start_matches("https://").trim_end_matches('/');
    let request = |method: &str, path: &str| {
        json!({
            "method": method,
            "scheme": "https",
            "authority": authority,
            "path": format!("/api2/json{path}"),
        })
    };
    for (method, path, rule) in [
        ("GET", "/version", "answered"),
        ("GET", "/nodes", "undeclared-call"),
        ("GET", "/nodes/pve1/qemu/100/config", "undeclared-call"),
        // Before the host asks Proxmox which nodes there are.
        ("GET", "/nodes/nosuch/qemu/100/config", "undeclared-call"),
        (
            "POST",
            "/nodes/pve1/qemu/100/status/start",
            "undeclared-call",
        ),
        ("DELETE", "/nodes/pve1/qemu/100", "built-in"),
        ("GET", "/nodes/pve1/no/such/call", "unknown-call"),
    ] {
        let found = refused_as(&client, "send_raw_undeclared", request(method, path)).await?;
        assert_eq!(found, rule, "{method} {path}");
    }
    // The tool that declares all of them may.
    let found = refused(&client, request("GET", "/nodes")).await?;
    assert_eq!(found, "answered");
    // A ticket gives its tool no more than it declares.
    for (path, outcome) in [("/version", "answered"), ("/cluster/tasks", "refused")] {
        let url = format!("{}/api2/json{path}", sim.url.trim_end_matches('/'));
        let report = client.call("send_later", json!({ "url": url })).await?;
        assert_eq!(report["outcome"], outcome, "{path}: {report}");
    }
    let sent = paths(&sim)?;
    assert!(!sent.iter().any(|path| path.contains("qemu")), "{sent:?}");
    assert!(!sent.iter().any(|path| path.contains("tasks")), "{sent:?}");
    ends_well(client).await
}
