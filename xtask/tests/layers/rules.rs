//! What `xtask/layers.toml` says, and where the workspace differs from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use crate::source::{self, Crate};

/// The rules of each crate, by its name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rules(BTreeMap<String, Rule>);

/// What may be in one crate.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// The crates of ours that it may depend on.
    crates: BTreeSet<String>,
    /// Those of them that only a feature may add.
    optional: BTreeMap<String, String>,
    /// Its modules, from top to bottom. A module may use those of its own line
    /// and of those below it. Without any, only circles are faults.
    layers: Vec<String>,
    /// The same for the modules in a module.
    within: BTreeMap<String, Vec<String>>,
    /// The crates of ours that only its tests, benchmarks and build script may use.
    dev: BTreeSet<String>,
    /// Modules that use an item of the crate's root, which is above all of them.
    root: BTreeSet<String>,
    /// For a library, the one module that may use it.
    only: BTreeMap<String, String>,
    /// What none of its string literals may contain.
    never_says: BTreeSet<String>,
}

/// The parts of a `Cargo.toml` that matter here.
#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    workspace: Option<Workspace>,
    #[serde(flatten)]
    tables: Tables,
    #[serde(default, rename = "dev-dependencies")]
    dev: BTreeMap<String, Dependency>,
    #[serde(default, rename = "build-dependencies")]
    build: BTreeMap<String, Dependency>,
    /// Dependencies of some targets only.
    #[serde(default)]
    target: BTreeMap<String, Tables>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
struct Tables {
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
}

impl Manifest {
    /// What the crate itself depends on, on any target.
    fn dependencies(&self) -> impl Iterator<Item = (&String, &Dependency)> {
        let tables = std::iter::once(&self.tables).chain(self.target.values());
        tables.flat_map(|tables| &tables.dependencies)
    }
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Dependency {
    Version(#[expect(dead_code, reason = "only which kind it is matters")] String),
    Detailed {
        #[serde(default)]
        optional: bool,
    },
}

impl Rules {
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        parse(&root.join("xtask/layers.toml"))
    }
}

/// All differences between the workspace at `root` and the rules.
pub(crate) fn check(root: &Path, Rules(rules): &Rules) -> io::Result<Vec<String>> {
    let mut faults = Vec::new();
    let top: Manifest = parse(&root.join("Cargo.toml"))?;
    let mut manifests = BTreeMap::new();
    for member in top
        .workspace
        .iter()
        .flat_map(|workspace| &workspace.members)
    {
        let folder = root.join(member);
        let manifest: Manifest = parse(&folder.join("Cargo.toml"))?;
        if let Some(package) = &manifest.package {
            manifests.insert(package.name.clone(), (folder, manifest));
        }
    }
    for name in rules.keys() {
        if !manifests.contains_key(name) {
            faults.push(format!("there is no crate {name}"));
        }
    }
    for (name, (folder, manifest)) in &manifests {
        let Some(rule) = rules.get(name) else {
            faults.push(format!("the crate {name} is not in the table"));
            continue;
        };
        let ours = |dependency: &&String| manifests.contains_key(*dependency);
        let own = manifest.dependencies().map(|(dependency, _)| dependency);
        for dependency in own.filter(ours) {
            if let Some(fault) = dependency_fault(manifest, rule, dependency) {
                faults.push(format!("{name}: {fault}"));
            }
        }
        for dependency in manifest
            .dev
            .keys()
            .chain(manifest.build.keys())
            .filter(ours)
        {
            if !rule.dev.contains(dependency) && !rule.crates.contains(dependency) {
                faults.push(format!("{name}: its tests or its build use {dependency}"));
            }
        }
        let src = folder.join("src");
        // The package of the test programs has none.
        if !src.exists() {
            continue;
        }
        let read = source::read(&src)?;
        faults.extend(
            rule.faults(&read)
                .into_iter()
                .map(|fault| format!("{name}: {fault}")),
        );
    }
    Ok(faults)
}

fn dependency_fault(manifest: &Manifest, rule: &Rule, name: &str) -> Option<String> {
    if rule.crates.contains(name) {
        return None;
    }
    let Some(feature) = rule.optional.get(name) else {
        return Some(format!("depends on {name}"));
    };
    let is_optional = manifest.dependencies().all(|(dependency, kind)| {
        dependency != name || matches!(kind, Dependency::Detailed { optional: true })
    });
    let adding: Vec<_> = manifest
        .features
        .iter()
        .filter(|(_, adds)| {
            adds.iter()
                .any(|one| one.trim_start_matches("dep:") == name)
        })
        .map(|(feature, _)| feature.as_str())
        .collect();
    (!is_optional || adding != [feature])
        .then(|| format!("depends on {name} other than by its feature {feature}"))
}

impl Rule {
    /// Where the source of a crate breaks its rules.
    pub(crate) fn faults(&self, read: &Crate) -> Vec<String> {
        let mut faults = self.upward(read);
        faults.extend(circles(read));
        faults.extend(self.libraries(read));
        for (file, texts) in &read.texts {
            for word in &self.never_says {
                if let Some(text) = texts.iter().find(|text| text.contains(word)) {
                    faults.push(format!("{file} says {word}: {text:?}"));
                }
            }
        }
        faults
    }

    /// Uses that point up, in the crate and within its modules.
    fn upward(&self, read: &Crate) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.layers.is_empty() {
            faults.extend(self.upward_in("", &self.layers, read));
        }
        for (module, layers) in &self.within {
            faults.extend(self.upward_in(&format!("{module}/"), layers, read));
        }
        faults
    }

    /// The same for the modules in a folder, whose path ends in `/`, or in the
    /// crate itself: "".
    fn upward_in(&self, folder: &str, layers: &[String], read: &Crate) -> Vec<String> {
        let mut faults = Vec::new();
        // The root is above all of its modules.
        let height = |module: &str| match module {
            "lib" | "main" | "mod" => Some(0),
            _ => {
                let has = |line: &String| line.split_whitespace().any(|one| one == module);
                layers.iter().position(has).map(|line| line + 1)
            }
        };
        let modules: BTreeSet<&str> = read
            .uses
            .keys()
            .filter_map(|file| file.strip_prefix(folder))
            .map(module_of)
            .collect();
        for module in &modules {
            if height(module).is_none() {
                faults.push(format!(
                    "the module {folder}{module} is in none of the layers"
                ));
            }
        }
        for line in layers.iter().flat_map(|line| line.split_whitespace()) {
            if !modules.contains(line) {
                faults.push(format!(
                    "the layers have a module {folder}{line} that does not exist"
                ));
            }
        }
        for (file, uses) in &read.uses {
            let Some(module) = file.strip_prefix(folder).map(module_of) else {
                continue;
            };
            for (used, path) in uses {
                let Some(used_module) = used.strip_prefix(folder).map(module_of) else {
                    continue;
                };
                let is_known = height(used_module) == Some(0) && self.root.contains(module);
                if height(used_module) < height(module) && !is_known {
                    faults.push(format!("{file} uses {used}, which is above it ({path})"));
                }
            }
        }
        faults
    }

    fn libraries(&self, read: &Crate) -> Vec<String> {
        let mut faults = Vec::new();
        for (library, module) in &self.only {
            for (file, roots) in &read.roots {
                if roots.contains(library) && module_of(file) != module {
                    faults.push(format!("{file} uses {library}, which is for {module} only"));
                }
            }
        }
        faults
    }
}

/// Circles of more than two files.
fn circles(read: &Crate) -> Vec<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = read
        .uses
        .keys()
        .map(|file| (file.as_str(), reached(read, file)))
        .collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for file in reached.keys() {
        let circle: Vec<&str> = reached
            .keys()
            .copied()
            .filter(|other| reaches(file, other) && reaches(other, file))
            .collect();
        if circle.len() <= 2 || !seen.insert(circle.clone()) {
            continue;
        }
        let mut lines = vec![format!("a circle of {} files:", circle.len())];
        for file in &circle {
            for (used, path) in read.uses.get(*file).into_iter().flatten() {
                if circle.contains(&used.as_str()) {
                    lines.push(format!("    {file} uses {used} ({path})"));
                }
            }
        }
        faults.push(lines.join("\n"));
    }
    faults
}

/// All files that a file uses, directly or through others.
fn reached<'a>(read: &'a Crate, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(file) = next.pop() {
        for used in read.uses.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(used.as_str()) {
                next.push(used);
            }
        }
    }
    reached
}

/// The module right below the crate's root that a file belongs to.
fn module_of(file: &str) -> &str {
    let first = file.split(['/', '\\']).next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read_to_string(path)?;
    toml::from_str(&text).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a made-up crate with these files.
    fn faults(rule: &str, files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let rule: Rule = toml::from_str(rule).unwrap();
        rule.faults(&source::read(folder.path()).unwrap())
    }

    const LAYERS: &str = "layers = ['tools', 'tool', 'pve']";
    const LIB: (&str, &str) = ("lib.rs", "mod pve; mod tool; mod tools;");
    const PVE: (&str, &str) = ("pve/mod.rs", "mod client; pub(crate) use client::Client;");
    const CLIENT: (&str, &str) = ("pve/client.rs", "pub(crate) struct Client;");
    const TOOLS: (&str, &str) = ("tools.rs", "use crate::{pve::Client, tool::Tool};");

    #[test]
    fn arrows_that_point_down_are_no_fault() {
        let tool = (
            "tool.rs",
            "use crate::pve; pub(crate) struct Tool(pve::Client);",
        );
        assert_eq!(faults(LAYERS, &[LIB, PVE, CLIENT, TOOLS, tool]), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_a_fault() {
        for tool in [
            "pub(crate) struct Tool; use crate::tools::Table;",
            "pub(crate) struct Tool(crate::tools::Table);",
            "pub(crate) struct Tool; fn a() { super::tools::run(); }",
            "pub(crate) struct Tool; fn a() { json!({ \"a\": crate::tools::run(1) }); }",
            "pub(crate) struct Tool; use crate::tools; fn a() { tools::run(); }",
            "pub(crate) struct Tool; fn a() { use crate::{tools::{run, Table}}; }",
            "pub(crate) struct Tool; mod inner { use super::super::tools::run; }",
        ] {
            let found = faults(LAYERS, &[LIB, PVE, CLIENT, TOOLS, ("tool.rs", tool)]);
            assert_eq!(found.len(), 1, "{tool}: {found:?}");
            assert!(
                found
                    .iter()
                    .all(|fault| fault.starts_with("tool.rs uses tools.rs, which is above it")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_root_is_above_all_modules() {
        let lib = ("lib.rs", "mod pve; mod tool; mod tools; pub struct Own;");
        let tool = ("tool.rs", "pub(crate) struct Tool(crate::Own);");
        let found = faults(LAYERS, &[lib, PVE, CLIENT, TOOLS, tool]);
        assert_eq!(
            found,
            ["tool.rs uses lib.rs, which is above it (crate::Own)"]
        );
        let rule = format!("{LAYERS}\nroot = ['tool']");
        assert_eq!(faults(&rule, &[lib, PVE, CLIENT, TOOLS, tool]), [""; 0]);
    }

    #[test]
    fn modules_within_a_module_have_an_order_too() {
        let rule = "within.tools = ['power', 'guests find']";
        let lib = ("lib.rs", "mod tools;");
        let tools = (
            "tools/mod.rs",
            "mod find; mod guests; mod power; pub struct Table;",
        );
        let find = ("tools/find.rs", "pub(crate) struct Find;");
        let guests = ("tools/guests/mod.rs", "use crate::tools::find::Find;");
        let power = (
            "tools/power.rs",
            "use super::find::Find; pub(crate) struct Power;",
        );
        assert_eq!(faults(rule, &[lib, tools, find, guests, power]), [""; 0]);
        let guests = ("tools/guests/mod.rs", "use crate::tools::power::Power;");
        let found = faults(rule, &[lib, tools, find, guests, power]);
        assert_eq!(
            found,
            [
                "tools/guests/mod.rs uses tools/power.rs, which is above it (crate::tools::power::Power)"
            ]
        );
        let guests = ("tools/guests/mod.rs", "use super::Table;");
        let found = faults(rule, &[lib, tools, find, guests, power]);
        assert_eq!(found.len(), 1, "{found:?}");
        let found = faults(
            "within.tools = ['find']",
            &[lib, tools, find, guests, power],
        );
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn a_re_export_leads_to_the_file_behind_it() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = (
            "a.rs",
            "pub(crate) use crate::b::Item; pub(crate) struct Own;",
        );
        let b = ("b.rs", "use crate::c::Other; pub(crate) struct Item;");
        // By its own name the item is in a, which uses nothing.
        let c = ("c.rs", "use crate::a::Item; pub(crate) struct Other;");
        assert_eq!(faults("", &[lib, a, b, c]), [""; 0]);
        let a = (
            "a.rs",
            "pub(crate) use crate::b::Item; pub(crate) struct Own(Item);",
        );
        let c = ("c.rs", "use crate::a::Own; pub(crate) struct Other;");
        let found = faults("", &[lib, a, b, c]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_circle_of_three_files_is_a_fault_and_one_of_two_is_not() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = ("a.rs", "use crate::b::B; pub(crate) struct A;");
        let b = ("b.rs", "use crate::c::C; pub(crate) struct B;");
        let of_two = ("c.rs", "use crate::b::B; pub(crate) struct C;");
        assert_eq!(faults("", &[lib, a, b, of_two]), [""; 0]);
        let of_three = ("c.rs", "use crate::a::A; pub(crate) struct C;");
        let found = faults("", &[lib, a, b, of_three]);
        assert_eq!(found.len(), 1, "{found:?}");
        let for_tests = (
            "c.rs",
            "pub(crate) struct C; #[cfg(test)] mod tests { use crate::a::A; }",
        );
        assert_eq!(faults("", &[lib, a, b, for_tests]), [""; 0]);
    }

    #[test]
    fn a_method_of_another_file_is_a_use_of_that_file() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = (
            "a.rs",
            "pub(crate) struct A; impl A { fn run(&self) { self.b(); } }",
        );
        let b = (
            "b.rs",
            "use crate::a::A; use crate::c::C; impl A { fn b(&self) -> C { C } }",
        );
        let c = (
            "c.rs",
            "use crate::a::A; pub(crate) struct C; fn c(_: &A) {}",
        );
        let found = faults("", &[lib, a, b, c]);
        assert_eq!(found.len(), 1, "{found:?}");
        let a = ("a.rs", "pub(crate) struct A; impl A { fn run(&self) {} }");
        assert_eq!(faults("", &[lib, a, b, c]), [""; 0]);
    }

    #[test]
    fn a_library_is_used_by_its_module_only() {
        let rule = "only = { rmcp = 'mcp' }";
        let lib = ("lib.rs", "mod mcp; mod other;");
        let mcp = ("mcp.rs", "use rmcp::model::Tool;");
        assert_eq!(faults(rule, &[lib, mcp, ("other.rs", "")]), [""; 0]);
        for other in [
            "use rmcp::model::Tool;",
            "fn a() -> rmcp::Error { todo!() }",
        ] {
            let found = faults(rule, &[lib, mcp, ("other.rs", other)]);
            assert_eq!(found, ["other.rs uses rmcp, which is for mcp only"]);
        }
    }

    #[test]
    fn modules_and_the_table_name_each_other() {
        let found = faults(
            "layers = ['a', 'gone']",
            &[("lib.rs", "mod a; mod b;"), ("a.rs", ""), ("b.rs", "")],
        );
        assert_eq!(
            found,
            [
                "the module b is in none of the layers",
                "the layers have a module gone that does not exist"
            ]
        );
    }

    #[test]
    fn words_are_looked_for_in_string_literals() {
        let rule = "never_says = ['api2']";
        let found = faults(rule, &[("lib.rs", "fn a() { send(\"/api2/json\") }")]);
        assert_eq!(found, ["lib.rs says api2: \"/api2/json\""]);
        assert_eq!(
            faults(rule, &[("lib.rs", "// api2\nfn api2() {}")]),
            [""; 0]
        );
    }

    #[test]
    fn a_dependency_of_a_feature_has_to_be_optional() {
        let rule: Rule = toml::from_str("optional = { pve-sim = 'demo' }").unwrap();
        let fault = |manifest: &str| {
            let manifest = toml::from_str(manifest).unwrap();
            dependency_fault(&manifest, &rule, "pve-sim").is_some()
        };
        let optional = "[dependencies]\npve-sim = { path = 'x', optional = true }\n[features]\n";
        assert!(!fault(&format!("{optional}demo = ['dep:pve-sim']")));
        assert!(fault(&format!("{optional}more = ['dep:pve-sim']")));
        assert!(fault("[dependencies]\npve-sim = { path = 'x' }"));
        let of_a_target = "[target.'cfg(unix)'.dependencies]\npve-sim = { path = 'x' }";
        assert!(fault(of_a_target));
        let other = toml::from_str("[dependencies]\nother = '1'").unwrap();
        assert!(dependency_fault(&other, &rule, "other").is_some());
    }
}
