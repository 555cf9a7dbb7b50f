//! Firewalls: the audit, and changes that are told and cannot lock out.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use harness::{Client, Sim, assert_says, with};
use serde_json::{Value, json};

/// The friendly cluster, whose firewall is on.
async fn guarded() -> anyhow::Result<Sim> {
    Sim::options().arg("--demo").start().await
}

/// The findings of an audit, by severity.
fn findings(audit: &Value) -> Vec<String> {
    audit["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| format!("{}: {}", one["severity"], one["finding"]).replace('"', ""))
        .collect()
}

/// The rules of a firewall in a few words.
async fn rules(client: &Client, scope: &Value) -> anyhow::Result<Vec<String>> {
    let audit = client.call("audit_firewall", scope.clone()).await?;
    Ok(audit["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|rule| {
            let what = ["direction", "action", "macro", "dport", "source"]
                .iter()
                .filter_map(|field| rule[field].as_str())
                .collect::<Vec<_>>()
                .join(" ");
            if rule["enabled"] == true {
                what
            } else {
                format!("({what})")
            }
        })
        .collect())
}

/// What was sent to change firewalls: method, end of the path, parameters
/// but for the digest.
fn writes(sim: &Sim) -> anyhow::Result<Vec<Value>> {
    Ok(sim
        .writes()?
        .into_iter()
        .map(|request| {
            let path = request["path"].as_str().unwrap_or_default();
            let end = path.split("/firewall/").nth(1).unwrap_or(path);
            let mut params = request["params"].clone();
            let digest = params
                .as_object_mut()
                .and_then(|params| params.remove("digest"));
            if request["method"] != "POST" {
                assert!(digest.is_some(), "written without a digest: {request}");
            }
            json!([request["method"], end, params])
        })
        .collect())
}

#[tokio::test]
async fn an_audit_explains_its_findings() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let open = client
        .call("audit_firewall", json!({ "vmid": 101 }))
        .await?;
    assert_eq!(open["in_effect"], false, "{open:#}");
    assert_eq!(open["cluster_enabled"], true);
    assert_eq!(
        findings(&open),
        [
            "high: rules exist but the guest's firewall option is off, so none of them applies",
            "high: rule 1 opens SSH (tcp 22) to every IPv4 address (0.0.0.0/0)",
        ]
    );
    assert_eq!(open["findings"][1]["position"], 1);
    assert_eq!(open["rules"][0]["macro"], "Web");
    assert!(open["digest"].is_string());

    let guarded = client
        .call("audit_firewall", json!({ "vmid": 110 }))
        .await?;
    assert_eq!(guarded["in_effect"], true, "{guarded:#}");
    assert_eq!(findings(&guarded), [""; 0], "{guarded:#}");
    assert_eq!(guarded["rules"][0]["comment"], "database");

    let cluster = client
        .call("audit_firewall", json!({ "cluster": true }))
        .await?;
    assert_eq!(cluster["in_effect"], true, "{cluster:#}");
    assert_eq!(cluster["security_groups"][0]["group"], "webservers");
    let node = client
        .call("audit_firewall", json!({ "node": "pve1" }))
        .await?;
    assert_eq!(node["in_effect"], true, "{node:#}");
    assert_eq!(node["policy_in"], "DROP");
    let limited = client
        .call("audit_firewall", json!({ "vmid": 110, "limit": 1 }))
        .await?;
    assert_eq!(limited["rules"].as_array().map(Vec::len), Some(1));
    assert_says(&limited["hint"].to_string(), &["1 of 2"]);
    Ok(())
}

#[tokio::test]
async fn warnings_name_cards_without_the_firewall_flag() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let scope = json!({ "vmid": 104 });
    let report = client
        .call(
            "add_firewall_rule",
            with(
                &scope,
                json!({ "direction": "in", "action": "ACCEPT", "macro": "HTTPS" }),
            ),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(
        &report["warnings"].to_string(),
        &["datacenter is off", "db01) is off", "no effect on net1"],
    );
    let audit = client.call("audit_firewall", scope.clone()).await?;
    assert_eq!(
        audit["network_cards"],
        json!([
            { "nic": "net0", "bridge": "vmbr0", "firewall": true },
            { "nic": "net1", "bridge": "vmbr1", "firewall": false },
        ])
    );
    assert_says(
        &findings(&audit).join("\n"),
        &[
            "rules exist but the firewall is off on net1",
            "datacenter is off",
        ],
    );
    // A rule for net0 alone does not apply to the other card.
    let report = client
        .call(
            "add_firewall_rule",
            with(
                &scope,
                json!({ "direction": "in", "action": "ACCEPT", "macro": "HTTP", "interface": "net0" }),
            ),
        )
        .await?;
    assert!(
        !report["warnings"].to_string().contains("net1"),
        "{report:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_rule_is_added_and_removed() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let scope = json!({ "vmid": 110 });
    let report = client
        .call(
            "add_firewall_rule",
            with(
                &scope,
                json!({
                    "direction": "in", "action": "accept", "proto": "TCP", "dport": "9100",
                    "source": "office", "comment": "métriques = a;b & c", "log": "info",
                }),
            ),
        )
        .await?;
    assert_eq!(report["position"], 0, "{report:#}");
    assert_eq!(report["vmid"], 110);
    assert_says(
        &report["changes"][0]["to"].to_string(),
        &["in ACCEPT tcp port 9100 from office (métriques = a;b & c)"],
    );
    assert_says(
        &report["warnings"].to_string(),
        &["positions 0 to 1 are now at 1 to 2"],
    );
    let audit = client.call("audit_firewall", scope.clone()).await?;
    assert_eq!(
        audit["rules"][0],
        json!({
            "position": 0, "enabled": true, "direction": "in", "action": "ACCEPT", "source": "office",
            "proto": "tcp", "dport": "9100", "log": "info", "comment": "métriques = a;b & c",
        })
    );
    let report = client
        .call(
            "update_firewall_rule",
            with(
                &scope,
                json!({
                    "position": 0, "digest": audit["digest"], "macro": "HTTPS", "proto": "", "dport": "",
                    "comment": "", "enabled": false,
                }),
            ),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([
            { "what": "enabled", "from": "true", "to": "false" },
            { "what": "macro", "to": "HTTPS" },
            { "what": "proto", "from": "tcp" },
            { "what": "dport", "from": "9100" },
            { "what": "comment", "from": "métriques = a;b & c" },
        ])
    );
    // What that digest was read of is gone.
    let text = client
        .error(
            "delete_firewall_rule",
            with(&scope, json!({ "position": 0, "digest": audit["digest"] })),
        )
        .await?;
    assert_says(&text, &["have changed", "audit_firewall"]);
    let report = client
        .call(
            "delete_firewall_rule",
            with(&scope, json!({ "position": 0 })),
        )
        .await?;
    assert_says(
        &report["action"].to_string(),
        &["in ACCEPT HTTPS from office, disabled"],
    );
    assert_says(
        &report["warnings"].to_string(),
        &["positions 1 to 2 are now at 0 to 1"],
    );
    assert_eq!(
        rules(&client, &scope).await?,
        ["in ACCEPT 5432 192.0.2.0/24", "in ACCEPT SSH 192.0.2.0/24"]
    );
    Ok(())
}

/// Proxmox puts a new rule first, whatever position is sent.
#[tokio::test]
async fn a_rule_is_inserted_at_the_given_position() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let scope = json!({ "vmid": 110 });
    let drop = json!({ "direction": "in", "action": "DROP", "comment": "the rest" });
    let report = client
        .call(
            "add_firewall_rule",
            with(&scope, with(&drop, json!({ "position": 2 }))),
        )
        .await?;
    assert_eq!(report["position"], 2, "{report:#}");
    assert_eq!(
        rules(&client, &scope).await?,
        [
            "in ACCEPT 5432 192.0.2.0/24",
            "in ACCEPT SSH 192.0.2.0/24",
            "in DROP"
        ]
    );
    // It is enabled only after it was moved to its position.
    assert_eq!(
        writes(&sim)?,
        [
            json!(["POST", "rules", { "type": "in", "action": "DROP", "enable": "0", "comment": "the rest" }]),
            json!(["PUT", "rules/0", { "moveto": "3" }]),
            json!(["PUT", "rules/2", { "enable": "1" }]),
        ]
    );
    // The same again is nothing new.
    let report = client
        .call("add_firewall_rule", with(&scope, drop.clone()))
        .await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");

    for (from, to) in [(2, 0), (0, 1), (1, 2), (2, 1)] {
        let report = client
            .call(
                "update_firewall_rule",
                with(&scope, json!({ "position": from, "new_position": to })),
            )
            .await?;
        assert_eq!(report["changes"][0]["what"], "position", "{report:#}");
        let place = rules(&client, &scope)
            .await?
            .iter()
            .position(|rule| rule == "in DROP");
        assert_eq!(place, Some(to), "from {from}");
    }
    let report = client
        .call(
            "update_firewall_rule",
            with(
                &scope,
                json!({ "position": 1, "new_position": 0, "action": "REJECT" }),
            ),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &["comes before 2 rules", "1 (in ACCEPT tcp port 5432"],
    );
    let audit = client.call("audit_firewall", scope.clone()).await?;
    assert_says(
        &findings(&audit).join("\n"),
        &[
            "medium: rule 1 never applies: rule 0 comes first",
            "says REJECT",
        ],
    );
    let report = client
        .call(
            "update_firewall_rule",
            with(&scope, json!({ "position": 0, "action": "reject" })),
        )
        .await?;
    assert_eq!(report["status"], "unchanged");
    Ok(())
}

#[tokio::test]
async fn changed_options_are_reported_from_and_to() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let scope = json!({ "vmid": 202 });
    let report = client
        .call(
            "set_firewall_options",
            with(
                &scope,
                json!({
                    "enabled": true, "policy_in": "DROP", "dhcp": true,
                    "more": ["log_level_in=info", "macfilter=1"],
                }),
            ),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([
            { "what": "enabled", "from": "false (default)", "to": "true" },
            { "what": "dhcp", "to": "true" },
            { "what": "log_level_in", "to": "info" },
        ]),
        "{report:#}"
    );
    assert_says(
        &report["warnings"].to_string(),
        &["no rule accepts anything", "cut off"],
    );
    let again = client
        .call(
            "set_firewall_options",
            with(&scope, json!({ "enabled": true })),
        )
        .await?;
    assert_eq!(again["status"], "unchanged");
    let audit = client.call("audit_firewall", scope.clone()).await?;
    assert_eq!(audit["enabled"], true);
    assert_eq!(audit["options"]["log_level_in"], "info");
    assert_says(&findings(&audit).join("\n"), &["nothing is let in"]);
    // A rule that lets something in, and a security group that does.
    for rule in [
        json!({ "direction": "group", "action": "webservers" }),
        json!({ "direction": "in", "action": "ACCEPT", "macro": "ssh", "source": "+management" }),
    ] {
        let report = client.call("add_firewall_rule", with(&scope, rule)).await?;
        assert!(!report.to_string().contains("no effect"), "{report:#}");
    }
    let audit = client.call("audit_firewall", scope.clone()).await?;
    assert_eq!(findings(&audit), [""; 0], "{audit:#}");
    assert_eq!(audit["security_groups"][0]["rules"][0]["macro"], "Web");
    let node = client
        .call(
            "set_firewall_options",
            json!({ "node": "pve1", "more": ["nftables=1", "tcpflags=true"] }),
        )
        .await?;
    assert_eq!(node["node"], "pve1", "{node:#}");
    assert_eq!(node["changes"][0]["to"], "true");
    Ok(())
}

#[tokio::test]
async fn the_firewall_of_the_cluster_is_not_disabled_without_confirmation() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let off = json!({ "cluster": true, "enabled": false });
    let before = writes(&sim)?.len();
    let text = client.error("set_firewall_options", off.clone()).await?;
    assert_says(
        &text,
        &[
            "whole cluster",
            "node or guest",
            "nothing was changed",
            "accept_unprotected",
        ],
    );
    assert_eq!(writes(&sim)?.len(), before);
    let accepted = with(&off, json!({ "accept_unprotected": true }));
    let report = client.call("set_firewall_options", accepted).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["warnings"].to_string(), &["open to anyone"]);
    // It is off already: nothing to warn of.
    let again = client.call("set_firewall_options", off).await?;
    assert_eq!(again["status"], "unchanged", "{again:#}");
    Ok(())
}

#[tokio::test]
async fn a_lockout_needs_the_accepting_argument() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let cluster = json!({ "cluster": true });
    let on = with(&cluster, json!({ "enabled": true }));
    let text = client.error("set_firewall_options", on.clone()).await?;
    assert_says(
        &text,
        &[
            "local network",
            "8006",
            "22",
            "nothing was changed",
            "accept_lockout",
            "management",
        ],
    );
    assert!(writes(&sim)?.is_empty());
    // With the API alone let in, SSH is still to be lost.
    client
        .call(
            "add_firewall_rule",
            with(
                &cluster,
                json!({ "direction": "in", "action": "ACCEPT", "proto": "tcp", "dport": "8006",
                        "source": "198.51.100.0/24" }),
            ),
        )
        .await?;
    let text = client.error("set_firewall_options", on.clone()).await?;
    assert_says(&text, &["22 (SSH)"]);
    assert!(!text.contains("8006 (web"), "{text}");
    client
        .call(
            "update_firewall_rule",
            with(&cluster, json!({ "position": 0, "dport": "22,8006" })),
        )
        .await?;
    let report = client.call("set_firewall_options", on.clone()).await?;
    assert_eq!(
        report["changes"][0]["from"], "false (default)",
        "{report:#}"
    );

    // Now that it is on, a rule, its change or its removal can lock out too.
    let drop = json!({ "direction": "in", "action": "DROP" });
    for (tool, arguments, words) in [
        (
            "add_firewall_rule",
            drop.clone(),
            &["port 8006", "no longer be reached by anyone"][..],
        ),
        (
            "update_firewall_rule",
            json!({ "position": 0, "enabled": false }),
            &["local network"],
        ),
        (
            "update_firewall_rule",
            json!({ "position": 0, "action": "REJECT", "source": "" }),
            &["no longer be reached by anyone"],
        ),
        (
            "delete_firewall_rule",
            json!({ "position": 0 }),
            &["local network"],
        ),
    ] {
        let before = writes(&sim)?.len();
        let text = client.error(tool, with(&cluster, arguments)).await?;
        assert_says(&text, words);
        assert_says(&text, &["accept_lockout"]);
        assert_eq!(writes(&sim)?.len(), before);
    }
    // At the end it blocks no one whom another rule accepts, and on a node it applies to that node.
    client
        .call(
            "add_firewall_rule",
            with(&cluster, with(&drop, json!({ "position": 1 }))),
        )
        .await?;
    let text = client
        .error(
            "add_firewall_rule",
            with(&json!({ "node": "pve1" }), drop.clone()),
        )
        .await?;
    assert_says(&text, &["node pve1", "by anyone"]);
    let report = client
        .call(
            "delete_firewall_rule",
            with(&cluster, json!({ "position": 0, "accept_lockout": true })),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &["no longer be reached by anyone", "may be cut off"],
    );
    Ok(())
}

#[tokio::test]
async fn an_impossible_change_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let rule = |more: Value| {
        with(
            &json!({ "vmid": 110, "direction": "in", "action": "ACCEPT" }),
            more,
        )
    };
    for (tool, arguments, words) in [
        (
            "add_firewall_rule",
            rule(json!({ "interface": "net7" })),
            &["no network card net7", "net0"][..],
        ),
        (
            "add_firewall_rule",
            rule(json!({ "macro": "SHS" })),
            &["macro", "perhaps SSH"],
        ),
        (
            "add_firewall_rule",
            rule(json!({ "position": 3 })),
            &["position", "0 to 2"],
        ),
        (
            "add_firewall_rule",
            json!({ "vmid": 110, "direction": "group", "action": "nogroup" }),
            &["no security group nogroup", "webservers"],
        ),
        (
            "add_firewall_rule",
            json!({ "vmid": 150, "direction": "in", "action": "DROP" }),
            &["pve3", "offline"],
        ),
        (
            "add_firewall_rule",
            json!({ "vmid": 999, "direction": "in", "action": "DROP" }),
            &["999"],
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": 2, "enabled": false }),
            &["no rule at position 2", "0 to 1"],
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": 0, "new_position": 2 }),
            &["new_position", "0 to 1"],
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": 1, "proto": "tcp" }),
            &["proto", "macro"],
        ),
        (
            "delete_firewall_rule",
            json!({ "vmid": 120, "position": 0 }),
            &["no rules"],
        ),
        (
            "audit_firewall",
            json!({ "vmid": 150 }),
            &["pve3", "offline"],
        ),
        ("audit_firewall", json!({ "node": "pve3" }), &["pve3"]),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    assert!(writes(&sim)?.is_empty());
    // Proxmox alone knows which aliases and IP sets there are.
    for source in ["nowhere", "+nobody"] {
        let text = client
            .error("add_firewall_rule", rule(json!({ "source": source })))
            .await?;
        assert_says(&text, &["source", "no such"]);
    }
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let rule = |more: Value| {
        with(
            &json!({ "vmid": 110, "direction": "in", "action": "ACCEPT" }),
            more,
        )
    };
    for (arguments, words) in [
        (
            json!({ "direction": "in", "action": "ACCEPT" }),
            &["vmid", "node", "cluster"][..],
        ),
        (rule(json!({ "cluster": true })), &["vmid", "one of"]),
        (
            rule(json!({ "action": "ALLOW" })),
            &["action", "ACCEPT, DROP, REJECT"],
        ),
        (
            rule(json!({ "direction": "forward" })),
            &["direction", "in, out or group"],
        ),
        (
            rule(json!({ "source": "192.0.2.5/24" })),
            &["source", "192.0.2.0/24"],
        ),
        (
            rule(json!({ "source": "example.org" })),
            &["source", "alias"],
        ),
        (
            rule(json!({ "source": "192.0.2.1,2001:db8::1" })),
            &["source", "IPv4 and IPv6"],
        ),
        (rule(json!({ "dport": "22" })), &["dport", "proto"]),
        (
            rule(json!({ "proto": "tcp", "dport": "80-85" })),
            &["dport", "80:85"],
        ),
        (
            rule(json!({ "proto": "tcp", "dport": "70000" })),
            &["dport", "65535"],
        ),
        (
            rule(json!({ "macro": "SSH", "proto": "tcp" })),
            &["proto", "macro"],
        ),
        (rule(json!({ "interface": "eth0" })), &["interface", "net0"]),
        (
            rule(json!({ "comment": "a\nIN ACCEPT" })),
            &["comment", "one line"],
        ),
        (rule(json!({ "log": "loud" })), &["log", "info"]),
        (rule(json!({ "pos": 1 })), &["pos", "not known"]),
    ] {
        let text = client.error("add_firewall_rule", arguments).await?;
        assert_says(&text, words);
    }
    for (tool, arguments, words) in [
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": 0, "source": "300.0.0.1" }),
            &["source"][..],
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": 0, "action": "a b" }),
            &["action"],
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 110, "position": -1 }),
            &["position"],
        ),
        (
            "delete_firewall_rule",
            json!({ "vmid": 110 }),
            &["position", "missing"],
        ),
        (
            "delete_firewall_rule",
            json!({ "node": "../x", "position": 0 }),
            &["node"],
        ),
        (
            "set_firewall_options",
            json!({ "vmid": 110 }),
            &["at least one option"],
        ),
        (
            "set_firewall_options",
            json!({ "node": "pve1", "policy_in": "DROP" }),
            &["policy_in", "a guest and the cluster"],
        ),
        (
            "set_firewall_options",
            json!({ "vmid": 110, "more": ["ndp=maybe"] }),
            &["more", "ndp", "0 or 1"],
        ),
        ("audit_firewall", json!({}), &["vmid", "node", "cluster"]),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let mut sim = guarded().await?;
    let auditor = sim
        .host_with("audit")?
        .arg("--preset=admin")
        .connect()
        .await?;
    let audit = auditor
        .call("audit_firewall", json!({ "vmid": 110 }))
        .await?;
    assert_eq!(audit["in_effect"], true, "{audit:#}");
    for (tool, arguments) in [
        (
            "add_firewall_rule",
            json!({ "direction": "in", "action": "DROP" }),
        ),
        (
            "update_firewall_rule",
            json!({ "position": 0, "enabled": false }),
        ),
        ("delete_firewall_rule", json!({ "position": 0 })),
        ("set_firewall_options", json!({ "enabled": false })),
    ] {
        let text = auditor
            .error(tool, with(&json!({ "vmid": 110 }), arguments))
            .await?;
        assert_says(&text, &["VM.Config.Network", "/vms/110"]);
    }
    let nobody = sim
        .host_with("none")?
        .arg("--preset=admin")
        .connect()
        .await?;
    let text = nobody
        .error("audit_firewall", json!({ "cluster": true }))
        .await?;
    assert_says(&text, &["Sys.Audit on /"]);

    // Whether the cluster's switch is on is not for everyone to see.
    sim.control(json!({
        "cmd": "token", "id": "guest@pve!one", "secret": "b7e0c2aa-one",
        "rights": "/vms/110=VM.Audit+VM.Config.Network",
    }))
    .await?;
    let client = sim
        .host()?
        .env("PROXMOX_USER", "guest@pve")
        .env("PROXMOX_TOKEN_ID", "one")
        .env("PROXMOX_TOKEN_SECRET", "b7e0c2aa-one")
        .connect()
        .await?;
    let audit = client
        .call("audit_firewall", json!({ "vmid": 110 }))
        .await?;
    assert!(audit.get("in_effect").is_none(), "{audit:#}");
    assert_says(
        &findings(&audit).join("\n"),
        &["info: ", "not visible to this token"],
    );
    let report = client
        .call(
            "add_firewall_rule",
            json!({ "vmid": 110, "direction": "in", "action": "ACCEPT", "macro": "Ping" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_concurrent_change_is_refused_by_its_digest() -> anyhow::Result<()> {
    let mut sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    sim.fault(json!({
        "kind": "status", "method": "DELETE", "path": "/rules/0$", "code": 500,
        "reason": "detected modified configuration - file changed by other user? Try again.",
    }))
    .await?;
    let text = client
        .error(
            "delete_firewall_rule",
            json!({ "vmid": 110, "position": 0 }),
        )
        .await?;
    assert_says(&text, &["changed by someone else", "nothing was written"]);
    // Between the steps of one call: what has been done is reported.
    sim.fault(json!({
        "kind": "status", "method": "PUT", "path": "/rules/0$", "code": 500,
        "reason": "detected modified configuration - file changed by other user? Try again.",
    }))
    .await?;
    let text = client
        .error(
            "add_firewall_rule",
            json!({ "vmid": 110, "direction": "in", "action": "DROP", "position": 2 }),
        )
        .await?;
    assert_says(
        &text,
        &[
            "was added at position 0, disabled",
            "could not be moved",
            "update_firewall_rule",
        ],
    );
    assert_eq!(
        rules(&client, &json!({ "vmid": 110 })).await?[0],
        "(in DROP)"
    );
    Ok(())
}

#[tokio::test]
async fn a_cut_connection_says_that_the_change_may_have_happened() -> anyhow::Result<()> {
    let mut sim = guarded().await?;
    let client = sim.admin()?.connect().await?;
    let scope = json!({ "vmid": 110 });
    sim.fault(json!({ "kind": "cut-after", "method": "DELETE", "path": "/rules/0$" }))
        .await?;
    let text = client
        .error(
            "delete_firewall_rule",
            with(&scope, json!({ "position": 0 })),
        )
        .await?;
    assert_says(&text, &["may have happened"]);
    assert_eq!(
        rules(&client, &scope).await?,
        ["in ACCEPT SSH 192.0.2.0/24"]
    );
    assert_eq!(writes(&sim)?.len(), 1, "a write is never repeated");
    Ok(())
}
