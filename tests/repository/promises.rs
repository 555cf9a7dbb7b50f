//! What docs/security.md promises has tests.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

/// All Rust sources below a folder.
fn sources(folder: &Path) -> anyhow::Result<String> {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.push_str(&sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(path)?);
        }
    }
    Ok(all)
}

/// The tests that docs/security.md names exist.
#[test]
fn every_promise_has_its_test() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
    };
    let page = read("docs/security.md")?;
    let (_, table) = page.split_once("| Promise |").context("no promises")?;
    let (table, _) = table.split_once("\n\n").context("an endless table")?;
    let mut all = read("host-runner/policy/tests/schema.rs")?;
    for folder in [
        "adapters/http/src",
        "host-runner/core/src",
        "host-runner/policy/src",
        "pve-api/src",
        "src",
    ] {
        all.push_str(&sources(&root.join(folder))?);
    }
    let mut modules = BTreeMap::new();
    for program in ["tools", "host", "sandbox", "repository"] {
        for file in std::fs::read_dir(root.join("tests").join(program))? {
            let path = file?.path();
            let name = path.file_stem().context("a file without a name")?;
            let text = std::fs::read_to_string(&path)?;
            all.push_str(&text);
            modules.insert(name.to_string_lossy().into_owned(), text);
        }
    }
    let mut shown = 0;
    for name in table.split('`').skip(1).step_by(2) {
        let (source, test) = match name.split_once("::") {
            Some((module, test)) => {
                let text = modules.get(module);
                (text.with_context(|| format!("no tests {name}"))?, test)
            }
            // Files, suites, commands and settings are not tests.
            None if !name.contains('_') || name.contains(['/', ' ', '=']) => continue,
            None if modules.contains_key(name) => continue,
            None if name.chars().all(|c| c.is_ascii_uppercase() || c == '_') => continue,
            None => (&all, name),
        };
        assert!(source.contains(&format!("fn {test}(")), "no test {name}");
        shown += 1;
    }
    assert!(shown > 20, "{shown}");
    Ok(())
}
