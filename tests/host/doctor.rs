//! `host-runner doctor`: what it finds, and how it says to fix it.

use anyhow::Context as _;
use harness::{Authority, HostRunner, Output, Piece, Sim};
use serde_json::{Value, json};

/// The report as JSON.
async fn report(host: HostRunner, status: i32) -> anyhow::Result<Value> {
    let output = host.run(&["doctor", "-o", "json"]).await?;
    assert_eq!(output.status, Some(status), "{output:?}");
    let report: Value = serde_json::from_str(&output.stdout)?;
    let said = report.get("exit_status").and_then(Value::as_i64);
    assert_eq!(said, Some(i64::from(status)), "{report:#}");
    Ok(report)
}

/// The first check of this name with this status.
fn check<'a>(report: &'a Value, name: &str, status: &str) -> anyhow::Result<&'a Value> {
    let checks = report["checks"].as_array().context("no checks")?;
    let found = checks
        .iter()
        .find(|one| one["check"] == name && one["status"] == status);
    found.with_context(|| format!("no {name} with {status}: {report:#}"))
}

fn cause(report: &Value, stage: &str) -> anyhow::Result<String> {
    let found = check(report, stage, "problem")?;
    let cause = found.pointer("/data/fault/cause").and_then(Value::as_str);
    Ok(cause.context("no cause")?.to_owned())
}

#[tokio::test]
async fn right_settings_have_no_problem_and_no_secret() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let found = report(sim.host()?, 0).await?;
    for name in [
        "settings",
        "policy",
        "component",
        "tcp",
        "tls",
        "product",
        "clock",
        "version",
        "token",
        "rights",
    ] {
        check(&found, name, "ok")?;
    }
    let output: Output = sim.host()?.run(&["doctor", "-o", "table"]).await?;
    output.assert_succeeds();
    let secret = &sim.token("all")?.secret;
    assert!(!output.stdout.contains(secret.as_str()), "{output:?}");
    assert!(
        output.stdout.contains("PROXMOX_TOKEN_SECRET=(hidden)"),
        "{output:?}"
    );
    assert!(sim.writes()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_not_accepted_has_its_cause_first() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let host = || Ok::<_, anyhow::Error>(sim.host()?.env_remove("PROXMOX_CA_FILE"));
    let found = report(host()?, 1).await?;
    assert_eq!(cause(&found, "tls")?, "self_signed");
    check(&found, "token", "skipped")?;
    let next = check(&found, "tls", "problem")?["next"].to_string();
    assert!(next.contains(&sim.fingerprint), "{next}");

    let first = if sim.fingerprint.starts_with('0') {
        "1"
    } else {
        "0"
    };
    let stale = format!("{first}{}", sim.fingerprint.get(1..).context("short")?);
    let found = report(host()?.env("PROXMOX_FINGERPRINT", &stale), 1).await?;
    assert_eq!(cause(&found, "tls")?, "stale_pin");
    let what = check(&found, "tls", "problem")?["summary"].to_string();
    assert!(
        what.contains(&stale) && what.contains(&sim.fingerprint),
        "{what}"
    );

    let other = Authority::new()?;
    let signed = Sim::start().await?;
    let ca = other.ca_file().display().to_string();
    let found = report(signed.host()?.env("PROXMOX_CA_FILE", ca), 1).await?;
    assert_eq!(cause(&found, "tls")?, "other_authority");
    let found = report(signed.host()?.env_remove("PROXMOX_CA_FILE"), 1).await?;
    assert_eq!(cause(&found, "tls")?, "unknown_authority");
    assert!(sim.requests()?.is_empty() && signed.requests()?.is_empty());

    let elsewhere = other
        .serve("pve9.example.com", 0, |_| vec![Piece::Close])
        .await?;
    let port = elsewhere.url.rsplit_once(':').context("no port")?.1;
    let ca = other.ca_file().display().to_string();
    let host = signed
        .host()?
        .env("PROXMOX_URL", format!("https://127.0.0.1:{port}"))
        .env("PROXMOX_CA_FILE", ca);
    let found = report(host, 1).await?;
    assert_eq!(cause(&found, "tls")?, "wrong_name");
    let what = check(&found, "tls", "problem")?["summary"].to_string();
    assert!(what.contains("pve9.example.com"), "{what}");
    Ok(())
}

#[tokio::test]
async fn ports_that_are_closed_or_speak_something_else_are_told_apart() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let closed = format!("https://127.0.0.1:{}", listener.local_addr()?.port());
    drop(listener);
    let found = report(sim.host()?.env("PROXMOX_URL", &closed), 1).await?;
    assert_eq!(cause(&found, "tcp")?, "refused");
    let both = format!("{closed},{}", sim.url);
    let found = report(sim.host()?.env("PROXMOX_URL", both), 0).await?;
    check(&found, "tcp", "warning")?;
    check(&found, "token", "ok")?;

    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://127.0.0.1:{}", plain.local_addr()?.port());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let found = report(sim.host()?.env("PROXMOX_URL", url), 1).await?;
    assert_eq!(cause(&found, "tls")?, "plain_http");
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_and_wrong_settings_differ() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let wrong = "00000000-0000-0000-0000-0000000d0c70";
    let found = report(sim.host()?.env("PROXMOX_TOKEN_SECRET", wrong), 1).await?;
    check(&found, "token", "problem")?;
    check(&found, "rights", "skipped")?;
    let found = report(sim.host()?.env("PROXMOX_URL", "http://x"), 2).await?;
    check(&found, "settings", "problem")?;
    let host = sim.host()?.env("PROXMOX_TOKEN_SECERT", "x");
    let found = report(host, 0).await?;
    check(&found, "settings", "warning")?;
    let found = report(sim.host()?.arg("--pools=nowhere"), 0).await?;
    let what = check(&found, "scope", "warning")?["summary"].to_string();
    assert!(what.contains("nowhere"), "{what}");
    Ok(())
}

/// A certificate that has expired, a clock that is wrong, and a name that is none.
#[tokio::test]
async fn what_is_wrong_with_a_node_is_told_apart() -> anyhow::Result<()> {
    let late = Authority::late()?
        .serve("127.0.0.1", 0, |_| vec![Piece::Close])
        .await?;
    let found = report(late.host()?, 1).await?;
    assert_eq!(cause(&found, "tls")?, "expired");
    let what = check(&found, "tls", "problem")?["summary"].to_string();
    assert!(what.contains("2020-01-01"), "{what}");

    let answer = "HTTP/1.1 200 OK\r\nServer: pve-api-daemon/3.0\r\n\
                  Date: Wed, 01 Jan 2020 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
    let slow = Authority::new()?
        .serve("127.0.0.1", 0, |_| vec![Piece::Bytes(answer.into())])
        .await?;
    let found = report(slow.host()?, 1).await?;
    let clock = check(&found, "clock", "warning")?;
    let skew = clock.pointer("/data/clock_skew_seconds");
    assert!(skew.and_then(Value::as_i64) < Some(-86_400), "{clock}");

    // The token is not for it.
    let answer = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n";
    let other = Authority::new()?
        .serve("127.0.0.1", 0, |_| vec![Piece::Bytes(answer.into())])
        .await?;
    let found = report(other.host()?, 1).await?;
    check(&found, "product", "problem")?;
    check(&found, "token", "skipped")?;
    let seen = other.requests();
    assert!(
        !seen.iter().any(|one| one.contains("PVEAPIToken")),
        "{seen:?}"
    );

    let nowhere = slow.host()?.env("PROXMOX_URL", "https://pve.invalid:8006");
    assert_eq!(cause(&report(nowhere, 1).await?, "dns")?, "name_not_found");
    Ok(())
}

/// As `openssl req -x509` makes certificates.
#[tokio::test]
async fn the_certificate_of_an_authority_is_self_signed() -> anyhow::Result<()> {
    let answer = "HTTP/1.1 200 OK\r\nServer: pve-api-daemon/3.0\r\nContent-Length: 0\r\n\r\n";
    let own = Authority::absent()?
        .serve("127.0.0.1", 0, move |_| vec![Piece::Bytes(answer.into())])
        .await?;
    let host = || Ok::<_, anyhow::Error>(own.host()?.env_remove("PROXMOX_CA_FILE"));
    let found = report(host()?, 1).await?;
    assert_eq!(cause(&found, "tls")?, "self_signed");
    let problem = check(&found, "tls", "problem")?;
    let what = problem["summary"].to_string();
    assert!(!what.contains("OtherError"), "{what}");
    let pin = problem.pointer("/data/tls/chain/0/fingerprint_sha256");
    let pin = pin.and_then(Value::as_str).context("no fingerprint")?;
    let found = report(host()?.env("PROXMOX_FINGERPRINT", pin), 1).await?;
    check(&found, "tls", "ok")?;
    Ok(())
}

/// What is accepted, and should not stay so.
#[tokio::test]
async fn what_is_accepted_for_now_is_a_warning() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let host = sim.host()?.env_remove("PROXMOX_CA_FILE");
    let found = report(host.env("PROXMOX_VERIFY_SSL", "false"), 0).await?;
    let next = check(&found, "tls", "warning")?["next"].to_string();
    assert!(next.contains(&sim.fingerprint), "{next}");
    let late = Authority::late()?
        .serve("127.0.0.1", 0, |_| vec![Piece::Close])
        .await?;
    let found = report(late.host()?, 1).await?;
    let problem = check(&found, "tls", "problem")?;
    let pin = problem.pointer("/data/tls/chain/0/fingerprint_sha256");
    let pin = pin.and_then(Value::as_str).context("no fingerprint")?;
    let pinned = late.host()?.env("PROXMOX_FINGERPRINT", pin);
    let found = report(pinned.env_remove("PROXMOX_CA_FILE"), 1).await?;
    let what = check(&found, "tls", "warning")?["summary"].to_string();
    assert!(what.contains("has expired"), "{what}");
    Ok(())
}

/// Addresses are shown without passwords, and those that have one are refused.
#[tokio::test]
async fn the_collector_of_traces_is_checked_too() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let traces = |url: &str| Ok::<_, anyhow::Error>(sim.host()?.env("PROXMOX_MCP_TRACES", url));
    let found = report(traces("http://127.0.0.1:4318/")?, 0).await?;
    check(&found, "traces", "ok")?;
    for (url, status) in [
        ("http://u:pw4trace@127.0.0.1:4318", 2),
        ("http://127.0.0.1:4318/?key=pw4trace", 0),
    ] {
        let found = report(traces(url)?, status).await?;
        assert!(!found.to_string().contains("pw4trace"), "{found:#}");
    }
    Ok(())
}

/// Each cluster has its own checks, and one that is down does not hide the other.
#[tokio::test]
async fn clusters_are_checked_one_by_one() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let token = sim.token("all")?;
    let (user, name) = token.id.split_once('!').context("no name")?;
    let section = |cluster: &str, url: &str| {
        format!(
            "[clusters.{cluster}]\nurl = \"{url}\"\nuser = \"{user}\"\ntoken_id = \"{name}\"\n\
             token_secret_file = \"secret\"\nca_file = \"{}\"\n",
            sim.ca_file.display()
        )
    };
    let clusters = format!(
        "{}{}",
        section("paris", &sim.url),
        section("lyon", "https://127.0.0.1:9")
    );
    let host = HostRunner::new()?.secret(&token.secret);
    let host = host
        .private_file("secret", &token.secret)?
        .private_file("clusters.toml", &clusters)?
        .arg("--clusters=clusters.toml");
    let found = report(host, 1).await?;
    let of = |cluster: &str, name: &str, status: &str| {
        let checks = found["checks"].as_array().into_iter().flatten();
        let mut same = checks.filter(|one| one["cluster"] == cluster && one["check"] == name);
        same.any(|one| one["status"] == status)
    };
    assert!(of("paris", "token", "ok"), "{found:#}");
    assert!(of("lyon", "tcp", "problem"), "{found:#}");
    assert!(of("lyon", "token", "skipped"), "{found:#}");
    Ok(())
}

/// The lines that it names grant what is missing.
#[tokio::test]
async fn the_lines_grant_what_the_toolsets_lack() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let found = report(sim.host_with("audit")?, 0).await?;
    let rights = check(&found, "rights", "warning")?;
    let commands = rights.pointer("/data/commands").and_then(Value::as_array);
    for line in commands.context("no commands")? {
        sim.control(json!({ "cmd": "pveum", "line": line })).await?;
    }
    let found = report(sim.host_with("audit")?, 0).await?;
    check(&found, "rights", "ok")?;
    Ok(())
}

/// What a token may do with one guest is not taken for what it may do elsewhere, and what is
/// missing is granted for that guest alone.
#[tokio::test]
async fn a_token_for_one_guest_stays_confined() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let id = "narrow@pve!one";
    let secret = "9d1f0c9e-7a5b-43d2-8e10-fb64c3a7d952";
    let token = json!({ "cmd": "token", "id": id, "secret": secret,
        "rights": "/vms/100=VM.Audit+Sys.Audit+Datastore.Audit" });
    sim.control(token).await?;
    let host = || {
        let host = sim.host()?.secret(secret);
        let host = host.env("PROXMOX_USER", "narrow@pve");
        let host = host.env("PROXMOX_TOKEN_ID", "one");
        anyhow::Ok(host.env("PROXMOX_TOKEN_SECRET", secret))
    };
    let found = report(host()?, 0).await?;
    let rights = check(&found, "rights", "warning")?;
    let toolsets = rights.pointer("/data/toolsets").and_then(Value::as_array);
    let lacks: Vec<_> = toolsets
        .context("no toolsets")?
        .iter()
        .flat_map(|one| one["lack"].as_array().into_iter().flatten())
        .filter_map(|one| one["tool"].as_str())
        .collect();
    for tool in ["get_node", "list_storage_content", "start_guest"] {
        assert!(lacks.contains(&tool), "{tool}: {lacks:?}");
    }
    assert!(!lacks.contains(&"get_guest"), "{lacks:?}");
    let commands = rights.pointer("/data/commands").and_then(Value::as_array);
    let commands = commands.context("no commands")?.clone();
    let broad = commands
        .iter()
        .filter_map(Value::as_str)
        .find(|line| line.contains("modify /vms "));
    assert_eq!(broad, None);
    let run = |host: HostRunner| host.arg("call").arg("create_snapshot").arg("vmid=100");
    let refused = run(host()?).run(&["snapshot=before"]).await?;
    assert_eq!(refused.status, Some(1), "{refused:?}");
    let (first, second) = (host()?, host()?);
    for line in commands {
        sim.control(json!({ "cmd": "pveum", "line": line })).await?;
    }
    run(first)
        .run(&["snapshot=before"])
        .await?
        .assert_succeeds();
    check(&report(second, 0).await?, "rights", "ok")?;
    Ok(())
}
