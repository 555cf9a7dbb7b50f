mod stage;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::stage::{Shown, Stage};
use super::build;
use crate::apt;
use crate::browser;
use crate::simulator::Simulator;
use crate::workspace::{Workspace, is_root};

/// The size of the pictures before a page says how high it is.
const WIDE: (u32, u32) = (640, 900);
/// The narrowest page that has to work, in CSS pixels.
const NARROW: (u32, u32) = (320, 900);
/// The largest picture, in bytes.
const LARGEST: usize = 100_000;
/// What would be done to a page that took a name for HTML.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><b>x</b>";

/// Show the views of MCP Apps in a headless Chromium, with real results
///
/// Runs host-runner with a simulated cluster, calls tools, and shows their results in the
/// views as a client does. `CHROMIUM` names a Chromium that is not on the path. If there
/// is none, root installs it with apt-get; where that fails, all of it is skipped.
#[derive(Args)]
pub(crate) struct Apps {
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
    /// Replace the pictures in docs/images/
    #[arg(long)]
    write: bool,
}

impl Apps {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let Some(program) = chromium() else {
            eprintln!(
                "skipped: the views were not tested, because this machine has no Chromium; \
                 install it (Debian: apt-get install chromium) or set CHROMIUM to its path"
            );
            return Ok(());
        };
        if !self.no_build {
            build::with_simulator(workspace)?;
        }
        let folder = match self.write {
            true => workspace.root().join("docs/images"),
            false => workspace.target("apps/images"),
        };
        fs::create_dir_all(&folder)?;
        let mut simulator = Simulator::start(workspace)?;
        let mut stage = Stage::new(workspace, &simulator, &program)?;
        let save = |name: &str, picture: Vec<u8>| -> Result<()> {
            let bytes = picture.len();
            ensure!(bytes <= LARGEST, "{name}.png has {bytes} bytes");
            fs::write(folder.join(name).with_extension("png"), picture)?;
            eprintln!("{name}: ok, {bytes} bytes in {}", folder.display());
            Ok(())
        };
        save("view-cluster", cluster(&mut stage)?)?;
        save("view-evacuation", evacuation(&mut stage)?)?;
        save("view-change", change(&mut stage)?)?;
        hostile(&mut stage, &mut simulator)?;
        without_capabilities(&mut stage)?;
        odd_results(&mut stage)?;
        eprintln!("all views work, at {} px and in both themes too", NARROW.0);
        Ok(())
    }
}

/// The Chromium of this machine, installed now if need be.
fn chromium() -> Option<PathBuf> {
    let found = browser::find();
    if found.is_some() || !is_root() {
        return found;
    }
    eprintln!("installing Chromium with apt-get…");
    apt::install(&["chromium"]).then(browser::find).flatten()
}

/// Reads more than the result has, and again at the press of a key.
fn cluster(stage: &mut Stage) -> Result<Vec<u8>> {
    let shown = stage.show("get_cluster_status", json!({}), WIDE)?;
    stage.until_says(&shown, "Guests by memory use")?;
    says(
        stage,
        &shown,
        &[
            "Cluster homelab",
            "Quorate",
            "node pve3 is offline",
            "GiB of 64 GiB",
            "44 days",
            "postgres-main (110)",
            "10 of 13 are shown",
            "vm:101",
        ],
    )?;
    has_roles(
        stage,
        &shown,
        &[
            ("main", ""),
            ("heading", "Nodes"),
            ("table", "Nodes"),
            ("columnheader", "Memory"),
            ("rowheader", "pve1"),
            ("button", "Refresh"),
            ("status", ""),
        ],
    )?;
    let picture = stage.picture(&shown, WIDE.0)?;
    stage.press_first_button(&shown)?;
    stage.until_says(&shown, "Read at ")?;
    let called = stage.called();
    let times = |name| called.iter().filter(|one| one.as_str() == name).count();
    ensure!(
        times("get_cluster_status") == 1 && times("list_guests") == 2,
        "{called:?}"
    );
    fits(stage, &shown)?;
    Ok(picture)
}

/// Presses the first button, which sends this message and no other.
fn asks(stage: &mut Stage, shown: &Shown, message: &str) -> Result<()> {
    stage.press_first_button(shown)?;
    stage.until_says(shown, "The assistant was asked")?;
    let said = stage.said();
    ensure!(said == [message], "{said:?}");
    Ok(())
}

/// Asks for the change by a message, which has nothing that somebody else wrote.
fn evacuation(stage: &mut Stage) -> Result<Vec<u8>> {
    let arguments = json!({ "vmids": [101, 130, 140, 201, 202], "accept_container_restart": true });
    let shown = stage.show("evacuate_node", arguments, WIDE)?;
    stage.until_says(&shown, "Targets")?;
    says(
        stage,
        &shown,
        &[
            "Plan: nothing has been moved",
            "5 guests: 4 can move, 1 staying",
            "home-assistant (130)",
            "pve1 → pve2",
            "HA rule prefer-vm-101",
            "node pve3 is offline",
            "128 GiB",
        ],
    )?;
    let picture = stage.picture(&shown, WIDE.0)?;
    asks(
        stage,
        &shown,
        "I have seen the preview of evacuate_node, vmids 101, 130, 140, 201, 202. Do it now, \
         with the same arguments and plan: false.",
    )?;
    let buttons = stage.value(&shown, "document.querySelectorAll('button').length")?;
    ensure!(buttons == json!(0), "it can be asked for twice");
    fits(stage, &shown)?;
    Ok(picture)
}

fn change(stage: &mut Stage) -> Result<Vec<u8>> {
    let arguments = json!({ "node": "pve1", "preview": true });
    let shown = stage.show("stop_guest", arguments, WIDE)?;
    stage.until_says(&shown, "Left out")?;
    says(
        stage,
        &shown,
        &[
            "hut down 6 guests on node pve1",
            "Preview: nothing has been changed",
            "power: running → stopped",
            "No change needed",
            "(debian-13-cloud) is a template",
        ],
    )?;
    let picture = stage.picture(&shown, WIDE.0)?;
    asks(
        stage,
        &shown,
        "I have seen the preview of stop_guest, node pve1. Do it now, with the same arguments \
         and no preview.",
    )?;
    fits(stage, &shown)?;
    // What was done is shown by the same page, which offers nothing more.
    let shown = stage.show("start_guest", json!({ "vmid": 101 }), NARROW)?;
    stage.until_says(&shown, "No change needed")?;
    let buttons = stage.value(&shown, "document.querySelectorAll('button').length")?;
    ensure!(
        buttons == json!(0),
        "a change that is done can be asked for"
    );
    Ok(picture)
}

/// The name of a guest is text, and no part of a message.
fn hostile(stage: &mut Stage, simulator: &mut Simulator) -> Result<()> {
    for vmid in [110, 130] {
        let config = json!({ "name": HOSTILE });
        simulator.control(&json!({ "cmd": "guest", "vmid": vmid, "config": config }))?;
    }
    simulator.control(&json!({ "cmd": "advance", "seconds": 20 }))?;
    let preview = json!({ "vmids": [110, 130], "preview": true });
    for (tool, arguments) in [
        ("get_cluster_status", json!({})),
        ("evacuate_node", json!({ "node": "pve1" })),
        ("stop_guest", preview),
    ] {
        let shown = stage.show(tool, arguments, NARROW)?;
        stage.until_says(&shown, HOSTILE)?;
        let made = stage.value(
            &shown,
            "document.querySelectorAll('img, b, a, iframe').length",
        )?;
        ensure!(made == json!(0), "{tool}: a name became HTML");
        let title = stage.value(&shown, "document.title")?;
        ensure!(title != json!("owned"), "{tool}: a name became a script");
        fits(stage, &shown)?;
        if tool != "get_cluster_status" {
            stage.press_first_button(&shown)?;
            stage.until_says(&shown, "The assistant was asked")?;
            let said = stage.said().join("");
            ensure!(!said.contains("img") && said.contains(tool), "{said}");
        }
    }
    Ok(())
}

/// What a client cannot do is not offered, and not asked for.
fn without_capabilities(stage: &mut Stage) -> Result<()> {
    for (tool, arguments, word) in [
        ("get_cluster_status", json!({}), "High availability"),
        ("evacuate_node", json!({ "node": "pve1" }), "Targets"),
    ] {
        let shown = stage.show_with(tool, arguments, NARROW, json!({}))?;
        stage.until_says(&shown, word)?;
        let buttons = stage.value(&shown, "document.querySelectorAll('button').length")?;
        ensure!(buttons == json!(0), "{tool}: a button that has no effect");
        ensure!(
            stage.called().is_empty() && stage.said().is_empty(),
            "{tool} asks"
        );
        fits(stage, &shown)?;
    }
    Ok(())
}

/// Errors and results in another form are shown as their text, and long lists are cut.
fn odd_results(stage: &mut Stage) -> Result<()> {
    let shown = stage.show("evacuate_node", json!({ "node": "pve9" }), NARROW)?;
    stage.until_says(&shown, "The call failed.")?;
    says(stage, &shown, &["pve9"])?;
    let text = json!({ "content": [{ "type": "text", "text": "only a text" }] });
    stage.replace_result(&shown, &text)?;
    stage.until_says(&shown, "only a text")?;
    let guest = json!({ "vmid": 100, "state": "stays", "node": "pve1", "reasons": ["locked"] });
    let guests = vec![guest; 120];
    let many = json!({
        "content": [],
        "structuredContent": {
            "status": "plan", "guests": guests, "moved": 0, "failed": 0, "stays": 120,
        },
    });
    stage.replace_result(&shown, &many)?;
    stage.until_says(&shown, "50 of 120 are shown")?;
    fits(stage, &shown)
}

/// The page is as narrow as its frame, in both themes, and has loaded nothing.
fn fits(stage: &mut Stage, shown: &Shown) -> Result<()> {
    stage.resize(shown, NARROW)?;
    let width = stage.value(shown, "document.scrollingElement.scrollWidth")?;
    ensure!(width == json!(NARROW.0), "the page is {width} px wide");
    let mut backgrounds = Vec::new();
    for theme in ["light", "dark"] {
        stage.change_theme(shown, theme)?;
        let background = "getComputedStyle(document.body).backgroundColor";
        backgrounds.push(stage.value(shown, background)?);
        let contrast = stage.value(shown, stage::LOWEST_CONTRAST)?;
        let contrast = contrast.as_f64().context("no contrast")?;
        ensure!(contrast >= 4.5, "{theme}: a contrast of {contrast:.1}");
    }
    ensure!(backgrounds.first() != backgrounds.last(), "{backgrounds:?}");
    let loaded = stage.value(shown, "performance.getEntriesByType('resource').length")?;
    ensure!(loaded == json!(0), "the page has loaded something");
    Ok(())
}

fn says(stage: &mut Stage, shown: &Shown, words: &[&str]) -> Result<()> {
    let text = stage.text(shown)?;
    for word in words {
        ensure!(
            text.contains(word),
            "the page does not say {word:?}:\n{text}"
        );
    }
    Ok(())
}

fn has_roles(stage: &mut Stage, shown: &Shown, wanted: &[(&str, &str)]) -> Result<()> {
    let all = stage.accessible(shown)?;
    for (role, name) in wanted {
        let is_there = all
            .iter()
            .any(|(is, called)| is == role && called.contains(name));
        ensure!(is_there, "no {role} {name:?} in {all:?}");
    }
    Ok(())
}

/// The URI of the view that a client shows for a tool.
fn view_of(tools: &[Value], tool: &str) -> Result<String> {
    let tool = tools
        .iter()
        .find(|one| one.get("name") == Some(&json!(tool)));
    let tool = tool.context("a tool that is not offered")?;
    let uri = tool
        .pointer("/_meta/ui/resourceUri")
        .and_then(Value::as_str);
    Ok(uri
        .with_context(|| format!("no view in {tool}"))?
        .to_owned())
}
