//! The reviewed lines with unsafe code. There are no others.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// The lines with the keyword.
const UNSAFE: [(&str, &str); 26] = [
    // Machine code is loaded that is part of the program, and becomes executable.
    (
        "host-runner/core/src/engine/machine_code.rs",
        "unsafe { Component::deserialize_raw(engine, code) }",
    ),
    (
        "host-runner/core/src/engine/machine_code.rs",
        "unsafe { Component::deserialize(engine, code) }",
    ),
    (
        "host-runner/core/src/engine/machine_code.rs",
        "unsafe { mprotect(code.cast_mut().cast(), length, flags) }?;",
    ),
    // Calls of Windows, each with memory that outlives it.
    (
        "host-runner/core/src/system/windows/native.rs",
        "unsafe { LocalFree(self.0.cast()) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { descriptor_of(read, SDDL_REVISION_1, write, null_mut()) })?;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { text_of(read, SDDL_REVISION_1, OWNER_AND_LIST, write, null_mut()) })?;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "Ok(unsafe { wide(made.0) }.to_string_lossy().into_owned())",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let code = unsafe { security(handle, kind, what, owner, group, list, audit, write) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let token = unsafe { OwnedHandle::from_raw_handle(token) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { GetTokenInformation(handle, TokenUser, write, size, &raw mut used) })?;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { ConvertSidToStringSidW((*user).User.Sid, &raw mut text) })?;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "Ok(unsafe { wide(text.0) }.to_string_lossy().into_owned())",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let process = unsafe { GetCurrentProcess() };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { SetKernelObjectSecurity(handle, what, descriptor.0.0) })",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "match checked(unsafe { LockFileEx(handle, flags, 0, 1, 0, &raw mut place) }) {",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "checked(unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) })",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "unsafe { SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let read = unsafe { GetThreadTimes(GetCurrentThread(), from, to, kernel, user) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let read = unsafe { GetProcessTimes(GetCurrentProcess(), from, to, kernel, user) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let code = unsafe { SHGetKnownFolderPath(&FOLDERID_ProgramFiles, 0, null_mut(), write) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "0 => Ok(PathBuf::from(unsafe { wide(path) })),",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "unsafe { CoTaskMemFree(path.cast()) };",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "unsafe fn wide(text: *const u16) -> OsString {",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "let is_text = |at: &usize| unsafe { *text.add(*at) } != 0;",
    ),
    (
        "host-runner/core/src/system/windows/native.rs",
        "OsString::from_wide(unsafe { std::slice::from_raw_parts(text, length) })",
    ),
];

/// The files where the lint is lifted: there, and in what wit-bindgen writes.
const LIFTED: [&str; 10] = [
    "adapters/act/src/bindings.rs",
    "adapters/environment/src/bindings.rs",
    "adapters/http/src/bindings.rs",
    "adapters/typed/src/bindings.rs",
    "adapters/wasmcp/src/bindings.rs",
    "host-runner/core/src/engine/machine_code.rs",
    "host-runner/core/src/system/windows/native.rs",
    "src/component.rs",
    "tests/hostile/examples/sockets.rs",
    "tests/hostile/src/component.rs",
];

/// The crates in which it cannot be lifted.
const FORBIDDEN: [&str; 15] = [
    "adapters/act/src/lib.rs",
    "adapters/common/src/lib.rs",
    "adapters/environment/src/lib.rs",
    "adapters/http/src/lib.rs",
    "adapters/typed/src/lib.rs",
    "adapters/wasmcp/src/lib.rs",
    "host-runner/policy/src/lib.rs",
    "host-runner/src/main.rs",
    "pve-api/src/lib.rs",
    "pve-sim/src/lib.rs",
    "pve-sim/src/main.rs",
    "src/lib.rs",
    "tests/harness/src/lib.rs",
    "xtask/floor/src/main.rs",
    "xtask/src/main.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All Rust files of the checkout, by their path in it.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, files);
                }
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(root(), &mut files);
    files.sort();
    let this = Path::new(file!()).file_name().unwrap();
    files
        .iter()
        .filter(|path| path.file_name().unwrap() != this)
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap();
            let name = name.to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Whether a line has the keyword: alone, and not in quotes or a comment.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("unsafe").any(|(at, word)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_\"'".contains(c));
        !joins(before) && !joins(after)
    })
}

#[test]
fn unsafe_code_is_where_it_was_reviewed() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} files", sources.len());
    let found: Vec<(&str, &str)> = sources
        .iter()
        .flat_map(|(name, text)| text.lines().map(move |line| (name.as_str(), line)))
        .filter(|(_, line)| is_unsafe(line))
        .map(|(name, line)| (name, line.trim()))
        .collect();
    assert_eq!(found, UNSAFE);
}

#[test]
fn the_lint_is_lifted_where_it_was_reviewed() {
    let lifts = |text: &str| {
        let rest = text.replace("forbid(unsafe_code)", "");
        rest.lines().any(|line| {
            line.split("//")
                .next()
                .unwrap_or_default()
                .contains("unsafe_code")
        })
    };
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| lifts(text))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, LIFTED);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("\nunsafe_code = \"deny\"\n"));
    for name in FORBIDDEN {
        let text = fs::read_to_string(root().join(name)).unwrap();
        assert!(text.contains("forbid(unsafe_code)"), "{name}");
    }
}

#[test]
fn the_keyword_is_recognised() {
    for line in [
        "unsafe { x() }",
        "    unsafe fn f()",
        "#[unsafe(no_mangle)]",
        "let a = unsafe{",
    ] {
        assert!(is_unsafe(line), "{line}");
    }
    for line in [
        "// unsafe",
        "#![forbid(unsafe_code)]",
        "\"unsafe\"",
        "is_unsafe(line)",
    ] {
        assert!(!is_unsafe(line), "{line}");
    }
}
