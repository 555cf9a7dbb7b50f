//! Where the token's secret may come from, and where it never shows up.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use anyhow::Context as _;
use harness::{HostRunner, Sim};
use serde_json::json;

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];
const FILE: &str = "PROXMOX_TOKEN_SECRET_FILE";

/// A host-runner without the secret in its environment. It still must not write it.
fn host(sim: &Sim) -> anyhow::Result<HostRunner> {
    let secret = &sim.token("all")?.secret;
    Ok(sim
        .host()?
        .env_remove("PROXMOX_TOKEN_SECRET")
        .secret(secret))
}

#[tokio::test]
async fn a_secret_is_read_from_a_file() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    for end in ["", "\n", "\r\n"] {
        let host = host(&sim)?.private_file("secret", &format!("{secret}{end}"))?;
        let path = host.directory().join("secret").display().to_string();
        host.env(FILE, path).run(&CALL).await?.assert_succeeds();
    }
    // The variable may itself be in a file.
    let host = HostRunner::new()?
        .secret(&secret)
        .private_file("secret", &secret)?;
    let host = host.file(".env", &format!("{}{FILE}=secret\n", sim.env_lines()?))?;
    host.run(&CALL).await?.assert_succeeds();
    Ok(())
}

#[tokio::test]
async fn a_file_without_a_secret_is_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let example = format!("example: {FILE}=");
    let absent = host(&sim)?.env(FILE, "absent").run(&CALL).await?;
    absent.assert_refused_in_one_line(&[FILE, "absent", "cannot be read", &example]);
    let folder = host(&sim)?.env(FILE, "/").run(&CALL).await?;
    folder.assert_refused_in_one_line(&[FILE, "cannot be read", &example]);
    for content in [
        String::new(),
        "\n".to_owned(),
        format!("{secret} {secret}"),
        format!("{}={secret}", sim.token("all")?.id),
        secret.repeat(1000),
    ] {
        let host = host(&sim)?.private_file("secret", &content)?;
        let output = host.env(FILE, "secret").run(&CALL).await?;
        output.assert_refused_in_one_line(&[FILE, "\"secret\"", &example]);
    }
    Ok(())
}

/// A file that everybody can read is as good as none: this is said, once.
#[tokio::test]
async fn a_file_that_others_can_read_causes_a_warning() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let line = format!("{}PROXMOX_TOKEN_SECRET={secret}\n", sim.env_lines()?);
    for (name, content) in [("secret", secret.clone()), (".env", line)] {
        for (mode, warnings) in [(0o644, 1), (0o602, 1), (0o600, 0), (0o640, 0)] {
            let host = match name {
                ".env" => HostRunner::new()?.secret(&secret),
                _ => host(&sim)?,
            };
            let host = host.file(name, &content)?;
            let path = host.directory().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
            let host = match name {
                ".env" => host,
                name => host.env(FILE, name),
            };
            let output = host.run(&CALL).await?;
            assert_eq!(output.status, Some(0), "{output:?}");
            assert_eq!(output.stderr.lines().count(), warnings, "{output:?}");
            let told = output.stderr.contains(&format!("chmod 600 {name}"));
            assert_eq!(told, warnings == 1, "{output:?}");
        }
    }
    Ok(())
}

/// Within one place no way of giving it has precedence.
#[tokio::test]
async fn two_secrets_from_one_source_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let both = sim.host()?.private_file("secret", &secret)?;
    let output = both.env(FILE, "secret").run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET and", FILE, "environment"]);
    let more = format!("PROXMOX_TOKEN_SECRET={secret}\n{FILE}=secret\n");
    let host = HostRunner::new()?.secret(&secret);
    let output = host
        .private_file(".env", &(sim.env_lines()? + &more))?
        .run(&CALL)
        .await?;
    output.assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET and", FILE, ".env"]);
    // Of two places neither has precedence either.
    let absent = format!("{}{FILE}=absent\n", sim.env_lines()?);
    let given = sim.host()?.private_file("given.env", &absent)?;
    let output = given.arg("--env-file=given.env").run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET", FILE, "given.env", "environment"]);
    Ok(())
}

/// systemd's `LoadCredential=proxmox-token-secret:…`.
#[tokio::test]
async fn a_systemd_credential_is_read() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let with = |content: &str| -> anyhow::Result<HostRunner> {
        let host = host(&sim)?.private_file("proxmox-token-secret", content)?;
        let directory = host.directory().display().to_string();
        Ok(host.env("CREDENTIALS_DIRECTORY", directory))
    };
    with(&format!("{secret}\n"))?
        .run(&CALL)
        .await?
        .assert_succeeds();
    let output = with("")?.run(&CALL).await?;
    output.assert_refused_in_one_line(&["systemd credential proxmox-token-secret"]);
    // It comes last.
    let given = with("wrong")?.env("PROXMOX_TOKEN_SECRET", &secret);
    given.run(&CALL).await?.assert_succeeds();
    // It goes with a file that the operator named, and with no other.
    let with_file = |name: &str| -> anyhow::Result<HostRunner> {
        let host = HostRunner::new()?
            .secret(&secret)
            .private_file(name, &sim.env_lines()?)?;
        let host = host.private_file("proxmox-token-secret", &secret)?;
        let directory = host.directory().display().to_string();
        Ok(host.env("CREDENTIALS_DIRECTORY", directory))
    };
    let named = with_file("given.env")?.arg("--env-file=given.env");
    named.run(&CALL).await?.assert_succeeds();
    with_file(".env")?
        .arg("--dotenv")
        .run(&CALL)
        .await?
        .assert_succeeds();
    let output = with_file(".env")?.run(&CALL).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("--dotenv"), "{output:?}");
    // Another service's credentials are none of ours.
    let host = host(&sim)?.file("other", &secret)?;
    let directory = host.directory().display().to_string();
    let output = host
        .env("CREDENTIALS_DIRECTORY", directory)
        .run(&CALL)
        .await?;
    output.assert_refused_in_one_line(&["PROXMOX_TOKEN_SECRET"]);
    Ok(())
}

/// What the system tells others of a running host-runner.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn other_users_cannot_read_the_secret_from_the_process() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let secret = sim.token("all")?.secret.clone();
    let client = sim.host()?.connect().await?;
    client.call("list_nodes", json!({})).await?;
    let process = client.process_id().context("it has ended")?;
    let read = |name: &str| fs::read_to_string(format!("/proc/{process}/{name}"));
    assert!(!read("cmdline")?.contains(&secret));
    // No core dump is written, and none is handed to a program.
    let limits = read("limits")?;
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let cores: Vec<_> = cores.context("no limit")?.split_whitespace().collect();
    assert_eq!(cores[4..6], ["0", "0"], "{limits}");
    // The environment is readable to root alone, not to its own user.
    let environment = fs::metadata(format!("/proc/{process}/environ"))?;
    assert_eq!(environment.uid(), 0);
    // It starts no process that would inherit the environment.
    assert_eq!(read(&format!("task/{process}/children"))?, "");
    client.finish().await?;
    Ok(())
}
