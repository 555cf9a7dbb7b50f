use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use host_runner_policy::Rule;
use serde_json::Value;

use super::build;
use crate::progress::Progress;
use crate::workspace::{Workspace, output};

/// Write what the docs say of tools and of the policy file from the code itself
#[derive(Args)]
pub(crate) struct Docs {
    /// Change nothing, and fail if anything is stale
    #[arg(long)]
    check: bool,
}

impl Docs {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        build::steps(workspace, &mut Progress::new(build::STEPS))?;
        let host_runner = workspace.binary("host-runner");
        let list = output(Command::new(host_runner).args(["tools", "--json"]))?;
        let list: Value = serde_json::from_str(&list)?;
        let tools = list.as_array().context("the tool list is not an array")?;

        let mut stale = Vec::new();
        for page in &PAGES {
            let path = workspace.root().join(page.path);
            let old = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let new = with_table(&old, "tools", &page.table(tools)?)
                .with_context(|| format!("{} has no place for the tool table", page.path))?;
            self.settle(workspace, page.path, &old, &new, &mut stale)?;
        }
        let old = fs::read_to_string(workspace.root().join(POLICY))
            .with_context(|| format!("cannot read {POLICY}"))?;
        let new = with_table(&old, "rules", &rules())
            .with_context(|| format!("{POLICY} has no place for the table of rules"))?;
        self.settle(workspace, POLICY, &old, &new, &mut stale)?;
        let old = fs::read_to_string(workspace.root().join(TOOLS)).unwrap_or_default();
        self.settle(workspace, TOOLS, &old, &reference(tools)?, &mut stale)?;
        let old = fs::read_to_string(workspace.root().join(SCHEMA)).unwrap_or_default();
        let schema = serde_json::to_value(host_runner_policy::schema())?;
        self.settle(
            workspace,
            SCHEMA,
            &old,
            &format!("{schema:#}\n"),
            &mut stale,
        )?;
        if !stale.is_empty() {
            bail!(
                "{} is stale: run `cargo xtask docs` and commit what it changes",
                stale.join(" and ")
            );
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

/// The schema of the policy file, for editors and authors.
const SCHEMA: &str = "docs/policy.schema.json";

/// The page with the calls of each tool.
const TOOLS: &str = "docs/tools.md";

/// Calls that every tool declares, to explain errors.
const OF_EVERY_TOOL: [&str; 2] = ["GET /version", "GET /access/permissions"];

/// The calls of each tool, with the privileges that they require.
fn reference(tools: &[Value]) -> Result<String> {
    let mut page = "# The calls of each tool\n\n\
        <!-- written by `cargo xtask docs` -->\n\n\
        Each tool declares the calls to Proxmox VE that it may make. `host-runner` refuses all \
        others (rule `undeclared-call`), after the [policy](policy.md) has allowed them. The \
        second column has the privileges that Proxmox requires of the token; `/vms/{vmid}` and \
        the like are the paths to grant them on. To explain an error, every tool may also make \
        `GET /version` and `GET /access/permissions`, which need no privileges.\n"
        .to_owned();
    let mut toolset = "";
    for tool in tools {
        let text = |key: &str| {
            let text = tool.get(key).and_then(Value::as_str);
            text.with_context(|| format!("a tool has no {key}"))
        };
        if text("toolset")? != toolset {
            toolset = text("toolset")?;
            page.push_str(&format!("\n## {toolset}\n"));
        }
        page.push_str(&format!(
            "\n### `{}`\n\n{}\n\n| Call | Privileges |\n|---|---|\n",
            text("name")?,
            text("description")?
        ));
        let calls = tool["calls"].as_array().context("a tool has no calls")?;
        for call in calls {
            let name = call["call"].as_str().unwrap_or_default();
            if !OF_EVERY_TOOL.contains(&name) {
                let privileges = call["privileges"].as_str().unwrap_or("not in the table");
                page.push_str(&format!("| `{name}` | {privileges} |\n"));
            }
        }
    }
    Ok(page)
}

/// The page that has the table of rules.
const POLICY: &str = "docs/policy.md";

/// The rules that refuse requests, in the order in which they are evaluated.
fn rules() -> String {
    let mut table = "| Rule | Refuses |\n|---|---|\n".to_owned();
    for rule in Rule::ALL {
        if let Some(refuses) = rule.refuses() {
            table.push_str(&format!("| `{rule}` | {refuses} |\n"));
        }
    }
    table
}

/// A page with a table, in its language.
struct Page {
    path: &'static str,
    titles: [&'static str; 4],
    reads: &'static str,
    writes: &'static str,
    destructive: &'static str,
    dangerous: &'static str,
}

const PAGES: [Page; 2] = [
    Page {
        path: "README.md",
        titles: ["Group", "Tool", "What it does", "Effect"],
        reads: "reads",
        writes: "writes",
        destructive: "destructive",
        dangerous: "dangerous",
    },
    Page {
        path: "docs/README.fr.md",
        titles: [
            "Groupe",
            "Outil",
            "Ce qu’il fait (texte lu par le modèle)",
            "Effet",
        ],
        reads: "lecture",
        writes: "écriture",
        destructive: "destructif",
        dangerous: "dangereux",
    },
];

impl Page {
    fn table(&self, tools: &[Value]) -> Result<String> {
        let mut table = format!("| {} |\n|---|---|---|---|\n", self.titles.join(" | "));
        for tool in tools {
            let text = |key: &str| {
                tool.get(key)
                    .and_then(Value::as_str)
                    .map(|text| text.replace('|', "\\|").replace('\n', " "))
                    .with_context(|| format!("a tool has no {key}"))
            };
            table.push_str(&format!(
                "| {} | `{}` | {} | {} |\n",
                text("toolset")?,
                text("name")?,
                text("description")?,
                self.effect(tool)
            ));
        }
        Ok(table)
    }

    fn effect(&self, tool: &Value) -> &'static str {
        let is = |pointer: &str| tool.pointer(pointer).and_then(Value::as_bool) == Some(true);
        if is("/dangerous") {
            self.dangerous
        } else if is("/annotations/readOnlyHint") {
            self.reads
        } else if is("/annotations/destructiveHint") {
            self.destructive
        } else {
            self.writes
        }
    }
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
        assert_eq!(with_table("nothing here", "tools", "new\n"), None);
    }
}
