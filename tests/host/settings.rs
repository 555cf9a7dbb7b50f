//! Where settings come from, and what is said of bad ones.

use std::os::unix::fs::PermissionsExt as _;

use harness::{HostRunner, Output, Sim, assert_says};
use serde_json::{Value, json};

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];

fn assert_nodes(output: &Output) {
    assert_eq!(output.status, Some(0), "{output:?}");
    let result: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let nodes = result.get("nodes").and_then(Value::as_array);
    assert!(nodes.is_some_and(|nodes| !nodes.is_empty()), "{result}");
}

#[tokio::test]
async fn a_missing_setting_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for variable in [
        "PROXMOX_URL",
        "PROXMOX_USER",
        "PROXMOX_TOKEN_ID",
        "PROXMOX_TOKEN_SECRET",
    ] {
        // When serving, too: a client shows the line to its user.
        for arguments in [&CALL[..], &[]] {
            let output = sim.host()?.env_remove(variable).run(arguments).await?;
            output.assert_refused_in_one_line(&[variable]);
            assert!(
                output.stderr.contains(&format!("{variable}=")),
                "no example: {output:?}"
            );
        }
        // Empty counts as missing.
        let output = sim.host()?.env(variable, "").run(&CALL).await?;
        output.assert_refused_in_one_line(&[variable]);
    }
    Ok(())
}

#[tokio::test]
async fn all_missing_settings_are_named_at_once() -> anyhow::Result<()> {
    let output = HostRunner::new()?.run(&CALL).await?;
    for variable in [
        "PROXMOX_URL",
        "PROXMOX_USER",
        "PROXMOX_TOKEN_ID",
        "PROXMOX_TOKEN_SECRET",
    ] {
        output.assert_refused_in_one_line(&[variable]);
    }
    Ok(())
}

#[tokio::test]
async fn a_malformed_setting_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (variable, value) in [
        ("PROXMOX_URL", "pve.example.com"),
        ("PROXMOX_URL", "http://127.0.0.1:8006"),
        ("PROXMOX_URL", "https://"),
        ("PROXMOX_URL", "https://root:pw@pve.example.com:8006"),
        ("PROXMOX_URL", "https://pve.example.com:8006/?x=1"),
        ("PROXMOX_URL", "https://pve.example.com:99999"),
        ("PROXMOX_USER", "root"),
        ("PROXMOX_USER", "root@pam\u{e9}"),
        ("PROXMOX_TOKEN_ID", "a b"),
        ("PROXMOX_TOKEN_ID", "root@pam!"),
        ("PROXMOX_TOKEN_ID", "root!x"),
        ("PROXMOX_TOKEN_ID", "other@pve!full"),
        ("PROXMOX_VERIFY_SSL", "maybe"),
        ("PROXMOX_CA_FILE", "/nonexistent/ca.pem"),
    ] {
        let output = sim.host()?.env(variable, value).run(&CALL).await?;
        output.assert_refused_in_one_line(&[variable]);
    }
    // No certificate in it.
    let host = sim.host()?.file("empty.pem", "nothing\n")?;
    let output = host.env("PROXMOX_CA_FILE", "empty.pem").run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_CA_FILE"]);
    Ok(())
}

/// A secret in the wrong place is not repeated. The harness watches for it.
#[tokio::test]
async fn a_misplaced_secret_is_not_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let whole = format!("{}={}", token.id, token.secret);
    let url = format!("https://root:{}@127.0.0.1:8006", token.secret);
    for (variable, value) in [
        ("PROXMOX_TOKEN_ID", whole.clone()),
        ("PROXMOX_TOKEN_SECRET", whole.clone()),
        ("PROXMOX_TOKEN_SECRET", format!("{} \u{1b}", token.secret)),
        ("PROXMOX_URL", url),
    ] {
        let host = sim.host()?.secret(&token.secret).env(variable, value);
        host.run(&CALL)
            .await?
            .assert_refused_in_one_line(&[variable]);
    }
    // Nor is a line that cannot be read.
    let line = format!("PROXMOX_TOKEN_SECRET {}\n", token.secret);
    let host = HostRunner::new()?.secret(&token.secret);
    let output = host.file(".env", &line)?.run(&CALL).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains(".env"), "{output:?}");
    let host = sim.host()?.env_remove("PROXMOX_TOKEN_SECRET");
    let host = host.secret(&token.secret).file("given.env", &line)?;
    let output = host.arg("--env-file=given.env").run(&CALL).await?;
    output.assert_refused_in_one_line(&["given.env"]);
    Ok(())
}

/// Any two of the settings swapped, and forms of a token that people write: all
/// are explained before anything is sent, and none shows the secret.
#[tokio::test]
async fn swapped_settings_do_not_show_the_secret() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let secret = &token.secret;
    let names = [
        "PROXMOX_URL",
        "PROXMOX_USER",
        "PROXMOX_TOKEN_ID",
        "PROXMOX_CA_FILE",
        "PROXMOX_FINGERPRINT",
        "PROXMOX_VERIFY_SSL",
        "PROXMOX_MCP_LOG",
        "PROXMOX_MCP_LOG_FORMAT",
        "PROXMOX_MCP_POLICY",
    ];
    let user = token.id.split('!').next().unwrap_or_default();
    let values = [
        sim.url.as_str(),
        user,
        "mcp",
        "/etc/ssl/ca.pem",
        &sim.fingerprint,
        "true",
        "warn",
        "text",
        "policy.toml",
    ];
    for (name, value) in names.into_iter().zip(values) {
        for flags in [false, true] {
            let host = sim.host()?.secret(secret);
            let host = host.env_mistaken("PROXMOX_TOKEN_SECRET", value);
            let flag = name.trim_start_matches("PROXMOX_").to_lowercase();
            let host = match flags && !name.contains("MCP") {
                true => host.arg(format!("--{}={secret}", flag.replace('_', "-"))),
                false => host.env(name, secret),
            };
            let output = host.run(&CALL).await?;
            assert_eq!(output.status, Some(2), "{name}: {output:?}");
            assert_eq!(output.stdout, "", "{name}: {output:?}");
        }
    }
    for (name, value, says) in [
        ("PROXMOX_TOKEN_SECRET", format!("\"{secret}\""), "quotes"),
        (
            "PROXMOX_TOKEN_SECRET",
            format!("PVEAPIToken={}={secret}", token.id),
            "header",
        ),
        (
            "PROXMOX_TOKEN_SECRET",
            "${PVE_TOKEN_SECRET}".to_owned(),
            "another variable",
        ),
        (
            "PROXMOX_TOKEN_ID",
            format!("{}={secret}", token.id),
            "PROXMOX_TOKEN_SECRET",
        ),
        ("PROXMOX_TOKEN_ID", secret.clone(), "secret"),
        ("PROXMOX_TOKEN_SECRET_FILE", secret.clone(), "both given"),
        ("PROXMOX_USER", "root".to_owned(), "realm"),
    ] {
        let host = sim.host()?.secret(secret).env(name, &value);
        let output = host.run(&CALL).await?;
        output.assert_refused_in_one_line(&[name]);
        assert!(output.stderr.contains(says), "{name}: {output:?}");
    }
    let host = sim
        .host()?
        .env_remove("PROXMOX_TOKEN_SECRET")
        .secret(secret);
    let output = host.env("PROXMOX_TOKEN_SECRET_FILE", secret).run(&CALL);
    output
        .await?
        .assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET_FILE"]);
    // The flag does not exist, and it is not repeated.
    for argument in [
        format!("--token-secret={secret}"),
        format!("--memory-mib={secret}"),
        secret.clone(),
    ] {
        let output = sim.host()?.secret(secret).run(&[&argument]).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_token_is_named_bare_or_in_full() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let id = sim.token("all")?.id.clone();
    assert_nodes(&sim.host()?.run(&CALL).await?);
    // In full, with and without the user besides.
    let full = sim.host()?.env("PROXMOX_TOKEN_ID", &id);
    assert_nodes(&full.run(&CALL).await?);
    let full = sim.host()?.env("PROXMOX_TOKEN_ID", &id);
    assert_nodes(&full.env_remove("PROXMOX_USER").run(&CALL).await?);
    Ok(())
}

/// All settings of a cluster, as the lines of a file.
fn lines(sim: &Sim) -> anyhow::Result<String> {
    let secret = &sim.token("all")?.secret;
    Ok(format!(
        "{}PROXMOX_TOKEN_SECRET={secret}\n",
        sim.env_lines()?
    ))
}

/// Without any settings, but with a file that the owner alone can read.
fn host_with(sim: &Sim, name: &str, text: &str) -> anyhow::Result<HostRunner> {
    let secret = &sim.token("all")?.secret;
    HostRunner::new()?.secret(secret).private_file(name, text)
}

/// Each place is enough, and a flag beats the environment.
#[tokio::test]
async fn each_source_of_settings_is_enough() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let lines = lines(&sim)?;
    // Nobody listens on the discard port.
    let wrong = "https://127.0.0.1:9";

    assert_nodes(&sim.host()?.run(&CALL).await?);
    let flag = sim.host()?.env("PROXMOX_URL", wrong);
    assert_nodes(&flag.arg("--url").arg(&sim.url).run(&CALL).await?);
    let given = host_with(&sim, "given.env", &lines)?;
    assert_nodes(&given.arg("--env-file=given.env").run(&CALL).await?);
    let found = host_with(&sim, ".env", &lines)?;
    assert_nodes(&found.run(&CALL).await?);
    let asked = host_with(&sim, ".env", &lines)?;
    assert_nodes(&asked.arg("--dotenv").run(&CALL).await?);
    // A named file counts alone: the other one is not even looked at.
    let both = host_with(&sim, "given.env", &lines)?;
    let both = both.file(".env", &format!("PROXMOX_URL={wrong}\n"))?;
    assert_nodes(&both.arg("--env-file=given.env").run(&CALL).await?);
    // The same value in two places is not a contradiction.
    let same = host_with(&sim, "given.env", &lines)?.env("PROXMOX_URL", &sim.url);
    assert_nodes(&same.arg("--env-file=given.env").run(&CALL).await?);
    Ok(())
}

/// The token of one place goes to no address of another, and no place weakens
/// how the address of another one is checked.
#[tokio::test]
async fn address_token_and_certificate_settings_come_from_one_source() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let mut impostor = Sim::options().self_signed().start().await?;
    let weaker = [
        format!("PROXMOX_URL={}\n", impostor.url),
        format!("PROXMOX_FINGERPRINT={}\n", impostor.fingerprint),
        "PROXMOX_VERIFY_SSL=false\n".to_owned(),
        format!("PROXMOX_CA_FILE={}\n", impostor.ca_file.display()),
        "PROXMOX_TOKEN_ID=other\n".to_owned(),
    ];
    for line in &weaker {
        let name = line.split('=').next().unwrap_or_default();
        // A file that was named: nothing is sent, and both places are named.
        let host = sim.host()?.env_remove("PROXMOX_CA_FILE");
        let host = host.file("given.env", line)?.arg("--env-file=given.env");
        let output = host.run(&CALL).await?;
        output.assert_refused_in_one_line(&[name]);
        assert_says(
            &output.stderr,
            &["given.env", "environment", "PROXMOX_TOKEN_SECRET"],
        );
        // A `.env` that was not named does not count, and a message says so.
        let host = sim.host()?.file(".env", line)?;
        let output = host.run(&CALL).await?;
        assert_nodes(&output);
        assert!(output.stderr.contains(name), "{output:?}");
        assert!(output.stderr.contains("--dotenv"), "{output:?}");
    }
    // The other way round: the file has all settings, and the environment adds one.
    let lines = lines(&sim)?;
    for line in &weaker {
        let (name, value) = line.trim().split_once('=').unwrap_or_default();
        let host = host_with(&sim, "given.env", &lines)?.arg("--env-file=given.env");
        let output = host.env(name, value).run(&CALL).await?;
        output.assert_refused_in_one_line(&[name]);
    }
    let flag = host_with(&sim, "given.env", &lines)?.arg("--verify-ssl=false");
    let output = flag.arg("--env-file=given.env").run(&CALL).await?;
    output.assert_refused_in_one_line(&["from the command line"]);
    // The address alone in a `.env`: the token of the environment stays here.
    let host = sim.host()?.env_remove("PROXMOX_URL");
    let host = host.file(".env", &format!("{}{}", weaker[0], weaker[1]))?;
    let output = host.run(&CALL).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("PROXMOX_URL is not set"),
        "{output:?}"
    );
    assert_eq!(impostor.served().await?, 0);
    assert!(sim.served().await? > 0);
    Ok(())
}

/// Nor with a client's `env` and a `.env` in the folder that it works in.
#[tokio::test]
async fn the_server_reads_no_unnamed_dot_env() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let lines = lines(&sim)?;
    let client = host_with(&sim, ".env", &lines)?.connect().await?;
    let error = client.error("list_nodes", json!({})).await?;
    assert_says(&error, &["PROXMOX_URL", ".env", "--env-file", "--dotenv"]);
    client.finish().await?;
    assert_eq!(sim.served().await?, 0);
    for argument in ["--dotenv", "--env-file=.env"] {
        let client = host_with(&sim, ".env", &lines)?.arg(argument);
        let client = client.connect().await?;
        client.call("list_nodes", json!({})).await?;
        client.finish().await?;
    }
    Ok(())
}

/// What is in a file is what it says: no variable of the environment gets into
/// it, to be sent or shown.
#[tokio::test]
async fn nothing_is_substituted_in_a_file() -> anyhow::Result<()> {
    let mut impostor = Sim::start().await?;
    let hidden = "d41d8cd9-8f00-4b20-9e98-00998ecf8427";
    let secret = impostor.token("all")?.secret.clone();
    for (name, value) in [
        ("PROXMOX_USER", "${OTHER_SECRET}@pam"),
        ("PROXMOX_TOKEN_SECRET", "${OTHER_SECRET}"),
        ("PROXMOX_TOKEN_SECRET", "\"$OTHER_SECRET\""),
        ("PROXMOX_TOKEN_ID", "${OTHER_SECRET}"),
        ("PROXMOX_CA_FILE", "${OTHER_SECRET}"),
        ("PROXMOX_URL", "https://${OTHER_SECRET}.example.com"),
    ] {
        let mut text = String::new();
        for line in lines(&impostor)?.lines() {
            match line.starts_with(&format!("{name}=")) {
                true => {}
                false => text.push_str(&format!("{line}\n")),
            }
        }
        text.push_str(&format!("{name}={value}\n"));
        if name == "PROXMOX_TOKEN_ID" {
            text.push_str("PROXMOX_USER=root@pam\n");
        }
        for file in [".env", "given.env"] {
            let host = HostRunner::new()?.private_file(file, &text)?;
            let host = host.env("OTHER_SECRET", hidden).secret(&secret);
            let host = match file {
                "given.env" => host.arg("--env-file=given.env"),
                _ => host,
            };
            let output = host.run(&CALL).await?;
            output.assert_refused_in_one_line(&[name]);
            let said = output.stderr.contains("another variable");
            assert!(said, "{output:?}");
        }
    }
    assert_eq!(impostor.served().await?, 0);
    Ok(())
}

/// An unnamed `.env` cannot have a file of the user's sent to its address.
#[tokio::test]
async fn an_unnamed_dot_env_reads_no_secrets_elsewhere() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let elsewhere = tempfile::TempDir::new()?;
    let file = elsewhere.path().join("secret");
    std::fs::write(&file, &token.secret)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    let text = |path: &str| -> anyhow::Result<String> {
        let lines = lines(&sim)?;
        let own = format!("PROXMOX_TOKEN_SECRET={}", token.secret);
        Ok(lines.replace(&own, &format!("PROXMOX_TOKEN_SECRET_FILE={path}")))
    };
    let path = file.display().to_string();
    let host = host_with(&sim, ".env", &text(&path)?)?;
    std::os::unix::fs::symlink(&file, host.directory().join("link"))?;
    let output = host.run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET_FILE"]);
    let host = host_with(&sim, ".env", &text("link")?)?;
    std::os::unix::fs::symlink(&file, host.directory().join("link"))?;
    host.run(&CALL)
        .await?
        .assert_refused_in_one_line(&["--dotenv"]);
    assert_eq!(sim.requests()?.len(), 0);
    // With the operator's word, and beside it.
    let host = host_with(&sim, ".env", &text(&path)?)?;
    assert_nodes(&host.arg("--dotenv").run(&CALL).await?);
    let host = host_with(&sim, ".env", &text("secret")?)?;
    let host = host.private_file("secret", &token.secret)?;
    assert_nodes(&host.run(&CALL).await?);
    Ok(())
}

/// No pipe, device or folder is read, whatever asks for it, and nothing large.
#[tokio::test]
async fn only_regular_files_of_a_size_are_read() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let large = format!("# {}\n", "x".repeat(2 * 1024 * 1024));
    for name in ["pipe", "/dev/zero", "/", "large"] {
        for (variable, flag) in [
            ("PROXMOX_CA_FILE", "--ca-file"),
            ("PROXMOX_TOKEN_SECRET_FILE", ""),
            ("PROXMOX_MCP_POLICY", "--policy"),
            ("", "--env-file"),
        ] {
            let host = match variable {
                "" => HostRunner::new()?,
                "PROXMOX_TOKEN_SECRET_FILE" => sim.host()?.env_remove("PROXMOX_TOKEN_SECRET"),
                _ => sim.host()?,
            };
            let host = host.secret(&secret).file("large", &large)?;
            let pipe = host.directory().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(pipe).status()?;
            assert!(made.success());
            let host = match variable {
                "" => host.arg(flag).arg(name),
                variable => host.env(variable, name),
            };
            let output = host.run(&CALL).await?;
            assert_eq!(
                output.status,
                Some(2),
                "{variable}{flag} {name}: {output:?}"
            );
            assert!(output.stderr.contains("cannot be read"), "{output:?}");
            assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        }
    }
    // A link to a regular file is as good as the file: secrets of containers
    // are mounted so.
    let host = sim.host()?.env_remove("PROXMOX_TOKEN_SECRET");
    let host = host.secret(&secret).private_file("secret", &secret)?;
    std::os::unix::fs::symlink("secret", host.directory().join("link"))?;
    let output = host.env("PROXMOX_TOKEN_SECRET_FILE", "link").run(&CALL);
    assert_nodes(&output.await?);
    Ok(())
}

/// The policy and the log level count wherever they are given.
#[tokio::test]
async fn every_setting_works_from_every_source() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let start = ["call", "start_guest", r#"{"vmid":201}"#];
    let policy = "read_only = true\n";
    let lines = lines(&sim)?;
    let mcp = "PROXMOX_MCP_POLICY=policy.toml\nPROXMOX_MCP_LOG=debug\n";
    let with = |host: HostRunner| host.file("policy.toml", policy);
    let environment = || {
        let host = sim.host()?.env("PROXMOX_MCP_POLICY", "policy.toml");
        with(host.env("PROXMOX_MCP_LOG", "debug"))
    };
    let named = |rest: &str| -> anyhow::Result<HostRunner> {
        let host = host_with(&sim, "given.env", &format!("{mcp}{rest}"))?;
        with(host.arg("--env-file=given.env"))
    };
    let found = || with(host_with(&sim, ".env", &format!("{lines}{mcp}"))?);
    for host in [environment()?, named(&lines)?, found()?] {
        let output = host.run(&start).await?;
        assert_eq!(output.status, Some(1), "{output:?}");
        assert!(output.stderr.contains("only lets reads"), "{output:?}");
    }
    assert_eq!(sim.requests()?.len(), 0);
    for host in [environment()?, named(&lines)?] {
        let client = host.connect().await?;
        client
            .protocol_error("start_guest", json!({ "vmid": 201 }))
            .await?;
        let output = client.finish().await?;
        assert!(output.stderr.contains("DEBUG"), "{output:?}");
    }
    // A file that has nothing but these goes with the environment.
    let host = sim
        .host()?
        .file("given.env", mcp)?
        .arg("--env-file=given.env");
    let output = with(host)?.run(&start).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    // A flag beats both.
    let output = environment()?
        .arg("--policy=other.toml")
        .run(&start)
        .await?;
    output.assert_refused_in_one_line(&["other.toml"]);
    let output = environment()?.arg("--log-level=off").run(&start).await?;
    assert!(!output.stderr.contains("DEBUG"), "{output:?}");
    // So do the format of the log, and its flag.
    for host in [
        sim.host()?.env("PROXMOX_MCP_LOG_FORMAT", "json"),
        host_with(
            &sim,
            ".env",
            &format!("{lines}PROXMOX_MCP_LOG_FORMAT=json\n"),
        )?,
        sim.host()?.arg("--log-format=json"),
    ] {
        let host = host.arg("--log-level=debug");
        let output = host.run(&CALL).await?;
        let line = output.stderr.lines().next().unwrap_or_default();
        assert!(line.starts_with("{\"timestamp\":\""), "{output:?}");
    }
    // Nonsense is refused in all places.
    for host in [
        sim.host()?.env("PROXMOX_MCP_LOG", "loud"),
        host_with(&sim, ".env", &format!("{lines}PROXMOX_MCP_LOG=loud\n"))?,
    ] {
        host.run(&CALL)
            .await?
            .assert_refused_in_one_line(&["PROXMOX_MCP_LOG"]);
    }
    let host = host_with(
        &sim,
        ".env",
        &format!("{lines}PROXMOX_MCP_POLICY=no.toml\n"),
    )?;
    host.run(&CALL)
        .await?
        .assert_refused_in_one_line(&["no.toml"]);
    Ok(())
}

/// A policy named by an unnamed `.env` writes no files.
#[tokio::test]
async fn an_unnamed_dot_env_writes_no_files() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let lines = format!("{}PROXMOX_MCP_POLICY=policy.toml\n", lines(&sim)?);
    let policy = "[audit]\nfile = \"audit.jsonl\"\n";
    let host = || host_with(&sim, ".env", &lines)?.file("policy.toml", policy);
    host()?
        .run(&CALL)
        .await?
        .assert_refused_in_one_line(&["--dotenv"]);
    assert_nodes(&host()?.arg("--dotenv").run(&CALL).await?);
    Ok(())
}

/// A misspelt setting would go unnoticed otherwise.
#[tokio::test]
async fn unknown_settings_cause_a_warning() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let lines = lines(&sim)?;
    let file = format!("{lines}PROXMOX_VERIFY_TLS={secret}\nOTHER_SETTING=1\n");
    let environment = sim.host()?.env("PROXMOX_VERIFY_TLS", &secret);
    let environment = environment.env("OTHER_SETTING", "1").secret(&secret);
    let named = host_with(&sim, "given.env", &file)?.arg("--env-file=given.env");
    let found = host_with(&sim, ".env", &file)?;
    for (host, place) in [
        (environment, "in the environment"),
        (named, "in given.env"),
        (found, "in .env"),
    ] {
        let output = host.run(&CALL).await?;
        assert_nodes(&output);
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert_says(
            &output.stderr,
            &["PROXMOX_VERIFY_TLS", "PROXMOX_VERIFY_SSL", place],
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_dot_env_file_sets_everything() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let dot_env = format!(
        "# my cluster\nexport PROXMOX_URL='{}'\nPROXMOX_TOKEN_ID=\"{}\"\n\
         PROXMOX_TOKEN_SECRET={}\nPROXMOX_CA_FILE={}\nOTHER=ignored\n",
        sim.url,
        token.id,
        token.secret,
        sim.ca_file.display()
    );
    let host = HostRunner::new()?.secret(&token.secret);
    assert_nodes(&host.file(".env", &dot_env)?.run(&CALL).await?);
    Ok(())
}

#[tokio::test]
async fn an_env_file_that_is_not_there_is_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim.host()?.arg("--env-file").arg("absent.env");
    host.run(&CALL)
        .await?
        .assert_refused_in_one_line(&["absent.env"]);
    for (text, says) in [
        ("PROXMOX_URL\n", "line 1"),
        ("\n\nPROXMOX_URL='x\n", "line 3"),
        ("PROXMOX_URL=x\nPROXMOX_URL=y\n", "more than once"),
    ] {
        let host = HostRunner::new()?.file("given.env", text)?;
        let output = host.arg("--env-file=given.env").run(&CALL).await?;
        output.assert_refused_in_one_line(&["given.env"]);
        assert!(output.stderr.contains(says), "{says}: {output:?}");
    }
    Ok(())
}

/// A secret on a command line is seen by every user of the machine.
#[tokio::test]
async fn no_flag_takes_the_secret() -> anyhow::Result<()> {
    let output = HostRunner::new()?.run(&["--help"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(
        !output.stdout.contains("--token-secret"),
        "{}",
        output.stdout
    );
    let output = HostRunner::new()?.run(&["--token-secret", "x"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_url_may_end_in_a_slash_or_in_the_api() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for end in ["/", "//", "/api2/json", "/api2/json/"] {
        let host = sim.host()?.env("PROXMOX_URL", format!("{}{end}", sim.url));
        assert_nodes(&host.run(&CALL).await?);
    }
    Ok(())
}

#[tokio::test]
async fn usage_mistakes_are_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for arguments in [
        &["call"][..],
        &["call", "list_nodes", "not json"],
        &["call", "list_nodes", "[]"],
        &["--nonsense"],
        &["nonsense"],
        &["--component", "absent.wasm", "tools"],
        &["--component", "/etc/passwd", "tools"],
    ] {
        let output = sim.host()?.run(arguments).await?;
        assert_eq!(output.status, Some(2), "{arguments:?}: {output:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_on_the_command_line_prints_its_result() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let output = sim
        .host()?
        .run(&["call", "list_guests", r#"{"status":"running"}"#])
        .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let result: Value = serde_json::from_str(&output.stdout)?;
    let guests = result["guests"].as_array().unwrap();
    assert!(!guests.is_empty(), "{result}");
    assert!(
        guests.iter().all(|guest| guest["status"] == "running"),
        "{result}"
    );

    // A tool error: text on stderr, or JSON on stdout.
    let output = sim
        .host()?
        .run(&["call", "get_guest", r#"{"vmid":999}"#])
        .await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("999"), "{output:?}");
    let output = sim
        .host()?
        .run(&["call", "-o", "json", "get_guest", r#"{"vmid":999}"#])
        .await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    let error: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(error["error"], "not-found", "{error}");
    assert!(
        error["message"].as_str().unwrap().contains("999"),
        "{error}"
    );
    let output = sim
        .host()?
        .run(&["call", "-o", "json", "get_guest", r#"{"vmid":5}"#])
        .await?;
    let error: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(error["error"], "invalid-arguments", "{error}");
    assert_eq!(error["problems"][0]["pointer"], "/vmid", "{error}");

    // No such tool.
    let output = sim.host()?.run(&["call", "list_guest", "{}"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("list_guest"), "{output:?}");
    Ok(())
}

/// Without Proxmox: an embedded cluster, with no settings at all.
#[tokio::test]
async fn the_demo_needs_no_settings() -> anyhow::Result<()> {
    let client = HostRunner::new()?.arg("--demo").connect().await?;
    let nodes = client.call("list_nodes", json!({})).await?;
    assert!(!nodes["nodes"].as_array().unwrap().is_empty(), "{nodes}");
    let guests = client.call("list_guests", json!({})).await?;
    assert!(!guests["guests"].as_array().unwrap().is_empty(), "{guests}");
    assert_eq!(client.finish().await?.status, Some(0));
    Ok(())
}
