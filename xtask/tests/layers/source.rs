//! Which file of a crate uses which other, and which libraries, read from the
//! source.
//!
//! A path counts as a use of the file that defines its item: a re-export leads
//! to the file behind it. `mod` lines, re-exports, and what `cfg(test)` is on
//! count as no use. Paths inside of macros count; methods do not, as they are
//! called without a path, but for those that another file adds to a type of this
//! one: the file of the type uses that file then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Item, UseTree, Visibility};

/// The files of one crate, by their paths below its `src`.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    /// A path that is an example, for each file and each that it uses.
    pub(crate) uses: BTreeMap<String, BTreeMap<String, String>>,
    /// For each file, the first segments of all paths: libraries among them.
    pub(crate) roots: BTreeMap<String, BTreeSet<String>>,
    /// For each file, the texts of all string literals.
    pub(crate) texts: BTreeMap<String, BTreeSet<String>>,
}

/// A module by its path below the crate's root.
type Name = Vec<String>;

#[derive(Debug, Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    /// What its `use` lines call what.
    names: BTreeMap<String, Import>,
    /// Modules from which it has everything.
    globs: Vec<Name>,
    /// All paths in its code.
    paths: Vec<Vec<String>>,
    /// Types by their paths, and the methods that it adds to each.
    methods: Vec<(Vec<String>, BTreeSet<String>)>,
    /// The names of the methods that its code calls.
    called: BTreeSet<String>,
}

#[derive(Debug)]
struct Import {
    path: Vec<String>,
    is_public: bool,
}

/// Reads the files of a crate, from `lib.rs` or `main.rs` on.
pub(crate) fn read(src: &Path) -> io::Result<Crate> {
    let root = ["lib.rs", "main.rs"].map(|name| src.join(name));
    let root = root
        .iter()
        .find(|path| path.exists())
        .ok_or_else(|| io::Error::other(format!("{} has no root", src.display())))?;
    let mut reader = Reader {
        src,
        modules: BTreeMap::new(),
        found: Crate::default(),
    };
    reader.file(Vec::new(), root, src)?;
    Ok(reader.resolved())
}

struct Reader<'a> {
    src: &'a Path,
    modules: BTreeMap<Name, Module>,
    found: Crate,
}

impl Reader<'_> {
    /// Reads a module's file, and those of the modules in it from `folder`.
    fn file(&mut self, name: Name, path: &Path, folder: &Path) -> io::Result<()> {
        let text = fs::read_to_string(path)?;
        let file = syn::parse_file(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let own = path.strip_prefix(self.src).unwrap_or(path);
        let own = own.to_string_lossy().into_owned();
        for index in [&mut self.found.roots, &mut self.found.texts] {
            index.entry(own.clone()).or_default();
        }
        self.found.uses.entry(own.clone()).or_default();
        self.module(name, own, file.items, folder)
    }

    fn module(
        &mut self,
        name: Name,
        file: String,
        items: Vec<Item>,
        folder: &Path,
    ) -> io::Result<()> {
        let mut module = Module {
            file: file.clone(),
            ..Module::default()
        };
        for item in items {
            if is_for_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(item) => {
                    let child = item.ident.to_string();
                    let path = [name.as_slice(), std::slice::from_ref(&child)].concat();
                    let below = folder.join(&child);
                    match item.content {
                        Some((_, items)) => self.module(path, file.clone(), items, &below)?,
                        None => self.file(path, &module_file(folder, &child)?, &below)?,
                    }
                }
                Item::Use(item) => {
                    let is_public = !matches!(item.vis, Visibility::Inherited);
                    import(&mut module, &name, Vec::new(), &item.tree, is_public);
                }
                other => {
                    module.items.extend(defined(&other));
                    module.methods.extend(methods(&other));
                    called(other.to_token_stream(), &mut module.called);
                    let texts = self.found.texts.entry(file.clone()).or_default();
                    scan(other.to_token_stream(), &[], &mut module.paths, texts);
                }
            }
        }
        self.modules.insert(name, module);
        Ok(())
    }

    /// Lets every path that starts with a module beside it start at the root.
    fn root_imports(&mut self) {
        let all: BTreeSet<Name> = self.modules.keys().cloned().collect();
        for (name, module) in &mut self.modules {
            let imports = module.names.values_mut().map(|import| &mut import.path);
            for path in imports.chain(&mut module.globs) {
                let first = path.first().cloned().unwrap_or_default();
                let child = [name.as_slice(), &[first]].concat();
                if all.contains(&child) {
                    *path = in_crate(&[name.as_slice(), path].concat());
                }
            }
        }
    }

    fn resolved(mut self) -> Crate {
        self.root_imports();
        let mut found = std::mem::take(&mut self.found);
        for (name, module) in &self.modules {
            let uses = found.uses.entry(module.file.clone()).or_default();
            let mut used = |path: &[String], may_be_a_module: bool| {
                let Some(target) = self.resolve(path, 0) else {
                    return;
                };
                if target.file != module.file && (may_be_a_module || !target.is_module) {
                    uses.entry(target.file).or_insert_with(|| path.join("::"));
                }
            };
            for import in module.names.values() {
                if !import.is_public {
                    // Of a module, what is used shows in the paths.
                    used(&import.path, false);
                }
            }
            for glob in &module.globs {
                used(glob, true);
            }
            let roots = found.roots.entry(module.file.clone()).or_default();
            roots.extend(
                module
                    .names
                    .values()
                    .filter_map(|one| one.path.first().cloned()),
            );
            for path in &module.paths {
                roots.extend(path.first().cloned());
                if let Some(path) = self.absolute(name, module, path) {
                    used(&path, false);
                }
            }
        }
        for (name, module) in &self.modules {
            for (path, methods) in &module.methods {
                let path = self.absolute(name, module, path);
                let Some(target) = path.and_then(|path| self.resolve(&path, 0)) else {
                    continue;
                };
                let of_type = self.modules.values().filter(|one| one.file == target.file);
                let mut called = of_type.flat_map(|one| &one.called);
                if target.file != module.file
                    && let Some(method) = called.find(|called| methods.contains(*called))
                {
                    let uses = found.uses.entry(target.file).or_default();
                    let method = || format!("method {method}");
                    uses.entry(module.file.clone()).or_insert_with(method);
                }
            }
        }
        found
    }

    /// A path in a module's code, from the crate's root on. None if it does not
    /// lead to this crate.
    fn absolute(&self, name: &Name, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        if let Some(import) = module.names.get(first) {
            return Some([import.path.as_slice(), rest].concat());
        }
        if rest.is_empty() {
            return None;
        }
        let child = [name.as_slice(), std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&child) {
            return Some(in_crate(&[child.as_slice(), rest].concat()));
        }
        from_root(name, path)
    }

    /// Where a path leads that starts at the crate's root.
    fn resolve(&self, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        // Re-exports may go in a circle.
        if first != "crate" || depth > 16 {
            return None;
        }
        let mut name = Name::new();
        for (index, segment) in rest.iter().enumerate() {
            let module = self.modules.get(&name)?;
            let after = rest.get(index + 1..).unwrap_or_default();
            let mut child = name.clone();
            child.push(segment.clone());
            if self.modules.contains_key(&child) {
                name = child;
                continue;
            }
            if let Some(import) = module.names.get(segment) {
                return self.resolve(&[import.path.as_slice(), after].concat(), depth + 1);
            }
            if !module.items.contains(segment) {
                let through = module.globs.iter().find_map(|glob| {
                    let path = [glob.as_slice(), std::slice::from_ref(segment), after].concat();
                    self.resolve(&path, depth + 1)
                        .filter(|target| target.is_known)
                });
                if through.is_some() {
                    return through;
                }
            }
            return Some(Target {
                file: module.file.clone(),
                is_module: false,
                is_known: module.items.contains(segment),
            });
        }
        Some(Target {
            file: self.modules.get(&name)?.file.clone(),
            is_module: true,
            is_known: true,
        })
    }
}

struct Target {
    file: String,
    is_module: bool,
    /// The module defines the item, as far as can be seen without macros.
    is_known: bool,
}

/// `#[cfg(test)]`, with or without others.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .to_token_stream()
                .to_string()
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "test")
    })
}

fn module_file(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let plain = folder.join(name).with_extension("rs");
    let nested = folder.join(name).join("mod.rs");
    [plain, nested]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| io::Error::other(format!("no module {name} in {}", folder.display())))
}

fn in_crate(name: &[String]) -> Vec<String> {
    [&["crate".to_owned()], name].concat()
}

/// A path that starts with `crate`, `self` or `super`, from the crate's root on.
fn from_root(module: &Name, path: &[String]) -> Option<Vec<String>> {
    let mut name = module.clone();
    let mut rest = path;
    let (first, after) = path.split_first()?;
    match first.as_str() {
        "crate" => return Some(path.to_vec()),
        "self" => rest = after,
        "super" => {}
        _ => return None,
    }
    while let Some((first, after)) = rest.split_first()
        && first == "super"
    {
        name.pop();
        rest = after;
    }
    Some(in_crate(&[name.as_slice(), rest].concat()))
}

fn import(
    module: &mut Module,
    name: &Name,
    mut path: Vec<String>,
    tree: &UseTree,
    is_public: bool,
) {
    // A path without a prefix leads to a library or to a module in this one.
    let from = |path: Vec<String>| from_root(name, &path).unwrap_or(path);
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            import(module, name, path, &tree.tree, is_public);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                import(module, name, path.clone(), tree, is_public);
            }
        }
        UseTree::Glob(_) => module.globs.push(from(path)),
        UseTree::Name(_) | UseTree::Rename(_) => {
            let (last, alias) = match tree {
                UseTree::Rename(tree) => (tree.ident.to_string(), tree.rename.to_string()),
                UseTree::Name(tree) => (tree.ident.to_string(), tree.ident.to_string()),
                _ => return,
            };
            let alias = match alias.as_str() {
                "self" => path.last().cloned().unwrap_or_default(),
                // Each trait without a name is a name of its own.
                "_" => format!("_{last}"),
                _ => alias,
            };
            if last != "self" {
                path.push(last);
            }
            let path = from(path);
            module.names.insert(alias, Import { path, is_public });
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The type of an `impl` that is of no trait, and its methods.
fn methods(item: &Item) -> Option<(Vec<String>, BTreeSet<String>)> {
    let Item::Impl(block) = item else {
        return None;
    };
    let syn::Type::Path(path) = &*block.self_ty else {
        return None;
    };
    if block.trait_.is_some() {
        return None;
    }
    let segments = path.path.segments.iter();
    let path = segments.map(|segment| segment.ident.to_string()).collect();
    let methods = block.items.iter().filter_map(|item| match item {
        syn::ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
        _ => None,
    });
    Some((path, methods.collect()))
}

/// Collects the names that stand behind a dot and before parentheses.
fn called(tokens: TokenStream, names: &mut BTreeSet<String>) {
    let mut dotted = None;
    let mut after_dot = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => dotted = after_dot.then(|| ident.to_string()),
            TokenTree::Group(group) => {
                // A method of iterators, whatever else has its name.
                names.extend(dotted.take().filter(|name| name != "filter"));
                called(group.stream(), names);
            }
            TokenTree::Punct(ref punct) if punct.as_char() == '.' => {
                dotted = None;
                after_dot = true;
                continue;
            }
            _ => dotted = None,
        }
        after_dot = false;
    }
}

/// Collects the paths in code, each behind `prefix`, and its string literals.
fn scan(
    tokens: TokenStream,
    prefix: &[String],
    paths: &mut Vec<Vec<String>>,
    texts: &mut BTreeSet<String>,
) {
    let mut path = prefix.to_vec();
    let mut colons = 0;
    let mut end = |path: &mut Vec<String>| {
        if path.len() > prefix.len() {
            paths.push(std::mem::replace(path, prefix.to_vec()));
        }
    };
    let mut inner = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    end(&mut path);
                }
                path.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
            TokenTree::Group(group) => {
                // `a::{b, c}`
                let outer = if colons == 2 {
                    path.clone()
                } else {
                    Vec::new()
                };
                end(&mut path);
                colons = 0;
                inner.push((group.stream(), outer));
            }
            other => {
                end(&mut path);
                colons = 0;
                if let TokenTree::Literal(literal) = other
                    && let syn::Lit::Str(text) = syn::Lit::new(literal)
                {
                    texts.insert(text.value());
                }
            }
        }
    }
    end(&mut path);
    for (stream, outer) in inner {
        scan(stream, &outer, paths, texts);
    }
}
