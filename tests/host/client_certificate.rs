//! A server in front of Proxmox VE that asks its clients for a certificate.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use harness::{Authority, Gatekeeper, HostRunner, Proxy, ProxyAnswer, Sim, assert_says};
use serde_json::json;

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];

struct Scene {
    sim: Sim,
    authority: Arc<Authority>,
    gatekeeper: Gatekeeper,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let sim = Sim::start().await?;
        let authority = Authority::new()?;
        let gatekeeper = Gatekeeper::start(&authority, sim.port()?, &sim.ca_file).await?;
        Ok(Self {
            sim,
            authority,
            gatekeeper,
        })
    }

    /// A host-runner that goes by the gatekeeper, and has these as its
    /// certificate and key.
    fn host(&self, certificate: &str, key: &str) -> anyhow::Result<HostRunner> {
        let ca_file = self.authority.ca_file().display().to_string();
        self.sim
            .host()?
            .env("PROXMOX_URL", &self.gatekeeper.url)
            .env("PROXMOX_CA_FILE", ca_file)
            .file("client.crt", certificate)?
            .private_file("client.key", key)
    }
}

fn with_files(host: HostRunner) -> HostRunner {
    host.env("PROXMOX_CLIENT_CERT", "client.crt")
        .env("PROXMOX_CLIENT_KEY", "client.key")
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_gets_it() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (certificate, key) = scene.authority.client()?;
    let client = with_files(scene.host(&certificate, &key)?);
    let client = client.connect().await?;
    client.call("list_nodes", json!({})).await?;
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    assert_eq!(scene.sim.writes()?.len(), 1);
    // By flags, and through a proxy.
    let proxy = Proxy::start(ProxyAnswer::Connect).await?;
    let host = scene.host(&certificate, &key)?;
    let host = host.args(["--client-cert=client.crt", "--client-key=client.key"]);
    let host = host.env("PROXMOX_PROXY", format!("http://{}", proxy.address));
    host.run(&CALL).await?.assert_succeeds();
    let target = format!("CONNECT 127.0.0.1:{} ", scene.gatekeeper.port);
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    assert!(
        heads.iter().all(|head| head.starts_with(&target)),
        "{heads:?}"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_right_certificate_the_error_says_what_to_set() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let (certificate, key) = Authority::new()?.client()?;
    for host in [
        scene.host(&certificate, &key)?,
        with_files(scene.host(&certificate, &key)?),
    ] {
        let output = host.run(&CALL).await?;
        assert_eq!(output.status, Some(1), "{output:?}");
        let says = ["client certificate", "PROXMOX_CLIENT_CERT"];
        assert_says(&output.stderr, &says);
    }
    assert_eq!(scene.sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (certificate, key) = scene.authority.client()?;
    let (other, other_key) = scene.authority.client()?;
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (certificate, key, says) in [
        (
            certificate.as_str(),
            other_key.as_str(),
            ["client.key", "is not the key"],
        ),
        (&other, &key, ["client.crt", "is not the key"]),
        (&key, &key, ["client.crt", "no certificate"]),
        (&certificate, &certificate, ["client.key", "no private key"]),
        (&certificate, encrypted, ["client.key", "passphrase"]),
        ("", "", ["client.crt", "no certificate"]),
    ] {
        let output = with_files(scene.host(certificate, key)?).run(&CALL).await?;
        output.assert_refused_in_one_line(&says);
    }
    // Others can read the key.
    let host = with_files(scene.host(&certificate, &key)?);
    let path = host.directory().join("client.key");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    let output = host.run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_CLIENT_KEY", "client.key", "chmod 600"]);
    // One without the other.
    for (given, missing) in [
        ("PROXMOX_CLIENT_CERT", "PROXMOX_CLIENT_KEY"),
        ("PROXMOX_CLIENT_KEY", "PROXMOX_CLIENT_CERT"),
    ] {
        let host = with_files(scene.host(&certificate, &key)?).env_remove(missing);
        let output = host.run(&CALL).await?;
        output.assert_refused_in_one_line(&[missing, "not set"]);
        let host = scene.host(&certificate, &key)?.env(given, "absent.pem");
        host.run(&CALL).await?.assert_refused_in_one_line(&[given]);
    }
    Ok(())
}

/// A `.env` that was found does not say whose key to use at its address.
#[tokio::test]
async fn an_unnamed_dot_env_names_no_key_elsewhere() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (certificate, key) = scene.authority.client()?;
    let elsewhere = tempfile::tempdir()?;
    let path = elsewhere.path().join("client.key");
    std::fs::write(&path, &key)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let token = scene.sim.token("all")?;
    let lines = format!(
        "PROXMOX_URL={}\nPROXMOX_TOKEN_ID={}\nPROXMOX_TOKEN_SECRET={}\nPROXMOX_CA_FILE={}\n\
         PROXMOX_CLIENT_CERT=client.crt\nPROXMOX_CLIENT_KEY=",
        scene.gatekeeper.url,
        token.id,
        token.secret,
        scene.authority.ca_file().display()
    );
    let host = |key_file: &str| -> anyhow::Result<HostRunner> {
        HostRunner::new()?
            .secret(&token.secret)
            .file("client.crt", &certificate)?
            .private_file("client.key", &key)?
            .private_file(".env", &format!("{lines}{key_file}\n"))
    };
    let outside = path.display().to_string();
    let output = host(&outside)?.run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_CLIENT_KEY", "--dotenv"]);
    for host in [host(&outside)?.arg("--dotenv"), host("client.key")?] {
        host.run(&CALL).await?.assert_succeeds();
    }
    Ok(())
}
