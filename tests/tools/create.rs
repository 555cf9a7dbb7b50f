//! New VMs and containers.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

const TEMPLATE: &str = "debian-13-standard";
const IMAGE: &str = "https://cdimage.example.org/images/debian-13-generic-amd64.qcow2";

#[tokio::test]
async fn a_vm_is_made_from_an_iso_image() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    let arguments = json!({ "name": "web09", "iso": iso, "node": "pve1", "storage": "local",
        "disk_size": "1G", "memory_mib": 512, "tags": ["ai"], "start": true });
    let mut preview = arguments.clone();
    preview["preview"] = json!(true);
    let report = client.call("create_vm", preview).await?;
    assert_eq!(report["status"], "preview", "{report:#}");
    assert_says(&report["changes"].to_string(), &["scsi0", "start the VM"]);
    assert!(sim.writes()?.is_empty());
    let report = client.call("create_vm", arguments).await?;
    assert_says(&report["status"].to_string(), &["done"]);
    assert_says(
        &report["next_step"].to_string(),
        &["get_console_url", "web interface removes"],
    );
    let vmid = report["vmid"].as_u64().unwrap_or_default();
    let guest = sim.guest(vmid).await?;
    assert_eq!(guest["config"]["scsihw"], "virtio-scsi-single", "{guest:#}");
    assert_says(&guest["config"]["ide2"].to_string(), &[&iso]);
    assert_eq!(guest["config"]["boot"], "order=scsi0;ide2;net0");
    assert_eq!(sim.sent_to("POST", "/status/start")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_vm_is_made_from_a_cloud_image() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "download_iso",
            json!({ "url": IMAGE, "node": "pve1", "storage": "local" }),
        )
        .await?;
    let report = client
        .call(
            "create_vm",
            json!({ "name": "web10", "image": report["volid"], "node": "pve1", "storage": "local",
                "disk_size": "20G", "user": "debian", "ipv4": "192.0.2.10/24",
                "ipv4_gateway": "192.0.2.1" }),
        )
        .await?;
    // Nobody can log in without a key.
    assert_eq!(report["status"], "done_with_warnings", "{report:#}");
    assert_says(&report["warnings"].to_string(), &["set_cloud_init"]);
    let guest = sim
        .guest(report["vmid"].as_u64().unwrap_or_default())
        .await?;
    let config = &guest["config"];
    assert_says(&config["scsi0"].to_string(), &["size=20G"]);
    assert_says(&config["scsi1"].to_string(), &["cloudinit", "media=cdrom"]);
    assert_eq!(
        config["ipconfig0"], "ip=192.0.2.10/24,gw=192.0.2.1",
        "{guest:#}"
    );
    assert_eq!(config["ciuser"], "debian");
    assert_eq!(config["serial0"], "socket");
    let report = client
        .call(
            "set_cloud_init",
            json!({ "vmid": report["vmid"], "password": "hush-hush" }),
        )
        .await?;
    assert_says(&report["status"].to_string(), &["done"]);
    Ok(())
}

#[tokio::test]
async fn a_container_is_made_from_a_template() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let template = client.first_volume("pve1", "vztmpl").await?;
    let file = template.rsplit('/').next().unwrap_or_default();
    let report = client
        .call(
            "create_container",
            json!({ "name": "ct09", "template": file, "node": "pve1", "storage": "local",
                "disk_size": "1G", "ipv4": "192.0.2.19/24", "ipv4_gateway": "192.0.2.1",
                "password": "hush-hush", "start": true }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert!(!report.to_string().contains("hush-hush"), "{report:#}");
    let guest = sim
        .guest(report["vmid"].as_u64().unwrap_or_default())
        .await?;
    assert_says(
        &guest["config"]["net0"].to_string(),
        &["ip=192.0.2.19/24", "name=eth0"],
    );
    assert_eq!(guest["config"]["features"], "nesting=1", "{guest:#}");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_named_before_anything_is_made() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    for (change, says) in [
        (json!({ "new_vmid": 100 }), "taken"),
        (json!({ "iso": "local:iso/nothing.iso" }), "nothing.iso"),
        (json!({ "bridge": "vmbr77" }), "bridge"),
        (json!({ "storage": "nosuch" }), "nosuch"),
        (json!({ "disk_size": "900T" }), "free"),
    ] {
        let mut arguments = json!({ "name": "web11", "iso": iso, "node": "pve1",
            "storage": "local" });
        for (name, value) in change.as_object().into_iter().flatten() {
            arguments[name] = value.clone();
        }
        let error = client.error("create_vm", arguments).await?;
        assert_says(&error, &[says]);
    }
    let error = client
        .error(
            "create_container",
            json!({ "name": "ct10", "template": "nothing.tar.zst", "node": "pve1",
                "storage": "local" }),
        )
        .await?;
    assert_says(&error, &["appliance index", "list_templates"]);
    assert_eq!(sim.writes()?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn a_policy_limits_new_guests() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let policy = "[limits]\nmax_new_guests_per_hour = 1\nmax_memory_mib = 1024\n";
    let host = sim.host()?.file("policy.toml", policy)?;
    let client = host.args(["--policy", "policy.toml"]).connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    let vm = |memory_mib: u32| {
        json!({ "name": "web12", "iso": iso, "node": "pve1", "storage": "local",
            "disk_size": "1G", "memory_mib": memory_mib })
    };
    let error = client.error("create_vm", vm(2048)).await?;
    assert_says(&error, &["1024 MiB", "limits"]);
    client.call("create_vm", vm(512)).await?;
    let error = client.error("create_vm", vm(512)).await?;
    assert_says(&error, &["1 new guest per hour"]);
    // The product of cores and sockets counts, so a change names both.
    let host = sim
        .host()?
        .file("policy.toml", "[limits]\nmax_cores = 2\n")?;
    let client = host.args(["--policy", "policy.toml"]).connect().await?;
    let change = |cores: u32| json!({ "vmid": 9000, "cores": cores });
    client.call("set_guest_resources", change(2)).await?;
    let error = client.error("set_guest_resources", change(3)).await?;
    assert_says(&error, &["2 CPUs", "limits"]);
    Ok(())
}

/// The request does not show how large an image is, so the host asks.
#[tokio::test]
async fn an_image_counts_towards_the_limit_of_disks() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim
        .host()?
        .file("policy.toml", "[limits]\nmax_disk_gib = 1\n")?;
    let client = host.args(["--policy", "policy.toml"]).connect().await?;
    let image = client
        .call(
            "download_iso",
            json!({ "url": IMAGE, "node": "pve1", "storage": "local" }),
        )
        .await?;
    let before = sim.requests()?.len();
    let report = client
        .call(
            "create_vm",
            json!({ "name": "web13", "image": image["volid"], "node": "pve1",
                "storage": "local" }),
        )
        .await?;
    assert!(report["vmid"].is_number(), "{report:#}");
    let asked = sim.requests()?.split_off(before);
    let of_image = |one: &&Value| {
        one["path"]
            .as_str()
            .is_some_and(|path| path.contains("/content/local"))
    };
    assert_eq!(asked.iter().filter(of_image).count(), 1, "{asked:#?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_template_is_downloaded_first() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let mut arguments = json!({ "name": "ct11", "template": TEMPLATE, "node": "pve1",
        "storage": "local", "disk_size": "1G", "password": "hush-hush" });
    let error = client.error("create_container", arguments.clone()).await?;
    assert_says(&error, &["password", "download_template"]);
    arguments.as_object_mut().into_iter().for_each(|all| {
        all.remove("password");
    });
    let mut preview = arguments.clone();
    preview["preview"] = json!(true);
    let report = client.call("create_container", preview).await?;
    assert_says(
        &report["changes"].to_string(),
        &["download", TEMPLATE, "privileges present"],
    );
    assert_eq!(sim.writes()?, Vec::<Value>::new());
    arguments["start"] = json!(true);
    let report = client.call("create_container", arguments.clone()).await?;
    assert_says(&report["status"].to_string(), &["done"]);
    assert_says(&report["next_step"].to_string(), &["web interface removes"]);
    assert_eq!(sim.sent_to("POST", "/aplinfo")?.len(), 1);
    assert_eq!(sim.sent_to("POST", "/status/start")?.len(), 1);
    // It is there now.
    arguments["name"] = json!("ct12");
    client.call("create_container", arguments).await?;
    assert_eq!(sim.sent_to("POST", "/aplinfo")?.len(), 1);
    Ok(())
}

/// Without VM.Config.HWType, Proxmox refuses a controller and a serial port.
#[tokio::test]
async fn the_plan_names_missing_privileges() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host_with("audit")?.connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    let report = client
        .call(
            "create_vm",
            json!({ "name": "web14", "iso": iso, "node": "pve1", "storage": "local",
                "preview": true }),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &[
            "VM.Allocate on /vms",
            "Datastore.AllocateSpace on /storage/local",
        ],
    );
    assert_says(
        &report["changes"].to_string(),
        &["virtio0", "privileges missing"],
    );
    Ok(())
}
