//! `host-runner setup`: by flags and at a terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use harness::{HostRunner, Output, Sim, assert_says};
use serde_json::json;
use tempfile::TempDir;

/// A setup by flags, with the token of these rights; it writes `env` in the folder.
fn setup(sim: &Sim, rights: &str, folder: &TempDir) -> anyhow::Result<HostRunner> {
    let token = sim.token(rights)?;
    Ok(HostRunner::new()?
        .env("PROXMOX_TOKEN_SECRET", &token.secret)
        .arg("setup")
        .arg(format!("--url={}", sim.url))
        .arg(format!("--token-id={}", token.id))
        .arg(format!("--out={}", out(folder).display())))
}

/// The file was written. Progress is on stderr.
#[track_caller]
fn assert_done(output: &Output) {
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(!output.stderr.contains("error:"), "{output:?}");
    assert_says(&output.stdout, &["Wrote "]);
}

/// Proxmox VE could not be used, for this reason: nothing was written.
#[track_caller]
fn assert_fails(output: &Output, words: &[&str]) {
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(output.stdout, "", "{output:?}");
    let error = output
        .stderr
        .lines()
        .find(|line| line.starts_with("error: "));
    let error = error.unwrap_or_default();
    assert_says(error, words);
    assert_says(error, &["nothing was written"]);
}

fn out(folder: &TempDir) -> PathBuf {
    folder.path().join("env")
}

#[tokio::test]
async fn what_is_written_can_be_used() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let folder = TempDir::new()?;
    let pin = format!("--fingerprint={}", sim.fingerprint);
    let output = setup(&sim, "all", &folder)?.run(&[&pin]).await?;
    assert_done(&output);
    assert_says(
        &output.stderr,
        &["it has the given fingerprint", &sim.fingerprint],
    );
    let mode = std::fs::metadata(out(&folder))?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let left = std::fs::read_dir(folder.path())?.count();
    assert_eq!(left, 1, "a draft was left");
    let file = format!("--env-file={}", out(&folder).display());
    let secret = &sim.token("all")?.secret;
    let used = HostRunner::new()?.secret(secret);
    used.run(&[&file, "call", "list_nodes"])
        .await?
        .assert_succeeds();
    let doctor = HostRunner::new()?.secret(secret);
    let doctor = doctor.run(&[&file, "doctor", "--json"]).await?;
    assert_says(&doctor.stdout, &["PROXMOX_MCP_PRESET=operate (from "]);
    Ok(())
}

#[tokio::test]
async fn an_unknown_certificate_is_not_accepted_without_a_user() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let folder = TempDir::new()?;
    let output = setup(&sim, "all", &folder)?.run(&[]).await?;
    let words = ["self-signed", &sim.fingerprint, "--fingerprint"];
    assert_fails(&output, &words);
    assert_fails(&output, &["pvenode cert info"]);
    let other = "AA:".repeat(31) + "AA";
    let wrong = format!("--fingerprint={other}");
    let output = setup(&sim, "all", &folder)?.run(&[&wrong]).await?;
    assert_fails(&output, &[&sim.fingerprint, &other]);
    assert!(!out(&folder).exists());
    let sent = sim.requests()?;
    assert!(sent.is_empty(), "the token may have been sent: {sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_secret_writes_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let folder = TempDir::new()?;
    let host = setup(&sim, "all", &folder)?
        .env(
            "PROXMOX_TOKEN_SECRET",
            "3d2b7f10-93c4-4f5e-8a61-0b7c5d9e2f14",
        )
        .env("PROXMOX_CA_FILE", sim.ca_file.display().to_string());
    let output = host.run(&[]).await?;
    assert_fails(&output, &["does not accept the token", "401"]);
    assert!(!out(&folder).exists());
    Ok(())
}

#[tokio::test]
async fn without_a_terminal_the_missing_flags_are_named() -> anyhow::Result<()> {
    let output = HostRunner::new()?
        .env("HOME", "/nonexistent")
        .run(&["setup"])
        .await?;
    output.assert_refused(&["--url", "--user", "--token-id", "--token-secret-file"]);
    assert_eq!(output.status, Some(2));
    Ok(())
}

#[tokio::test]
async fn a_file_is_kept_unless_it_may_be_replaced() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let folder = TempDir::new()?;
    std::fs::write(out(&folder), "# mine\n")?;
    let ca = format!("--ca-file={}", sim.ca_file.display());
    let output = setup(&sim, "all", &folder)?.run(&[&ca]).await?;
    output.assert_refused(&["exists", "--replace", "--out"]);
    assert_eq!(std::fs::read_to_string(out(&folder))?, "# mine\n");
    let output = setup(&sim, "all", &folder)?
        .run(&[&ca, "--replace"])
        .await?;
    assert_done(&output);
    let backup = std::fs::read_dir(folder.path())?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().contains("backup"))
        .context("no backup")?;
    assert_eq!(std::fs::read_to_string(backup.path())?, "# mine\n");
    assert_says(
        &std::fs::read_to_string(out(&folder))?,
        &["PROXMOX_CA_FILE="],
    );
    Ok(())
}

/// The commands that are printed give a token what all tools of the preset need.
#[tokio::test]
async fn the_printed_commands_suffice_for_the_preset() -> anyhow::Result<()> {
    for preset in ["observe", "operate", "admin"] {
        let mut sim = Sim::start().await?;
        let id = sim.token("none")?.id.clone();
        let folder = TempDir::new()?;
        let ca = format!("--ca-file={}", sim.ca_file.display());
        let preset = format!("--preset={preset}");
        let run = |sim: &Sim| Ok::<_, anyhow::Error>(setup(sim, "none", &folder)?.arg(&ca));
        let output = run(&sim)?.run(&[&preset]).await?;
        assert_says(&output.stderr, &["no privileges at all"]);
        std::fs::remove_file(out(&folder))?;
        let printed = HostRunner::new()?;
        let token = format!("--token-id={id}");
        let printed = printed
            .run(&["setup", "--commands", &token, &preset])
            .await?;
        printed.assert_succeeds();
        let lines = printed.stdout.lines();
        // The simulator's user and token exist.
        for line in
            lines.filter(|line| line.starts_with("pveum role") || line.starts_with("pveum acl"))
        {
            sim.control(json!({ "cmd": "pveum", "line": line })).await?;
        }
        let output = run(&sim)?.run(&[&preset]).await?;
        assert_done(&output);
        // Left out on purpose, by docs/security.md; no other toolset is affected.
        let lacking = output
            .stderr
            .lines()
            .filter(|line| line.contains(" lacks "));
        let unexpected = lacking.filter(|line| {
            !line.ends_with("lacks Sys.Console") && !line.ends_with("lacks Sys.Modify")
        });
        assert_eq!(unexpected.count(), 0, "{}", output.stderr);
    }
    Ok(())
}

/// Without `--out`, the file is where all commands look for it, unless something else says
/// what to connect to.
#[tokio::test]
async fn the_users_own_file_is_found() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let home = TempDir::new()?;
    let token = sim.token("all")?;
    let at_home = || {
        let host = HostRunner::new()?.secret(&token.secret);
        anyhow::Ok(host.env("HOME", home.path().display().to_string()))
    };
    let ca = format!("--ca-file={}", sim.ca_file.display());
    let (url, id) = (
        format!("--url={}", sim.url),
        format!("--token-id={}", token.id),
    );
    std::fs::create_dir(home.path().join(".cursor"))?;
    let host = at_home()?.env("PROXMOX_TOKEN_SECRET", &token.secret);
    let arguments = [
        "setup",
        &ca,
        &url,
        &id,
        "--preset=observe",
        "--client=cursor,vscode",
    ];
    let output = host.run(&arguments).await?;
    assert_done(&output);
    assert_says(&output.stdout, &["host-runner doctor\n"]);
    let own = home.path().join(".config/proxmox-mcp/env");
    for (file, member) in [
        (".cursor/mcp.json", "mcpServers"),
        (".config/Code/User/mcp.json", "servers"),
    ] {
        let text = std::fs::read_to_string(home.path().join(file))?;
        let entry: serde_json::Value = serde_json::from_str(&text)?;
        let arguments = entry.pointer(&format!("/{member}/proxmox/args"));
        let expected = json!(["--env-file", own.display().to_string()]);
        assert_eq!(arguments, Some(&expected), "{text}");
    }
    let nodes = at_home()?.run(&["call", "list_nodes"]).await?;
    nodes.assert_succeeds();
    let shown = at_home()?.run(&["policy", "show"]).await?;
    assert_says(&shown.stdout, &["observe"]);
    let client = at_home()?.connect().await?;
    let offers = |name: &str| client.tools().iter().any(|tool| tool["name"] == name);
    assert!(offers("list_nodes") && !offers("start_guest"));
    client.call("list_nodes", json!({})).await?;
    client.finish().await?.assert_succeeds();
    // Something else says what to connect to, though not all of it.
    let other = at_home()?.env("PROXMOX_URL", "https://192.0.2.1:8006");
    let other = other.run(&["call", "list_nodes"]).await?;
    other.assert_refused(&["PROXMOX_TOKEN_ID"]);
    let demo = at_home()?.run(&["--demo", "policy", "show"]).await?;
    assert!(!demo.stdout.contains("observe"), "{demo:?}");
    // A file that cannot be used is not passed over.
    std::fs::write(&own, "no setting\n")?;
    let broken = at_home()?.run(&["call", "list_nodes"]).await?;
    broken.assert_refused(&[&own.display().to_string()]);
    Ok(())
}

/// What would not be in the file is refused, not lost.
#[tokio::test]
async fn restrictions_that_would_be_lost_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let folder = TempDir::new()?;
    let ca = format!("--ca-file={}", sim.ca_file.display());
    let output = setup(&sim, "all", &folder)?
        .run(&[&ca, "--read-only", "--vmids=100-199"])
        .await?;
    output.assert_refused(&["--read-only", "--vmids", "--policy"]);
    assert!(!out(&folder).exists() && sim.requests()?.is_empty());
    // A policy file is named in the settings instead.
    let host = setup(&sim, "all", &folder)?.file("own.toml", "preset = \"observe\"\n")?;
    let policy = host.directory().join("own.toml").display().to_string();
    assert_done(&host.run(&[&ca, "--policy=own.toml"]).await?);
    let written = std::fs::read_to_string(out(&folder))?;
    assert_says(&written, &[&format!("PROXMOX_MCP_POLICY={policy}\n")]);
    assert!(!written.contains("PRESET"), "{written}");
    Ok(())
}

/// Clients are named as at the prompt. A file that cannot be changed is left, and the message
/// names the next step.
#[tokio::test]
async fn clients_are_configured_as_far_as_possible() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let home = TempDir::new()?;
    let token = sim.token("all")?;
    let ca = format!("--ca-file={}", sim.ca_file.display());
    let (url, id) = (
        format!("--url={}", sim.url),
        format!("--token-id={}", token.id),
    );
    let run = async |clients: &str| {
        let host = HostRunner::new()?
            .env("HOME", home.path().display().to_string())
            .env("PROXMOX_TOKEN_SECRET", &token.secret);
        let clients = format!("--client={clients}");
        host.run(&["setup", &ca, &url, &id, "--replace", &clients])
            .await
    };
    assert_done(&run("none").await?);
    std::fs::create_dir(home.path().join(".cursor"))?;
    let broken = home.path().join(".cursor/mcp.json");
    std::fs::write(&broken, "{ broken")?;
    let output = run("cursor, vscode").await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(
        &output.stderr,
        &[
            "The settings were written",
            "host-runner client cursor --write",
        ],
    );
    assert_eq!(std::fs::read_to_string(&broken)?, "{ broken");
    let other = home.path().join(".config/Code/User/mcp.json");
    assert_says(&std::fs::read_to_string(other)?, &["proxmox"]);
    let output = run("cursr").await?;
    assert_says(&output.stderr, &["\"cursr\" is none of the names"]);
    Ok(())
}

/// What would be wrong on a node is refused before it is printed.
#[tokio::test]
async fn commands_are_printed_only_for_names_that_can_exist() -> anyhow::Result<()> {
    for (flag, problem) in [
        ("--user=bob", "the user has no realm"),
        ("--token-id=a'; reboot", "the name of the token is not"),
        ("--path=/vms/abc", "--path is a path"),
        ("--path=/pool/", "--path is a path"),
    ] {
        let host = HostRunner::new()?;
        let output = host.run(&["setup", "--commands", flag]).await?;
        output.assert_refused(&[problem]);
        assert_eq!(output.stdout, "", "{flag}");
    }
    Ok(())
}

/// One of several nodes may be down, as long as another one answers.
#[tokio::test]
async fn one_of_several_addresses_may_be_down() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let folder = TempDir::new()?;
    let ca = format!("--ca-file={}", sim.ca_file.display());
    let both = format!("--url=https://127.0.0.1:9,{}", sim.url);
    let token = sim.token("all")?;
    let (id, out_flag) = (
        format!("--token-id={}", token.id),
        format!("--out={}", out(&folder).display()),
    );
    let host = HostRunner::new()?.env("PROXMOX_TOKEN_SECRET", &token.secret);
    let output = host.run(&["setup", &both, &ca, &id, &out_flag]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_says(&output.stderr, &["warning: 127.0.0.1:9"]);
    assert_says(&std::fs::read_to_string(out(&folder))?, &["127.0.0.1:9,"]);
    Ok(())
}

/// Answers at a terminal: the certificate is compared, and the secret is not shown.
#[tokio::test]
async fn at_a_terminal_the_user_is_asked() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let folder = TempDir::new()?;
    let token = sim.token("all")?;
    let (user, name) = token.id.split_once('!').context("no name")?;
    let address = sim.url.trim_start_matches("https://");
    let no_secret = "3d2b7f10-93c4-4f5e-8a61-0b7c5d9e2f14";
    // What cannot be used is asked for again.
    let answers = format!(
        "\nhttp://{address}\n{address}\nyes\nall\nobserve\n{user}\n{name}\n\n{no_secret}\n\
         {}\n{}\nnone-such\nnone\n",
        token.id, token.secret
    );
    let script = "import os, pty, sys, time\n\
        answers = open(sys.argv[1]).read().splitlines(True)\n\
        waits = [b'such as pve1'] * 3 + [b'same?', b'Preset', b'Preset']\n\
        waits += [b'User', b'Name', b'not shown', b'not shown']\n\
        waits += [b'User', b'not shown', b'Clients', b'Clients']\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execv(sys.argv[2], sys.argv[2:])\n\
        seen = b''\n\
        for wait, answer in zip(waits, answers):\n\
        \x20   while wait not in seen or not seen.endswith(b': '):\n\
        \x20       seen += os.read(fd, 4096)\n\
        \x20   sys.stdout.buffer.write(seen); seen = b''\n\
        \x20   time.sleep(0.05); os.write(fd, answer.encode())\n\
        while True:\n\
        \x20   try: data = os.read(fd, 4096)\n\
        \x20   except OSError: break\n\
        \x20   if not data: break\n\
        \x20   sys.stdout.buffer.write(data)\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let host = HostRunner::new()?
        .secret(&token.secret)
        .env("PATH", std::env::var("PATH").unwrap_or_default());
    let host = host
        .private_file("answers", &answers)?
        .file("terminal.py", script)?;
    let at = |name: &str| host.directory().join(name).display().to_string();
    let (script, answers) = (at("terminal.py"), at("answers"));
    let host = host.wrapper(&["python3", &script, &answers]);
    let out_flag = format!("--out={}", out(&folder).display());
    let output = host.run(&["setup", &out_flag]).await?;
    output.assert_succeeds();
    assert_says(
        &output.stdout,
        &[
            "enter an address",
            "the address does not begin with https://; example: https://",
            "self-signed",
            &sim.fingerprint,
            "MCPObserve",
            &format!("--tokens '{}'", token.id),
            "nothing was entered",
            "choose observe, operate or admin",
            "does not accept the token",
            "none-such",
            "Wrote",
        ],
    );
    let written = std::fs::read_to_string(out(&folder))?;
    let lines = [
        &format!("PROXMOX_URL={}\n", sim.url),
        &format!("PROXMOX_FINGERPRINT={}\n", sim.fingerprint),
        "PROXMOX_MCP_PRESET=observe\n",
    ];
    assert_says(&written, &lines);
    Ok(())
}
