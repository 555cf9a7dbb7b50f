//! The Debian package.

use anyhow::Result;

use super::archive::{Tree, ar, gzip, tar};
use super::contents::Contents;
use super::names::Release;

/// Has systemd read the unit again, unless the package is installed into a folder.
const RELOAD: &str = "if [ -z \"${DPKG_ROOT:-}\" ] && [ -d /run/systemd/system ]; then\n    \
                      systemctl daemon-reload || true\nfi\n";
const STOP: &str = "if [ \"$1\" = remove ] && [ -z \"${DPKG_ROOT:-}\" ] && \
                    [ -d /run/systemd/system ]; then\n    \
                    systemctl --no-reload disable --now proxmox-mcp.service || true\nfi\n";

/// The unit, the program and what belongs to it. The service is not started: it has no
/// settings yet.
pub(super) fn build(release: &Release, contents: &Contents) -> Result<Vec<u8>> {
    let files = files(contents)?;
    let control = control(release, &files)?;
    let (time, data) = (release.time, gzip(&tar(&files, "./", release.time)?)?);
    Ok(ar(
        &[
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", &gzip(&tar(&control, "./", time)?)?),
            ("data.tar.gz", &data),
        ],
        time,
    ))
}

fn files(contents: &Contents) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.program("usr/bin/host-runner", contents.program.clone());
    tree.file(
        "usr/lib/systemd/system/proxmox-mcp.service",
        contents.unit.clone(),
    );
    let documentation = "usr/share/doc/proxmox-mcp";
    let mut copyright = "Files: *\nLicense: MIT or Apache-2.0\n\n".to_owned();
    for (name, bytes) in &contents.licenses {
        copyright += &format!("{name}:\n\n{}\n", String::from_utf8_lossy(bytes));
    }
    tree.file(&format!("{documentation}/copyright"), copyright);
    tree.file(
        &format!("{documentation}/THIRD-PARTY.txt.gz"),
        gzip(contents.notices.as_bytes())?,
    );
    tree.file(
        &format!("{documentation}/README.md"),
        contents.readme.clone(),
    );
    tree.file(
        &format!("{documentation}/env.example"),
        contents.env_example.clone(),
    );
    for (path, file) in contents.command_line.iter() {
        let name = path.rsplit('/').next().unwrap_or(path);
        match path.split('/').nth(1) {
            Some("bash") => tree.file(
                "usr/share/bash-completion/completions/host-runner",
                file.bytes.clone(),
            ),
            Some("zsh") => tree.file(
                "usr/share/zsh/vendor-completions/_host-runner",
                file.bytes.clone(),
            ),
            Some("fish") => tree.file(
                "usr/share/fish/vendor_completions.d/host-runner.fish",
                file.bytes.clone(),
            ),
            _ => tree.file(&format!("usr/share/man/man1/{name}.gz"), gzip(&file.bytes)?),
        }
    }
    Ok(tree)
}

fn control(release: &Release, files: &Tree) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.file(
        "control",
        format!(
            "Package: proxmox-mcp\nVersion: {}\nArchitecture: {}\nSection: admin\n\
             Priority: optional\nMaintainer: The proxmox-mcp authors <noreply@example.com>\n\
             Installed-Size: {}\nRecommends: ca-certificates\n\
             Homepage: https://github.com/proxmox-mcp/proxmox-mcp\n\
             Description: MCP server for Proxmox VE, with its tools in a sandbox\n \
             Lets an AI client inspect and manage a Proxmox VE cluster, within a policy\n \
             that decides request by request. The service is not started on\n \
             installation: it first needs /etc/proxmox-mcp/env.\n",
            release.version,
            release.debian_architecture(),
            files.size().div_ceil(1024),
        ),
    );
    tree.program("postinst", format!("#!/bin/sh\nset -e\n{RELOAD}"));
    tree.program("prerm", format!("#!/bin/sh\nset -e\n{STOP}"));
    tree.program("postrm", format!("#!/bin/sh\nset -e\n{RELOAD}"));
    Ok(tree)
}
