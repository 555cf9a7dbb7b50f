//! What a component may import.

use wasmtime::component::{Component, Linker, Resource};
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;

use super::state::State;

/// The interfaces that are granted, without their versions. Sockets are not
/// among them: a component that imports them is refused when it is loaded.
///
/// The filesystem is here since std's runtime links it; no directory is ever
/// opened, so it holds nothing.
const GRANTED: [&str; 22] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The imports of a component that nothing grants.
pub(super) fn refused_imports(engine: &Engine, component: &Component) -> Vec<String> {
    component
        .component_type()
        .imports(engine)
        .map(|(name, _)| name)
        .filter(|name| !is_granted(name))
        .map(str::to_owned)
        .collect()
}

/// The interface that a component may lack.
const GUIDE: &str = "proxmox:mcp/guide";

/// Whether a component has a guide.
pub(super) fn has_guide(engine: &Engine, component: &Component) -> bool {
    let exports = component.component_type();
    let mut exports = exports.exports(engine);
    exports.any(|(name, _)| without_version(name) == GUIDE)
}

/// Whether a component may import this.
pub(super) fn is_granted(import: &str) -> bool {
    GRANTED.contains(&without_version(import))
}

/// How little an interface gives that promises more.
pub(super) fn restriction(import: &str) -> Option<&'static str> {
    match without_version(import) {
        "wasi:cli/environment" => Some("PROXMOX_URL, PROXMOX_USER and PROXMOX_TOKEN_ID"),
        "wasi:cli/stdin" => Some("empty"),
        "wasi:cli/stdout" => Some("goes nowhere"),
        "wasi:cli/stderr" => Some("goes to the log"),
        "wasi:filesystem/preopens" | "wasi:filesystem/types" => Some("no directory is opened"),
        "wasi:http/outgoing-handler" => Some("requests to PROXMOX_URL that the policy permits"),
        _ => None,
    }
}

fn without_version(import: &str) -> &str {
    import.split_once('@').map_or(import, |(plain, _)| plain)
}

/// Everything that is granted.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    // io, clocks, random, stdin, stdout, stderr and http.
    wasmtime_wasi_http::p2::add_to_linker_async(l)?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, State::random)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, State::random)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    bound_requests(l)?;
    Ok(linker)
}

/// The most that a part of a request may hold, which the host keeps until the
/// request is sent.
const MAX_METHOD_BYTES: usize = 64;
const MAX_AUTHORITY_BYTES: usize = 1024;
const MAX_PATH_BYTES: usize = 8 * 1024;

type Outcome = wasmtime::Result<(Result<(), ()>,)>;
type Request = Resource<HostOutgoingRequest>;

/// Refuses the parts of a request that are longer than any that is sent:
/// wasmtime takes methods and authorities of any length.
fn bound_requests(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>, (request, method): (Request, Method)| -> Outcome {
            if matches!(&method, Method::Other(name) if name.len() > MAX_METHOD_BYTES) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    let longer = |text: &Option<String>, limit| text.as_ref().is_some_and(|t| t.len() > limit);
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        move |mut store: StoreContextMut<'_, State>,
              (request, text): (Request, Option<String>)|
              -> Outcome {
            if longer(&text, MAX_AUTHORITY_BYTES) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, text)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        move |mut store: StoreContextMut<'_, State>,
              (request, text): (Request, Option<String>)|
              -> Outcome {
            if longer(&text, MAX_PATH_BYTES) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_path_with_query(request, text)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
