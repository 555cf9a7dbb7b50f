//! Which derive macros the types of the component use, by their source text.

use std::fs;
use std::path::Path;

/// What a struct needs serde's own derive macros for: these attributes of serde,
/// or generics.
const ONLY_SERDE: [&str; 6] = [
    "alias",
    "borrow",
    "deserialize_with",
    "flatten",
    "from",
    "try_from",
];

/// What the reader, which tells an enum the place of a variant among its names,
/// cannot do: an alias is a name more, and `other` is for names that are unknown.
const NOT_FOR_VARIANTS: [&str; 2] = ["alias", "other"];

/// A type's attributes, and its text from the line with its name on.
struct Type {
    attributes: String,
    line: String,
    body: String,
}

/// The types in a source file, as rustfmt lays it out, up to its tests.
fn types(source: &str) -> Vec<Type> {
    let source = source
        .split("#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    let mut types = Vec::new();
    let mut attributes = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        let is_type = code
            .split_whitespace()
            .take_while(|word| {
                word.starts_with("pub") || ["struct", "enum", "in", "crate::tools)"].contains(word)
            })
            .any(|word| ["struct", "enum"].contains(&word));
        if is_type {
            let end = format!("{}}}", " ".repeat(line.len() - code.len()));
            let has_body = line.ends_with('{');
            let body = lines.by_ref().take_while(|line| has_body && *line != end);
            types.push(Type {
                attributes: std::mem::take(&mut attributes),
                line: code.to_owned(),
                body: match has_body {
                    true => body.collect::<Vec<_>>().join("\n"),
                    false => String::new(),
                },
            });
        } else if code.is_empty() || code.ends_with(['{', '}', ';']) {
            attributes.clear();
        } else if !code.starts_with("//") {
            attributes.push_str(code);
            attributes.push('\n');
        }
    }
    types
}

/// Whether one of these is an attribute of serde in the text.
fn has_attribute(text: &str, names: &[&str]) -> bool {
    text.split("#[serde(").skip(1).any(|attribute| {
        let attribute = attribute.split(")]").next().unwrap_or_default();
        // Texts may hold anything.
        let code = attribute.split('"').step_by(2).collect::<Vec<_>>();
        code.iter()
            .flat_map(|code| code.split([',', '=', ' ', '\n']))
            .any(|word| names.contains(&word))
    })
}

impl Type {
    fn is_enum(&self) -> bool {
        self.line.contains("enum ")
    }

    /// Whether it derives a trait of serde by serde's own macro.
    fn derives_serde(&self) -> bool {
        self.attributes.split("derive(").skip(1).any(|derived| {
            let derived = derived.split(')').next().unwrap_or_default();
            derived
                .split([',', '\n'])
                .map(|name| name.trim().trim_start_matches("serde::"))
                .any(|name| ["Serialize", "Deserialize"].contains(&name))
        })
    }

    /// What is wrong with it.
    fn fault(&self) -> Option<&'static str> {
        if !self.derives_serde() {
            return None;
        }
        if self.is_enum() {
            let has = has_attribute(&self.body, &NOT_FOR_VARIANTS);
            return has.then_some("a variant with an alias, or for other names");
        }
        let needs_serde = self.line.contains('<')
            || has_attribute(&self.attributes, &ONLY_SERDE)
            || has_attribute(&self.body, &ONLY_SERDE);
        (self.line.ends_with('{') && !needs_serde)
            .then_some("derive DeserializeFields and SerializeFields")
    }
}

/// All types below a folder, with the file that each is in.
fn all(folder: &Path, types_of_all: &mut Vec<(String, Type)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            all(&path, types_of_all);
        } else if name.ends_with(".rs") && !["tests.rs", "twins.rs"].contains(&name.as_str()) {
            let source = fs::read_to_string(&path).unwrap();
            let types = types(&source).into_iter();
            types_of_all.extend(types.map(|of| (path.display().to_string(), of)));
        }
    }
}

#[test]
fn types_derive_what_the_reader_and_its_tables_can_do() {
    let mut types = Vec::new();
    all(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut types,
    );
    let count = |of: &dyn Fn(&Type) -> bool| types.iter().filter(|(_, one)| of(one)).count();
    assert!(count(&|of| of.is_enum() && of.derives_serde()) > 20);
    assert!(count(&|of| !of.is_enum() && of.derives_serde()) > 5);
    assert!(count(&|of| of.attributes.contains("SerializeFields")) > 100);
    let faults: Vec<String> = types
        .iter()
        .filter_map(|(file, of)| Some(format!("{file}: {} {}", of.line, of.fault()?)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn faults_are_found() {
    let faults = |source: &str| types(source).iter().filter_map(Type::fault).count();
    let plain = "#[derive(Debug, Serialize)]\npub(crate) struct A {\n    a: u8,\n}\n";
    assert_eq!(faults(plain), 1);
    assert_eq!(faults(&plain.replace("Serialize", "SerializeFields")), 0);
    assert_eq!(faults(&plain.replace("Serialize", "serde::Deserialize")), 1);
    assert_eq!(faults(&plain.replace("struct A", "struct A<T>")), 0);
    let field =
        |attribute: &str| plain.replace("    a", &format!("    #[serde({attribute})]\n    a"));
    assert_eq!(faults(&field("default, alias = \"b\"")), 0);
    assert_eq!(faults(&field("default, rename = \"alias\"")), 1);
    let lifted = format!("#[serde(try_from = \"B\")]\n{plain}");
    assert_eq!(faults(&lifted), 0);
    let variant = |attribute: &str| {
        format!(
            "#[derive(\n    Deserialize,\n)]\nenum A {{\n    #[serde({attribute})]\n    B,\n}}\n"
        )
    };
    assert_eq!(faults(&variant("alias = \"b\"")), 1);
    assert_eq!(faults(&variant("other")), 1);
    assert_eq!(faults(&variant("rename = \"other\"")), 0);
}
