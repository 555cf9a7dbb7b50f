//! Where settings come from, and what is said of bad ones.

use proxmox_mcp_tests::{HostRunner, Output, Sim};
use serde_json::{Value, json};

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];

/// Bad settings: exit status 2, nothing on stdout, one line that names the
/// variable.
fn assert_refused(output: &Output, variable: &str) {
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_eq!(output.stdout, "", "{output:?}");
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{output:?}");
    assert!(output.stderr.contains(variable), "{variable}: {output:?}");
}

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
            assert_refused(&output, variable);
            assert!(
                output.stderr.contains(&format!("{variable}=")),
                "no example: {output:?}"
            );
        }
        // Empty counts as missing.
        let output = sim.host()?.env(variable, "").run(&CALL).await?;
        assert_refused(&output, variable);
    }
    Ok(())
}

#[tokio::test]
async fn all_that_is_missing_is_named_at_once() -> anyhow::Result<()> {
    let output = HostRunner::new()?.run(&CALL).await?;
    for variable in [
        "PROXMOX_URL",
        "PROXMOX_USER",
        "PROXMOX_TOKEN_ID",
        "PROXMOX_TOKEN_SECRET",
    ] {
        assert_refused(&output, variable);
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
        assert_refused(&output, variable);
    }
    // No certificate in it.
    let host = sim.host()?.file("empty.pem", "nothing\n")?;
    let output = host.env("PROXMOX_CA_FILE", "empty.pem").run(&CALL).await?;
    assert_refused(&output, "PROXMOX_CA_FILE");
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
        assert_refused(&host.run(&CALL).await?, variable);
    }
    // Nor is a line that cannot be read.
    let line = format!("PROXMOX_TOKEN_SECRET {}\n", token.secret);
    let host = sim.host()?.env_remove("PROXMOX_TOKEN_SECRET");
    let host = host.secret(&token.secret).file(".env", &line)?;
    let output = host.run(&CALL).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains(".env"), "{output:?}");
    let host = sim.host()?.env_remove("PROXMOX_TOKEN_SECRET");
    let host = host.secret(&token.secret).file("given.env", &line)?;
    let output = host.arg("--env-file=given.env").run(&CALL).await?;
    assert_refused(&output, "given.env");
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

/// A flag beats the environment, which beats `--env-file`, which beats `.env`.
#[tokio::test]
async fn sources_have_an_order() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let url = sim.url.clone();
    // Nobody listens on the discard port.
    let wrong = "https://127.0.0.1:9";
    let line = |url: &str| format!("PROXMOX_URL={url}\n");

    // Each place works alone.
    let host = || anyhow::Ok(sim.host()?.env_remove("PROXMOX_URL"));
    assert_nodes(&host()?.arg("--url").arg(&url).run(&CALL).await?);
    assert_nodes(&host()?.env("PROXMOX_URL", &url).run(&CALL).await?);
    let given = host()?.file("given.env", &line(&url))?;
    assert_nodes(&given.arg("--env-file").arg("given.env").run(&CALL).await?);
    assert_nodes(&host()?.file(".env", &line(&url))?.run(&CALL).await?);

    // Each place beats the next.
    let flag = host()?.env("PROXMOX_URL", wrong).arg("--url").arg(&url);
    assert_nodes(&flag.run(&CALL).await?);
    let environment = host()?
        .env("PROXMOX_URL", &url)
        .file("given.env", &line(wrong))?
        .arg("--env-file")
        .arg("given.env");
    assert_nodes(&environment.run(&CALL).await?);
    let given = host()?
        .file("given.env", &line(&url))?
        .file(".env", &line(wrong))?
        .arg("--env-file")
        .arg("given.env");
    assert_nodes(&given.run(&CALL).await?);
    // And the wrong one really is wrong.
    let output = host()?.file(".env", &line(wrong))?.run(&CALL).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_dot_env_holds_all_of_it() -> anyhow::Result<()> {
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
    assert_refused(&host.run(&CALL).await?, "absent.env");
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
async fn usage_mistakes_are_told() -> anyhow::Result<()> {
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
async fn a_call_on_the_command_line() -> anyhow::Result<()> {
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
        .run(&["call", "--json", "get_guest", r#"{"vmid":999}"#])
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
        .run(&["call", "--json", "get_guest", r#"{"vmid":5}"#])
        .await?;
    let error: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(error["error"], "invalid-arguments", "{error}");
    assert_eq!(error["problems"][0]["pointer"], "/vmid", "{error}");

    // No such tool.
    let output = sim.host()?.run(&["call", "list_guest", "{}"]).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
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
