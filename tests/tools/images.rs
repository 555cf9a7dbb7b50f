//! Downloads: of images from a URL, of container templates from the index.

use harness::{Sim, assert_says};
use serde_json::json;

const TEST_ISO: &str = "http://192.0.2.11:8099/test.iso";
const DEBIAN: &str = "https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso";
const DEBIAN_SHA256: &str = "677c4d57aa034dc192b5191870141057574c1b05df2b9569c0ee08aa4e32125d";

#[tokio::test]
async fn a_downloaded_image_is_listed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "download_iso",
            json!({ "url": DEBIAN, "storage": "local",
                "checksum": DEBIAN_SHA256.to_uppercase(), "checksum_algorithm": "sha256" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["volid"], "local:iso/debian-13.2.0-amd64-netinst.iso");
    assert_says(&report["action"].to_string(), &["784 MiB"]);
    assert!(report.get("warnings").is_none(), "{report:#}");
    // The only storage that holds such content is chosen automatically.
    let report = client
        .call(
            "download_iso",
            json!({ "url": "https://cdimage.example.org/images/debian-13-generic-amd64.qcow2",
                "verify_certificates": false }),
        )
        .await?;
    assert_eq!(
        report["volid"],
        "local:import/debian-13-generic-amd64.qcow2"
    );
    // A name with a path and blanks is made plain, and the report says so.
    let report = client
        .call(
            "download_iso",
            json!({ "url": TEST_ISO, "storage": "local", "filename": "../../my test.iso" }),
        )
        .await?;
    assert_eq!(report["volid"], "local:iso/my_test.iso");
    assert_says(
        &report["warnings"].to_string(),
        &["stored as my_test.iso", "without a checksum"],
    );
    let report = client
        .call(
            "download_iso",
            json!({ "storage": "nas", "node": "pve1",
                "url": "https://cdimage.example.org/rootfs/alpine-3.22-default_20251001_amd64.tar.xz" }),
        )
        .await?;
    assert_eq!(
        report["volid"],
        "nas:vztmpl/alpine-3.22-default_20251001_amd64.tar.xz"
    );
    let list = client
        .call(
            "list_storage_content",
            json!({ "content": "iso", "name": "my_test" }),
        )
        .await?;
    assert_says(&list.to_string(), &["local:iso/my_test.iso"]);
    let request = &sim.sent("POST")?[1];
    assert_eq!(request["params"]["verify-certificates"], "0", "{request:#}");
    Ok(())
}

#[tokio::test]
async fn an_impossible_download_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "url": TEST_ISO, "storage": "local" }),
            &["local:iso/test.iso already exists", "another filename"][..],
        ),
        (
            json!({ "url": TEST_ISO }),
            &["/storage", "local (", "nas ("],
        ),
        (
            json!({ "url": TEST_ISO, "storage": "bulk" }),
            &["bulk is not set up to hold ISO images"],
        ),
        (
            json!({ "url": TEST_ISO, "storage": "local", "node": "pve2" }),
            &["pve2 is offline", "pve1"],
        ),
        (
            json!({ "url": TEST_ISO, "storage": "local", "content": "import" }),
            &["/filename", ".qcow2"],
        ),
        (
            json!({ "url": "http://192.0.2.11:8099/nope.iso", "storage": "local" }),
            &["pve1 cannot fetch the URL", "404 Not Found"],
        ),
        (
            json!({ "url": "https://nowhere.example/x.iso", "storage": "local" }),
            &["cannot fetch the URL", "nowhere.example"],
        ),
    ] {
        let text = client.error("download_iso", arguments).await?;
        assert_says(&text, words);
    }
    for (arguments, words) in [
        (
            json!({ "template": "debian-13-standard_13.1-1_amd64.tar.zst", "storage": "local" }),
            &[
                "perhaps debian-13-standard_13.1-2_amd64.tar.zst",
                "list_templates",
                "pveam update",
            ][..],
        ),
        (
            json!({ "template": "alpine-3.22-default_20250617_amd64.tar.xz", "storage": "nas" }),
            &["nas:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz is already on node pve1"],
        ),
        (
            json!({ "template": "debian-13-standard_13.1-2_amd64.tar.zst" }),
            &["/storage", "several storages can hold container templates"],
        ),
    ] {
        let text = client.error("download_template", arguments).await?;
        assert_says(&text, words);
    }
    assert!(sim.sent("POST")?.is_empty());

    let before = sim.served().await?;
    for (arguments, words) in [
        (
            json!({ "url": "ftp://x/a.iso" }),
            &["/url", "HTTP or HTTPS"][..],
        ),
        (json!({ "url": "file:///etc/passwd" }), &["/url"]),
        (json!({ "url": "a.iso" }), &["/url", "whole address"]),
        (
            json!({ "url": "https://me:hush@x.example/a.iso" }),
            &["/url", "password"],
        ),
        (
            json!({ "url": DEBIAN, "checksum": "00", "checksum_algorithm": "sha256" }),
            &["/checksum", "64 hexadecimal digits"],
        ),
        (
            json!({ "url": DEBIAN, "checksum": DEBIAN_SHA256 }),
            &["/checksum_algorithm"],
        ),
        (
            json!({ "url": DEBIAN, "checksum_algorithm": "md5" }),
            &["/checksum"],
        ),
        (
            json!({ "url": DEBIAN, "checksum": "00", "checksum_algorithm": "crc" }),
            &["/checksum_algorithm", "sha512"],
        ),
        (
            json!({ "url": DEBIAN, "filename": "x.exe" }),
            &["/filename", "ending"],
        ),
        (
            json!({ "url": DEBIAN, "filename": "..", "content": "iso" }),
            &["/filename"],
        ),
        (json!({ "url": DEBIAN, "node": "a/b" }), &["/node"]),
        (json!({ "url": DEBIAN, "storage": "a/b" }), &["/storage"]),
        (
            json!({ "url": DEBIAN, "content": "backup" }),
            &["/content", "vztmpl"],
        ),
    ] {
        let text = client.error("download_iso", arguments).await?;
        assert_says(&text, words);
        assert!(!text.contains("hush"), "{text}");
    }
    client
        .error("download_template", json!({ "template": "" }))
        .await?;
    assert_eq!(sim.served().await?, before);
    Ok(())
}

#[tokio::test]
async fn missing_privileges_failed_tasks_and_cut_connections_are_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let auditor = sim.host_with("audit")?.connect().await?;
    let text = auditor
        .error("download_iso", json!({ "url": DEBIAN, "storage": "local" }))
        .await?;
    assert_says(&text, &["lacks"]);
    let template =
        json!({ "template": "debian-13-standard_13.1-2_amd64.tar.zst", "storage": "local" });
    let text = auditor.error("download_template", template.clone()).await?;
    assert_says(&text, &["Datastore.AllocateTemplate"]);
    let client = sim.host()?.connect().await?;
    let text = client
        .error(
            "download_iso",
            json!({ "url": DEBIAN, "storage": "local", "checksum": "0".repeat(64),
                "checksum_algorithm": "sha256" }),
        )
        .await?;
    assert_says(&text, &["checksum mismatch", "was discarded", "UPID:pve1:"]);
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/download-url$" }))
        .await?;
    let text = client
        .error("download_iso", json!({ "url": DEBIAN, "storage": "local" }))
        .await?;
    assert_says(&text, &["may have happened all the same", "task list"]);
    let report = client.call("download_template", template).await?;
    assert_eq!(
        report["volid"],
        "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
    );
    Ok(())
}
