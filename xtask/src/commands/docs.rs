mod pages;
mod reference;
mod terminal;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use host_runner_policy::Rule;
use serde_json::Value;

use self::pages::{Language, Messages, Settings};
use super::build;
use crate::progress::{Progress, Step};
use crate::table;
use crate::workspace::{Workspace, output};

/// Update what is generated: the schemas of the tools, their reference, the tables
/// of settings, messages and the policy's rules, the schema of the policy file, and the
/// picture of a terminal
#[derive(Args)]
pub(crate) struct Docs {
    /// Change nothing, and fail if anything is stale
    #[arg(long)]
    check: bool,
    /// Compile nothing, and update only what depends on no program: settings and messages
    #[arg(long)]
    pages: bool,
}

impl Docs {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if self.pages {
            let mut stale = Vec::new();
            self.settle_pages(workspace, &mut stale)?;
            return fresh(&stale);
        }
        let mut progress = Progress::new(build::STEPS + 1);
        progress.step(
            "comparing the schemas of the tools with their types",
            || self.settle_schemas(workspace),
        )?;
        build::steps(workspace, &mut progress)?;
        self.settle_all(workspace)
    }

    /// A unit test of the component derives the schemas, which the component
    /// itself cannot: it has only the result.
    fn settle_schemas(&self, workspace: &Workspace) -> Result<Step> {
        let mut test = workspace.cargo(["test", "--package", "proxmox-mcp", "--lib"]);
        test.args(["--", "--exact", SCHEMAS_TEST]);
        if !self.check {
            test.env("PROXMOX_MCP_WRITE_SCHEMAS", "1");
        }
        output(&mut test).context("the schemas of the tools are stale")?;
        Ok(Step::Done)
    }

    /// Fails if anything is not as the built host-runner and the policy say.
    pub(crate) fn check(workspace: &Workspace) -> Result<()> {
        let check = Self {
            check: true,
            pages: false,
        };
        check.settle_all(workspace)
    }

    fn settle_all(&self, workspace: &Workspace) -> Result<()> {
        let host_runner = workspace.binary("host-runner");
        let list = output(Command::new(host_runner).args(["tools", "-o", "json"]))?;
        let tools: Vec<Value> = serde_json::from_str(&list)?;
        let all = ["tools", "--guide", "--toolsets=all"];
        let guide = output(Command::new(workspace.binary("host-runner")).args(all))?;
        let guide: Value = serde_json::from_str(&guide)?;

        let mut stale = Vec::new();
        let old = fs::read_to_string(workspace.root().join(POLICY))
            .with_context(|| format!("cannot read {POLICY}"))?;
        let new = with_table(&old, "rules", &rules())
            .with_context(|| format!("{POLICY} has no place for the table of rules"))?;
        self.settle(workspace, POLICY, &old, &new, &mut stale)?;
        let old = fs::read_to_string(workspace.root().join(TOOLS)).unwrap_or_default();
        self.settle(
            workspace,
            TOOLS,
            &old,
            &reference::page(&tools, &guide)?,
            &mut stale,
        )?;
        let old = fs::read_to_string(workspace.root().join(SCHEMA)).unwrap_or_default();
        let schema = serde_json::to_value(host_runner_policy::schema())?;
        self.settle(
            workspace,
            SCHEMA,
            &old,
            &format!("{schema:#}\n"),
            &mut stale,
        )?;
        let old = fs::read_to_string(workspace.root().join(TERMINAL)).unwrap_or_default();
        let new = terminal::picture(workspace)?;
        let new = match terminal::is_same(&old, &new) {
            true => &old,
            false => &new,
        };
        self.settle(workspace, TERMINAL, &old, new, &mut stale)?;
        self.settle_pages(workspace, &mut stale)?;
        fresh(&stale)
    }

    /// The tables of settings and the sections about messages.
    fn settle_pages(&self, workspace: &Workspace, stale: &mut Vec<&'static str>) -> Result<()> {
        let settings: Settings = pages::read(workspace, "docs/settings.json")?;
        let messages: Messages = pages::read(workspace, "docs/messages.json")?;
        for (path, name, language) in PAGES {
            let old = fs::read_to_string(workspace.root().join(path))
                .with_context(|| format!("cannot read {path}"))?;
            let text = match name {
                "messages" => messages.sections(language)?,
                "rules" => messages.french_rules()?,
                _ => settings.table(name, language)?,
            };
            let text = match language {
                Language::English => text,
                Language::French => pages::typographic(&text),
            };
            let new = with_table(&old, name, &text)
                .with_context(|| format!("{path} has no place for {name}"))?;
            self.settle(workspace, path, &old, &new, stale)?;
        }
        Ok(())
    }

    /// Writes a file anew, or notes that it would have to be.
    fn settle(
        &self,
        workspace: &Workspace,
        path: &'static str,
        old: &str,
        new: &str,
        stale: &mut Vec<&'static str>,
    ) -> Result<()> {
        if new == old {
            eprintln!("{path} is fresh");
        } else if self.check {
            stale.push(path);
        } else {
            fs::write(workspace.root().join(path), new)
                .with_context(|| format!("cannot write {path}"))?;
            eprintln!("{path} is updated");
        }
        Ok(())
    }
}

/// Fails if a file is stale.
fn fresh(stale: &[&str]) -> Result<()> {
    if !stale.is_empty() {
        bail!(
            "{} is stale: run `cargo xtask docs` and commit what it changes",
            stale.join(" and ")
        );
    }
    Ok(())
}

/// The unit test that compares or writes the schemas of the tools.
const SCHEMAS_TEST: &str = "tools::tests::the_generated_schemas_are_those_of_the_types";

/// The generated parts of pages in several languages.
const PAGES: [(&str, &str, Language); 7] = [
    ("docs/settings.md", "settings", Language::English),
    ("docs/http.md", "http-settings", Language::English),
    ("docs/troubleshooting.md", "messages", Language::English),
    ("docs/fr/parametres.md", "settings", Language::French),
    ("docs/fr/parametres.md", "http-settings", Language::French),
    ("docs/fr/depannage.md", "messages", Language::French),
    ("docs/fr/politique.md", "rules", Language::French),
];

/// The schema of the policy file, for editors and authors.
const SCHEMA: &str = "docs/policy.schema.json";

/// The reference of the tools.
const TOOLS: &str = "docs/tools.md";

/// The picture of a terminal.
const TERMINAL: &str = "docs/images/terminal.svg";

/// The page that has the table of rules.
const POLICY: &str = "docs/policy.md";

/// The rules that refuse requests, in the order in which they are evaluated.
fn rules() -> String {
    let rows = Rule::ALL.iter().filter_map(|rule| {
        let refuses = rule.refuses()?;
        Some(vec![format!("`{rule}`"), refuses.to_owned()])
    });
    table::markdown(&["Rule", "Refuses"], rows)
}

/// Writes tables into a page, each between the marks of its name.
pub(super) fn write_tables(
    workspace: &Workspace,
    page: &str,
    tables: &[(&str, &str)],
) -> Result<()> {
    let path = workspace.root().join(page);
    let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {page}"))?;
    for (name, table) in tables {
        text = with_table(&text, name, table)
            .with_context(|| format!("{page} has no place for the table of {name}"))?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write {page}"))
}

/// The table of this name in a page.
pub(super) fn read_table(workspace: &Workspace, page: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(workspace.root().join(page))
        .with_context(|| format!("cannot read {page}"))?;
    let table = table_in(&text, name);
    let table = table.with_context(|| format!("{page} has no table of {name}"))?;
    Ok(table.to_owned())
}

fn table_in<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<!-- {name}:begin"))?;
    let (_, rest) = rest.split_once('\n')?;
    let (table, _) = rest.split_once(&format!("<!-- {name}:end -->"))?;
    Some(table)
}

/// The page with the table of this name between its marks.
fn with_table(page: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin"), format!("<!-- {name}:end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (mark, rest) = rest.split_once('\n')?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{mark}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_between_its_marks() {
        let page = "a\n<!-- tools:begin (x) -->\nold\n<!-- tools:end -->\nb\n";
        assert_eq!(
            with_table(page, "tools", "new\n").unwrap(),
            "a\n<!-- tools:begin (x) -->\nnew\n<!-- tools:end -->\nb\n"
        );
        assert_eq!(table_in(page, "tools"), Some("old\n"));
        assert_eq!(with_table("nothing here", "tools", "new\n"), None);
    }
}
