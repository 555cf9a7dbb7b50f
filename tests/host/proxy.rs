//! The way to Proxmox VE through an HTTP proxy.

use harness::{HostRunner, Proxy, ProxyAnswer, Sim, assert_says};
use serde_json::json;

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];
const PASSWORD: &str = "correct-horse-battery";
/// `ops:` and the password, in base64.
const ENCODED: &str = "b3BzOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";

/// Neither the password nor what the proxy gets instead of it may be written.
fn guarded(host: HostRunner) -> HostRunner {
    host.secret(PASSWORD).secret(ENCODED)
}

fn with_credentials(proxy: &Proxy) -> String {
    format!("http://ops:{PASSWORD}@{}", proxy.address)
}

#[tokio::test]
async fn everything_goes_through_the_proxy_inside_tls() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let proxy = Proxy::start(ProxyAnswer::Connect).await?;
    let host = guarded(sim.host()?).env("PROXMOX_PROXY", with_credentials(&proxy));
    let client = host.arg("--log-level=trace").connect().await?;
    client.call("list_nodes", json!({})).await?;
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    assert_eq!(sim.writes()?.len(), 1);
    client.finish().await?;
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    let target = format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", sim.port()?);
    for head in heads {
        // Nothing else is asked for, and Proxmox's token is not for the proxy.
        assert!(head.starts_with(&target), "{head}");
        let header = format!("Proxy-Authorization: Basic {ENCODED}\r\n");
        assert!(head.contains(&header), "{head}");
        assert!(!head.contains("PVEAPIToken"), "{head}");
    }
    // Pins hold inside.
    let host = sim.host()?.env("PROXMOX_FINGERPRINT", &sim.fingerprint);
    let host = host.env("PROXMOX_PROXY", format!("http://{}", proxy.address));
    host.run(&CALL).await?.assert_succeeds();
    Ok(())
}

#[tokio::test]
async fn the_environment_s_proxy_counts_only_if_it_is_asked_for() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let proxy = Proxy::start(ProxyAnswer::Connect).await?;
    let local = |more: &[(&str, &str)]| -> anyhow::Result<HostRunner> {
        let host = guarded(sim.host()?).env("HTTPS_PROXY", with_credentials(&proxy));
        let host = host.env("ALL_PROXY", "http://127.0.0.1:1");
        Ok(more
            .iter()
            .fold(host, |host, (name, value)| host.env(name, *value)))
    };
    // The simulator is there, too, and this is not a loopback address.
    let url = format!("https://0.0.0.0:{}", sim.port()?);
    let environment = |more: &[(&str, &str)]| -> anyhow::Result<HostRunner> {
        let host = local(more)?.env("PROXMOX_URL", &url);
        Ok(host.env("PROXMOX_FINGERPRINT", &sim.fingerprint))
    };
    environment(&[])?.run(&CALL).await?.assert_succeeds();
    let asked = ("PROXMOX_PROXY", "environment");
    // No proxy connects to this machine, even if no exception says so.
    local(&[asked])?.run(&CALL).await?.assert_succeeds();
    for exception in ["0.0.0.0", "0.0.0.0/8", "*", "example.com, 0.0.0.0"] {
        let host = environment(&[asked, ("NO_PROXY", exception)])?;
        host.run(&CALL).await?.assert_succeeds();
    }
    assert_eq!(proxy.heads(), [""; 0]);
    let host = environment(&[asked, ("NO_PROXY", "example.com,0.0.0.0:1")])?;
    host.run(&CALL).await?.assert_succeeds();
    assert!(!proxy.heads().is_empty());
    let host = environment(&[asked, ("HTTPS_PROXY", "socks5://127.0.0.1:1")])?;
    let output = host.run(&CALL).await?;
    output.assert_refused_in_one_line(&["PROXMOX_PROXY", "HTTPS_PROXY"]);
    Ok(())
}

#[tokio::test]
async fn an_error_says_that_the_proxy_failed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    for (answer, credentials, says) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            false,
            "requires credentials",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<html>",
            true,
            "does not accept the credentials",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            true,
            "does not allow connections to 127.0.0.1:",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", false, "(502)"),
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            false,
            "does not answer with HTTP",
        ),
        ("", false, "closed the connection"),
        ("HTTP/1.1 200 OK\r\n", false, "closed the connection"),
    ] {
        let proxy = Proxy::start(ProxyAnswer::Say(answer)).await?;
        let url = match credentials {
            true => with_credentials(&proxy),
            false => format!("http://{}", proxy.address),
        };
        let host = guarded(sim.host()?).env("PROXMOX_PROXY", url);
        let output = host.arg("--log-level=trace").run(&CALL).await?;
        assert_eq!(output.status, Some(1), "{output:?}");
        assert_says(&output.stderr, &["the proxy", &proxy.address, says]);
        // A change was certainly not made.
        let host = guarded(sim.host()?).env("PROXMOX_PROXY", with_credentials(&proxy));
        let output = host.run(&["call", "stop_guest", "{\"vmid\":103}"]).await?;
        assert_eq!(output.status, Some(1), "{output:?}");
    }
    // Nobody is there.
    let proxy = Proxy::start(ProxyAnswer::Connect).await?;
    let address = proxy.address.clone();
    drop(proxy);
    let host = sim
        .host()?
        .env("PROXMOX_PROXY", format!("http://{address}"));
    let output = host.run(&CALL).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    let says = ["the proxy", &address, "cannot be reached", "refused"];
    assert_says(&output.stderr, &says);
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// A proxy cannot stand in for Proxmox.
#[tokio::test]
async fn a_proxy_that_connects_elsewhere_gets_no_token() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut impostor = Sim::start().await?;
    let proxy = Proxy::start(ProxyAnswer::Divert(impostor.port()?)).await?;
    let host = sim
        .host()?
        .env("PROXMOX_PROXY", format!("http://{}", proxy.address));
    let output = host.run(&CALL).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(&output.stderr, &["certificate", &impostor.fingerprint]);
    assert_eq!(impostor.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_malformed_proxy_is_refused_without_being_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for value in [
        format!("https://ops:{PASSWORD}@proxy.example.com"),
        format!("ops:{PASSWORD}@proxy.example.com:3128"),
        format!("http://ops:{PASSWORD}@proxy.example.com/path"),
        format!("http://ops:{PASSWORD}@"),
    ] {
        let host = guarded(sim.host()?).env("PROXMOX_PROXY", value);
        let output = host.run(&CALL).await?;
        output.assert_refused_in_one_line(&["PROXMOX_PROXY", "http://proxy.example.com:3128"]);
    }
    Ok(())
}
