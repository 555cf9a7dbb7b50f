//! What must hold for any request and any policy file. The fuzzers in `fuzz/`
//! call these functions, and so do the tests, with the fuzzers' seeds.

#![expect(
    clippy::expect_used,
    reason = "a panic is how a fuzzer learns of a mistake"
)]

use super::{ApiRequest, Directory, Method, Policy, PolicyFile, Preset, Resident};

/// A request: a line `METHOD TARGET`, a line with its content type, and its
/// body.
pub fn request(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut text = || lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let (Some(head), content_type) = (text(), text().unwrap_or_default()) else {
        return;
    };
    let body = lines.next().unwrap_or_default();
    let (method, target) = head.split_once(' ').unwrap_or((head, ""));
    let content_type = (!content_type.is_empty()).then_some(content_type);
    let request = ApiRequest::parse(method, target, content_type, body);
    if let Ok(request) = &request {
        check_reading(request);
    }

    let allows = |policy: &Policy| policy.decide(request.as_ref(), &directory()).allowed;
    let [observe, operate, admin] =
        [Preset::Observe, Preset::Operate, Preset::Admin].map(Policy::preset);
    let mut all = admin.clone();
    all.allow = vec!["* /**".parse().expect("a rule for all")];

    // Each preset is a part of the next.
    let presets = [&observe, &operate, &admin, &all].map(allows);
    assert!(presets.is_sorted(), "{presets:?}");

    // What is built in holds however the request is written.
    let reads = lenient_readings(target);
    let form = lenient_form(body);
    if allows(&all) {
        for path in &reads {
            assert_eq!(forbidden(method, path, &form), None, "{method} {path:?}");
        }
    }

    // Who may only read, sends nothing but reads.
    let is_read = |policy: &Policy| !allows(policy) || method == "GET" && body.is_empty();
    let reader = Policy {
        read_only: true,
        ..all.clone()
    };
    assert!(
        is_read(&observe) && is_read(&reader),
        "{method} {target} was let through"
    );

    // Nobody reaches a guest, node or storage outside of a scope.
    let mut scoped = all;
    scoped.scope.vmids = vec![100..=100];
    scoped.scope.nodes = ["pve1".to_owned()].into();
    scoped.scope.storages = ["local".to_owned()].into();
    if allows(&scoped) {
        for (name, value) in &form {
            let mut ids = value.split([',', ';', ' ']).filter(|id| !id.is_empty());
            assert!(
                !matches!(name.as_str(), "vmid" | "newid") || ids.all(|id| id == "100"),
                "{target} {name}={value}"
            );
        }
        for path in &reads {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let ["api2", "json", "nodes", node, rest @ ..] = path.as_slice() else {
                continue;
            };
            assert_eq!(*node, "pve1", "{target}");
            match rest {
                ["qemu" | "lxc"] => {}
                ["qemu" | "lxc", vmid, ..] => assert_eq!(*vmid, "100", "{target}"),
                ["storage", storage, ..] => assert_eq!(*storage, "local", "{target}"),
                _ => {}
            }
        }
    }
}

/// A policy file.
pub fn file(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match PolicyFile::parse(text) {
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error:?}"),
        Ok(file) => {
            let written = file.to_text().expect("what was read can be written");
            let again = PolicyFile::parse(&written).expect("what was written can be read");
            assert_eq!(again, file, "{written}");
            // Flags that say nothing change nothing.
            let same = file.clone().overridden(PolicyFile::default());
            assert_eq!(same, file);
            let _ = file.caps();
            let Ok(policy) = file.policy() else { return };
            assert!(policy.read_only == file.read_only.unwrap_or_default());
            let deletion = ApiRequest::parse("DELETE", "/api2/json/nodes/pve1/qemu/100", None, b"");
            let verdict = policy.decide(deletion.as_ref(), &directory());
            assert!(!verdict.allowed, "{text} lets a guest be deleted");
        }
    }
}

fn directory() -> Directory {
    let resident = |node: &str| Resident {
        node: node.to_owned(),
        ..Resident::default()
    };
    Directory::from([(100, resident("pve1")), (101, resident("pve2"))])
}

/// What was read is plain, and reads the same when it is written again.
fn check_reading(request: &ApiRequest) {
    for segment in &request.segments {
        assert!(
            !segment.is_empty()
                && !matches!(segment.as_str(), "." | "..")
                && !segment.contains(['/', '\\', '%', ';', '?', '#'])
                && segment.chars().all(|c| c.is_ascii_graphic()),
            "{request:?}"
        );
    }
    let target = format!("/api2/json{}", request.path());
    let again = ApiRequest::parse("GET", &target, None, b"").expect("a plain path");
    assert_eq!(again.segments, request.segments);
    let reads = matches!(request.method, Method::Get | Method::Delete);
    let form = "application/x-www-form-urlencoded";
    let body = encode(&request.params);
    let again = if reads {
        let target = format!("{target}?{body}");
        ApiRequest::parse(request.method.as_str(), &target, None, b"")
    } else {
        ApiRequest::parse(
            request.method.as_str(),
            &target,
            Some(form),
            body.as_bytes(),
        )
    };
    assert_eq!(again.as_ref(), Ok(request));
}

fn encode(params: &[(String, String)]) -> String {
    let all = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02X}"))
            .collect::<String>()
    };
    let pairs = params
        .iter()
        .map(|(name, value)| format!("{}={}", all(name), all(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// All that a careless server could take the path for: decoded once or more
/// often, with other slashes, without parameters, tidied up.
fn lenient_readings(target: &str) -> Vec<Vec<String>> {
    let mut readings = Vec::new();
    let mut text = target.as_bytes().to_vec();
    for _ in 0..4 {
        let whole = String::from_utf8_lossy(&text).replace('\\', "/");
        let path = whole.split(['?', '#', '\0']).next().unwrap_or_default();
        for cut in [true, false] {
            let mut segments: Vec<String> = Vec::new();
            for segment in path.split('/') {
                let segment = match segment.split_once(';') {
                    Some((before, _)) if cut => before,
                    _ => segment,
                };
                match segment.trim() {
                    "" | "." => {}
                    ".." => {
                        segments.pop();
                    }
                    plain => segments.push(plain.to_owned()),
                }
            }
            readings.push(segments);
        }
        text = percent_encoding::percent_decode(&text).collect();
    }
    readings
}

/// All that a careless server could take for parameters.
fn lenient_form(body: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &[u8]| {
        let bytes: Vec<u8> = percent_encoding::percent_decode(text).collect();
        String::from_utf8_lossy(&bytes)
            .replace('+', " ")
            .trim()
            .to_owned()
    };
    body.split(|byte| matches!(byte, b'&' | b';'))
        .map(|pair| {
            let mut sides = pair.splitn(2, |byte| *byte == b'=');
            let mut side = || decode(sides.next().unwrap_or_default());
            (side(), side())
        })
        .collect()
}

/// What no request may do, in other words than those of the policy itself.
fn forbidden(method: &str, path: &[String], form: &[(String, String)]) -> Option<&'static str> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let ["api2", "json", path @ ..] = path.as_slice() else {
        return Some("it is not below the API");
    };
    let deletes = method.trim().eq_ignore_ascii_case("DELETE");
    let writes = !method.trim().eq_ignore_ascii_case("GET");
    let on = |value: &str| matches!(value, "1" | "on" | "yes" | "true");
    let set = |wanted: &str| form.iter().any(|(name, value)| name == wanted && on(value));
    match path {
        ["nodes", _, "qemu" | "lxc", _] if deletes => Some("it deletes a guest"),
        ["storage", _] if deletes => Some("it deletes a storage"),
        ["nodes", _, "storage", _, "content", _, ..] if deletes => Some("it deletes a volume"),
        ["access", ..] if writes => Some("it changes rights"),
        [
            "nodes",
            _,
            "execute" | "termproxy" | "vncshell" | "spiceshell",
            ..,
        ] => Some("it opens a shell on a node"),
        ["nodes", _, "qemu" | "lxc"] if writes && set("force") => Some("it overwrites a guest"),
        ["nodes", _, "qemu" | "lxc", _, "config"] if writes => {
            let is_disk = |key: &str| {
                let disks = ["unused", "scsi", "virtio", "mp"];
                let number = disks.iter().find_map(|disk| key.strip_prefix(disk));
                number.is_some_and(|number| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                })
            };
            let removes = |(name, value): &(String, String)| {
                name == "delete" && value.split([',', ';', ' ', '\0', '\n', '\t']).any(is_disk)
            };
            form.iter()
                .any(removes)
                .then_some("it deletes a guest's disk")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn play(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
        let mut played = 0;
        for entry in std::fs::read_dir(folder.join(target)).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            played += 1;
        }
        assert!(played >= 10, "{played} seeds of {target}");
    }

    #[test]
    fn seeds_of_requests() {
        play("request", request);
    }

    #[test]
    fn seeds_of_settings() {
        play("settings", file);
    }

    #[test]
    fn a_deletion_would_be_found() {
        for target in [
            "/api2/json/nodes/pve1/qemu/100",
            "/api2/json/nodes/pve1/qemu/100/status/../",
            "/api2/json/nodes/pve1/%2571emu/100",
            "/api2/json//nodes/./pve1/qemu/100;x?y",
        ] {
            let found = lenient_readings(target)
                .iter()
                .any(|path| forbidden("DELETE", path, &[]) == Some("it deletes a guest"));
            assert!(found, "{target}");
        }
        let form = lenient_form(b"a=1&%66orce=1");
        let path = ["api2", "json", "nodes", "pve1", "qemu"].map(str::to_owned);
        assert!(forbidden("POST", &path, &form).is_some());
    }
}
