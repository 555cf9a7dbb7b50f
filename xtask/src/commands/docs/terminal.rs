//! `docs/images/terminal.svg`: some commands on the demo cluster, and what they print on
//! a terminal. Its text can be selected, and its colours follow the reader's.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{Workspace, output};

/// The commands, in one shell without settings.
const COMMANDS: [&str; 5] = [
    "host-runner --demo call list_guests pool=production",
    "host-runner --demo call create_snapshot vmid=120 snapshot=before-upgrade",
    "host-runner --demo call stop_guest vmid=120 mode=hard",
    "host-runner --demo policy explain 'DELETE /nodes/pve1/qemu/101'",
    "host-runner --demo --pools development policy explain stop_guest vmid=101",
];

/// Columns of the terminal.
const WIDTH: u16 = 96;

/// A character and a line in the picture, in pixels.
const CHARACTER: f64 = 7.8;
const LINE: f64 = 18.0;
const MARGIN: f64 = 16.0;

const STYLE: &str = "\
.frame { fill: #ffffff; stroke: #d1d9e0 }
text { fill: #1f2328; font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre }
.bold { font-weight: 700 }
.prompt { fill: #0969da }
@media (prefers-color-scheme: dark) {
  .frame { fill: #0d1117; stroke: #3d444d }
  text { fill: #f0f6fc }
  .prompt { fill: #4493f8 }
}";

/// The picture. Fails where no terminal can be had, which needs `script` of util-linux.
pub(super) fn picture(workspace: &Workspace) -> Result<String> {
    let mut lines = Vec::new();
    for command in COMMANDS {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        let shown = [("prompt", "$ "), ("bold", command)];
        let shown = shown.map(|(class, text)| Span {
            class,
            text: text.to_owned(),
        });
        lines.extend(wrapped(shown.into()));
        for line in printed(workspace, command)?.lines() {
            lines.extend(wrapped(spans(line)?));
        }
    }
    Ok(svg(&lines))
}

/// Whether two pictures show the same, apart from load, times and task IDs.
pub(super) fn is_same(old: &str, new: &str) -> bool {
    let changes = |c: &char| !(matches!(c, 'A'..='F' | '.' | ' ') || c.is_ascii_digit());
    old.chars().filter(changes).eq(new.chars().filter(changes))
}

/// What a command prints on a terminal of this width: its result, and its error. Its
/// progress is left out: how often it is reported depends on the time.
fn printed(workspace: &Workspace, command: &str) -> Result<String> {
    let errors = workspace.target("terminal-errors");
    let programs = workspace.binary("host-runner");
    let programs = programs.parent().context("host-runner is in no folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let line = format!(
        "stty cols {WIDTH} rows 40; {command} 2>'{}'",
        errors.display()
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["--quiet", "--command", &line, "/dev/null"])
        .stdin(Stdio::null())
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm")
        .env("PATH", format!("{}:{path}", programs.display()))
        .env_remove("NO_COLOR");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PROXMOX_") {
            terminal.env_remove(name);
        }
    }
    let mut text = output(&mut terminal)
        .context("cannot record a terminal with `script`")?
        .replace('\r', "");
    let errors = fs::read_to_string(&errors).context("cannot read what was on stderr")?;
    for error in errors.lines().filter(|line| line.starts_with("error: ")) {
        text.push_str(error);
        text.push('\n');
    }
    ensure!(!text.is_empty(), "{command} printed nothing");
    Ok(text)
}

/// A part of a line in one style.
struct Span {
    class: &'static str,
    text: String,
}

/// The parts of a line, by its escape sequences for bold.
fn spans(line: &str) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    let mut class = "";
    for (at, part) in line.split("\u{1b}[").enumerate() {
        let text = match at {
            0 => part,
            _ => {
                let (style, text) = part.split_once('m').context("an endless escape sequence")?;
                class = match style {
                    "0" => "",
                    "1" => "bold",
                    _ => bail!("the picture has no style for the escape sequence {style}m"),
                };
                text
            }
        };
        if !text.is_empty() {
            let text = text.to_owned();
            spans.push(Span { class, text });
        }
    }
    Ok(spans)
}

/// A line as the terminal shows it: one that is too long goes on in the next one.
fn wrapped(spans: Vec<Span>) -> Vec<Vec<Span>> {
    let mut lines = vec![Vec::new()];
    let mut room = usize::from(WIDTH);
    for span in spans {
        let mut rest = span.text.as_str();
        while !rest.is_empty() {
            if room == 0 {
                lines.push(Vec::new());
                room = usize::from(WIDTH);
            }
            let end = rest
                .char_indices()
                .nth(room)
                .map_or(rest.len(), |(at, _)| at);
            let (text, after) = rest.split_at(end);
            room = room.saturating_sub(text.chars().count());
            rest = after;
            if let Some(line) = lines.last_mut() {
                let text = text.to_owned();
                line.push(Span { text, ..span });
            }
        }
    }
    lines
}

fn svg(lines: &[Vec<Span>]) -> String {
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let width = 2.0f64.mul_add(MARGIN, f64::from(WIDTH) * CHARACTER);
    let height = 2.0f64.mul_add(MARGIN, f64::from(count) * LINE);
    let mut svg = format!(
        "<!-- Written by `cargo xtask docs`. -->\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n\
         <title>host-runner on the demo cluster</title>\n<style>\n{STYLE}\n</style>\n\
         <rect class=\"frame\" x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"6\"/>\n",
        width - 1.0,
        height - 1.0,
    );
    let mut y = MARGIN;
    for line in lines {
        y += LINE;
        let characters: usize = line.iter().map(|span| span.text.chars().count()).sum();
        if characters == 0 {
            continue;
        }
        let length = f64::from(u16::try_from(characters).unwrap_or(u16::MAX)) * CHARACTER;
        // Every font has the same width then, and columns stay below each other.
        svg.push_str(&format!(
            "<text x=\"{MARGIN}\" y=\"{:.0}\" textLength=\"{length:.1}\" xml:space=\"preserve\">",
            y - 5.0
        ));
        for Span { class, text } in line {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            match class.is_empty() {
                true => svg.push_str(&text),
                false => svg.push_str(&format!("<tspan class=\"{class}\">{text}</tspan>")),
            }
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Vec<Span>]) -> Vec<String> {
        let text = |line: &Vec<Span>| line.iter().map(|span| span.text.as_str()).collect();
        lines.iter().map(text).collect()
    }

    #[test]
    fn bold_is_a_style_and_other_sequences_are_errors() {
        let spans = spans("a \u{1b}[1mb\u{1b}[0m c").unwrap();
        let styles: Vec<&str> = spans.iter().map(|span| span.class).collect();
        assert_eq!(styles, ["", "bold", ""]);
        assert!(super::spans("\u{1b}[2K").is_err());
        assert!(super::spans("\u{1b}[31mred").is_err());
    }

    #[test]
    fn long_lines_go_on_in_the_next_one() {
        let long = "é".repeat(200);
        let lines = shown(&wrapped(spans(&long).unwrap()));
        let lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        assert_eq!(lengths, [96, 96, 8]);
        assert_eq!(shown(&wrapped(spans("").unwrap())), [""]);
    }

    #[test]
    fn text_is_escaped_and_has_its_width() {
        let svg = svg(&[spans("a<b & \u{1b}[1mc\u{1b}[0m").unwrap(), Vec::new()]);
        assert!(svg.contains("textLength=\"54.6\""), "{svg}");
        assert!(
            svg.contains(">a&lt;b &amp; <tspan class=\"bold\">c</tspan></text>"),
            "{svg}"
        );
        assert_eq!(svg.matches("<text").count(), 1);
    }

    #[test]
    fn figures_and_task_ids_do_not_count() {
        assert!(is_same("101  16.5 UPID:0000AB", "101   7 UPID:0000FF"));
        assert!(!is_same("status running", "status stopped"));
    }
}
