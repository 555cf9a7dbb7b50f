//! Images, ISOs and container templates: from the network, and those on storages.

use serde_json::{Value, json};

use crate::api::rights;
use crate::api::storage::volume_json;
use crate::clock::{now, stamp};
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{CONTENT_KIND, STORAGE};
use crate::params::{BOOL, INT, Kind, TEXT, matches_whole, opt, req};
use crate::permission::Permission::{self, All, And, Everyone, Or};
use crate::state::{Cluster, Lines, Volume};
use crate::tasks::Plan;
use pve_api::{Method, calls};

const URL: Kind = TEXT.pattern("https?://.*");
const REACH: Permission = Or(&[
    All("/", &["Sys.Audit", "Sys.Modify"]),
    All("/nodes/{node}", &["Sys.AccessNetwork"]),
]);
const ALGORITHMS: &[&str] = &["md5", "sha1", "sha224", "sha256", "sha384", "sha512"];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::storage::URL_METADATA,
        &[req("url", URL), opt("verify-certificates", BOOL)],
        REACH,
        metadata,
    ),
    on(
        &calls::storage::DOWNLOAD_URL,
        &[
            opt("checksum", TEXT).requires("checksum-algorithm"),
            opt("checksum-algorithm", TEXT.choices(ALGORITHMS)).requires("checksum"),
            opt("compression", TEXT),
            req(
                "content",
                CONTENT_KIND.choices(&["iso", "vztmpl", "import"]),
            ),
            req("filename", TEXT.max_len(255)),
            req("url", URL),
            opt("verify-certificates", BOOL),
        ],
        And(&[
            All("/storage/{storage}", &["Datastore.AllocateTemplate"]),
            REACH,
        ]),
        download,
    ),
    on(&calls::storage::TEMPLATES, &[], Everyone, appliances),
    on(
        &calls::storage::DOWNLOAD_TEMPLATE,
        &[req("storage", STORAGE), req("template", TEXT.max_len(255))],
        All("/storage/{storage}", &["Datastore.AllocateTemplate"]),
        download_appliance,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        &[opt("storage", STORAGE)],
        Everyone,
        show,
    ),
    apart(
        Why::Refused,
        Method::Put,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        &[
            opt("notes", TEXT),
            opt("protected", BOOL),
            opt("storage", STORAGE),
        ],
        Everyone,
        change,
    ),
    apart(
        Why::Refused,
        Method::Delete,
        "/nodes/{node}/storage/{storage}/content/{volume}",
        &[opt("delay", INT.min(1).max(30)), opt("storage", STORAGE)],
        Everyone,
        remove,
    ),
];

/// The name that a URL's file has.
fn file_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Why a URL cannot be had: another host, or another file of a host that is known.
fn unreachable(cluster: &Cluster, url: &str) -> String {
    let host = host_of(url);
    if cluster
        .downloads
        .iter()
        .any(|known| host_of(&known.url) == host)
    {
        return "404 Not Found".into();
    }
    let port = if url.starts_with("https") { 443 } else { 80 };
    let name = host.split(':').next().unwrap_or_default();
    format!("500 Can't connect to {name}:{port} (Name or service not known)")
}

fn metadata(call: &mut Call<'_>) -> Answer {
    let url = call.text("url");
    let known = call.cluster.downloads.iter().find(|known| known.url == url);
    let Some(known) = known else {
        return Err(Fail::die(format!(
            "invalid server response: '{}'",
            unreachable(call.cluster, &url)
        )));
    };
    Ok(json!({"filename": file_of(&known.url), "size": known.size, "mimetype": known.mimetype}))
}

/// Names must tell what they are.
fn fits(content: &str, filename: &str) -> bool {
    match content {
        "iso" => matches_whole(r"[^/]+\.(iso|img|ISO|IMG)", filename),
        "vztmpl" => matches_whole(r"[^/]+\.tar\.(gz|xz|zst|bz2)", filename),
        _ => matches_whole(r"[^/]+\.(ova|qcow2|raw|vmdk)", filename),
    }
}

fn download(call: &mut Call<'_>) -> Answer {
    let (id, node) = (call.text("storage"), call.node());
    let (content, url) = (call.text("content"), call.text("url"));
    let storage = call.cluster.usable_storage(&id, &node)?;
    let Some(path) = storage.path.clone() else {
        return Err(Fail::die(format!(
            "can't upload to storage type '{}', not a file based storage!",
            storage.plugin
        )));
    };
    if !storage.holds(&content) {
        return Err(Fail::die(format!(
            "storage '{id}' is not configured for content-type '{content}'"
        )));
    }
    let given = call.text("filename");
    let filename = cleaned(&given);
    if !fits(&content, &filename) {
        return Err(Fail::param(
            "filename",
            "invalid filename or wrong extension",
        ));
    }
    let folder = match content.as_str() {
        "iso" => "template/iso",
        "vztmpl" => "template/cache",
        _ => "import",
    };
    let file = format!("{path}/{folder}/{filename}");
    let volid = format!("{id}:{content}/{filename}");
    let begun = format!("downloading {url} to {file}");
    if call.cluster.volume(&volid, &node).is_some() {
        let error = format!("refusing to override existing file '{file}'");
        let plan = Plan::new(
            "download",
            &filename,
            move |_: &mut Cluster, lines: &mut Lines| {
                lines.push(begun);
                Err(error)
            },
        );
        return call.start(plan.length(0.0));
    }
    let known = call.cluster.downloads.iter().find(|known| known.url == url);
    let Some(known) = known else {
        let error = unreachable(call.cluster, &url);
        let plan = Plan::new(
            "download",
            &filename,
            move |_: &mut Cluster, lines: &mut Lines| {
                lines.push(begun);
                lines.push(format!("ERROR {error}"));
                Err("download failed: exit code 8".into())
            },
        );
        return call.start(plan.length(0.3));
    };
    let (size, actual) = (known.size, known.sha256.clone());
    let checksum = call.get("checksum").map(str::to_ascii_lowercase);
    let algorithm = call.text("checksum-algorithm");
    let found = Found {
        volid,
        storage: id,
        node,
        content,
        filename: filename.clone(),
        size,
    };
    let at = stamp(now());
    let host = host_of(&url).to_owned();
    let plan = Plan::new(
        "download",
        &filename,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            if let Some(expected) = checksum {
                verify(&algorithm, &expected, &actual, lines)?;
            }
            found.store(cluster);
            lines.push(format!("download of '{url}' to '{file}' finished"));
            Ok(())
        },
    )
    .length(2.0)
    .on_stop("interrupted by signal")
    .line(0.0, begun)
    .line(0.02, format!("--{at}--  {host}"))
    .line(0.04, format!("Connecting to {host}... connected."))
    .line(0.06, "HTTP request sent, awaiting response... 200 OK")
    .line(0.08, format!("Length: {size}"));
    call.start(with_progress(plan, size))
}

/// A file's name as PVE stores it: spaces and the like become underscores, and folders are
/// dropped.
fn cleaned(given: &str) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+') {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// Compares checksums. Only SHA-256 sums are known here; another algorithm is taken on trust.
fn verify(algorithm: &str, expected: &str, actual: &str, lines: &mut Lines) -> Result<(), String> {
    lines.push(format!("calculating checksum...with {algorithm}"));
    if algorithm == "sha256" && expected != actual {
        lines.push(format!(
            "checksum mismatch: got '{actual}' != expect '{expected}'"
        ));
        return Err("checksum mismatch: got '".to_owned()
            + actual
            + "' != expect '"
            + expected
            + "'");
    }
    lines.push("OK, checksum verified");
    Ok(())
}

/// Adds the lines that wget logs on its way.
fn with_progress(mut plan: Plan, size: u64) -> Plan {
    for percent in [25u32, 50, 75, 100] {
        plan = plan.line(
            f64::from(percent) / 105.0,
            format!(
                "{:>6}K ........ ........ {percent}% 43.7M",
                size / 102_400 * u64::from(percent)
            ),
        );
    }
    plan
}

/// A file that a download brings.
#[derive(Clone)]
struct Found {
    volid: String,
    storage: String,
    node: String,
    content: String,
    filename: String,
    size: u64,
}

impl Found {
    fn store(self, cluster: &mut Cluster) {
        let shared = cluster
            .storage(&self.storage)
            .is_some_and(|storage| storage.shared);
        let (content, format) = match self.content.as_str() {
            "iso" => ("iso", "iso".to_owned()),
            "vztmpl" => {
                let packed = self.filename.rsplit('.').next().unwrap_or_default();
                ("vztmpl", format!("t{packed}"))
            }
            _ => (
                "import",
                self.filename
                    .rsplit('.')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
        };
        cluster.volumes.push(Volume {
            volid: self.volid,
            storage: self.storage,
            node: (!shared).then_some(self.node),
            content,
            format,
            size: self.size,
            used: self.size,
            ctime: now(),
            vmid: None,
            notes: None,
            protected: false,
            parent: None,
            archive: None,
        });
    }
}

fn appliances(call: &mut Call<'_>) -> Answer {
    let entry = |appliance: &crate::state::Appliance| {
        json!({
            "template": appliance.template,
            "package": appliance.template.split('_').next().unwrap_or_default(),
            "section": appliance.section,
            "os": appliance.os,
            "version": appliance.version,
            "headline": appliance.headline,
            "description": appliance.headline,
            "type": "lxc",
            "architecture": "amd64",
            "source": format!("https://appliances.example.org/{}", appliance.section),
            "location": format!("https://appliances.example.org/{}/{}", appliance.section, appliance.template),
            "infopage": "https://appliances.example.org/",
            "sha512sum": "0",
            "maintainer": "Appliance Team <team@example.org>",
            "manageurl": Value::Null,
        })
    };
    Ok(call.cluster.appliances.iter().map(entry).collect())
}

fn download_appliance(call: &mut Call<'_>) -> Answer {
    let (id, node, template) = (call.text("storage"), call.node(), call.text("template"));
    let known = call
        .cluster
        .appliances
        .iter()
        .find(|known| known.template == template);
    let Some(known) = known else {
        return Err(Fail::param("template", "no such template"));
    };
    let size = known.size;
    let storage = call.cluster.usable_storage(&id, &node)?;
    if !storage.holds("vztmpl") {
        return Err(Fail::die(format!("unknown template storage '{id}'")));
    }
    let path = storage.path.clone().unwrap_or_default();
    let found = Found {
        volid: format!("{id}:vztmpl/{template}"),
        storage: id,
        node,
        content: "vztmpl".into(),
        filename: template.clone(),
        size,
    };
    let begun = format!(
        "downloading https://appliances.example.org/{template} to {path}/template/cache/{template}"
    );
    let plan = Plan::new(
        "download",
        &template,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            if cluster.volume(&found.volid, &found.node).is_some() {
                // A template that is there and whole is not fetched again.
                lines.push("OK, got correct file already, no need to download");
                return Ok(());
            }
            lines.push("calculating checksum...OK, checksum verified");
            found.store(cluster);
            Ok(())
        },
    );
    call.start(plan.length(1.5).line(0.0, begun))
}

/// A volume as the path names it; `local:iso/x.iso` and `iso/x.iso` are the same.
struct Named {
    volid: String,
    content: String,
    /// The guest that its name tells.
    vmid: Option<u32>,
}

fn named(call: &Call<'_>) -> Result<Named, Fail> {
    let (id, given) = (call.text("storage"), call.text("volume"));
    let name = match given.split_once(':') {
        Some((storage, name)) if storage == id => name.to_owned(),
        Some((storage, _)) => {
            return Err(Fail::param(
                "volume",
                format!("storage ID mismatch ({storage} != {id})\n"),
            ));
        }
        None => given,
    };
    let volid = format!("{id}:{name}");
    let content = call
        .cluster
        .volume(&volid, &call.node())
        .map(|volume| volume.content.to_owned());
    let content = content.unwrap_or_else(|| match name.split_once('/') {
        Some((folder @ ("iso" | "vztmpl" | "import" | "snippets" | "backup"), _)) => folder.into(),
        _ => "images".into(),
    });
    let vmid = match content.as_str() {
        "backup" => name.split('-').nth(2),
        "images" | "rootdir" => name
            .split(['-', '/'])
            .find(|part| part.parse::<u32>().is_ok()),
        _ => None,
    };
    Ok(Named {
        vmid: vmid.and_then(|vmid| vmid.parse().ok()),
        volid,
        content,
    })
}

/// Whether the token may use a volume, as `check_volume_access` has it.
fn check_access(call: &Call<'_>, named: &Named) -> Result<(), Fail> {
    let path = format!("/storage/{}", call.text("storage"));
    match (named.content.as_str(), named.vmid) {
        ("backup", Some(vmid)) => {
            call.require(&path, "Datastore.AllocateSpace")?;
            call.require(&format!("/vms/{vmid}"), "VM.Backup")
        }
        ("images" | "rootdir", Some(vmid)) if !call.may(&path, "Datastore.Allocate") => {
            call.require(&format!("/vms/{vmid}"), "VM.Config.Disk")
        }
        _ => rights::check_read(call, &call.text("storage")),
    }
}

/// The volume of the path, if the token may use it.
fn volume(call: &Call<'_>) -> Result<Volume, Fail> {
    let named = named(call)?;
    let (id, node) = (call.text("storage"), call.node());
    call.cluster.usable_storage(&id, &node)?;
    check_access(call, &named)?;
    let volume = call.cluster.volume(&named.volid, &node).cloned();
    volume.ok_or_else(|| {
        Fail::die(format!(
            "volume_size_info on '{}' failed - no format",
            named.volid
        ))
    })
}

fn show(call: &mut Call<'_>) -> Answer {
    let volume = volume(call)?;
    let path = call
        .cluster
        .storage(&volume.storage)
        .and_then(|storage| storage.path.clone())
        .unwrap_or_else(|| "/dev".into());
    let mut entry = volume_json(&volume);
    if let Some(fields) = entry.as_object_mut() {
        for key in ["volid", "content", "ctime", "vmid", "subtype", "parent"] {
            fields.remove(key);
        }
        fields.insert("used".into(), json!(volume.used));
        fields.insert(
            "path".into(),
            json!(format!(
                "{path}/{}",
                volume.volid.split_once(':').map_or("", |(_, name)| name)
            )),
        );
    }
    Ok(entry)
}

fn change(call: &mut Call<'_>) -> Answer {
    let volume = volume(call)?;
    if volume.content != "backup" {
        return Err(Fail::die(if call.has("notes") {
            "only backups can have notes"
        } else {
            "only backups support attribute 'protected'"
        }));
    }
    let notes = call.get("notes").map(str::to_owned);
    let protected = call.has("protected").then(|| call.flag("protected"));
    for known in call
        .cluster
        .volumes
        .iter_mut()
        .filter(|known| known.volid == volume.volid)
    {
        if notes.is_some() {
            known.notes.clone_from(&notes);
        }
        known.protected = protected.unwrap_or(known.protected);
    }
    Ok(Value::Null)
}

/// A volume that is not there is removed with success.
fn remove(call: &mut Call<'_>) -> Answer {
    let named = named(call)?;
    let (id, node) = (call.text("storage"), call.node());
    call.cluster.usable_storage(&id, &node)?;
    if named.content == "backup" && named.vmid.is_some() {
        check_access(call, &named)?;
    } else {
        call.require(&format!("/storage/{id}"), "Datastore.Allocate")?;
    }
    let id = named.volid;
    let task = crate::digest::sha1_hex(&id);
    let known = call.cluster.volume(&id, &node);
    if known.is_some_and(|volume| volume.protected) {
        let (storage, name) = id.split_once(':').unwrap_or_default();
        let why = format!("cannot remove protected volume '{name}' on '{storage}'");
        return call.start(Plan::failing("imgdel", task, why));
    }
    let used = call.cluster.guests.values().find(|guest| {
        guest
            .disks()
            .any(|(_, value)| crate::state::volid(value) == Some(&id))
    });
    if let Some(guest) = used {
        return Err(Fail::die(format!(
            "Cannot remove image, a guest with VMID '{}' exists!\nYou can delete the image from the guest's hardware pane",
            guest.vmid
        )));
    }
    let plan = Plan::new(
        "imgdel",
        task,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            cluster.volumes.retain(|known| known.volid != id);
            lines.push(format!("Removed volume '{id}'"));
            Ok(())
        },
    );
    call.start(plan.length(0.3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_must_match_the_content() {
        assert!(
            fits("iso", "debian.iso")
                && !fits("iso", "debian.qcow2")
                && !fits("iso", "../x/debian.iso")
        );
        assert!(fits("vztmpl", "alpine.tar.xz") && !fits("vztmpl", "alpine.zip"));
        assert!(fits("import", "cloud.qcow2"));
        assert_eq!(file_of("https://h.example/a/b.iso?x=1"), "b.iso");
    }
}
