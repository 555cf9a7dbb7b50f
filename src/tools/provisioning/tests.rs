//! Tests of what several of these files do together.

use proptest::prelude::*;
use serde_json::json;

use super::appliance::Appliance;
use super::download_iso::check_url;
use super::download_template::known;
use super::image_file::ImageContent;
use super::image_file::{destination, sanitized};
use super::list_templates::{ListTemplates, Template};

fn appliances() -> Vec<Appliance> {
    serde_json::from_value(json!([
        {"template": "debian-13-standard_13.1-2_amd64.tar.zst", "section": "system",
         "version": "13.1-2", "headline": "Debian 13", "type": "lxc", "sha512sum": "00"},
        {"template": "alpine-3.22-default_20250617_amd64.tar.xz", "section": "system"},
    ]))
    .unwrap()
}

#[test]
fn unknown_templates_are_refused_with_the_nearest() {
    let index = appliances();
    assert!(known(&index, "alpine-3.22-default_20250617_amd64.tar.xz", "pve1").is_ok());
    let message = known(&index, "debian-13-standard_13.1-1_amd64.tar.zst", "pve1")
        .unwrap_err()
        .message();
    assert!(message.contains("perhaps debian-13-standard_13.1-2_amd64.tar.zst is meant"));
    let message = known(&[], "x", "pve1").unwrap_err().message();
    assert!(message.contains("pveam update"));
}

#[test]
fn lists_are_cut_and_say_so() {
    let list = |arguments: serde_json::Value| {
        let tool: ListTemplates = serde_json::from_value(arguments).unwrap();
        tool.cut(
            appliances().into_iter().map(Template::from).collect(),
            Vec::new(),
        )
        .0
    };
    assert_eq!(list(json!({})).templates.len(), 2);
    assert_eq!(list(json!({})).hint, None);
    assert_eq!(list(json!({"name": "DEBIAN"})).templates.len(), 1);
    assert_eq!(
        list(json!({"limit": 1})).hint.unwrap(),
        "templates 1-1 of 2 are shown: for the next, set offset to 1, or narrow by source or name"
    );
    assert!(
        list(json!({"name": "plan9"}))
            .hint
            .unwrap()
            .contains("none of 2 templates")
    );
}

fn place(name: &str, content: Option<ImageContent>) -> Option<(String, ImageContent)> {
    destination(&[name], content)
        .ok()
        .map(|place| (place.filename, place.content))
}

#[test]
fn names_tell_the_content() {
    use ImageContent::{Import, Iso, Vztmpl};
    for (name, filename, content) in [
        ("debian-13.iso", "debian-13.iso", Iso),
        ("../../etc/x.iso", "x.iso", Iso),
        ("C:\\images\\my image (1).ISO", "my_image__1_.ISO", Iso),
        ("...hidden.img", "hidden.img", Iso),
        ("a.tar.zst", "a.tar.zst", Vztmpl),
        ("cloud.qcow2", "cloud.qcow2", Import),
        ("x.iso.gz", "x.iso", Iso),
    ] {
        assert_eq!(
            place(name, None),
            Some((filename.into(), content)),
            "{name}"
        );
    }
    for name in [
        "",
        ".iso",
        "..",
        "readme.html",
        "a/b/",
        "x.QCOW2",
        "disk.qcow2.gz",
    ] {
        assert_eq!(place(name, None), None, "{name}");
    }
    assert_eq!(place("cloud.qcow2", Some(Iso)), None);
    assert_eq!(
        destination(&["opn.img.bz2"], None).unwrap().compression,
        Some("bz2")
    );
}

#[test]
fn the_first_usable_name_is_taken() {
    let found = destination(&["download", "debian.iso"], None).unwrap();
    assert_eq!(found.filename, "debian.iso");
    let message = destination(&["", ""], None).unwrap_err().message();
    assert!(message.starts_with("filename: must be given"), "{message}");
    let message = destination(&["x.iso"], Some(ImageContent::Import))
        .unwrap_err()
        .message();
    assert!(message.contains(".qcow2, .raw"), "{message}");
}

proptest! {
    /// Whatever a server calls its file, the name is one that Proxmox
    /// takes, and no path.
    #[test]
    fn any_name(name in any::<String>(), ending in "\\.(iso|img|tar\\.zst|qcow2|iso\\.gz|txt)?") {
        let name = name + &ending;
        if let Ok(place) = destination(&[&name], None) {
            let name = &place.filename;
            prop_assert!(name.len() <= 255 && !name.starts_with('.'));
            prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)));
            prop_assert!(place.content.takes(name));
            // What Proxmox makes of it is what we say that it is called.
            prop_assert_eq!(&sanitized(name), name);
        }
    }

    #[test]
    fn any_url(text in any::<String>()) {
        if let Ok(url) = check_url(&text) {
            prop_assert!(url.as_str().starts_with("http://") || url.as_str().starts_with("https://"));
            prop_assert!(!url.as_str().contains(char::is_control));
        }
    }
}
