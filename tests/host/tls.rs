//! Certificates that are known by their fingerprint.

use anyhow::ensure;
use harness::{HostRunner, Output, Sim, assert_says};
use serde_json::json;

const CALL: [&str; 3] = ["call", "list_nodes", "{}"];

/// A host-runner that trusts no authority but the system's.
fn host(sim: &Sim) -> anyhow::Result<HostRunner> {
    Ok(sim.host()?.env_remove("PROXMOX_CA_FILE"))
}

/// The same, with this as `PROXMOX_FINGERPRINT`.
async fn pinned(sim: &Sim, pins: &str) -> anyhow::Result<Output> {
    host(sim)?.env("PROXMOX_FINGERPRINT", pins).run(&CALL).await
}

/// The call fails, and says each of these things.
fn assert_fails(output: &Output, says: &[&str]) {
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(&output.stderr, says);
}

/// A fingerprint that belongs to no certificate.
fn other_than(fingerprint: &str) -> String {
    let (first, rest) = fingerprint.split_at(1);
    let first = if first == "0" { "1" } else { "0" };
    format!("{first}{rest}")
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted() -> anyhow::Result<()> {
    for options in [Sim::options(), Sim::options().self_signed()] {
        let sim = options.start().await?;
        let pin = sim.fingerprint.clone();
        let other = other_than(&pin);
        for pins in [
            pin.clone(),
            pin.to_lowercase(),
            pin.replace(':', ""),
            format!(" {pin} "),
            format!("{other},{pin}"),
            format!("{pin} {other}"),
            format!("{other}\n{pin}\n"),
        ] {
            pinned(&sim, &pins).await?.assert_succeeds();
        }
        let flag = host(&sim)?.arg(format!("--fingerprint={pin}"));
        flag.run(&CALL).await?.assert_succeeds();
        let token = sim.token("all")?;
        let given = format!(
            "PROXMOX_URL={}\nPROXMOX_TOKEN_ID={}\nPROXMOX_TOKEN_SECRET={}\n\
             PROXMOX_FINGERPRINT='{other}\n{pin}'\n",
            sim.url, token.id, token.secret
        );
        let file = HostRunner::new()?.secret(&token.secret);
        let file = file.private_file("given.env", &given)?;
        file.arg("--env-file=given.env")
            .run(&CALL)
            .await?
            .assert_succeeds();
    }
    Ok(())
}

/// The certificate is for 127.0.0.1 and localhost: that it has another name
/// does not matter either.
#[tokio::test]
async fn a_pinned_certificate_may_have_another_host_name() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let url = format!("https://127.0.0.2:{}", sim.port()?);
    // Whether the simulator listens there depends on the system.
    if tokio::net::TcpStream::connect(("127.0.0.2", sim.port()?))
        .await
        .is_err()
    {
        let listener = tokio::net::TcpListener::bind(("127.0.0.2", sim.port()?)).await?;
        let port = sim.port()?;
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let Ok(mut there) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await
                else {
                    continue;
                };
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                });
            }
        });
    }
    let by_authority = sim.host()?.env("PROXMOX_URL", &url).run(&CALL).await?;
    let says = [
        "not for this host name",
        &sim.fingerprint,
        "PROXMOX_FINGERPRINT",
    ];
    assert_fails(&by_authority, &says);
    let by_pin = host(&sim)?
        .env("PROXMOX_URL", &url)
        .env("PROXMOX_FINGERPRINT", &sim.fingerprint);
    by_pin.run(&CALL).await?.assert_succeeds();
    Ok(())
}

/// Whatever else would vouch for the certificate: pins decide alone.
#[tokio::test]
async fn no_other_certificate_is_accepted() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let other = other_than(&sim.fingerprint);
    let says = ["certificate", &sim.fingerprint, "PROXMOX_FINGERPRINT"];
    assert_fails(&pinned(&sim, &other).await?, &says);
    // Its authority is trusted.
    let trusted = sim.host()?.env("PROXMOX_FINGERPRINT", &other);
    assert_fails(&trusted.run(&CALL).await?, &says);
    // Nothing would be checked.
    let unchecked = host(&sim)?
        .env("PROXMOX_FINGERPRINT", &other)
        .env("PROXMOX_VERIFY_SSL", "false");
    assert_fails(&unchecked.run(&CALL).await?, &says);
    // The token was not sent.
    assert_eq!(sim.served().await?, 0);

    // And the right pin makes it right, without a warning.
    let unchecked = host(&sim)?
        .env("PROXMOX_FINGERPRINT", &sim.fingerprint)
        .env("PROXMOX_VERIFY_SSL", "false");
    unchecked.run(&CALL).await?.assert_succeeds();
    Ok(())
}

#[tokio::test]
async fn a_malformed_pin_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let pin = sim.fingerprint.clone();
    for pins in [
        "AA:BB".to_owned(),
        "nonsense".to_owned(),
        ",".to_owned(),
        format!("{pin}:00"),
        format!("{pin};{pin}"),
        format!("{pin}, AA"),
        // Of SHA-1.
        pin[..59].to_owned(),
    ] {
        let output = pinned(&sim, &pins).await?;
        assert_eq!(output.status, Some(2), "{pins}: {output:?}");
        assert_eq!(output.stdout, "");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert_says(
            &output.stderr,
            &["PROXMOX_FINGERPRINT (", "example: PROXMOX_FINGERPRINT="],
        );
    }
    // The example is a good one.
    let output = pinned(&sim, "AA").await?;
    let (_, example) = output.stderr.rsplit_once("PROXMOX_FINGERPRINT=").unwrap();
    assert_fails(&pinned(&sim, example.trim()).await?, &[&sim.fingerprint]);
    Ok(())
}

/// What is seen can be pasted, once it is compared.
#[tokio::test]
async fn the_error_names_the_fingerprint_that_was_presented() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let line = format!("PROXMOX_FINGERPRINT={}", sim.fingerprint);
    let says = [
        "issuer is not trusted",
        &line,
        "PROXMOX_CA_FILE",
        "Certificates",
    ];
    assert_fails(&host(&sim)?.run(&CALL).await?, &says);

    let unchecked = host(&sim)?.env("PROXMOX_VERIFY_SSL", "false");
    let client = unchecked.connect().await?;
    for _ in 0..3 {
        client.call("list_nodes", json!({})).await?;
    }
    let output = client.finish().await?;
    // However many connections there are.
    ensure!(output.stderr.matches(&line).count() == 1, "{output:?}");
    Ok(())
}
