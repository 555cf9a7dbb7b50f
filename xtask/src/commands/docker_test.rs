//! The Docker image, built and entered without a Docker engine.

mod base;
mod buildah;
mod dns;
mod image;
mod process;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use self::base::Base;
use self::buildah::Buildah;
use self::image::Image;
use self::process::Process;
use super::{build, setup};
use crate::mcp::Client;
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::{Workspace, cargo, output, run, utf8};

/// The image's name in buildah's own store below the build directory.
const IMAGE: &str = "localhost/proxmox-mcp";

/// More than the image may hold, all layers together and not compressed.
const LIMIT: u64 = 25_000_000;
/// The same of one that is compiled with [`QUICK`], without link-time optimization: about half
/// as much again.
const QUICK_LIMIT: u64 = 35_000_000;

/// The settings of the profile `dist` that compile fastest within the [`QUICK_LIMIT`].
const QUICK: [&str; 3] = ["LTO=off", "CODEGEN_UNITS=16", "OPT_LEVEL=1"];

/// Who host-runner runs as in the image.
const USER: &str = "65532:65532";

/// Build the Docker image and look at it from inside, without a Docker engine
///
/// Needs root and buildah, which is installed by apt where it is missing.
#[derive(Args)]
pub(crate) struct DockerTest {
    /// Take the Dockerfile's base image from its registry, instead of making
    /// one of Debian and this machine's Rust
    #[arg(long)]
    pull: bool,
    /// Compile faster, to a larger program than the one to hand out, with the component
    /// and the machine code that are in the build directory
    #[arg(long)]
    quick: bool,
}

impl DockerTest {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(setup::STEPS + 7);
        progress.step("looking for buildah", || buildah::install(self.pull))?;
        let buildah = Buildah::new(workspace.target("docker"))?;
        setup::step(workspace, &mut progress)?;

        let dockerfile = fs::read_to_string(workspace.root().join("Dockerfile"))
            .context("cannot read the Dockerfile")?;
        let base = Base::of(&dockerfile)?;
        progress.step(&format!("making the base image {}", base.name()), || {
            if self.pull {
                return Ok(Step::Fresh);
            }
            base.make(&buildah)
        })?;
        let before = progress.seconds();
        progress.step("building the image (takes minutes)", || {
            build_image(workspace, &buildah, &base, &self)
        })?;
        let built = progress.seconds() - before;

        let image = Image::read(&buildah, IMAGE)?;
        progress.step("looking at the image", || {
            check(&image, if self.quick { QUICK_LIMIT } else { LIMIT })?;
            Ok(Step::Done)
        })?;
        let mut seen = None;
        progress.step("talking MCP with the image", || {
            seen = Some(sessions(&buildah, &image)?);
            Ok(Step::Done)
        })?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        progress.step("looking up names in the image", || {
            names(workspace, &buildah, &image)?;
            Ok(Step::Done)
        })?;
        report(&image, built, &seen.context("there was no session")?);
        Ok(())
    }
}

fn build_image(
    workspace: &Workspace,
    buildah: &Buildah,
    base: &Base,
    options: &DockerTest,
) -> Result<Step> {
    let mut command = buildah.command("bud");
    command.args(["--tag", IMAGE]);
    if options.quick {
        for setting in QUICK {
            command.arg(format!("--build-arg=CARGO_PROFILE_DIST_{setting}"));
        }
        let built = workspace.component("");
        command.arg(format!("--volume={}:/component:ro", utf8(&built)?));
        for (name, file) in [
            ("COMPONENT", "proxmox_mcp.wasm"),
            ("COMPONENT_CWASM", "proxmox_mcp.cwasm"),
        ] {
            command.arg(format!("--build-arg=PROXMOX_MCP_{name}=/component/{file}"));
        }
    }
    if !options.pull {
        // So that nothing is downloaded from inside.
        run(cargo()
            .current_dir(workspace.root())
            .args(["fetch", "--locked"]))?;
        command.arg("--volume").arg(base::registry_volume()?);
        command.arg(format!("--build-arg=RUST_IMAGE={}", base.name()));
    }
    run(command.arg(workspace.root()))?;
    Ok(Step::Done)
}

/// What an image says of itself, and what it holds.
fn check(image: &Image, limit: u64) -> Result<()> {
    ensure!(
        image.size() <= limit,
        "the image has {} bytes, more than {limit}",
        image.size()
    );
    let user = image.text("/User");
    ensure!(
        user == USER,
        "the image's user is {user:?} instead of {USER}"
    );
    let version = image.text("/Labels/org.opencontainers.image.version");
    ensure!(
        version == env!("CARGO_PKG_VERSION"),
        "the image's label gives the version {version:?} instead of {}",
        env!("CARGO_PKG_VERSION")
    );
    for label in ["title", "description", "licenses", "source"] {
        ensure!(
            !image
                .text(&format!("/Labels/org.opencontainers.image.{label}"))
                .is_empty(),
            "the image has no label {label}"
        );
    }
    for nothing in ["/Cmd", "/ExposedPorts", "/Volumes"] {
        ensure!(
            image.config(nothing).is_none_or(Value::is_null),
            "the image has a setting {nothing}"
        );
    }
    let expected = [
        "etc/",
        "etc/nsswitch.conf",
        "etc/ssl/",
        "etc/ssl/certs/",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/",
        "usr/local/",
        "usr/local/bin/",
        "usr/local/bin/host-runner",
        "usr/share/",
        "usr/share/licenses/",
        "usr/share/licenses/proxmox-mcp/",
        "usr/share/licenses/proxmox-mcp/LICENSE-APACHE",
        "usr/share/licenses/proxmox-mcp/LICENSE-MIT",
    ];
    let paths: Vec<&str> = image
        .files()
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    ensure!(
        paths == expected,
        "the image holds {paths:?} instead of {expected:?}"
    );
    for file in image.files() {
        // Read-only for the image's user, whatever options the engine gets.
        let allowed = match file.path.as_str() {
            "usr/local/bin/host-runner" => "-r-xr-xr-x",
            path if path.ends_with('/') => "drwxr-xr-x",
            _ => "-r--r--r--",
        };
        ensure!(
            file.owner == "0/0" && file.mode == allowed,
            "{} belongs to {} with {} instead of 0/0 with {allowed}",
            file.path,
            file.owner,
            file.mode
        );
    }
    Ok(())
}

/// What the sessions have shown.
struct Seen {
    tools: usize,
    user: String,
}

/// A session as buildah runs it, and one under the limits that compose.yaml
/// sets, with the system's own tools.
fn sessions(buildah: &Buildah, image: &Image) -> Result<Seen> {
    let container = buildah.container(IMAGE, &[])?;
    let entrypoint = image.entrypoint()?;

    let log = buildah.empty_folder("session")?.join("stderr");
    let mut command = container.run(&[], &entrypoint);
    command
        .args(["--demo", "--log-level", "debug"])
        .stderr(fs::File::create(&log)?);
    let (tools, process) = session(&mut command)?;
    let log = fs::read_to_string(log)?;
    ensure!(
        !log.contains("compiling"),
        "host-runner had to compile the component when it started: {log}"
    );
    let user = process.user()?;
    ensure!(
        user == USER && process.has_only_its_group()?,
        "host-runner runs as {user} with the groups {} instead of {USER} in the image",
        process.status("Groups")?
    );

    let root = container.mount()?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(
            // Every engine brings /dev, and random numbers come from there.
            r#"mkdir -p "$0/dev" && mount --bind "$0" "$0" && mount --bind /dev "$0/dev" &&
            mount -o remount,ro,bind "$0" &&
            exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$0" "$@""#,
        )
        .arg(&root)
        .args(&entrypoint)
        .arg("--demo");
    let (_, process) = session(&mut command)?;
    ensure!(process.user()? == USER, "chroot did not change the user");
    for (field, expected) in [
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        let value = process.status(field)?;
        ensure!(
            value == expected,
            "{field} is {value} instead of {expected}"
        );
    }
    ensure!(
        process.has_read_only_root()?,
        "the root of the session's file system could be written"
    );
    Ok(Seen { tools, user })
}

/// One MCP session with the simulated cluster inside; returns how many tools
/// there are, and what the kernel knows of host-runner meanwhile.
fn session(command: &mut Command) -> Result<(usize, Process)> {
    let client = Client::start(command)?;
    let tools = client.finds_guests()?;
    let process = Process::find(client.id(), "host-runner")?;
    client.close()?;
    Ok((tools, process))
}

/// Reaches a Proxmox VE outside of the image by its address and by names: what
/// a static C library may be unable to do.
fn names(workspace: &Workspace, buildah: &Buildah, image: &Image) -> Result<()> {
    let simulator = Simulator::start(workspace)?;
    let dns = dns::Server::start()?;
    let container = buildah.container(
        IMAGE,
        &[
            &format!("--dns={}", dns.address()),
            "--add-host=in-hosts.example:127.0.0.1",
        ],
    )?;
    let port = simulator
        .url()
        .rsplit_once(':')
        .map(|(_, port)| port)
        .context("the simulated Proxmox VE has no port")?;
    let entrypoint = image.entrypoint()?;
    let list_nodes = |host: &str, more: &[String]| {
        let mut options: Vec<String> = simulator
            .settings()
            .iter()
            .filter(|(name, _)| *name != "PROXMOX_CA_FILE")
            .map(|(name, value)| format!("--env={name}={value}"))
            .collect();
        options.push(format!("--env=PROXMOX_URL=https://{host}:{port}"));
        options.extend_from_slice(more);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let mut command = container.run(&options, &entrypoint);
        command.args(["call", "list_nodes", "{}"]);
        command
    };

    let verified = [
        format!("--volume={}:/ca.pem:ro", utf8(simulator.ca_file())?),
        "--env=PROXMOX_CA_FILE=/ca.pem".to_owned(),
    ];
    let unverified = ["--env=PROXMOX_VERIFY_SSL=false".to_owned()];
    // The simulator's certificate holds the first two only.
    for (host, settings) in [
        ("127.0.0.1", verified.as_slice()),
        ("localhost", &verified),
        ("in-hosts.example", &unverified),
        (dns::NAME, &unverified),
    ] {
        output(&mut list_nodes(host, settings))
            .with_context(|| format!("https://{host} cannot be reached from inside the image"))?;
    }

    // Where nothing is added, the image's own certificate authorities count.
    let ended = list_nodes("localhost", &[]).output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        !ended.status.success() && !said.contains("no root certificates"),
        "an untrusted certificate should be refused, by the image's own roots: {said}"
    );
    // An unknown name is an error of that call, not a crash.
    let ended = list_nodes("nowhere.example", &unverified).output()?;
    ensure!(
        ended.status.code() == Some(1),
        "an unknown name ended the call with {}: {}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn report(image: &Image, built: f64, seen: &Seen) {
    println!(
        "image      {} bytes in {} layers, not compressed",
        image.size(),
        image.layers()
    );
    println!("built in   {built:.0} s");
    println!("user       {}", seen.user);
    println!("tools      {}", seen.tools);
    println!("files");
    for file in image.files() {
        println!(
            "  {} {} {:>9}  /{}",
            file.mode,
            file.owner,
            table::bytes(file.size as f64),
            file.path
        );
    }
}
