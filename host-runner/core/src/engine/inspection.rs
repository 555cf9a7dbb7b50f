//! What a component asks for, whether or not it would get it.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::bindings::RunnerPre;
use super::limits::Limits;
use super::linking;
use super::loading::{ComponentSource, LoadError, Loaded, one_line};
use super::state::State;
use crate::digest::Digest;

/// What there is to see of a component without running it.
pub(crate) struct Inspection {
    /// The file, or what to call the embedded one.
    pub name: String,
    /// Its size in bytes.
    pub size: usize,
    /// Its digest.
    pub digest: Digest,
    /// What it imports.
    pub imports: Vec<Import>,
    /// The names of what it exports.
    pub exports: Vec<String>,
    /// Why it does not have the exports of the world that is expected, if so.
    pub foreign: Option<String>,
    /// Why it would not be run, if so.
    pub refusal: Option<String>,
}

/// Something that a component imports.
pub(crate) struct Import {
    /// With its version.
    pub name: String,
    /// The functions of an interface.
    pub functions: Vec<String>,
    /// Whether a component gets it.
    pub granted: bool,
    /// How little of it, where it promises more.
    pub restriction: Option<&'static str>,
}

/// Looks at a component. Nothing of it runs.
pub(crate) fn inspect(source: &ComponentSource) -> Result<Inspection, LoadError> {
    let Loaded {
        engine,
        component,
        size,
        digest,
    } = source.load(&Limits::default())?;
    let component_type = component.component_type();
    let imports: Vec<_> = component_type
        .imports(&engine)
        .map(|(name, import)| {
            let granted = linking::is_granted(name);
            Import {
                name: name.to_owned(),
                functions: functions(&engine, &import.ty),
                granted,
                restriction: linking::restriction(name).filter(|_| granted),
            }
        })
        .collect();
    let exports = component_type
        .exports(&engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let refused: Vec<_> = imports
        .iter()
        .filter(|import| !import.granted)
        .map(|import| import.name.as_str())
        .collect();
    let foreign = check_exports(&engine, &component).err();
    let refusal = if !refused.is_empty() {
        Some(format!(
            "it imports {}, which is granted to no component",
            refused.join(", ")
        ))
    } else {
        // As when it is loaded.
        linking::linker(&engine)
            .and_then(|linker| linker.instantiate_pre(&component))
            .and_then(RunnerPre::<State>::new)
            .err()
            .map(|error| one_line(&error))
    };
    Ok(Inspection {
        name: source.name(),
        size,
        digest,
        imports,
        exports,
        foreign,
        refusal,
    })
}

/// Whether the exports are those of the world, whatever the imports are.
fn check_exports(engine: &Engine, component: &Component) -> Result<(), String> {
    let check = || {
        let mut linker = linking::linker(engine)?;
        linker.define_unknown_imports_as_traps(component)?;
        RunnerPre::<State>::new(linker.instantiate_pre(component)?)
    };
    check().map(drop).map_err(|error| one_line(&error))
}

fn functions(engine: &Engine, item: &ComponentItem) -> Vec<String> {
    let ComponentItem::ComponentInstance(interface) = item else {
        return Vec::new();
    };
    interface
        .exports(engine)
        .filter(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)))
        .map(|(name, _)| name.to_owned())
        .collect()
}
