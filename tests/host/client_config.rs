//! `host-runner client`: the configuration of MCP clients.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::Context as _;
use harness::{HostRunner, Output};
use serde_json::Value;

/// Runs `client` for a user with this home folder.
async fn client(home: &Path, arguments: &[&str]) -> anyhow::Result<Output> {
    let host = HostRunner::new()?.env("HOME", home.display().to_string());
    let host = host.env_remove("XDG_CONFIG_HOME").env_remove("CODEX_HOME");
    let mut all = vec!["client"];
    all.extend(arguments);
    host.run(&all).await
}

fn json(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_str(&text)?)
}

#[tokio::test]
async fn what_is_printed_starts_the_server() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    for (name, section) in [
        ("cursor", "mcpServers"),
        ("vscode", "servers"),
        ("zed", "context_servers"),
    ] {
        let output = client(home.path(), &[name, "--demo"]).await?;
        assert_eq!(output.status, Some(0), "{output:?}");
        let printed: Value = serde_json::from_str(&output.stdout)?;
        let entry = printed.pointer(&format!("/{section}/proxmox"));
        let entry = entry.context("no entry")?;
        let command = entry.get("command").and_then(Value::as_str);
        assert!(
            command.is_some_and(|path| Path::new(path).is_file()),
            "{entry}"
        );
        let arguments = entry.get("args").and_then(Value::as_array);
        let arguments: Vec<&str> = arguments
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let session = HostRunner::new()?.args(arguments).connect().await?;
        assert!(!session.tools().is_empty());
        session.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn all_else_in_a_file_remains() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join(".cursor");
    fs::create_dir(&folder)?;
    let real = home.path().join("real.json");
    let before =
        "{\n  // mine\n  \"mcpServers\": {\n    \"other\": {\"command\": \"x\"},\n  },\n}\n";
    fs::write(&real, before)?;
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640))?;
    symlink(&real, folder.join("mcp.json"))?;
    let output = client(home.path(), &["cursor", "--demo", "--write"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let after = fs::read_to_string(&real)?;
    assert!(
        after
            .starts_with("{\n  // mine\n  \"mcpServers\": {\n    \"other\": {\"command\": \"x\"},"),
        "{after}"
    );
    assert_eq!(fs::metadata(&real)?.permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.join("mcp.json"))?.is_symlink());
    let again = client(home.path(), &["cursor", "--demo", "--write"]).await?;
    assert!(again.stdout.contains("no change needed"), "{again:?}");
    let backups: Vec<_> = fs::read_dir(home.path())?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "backup"))
        .collect();
    let [backup] = backups.as_slice() else {
        anyhow::bail!("{backups:?}");
    };
    assert_eq!(fs::read_to_string(backup)?, before);
    assert_eq!(fs::metadata(backup)?.permissions().mode() & 0o777, 0o640);
    Ok(())
}

#[tokio::test]
async fn a_broken_file_is_not_touched() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    fs::create_dir(home.path().join(".codex"))?;
    let path = home.path().join(".codex/config.toml");
    fs::write(&path, "a = 1\nb = [\n")?;
    let output = client(home.path(), &["codex", "--demo", "--write"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("line ") && output.stderr.contains("nothing was written"),
        "{output:?}"
    );
    assert_eq!(fs::read_to_string(&path)?, "a = 1\nb = [\n");
    assert_eq!(fs::read_dir(home.path().join(".codex"))?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn another_entry_is_replaced_only_with_replace() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    fs::create_dir(home.path().join(".lmstudio"))?;
    let path = home.path().join(".lmstudio/mcp.json");
    let before = "{\"mcpServers\": {\"proxmox\": {\"command\": \"old\", \"env\": {\"T\": \"private\"}, \
         \"args\": [\"--password\", \"private\", \"--header\", \"Authorization: Bearer private\"], \
         \"url\": \"https://a:private@b/?key=private\", \"apiKey\": \"private\"}}}";
    fs::write(&path, before)?;
    let output = client(home.path(), &["lm-studio", "--demo", "--write"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("--replace"), "{output:?}");
    assert!(!output.stdout.contains("private"), "{output:?}");
    assert_eq!(fs::read_to_string(&path)?, before);
    let output = client(
        home.path(),
        &["lm-studio", "--demo", "--write", "--replace"],
    )
    .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let entry = json(&path)?;
    assert_ne!(
        entry.pointer("/mcpServers/proxmox/command"),
        Some(&"old".into())
    );
    Ok(())
}

#[tokio::test]
async fn a_file_with_a_token_is_private() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let url = "http://127.0.0.1:8080/mcp";
    let arguments = [
        "client",
        "lm-studio",
        "--http",
        url,
        "--token-env",
        "LM_TOKEN",
        "--write",
    ];
    let host = HostRunner::new()?.env("HOME", home.path().display().to_string());
    let output = host.env("LM_TOKEN", "s3cret-of-lm").run(&arguments).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(!output.stdout.contains("s3cret-of-lm"), "{output:?}");
    let path = home.path().join(".lmstudio/mcp.json");
    assert!(fs::read_to_string(&path)?.contains("Bearer s3cret-of-lm"));
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

/// Options that would not be in the entry are refused, and so is an entry without settings.
#[tokio::test]
async fn an_entry_has_what_was_asked_for() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let host = || {
        let host = HostRunner::new()?;
        anyhow::Ok(host.env("HOME", home.path().display().to_string()))
    };
    let lost = host()?
        .run(&["--demo", "client", "cursor", "--preset", "observe"])
        .await?;
    lost.assert_refused(&["preset", "--"]);
    let wrong = host()?
        .run(&["--demo", "client", "cursor", "--", "--prest", "observe"])
        .await?;
    wrong.assert_refused(&["--prest"]);
    let nothing = host()?.run(&["client", "cursor", "--write"]).await?;
    nothing.assert_refused(&["host-runner setup", "--env-file"]);
    assert!(!home.path().join(".cursor").exists());
    Ok(())
}

/// A container sees the files that the settings name.
#[tokio::test]
async fn files_of_the_settings_are_mounted() -> anyhow::Result<()> {
    let host = HostRunner::new()?.file("ca.pem", "")?;
    let ca = host.directory().join("ca.pem").display().to_string();
    let text = format!("PROXMOX_URL=https://pve1:8006\nPROXMOX_CA_FILE={ca}\n");
    let host = host.private_file("env", &text)?;
    let output = host
        .run(&["client", "cursor", "--docker", "--env-file=env"])
        .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let mounted = format!("\"--volume\", \"{ca}:{ca}:ro\"");
    assert!(output.stdout.contains(&mounted), "{output:?}");
    Ok(())
}

/// In the client's folder, a relative path would name another file, or none.
#[tokio::test]
async fn relative_paths_in_the_settings_are_named() -> anyhow::Result<()> {
    let text =
        "PROXMOX_URL=https://pve1:8006\nPROXMOX_CA_FILE=ca.pem\nPROXMOX_MCP_AUDIT=journald\n";
    for arguments in [
        &["client", "cursor", "--env-file=env"][..],
        &["client", "cursor", "--docker", "--env-file=env"],
    ] {
        let host = HostRunner::new()?.file("ca.pem", "")?;
        let ca = host.directory().join("ca.pem").display().to_string();
        let output = host.private_file("env", text)?.run(arguments).await?;
        assert_eq!(output.status, Some(0), "{output:?}");
        let advice = format!("write PROXMOX_CA_FILE={ca}");
        assert!(output.stderr.contains(&advice), "{output:?}");
        assert!(!output.stderr.contains("PROXMOX_MCP_AUDIT"), "{output:?}");
    }
    Ok(())
}

/// The advice leads to the entry that was asked for.
#[tokio::test]
async fn advice_to_replace_keeps_the_other_options() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    client(home.path(), &["cursor", "--demo", "--write"])
        .await?
        .assert_succeeds();
    let arguments = ["cursor", "--demo", "--write", "--", "--preset", "observe"];
    let other = client(home.path(), &arguments).await?;
    assert_eq!(other.status, Some(2), "{other:?}");
    let advice = "add --replace to this command, in front of --, to replace it";
    assert!(other.stderr.contains(advice), "{other:?}");
    assert!(!other.stderr.contains("host-runner client"), "{other:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_with_files_in_projects_only_names_the_file() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let output = client(home.path(), &["continue", "--demo"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    for part in [".continue/mcpServers/proxmox.json", "--project --write"] {
        assert!(output.stderr.contains(part), "{output:?}");
    }
    let list = client(home.path(), &["-o", "table"]).await?;
    assert!(
        list.stdout
            .contains(".continue/mcpServers/proxmox.json in a project"),
        "{list:?}"
    );
    Ok(())
}

#[tokio::test]
async fn options_that_mean_nothing_are_refused() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let image = client(home.path(), &["cursor", "--demo", "--image", "mine"]).await?;
    image.assert_refused(&["--docker"]);
    for (url, advice) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/mcp"),
        ("localhost:8080", "http://127.0.0.1:8080/mcp"),
        ("http://user:private@pve/mcp", "--token-env"),
    ] {
        let output = client(home.path(), &["cursor", "--http", url]).await?;
        output.assert_refused(&["--http", advice]);
        assert!(!output.stderr.contains("private"), "{output:?}");
        assert_eq!(output.stdout, "", "{output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn files_that_cannot_be_read_say_what_to_change() -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let folder = home.path().join(".cursor");
    fs::create_dir(&folder)?;
    let path = folder.join("mcp.json");
    symlink("nowhere.json", &path)?;
    let dangling = client(home.path(), &["cursor", "--demo", "--write"]).await?;
    dangling.assert_refused(&["mcp.json", "a link to a file that does not exist"]);
    fs::remove_file(&path)?;
    fs::write(&path, b"{\"a\": \"\xe9\"}")?;
    let latin = client(home.path(), &["cursor", "--demo", "--write"]).await?;
    latin.assert_refused(&["mcp.json", "save it as UTF-8"]);
    fs::write(&path, "{\"mcpServers\": {}, \"mcpServers\": {}}")?;
    let twice = client(home.path(), &["cursor", "--demo", "--write"]).await?;
    twice.assert_refused(&["\"mcpServers\"", "more than once", "nothing was written"]);
    Ok(())
}
