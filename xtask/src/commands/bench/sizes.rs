//! Sizes of what is built.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::{Figure, Report};
use crate::commands::dist;
use crate::workspace::Workspace;

const MEGABYTE: f64 = 1e6;

/// The limit of the component: 1.4 MB, plus 30 KB for each tool beyond 45.
const FIRST_TOOLS: usize = 45;
const MOST_OF_FIRST: f64 = 1.4;
const MOST_OF_FURTHER: f64 = 0.03;

/// Sizes of the component, its machine code and the static release binary.
pub(super) fn measure(workspace: &Workspace, tools: usize, report: &mut Report) -> Result<()> {
    let wasm = workspace.component("proxmox_mcp.wasm");
    let component = size(&wasm)?;
    report.ours(Figure::Component, component / MEGABYTE);
    let further = tools.saturating_sub(FIRST_TOOLS) as f64;
    report.at_most(Figure::Component, MOST_OF_FIRST + further * MOST_OF_FURTHER);
    report.ours(Figure::WasmPerTool, component / tools as f64 / 1e3);
    report.note(
        Figure::WasmPerTool,
        format!(
            "{tools} tools, with all that they share; the target is for each further tool, which adds \
             less than the average"
        ),
    );
    let machine_code = size(&workspace.component("proxmox_mcp.cwasm"))?;
    report.ours(Figure::MachineCode, machine_code / MEGABYTE);
    let binary = dist::binary(workspace)?;
    let modified = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    match (modified(&binary), modified(&wasm)) {
        (Ok(binary_time), Ok(component_time)) if binary_time >= component_time => {
            report.ours(Figure::Dist, size(&binary)? / MEGABYTE);
        }
        (Ok(_), _) => report.note(Figure::Dist, "older than the component: `--dist` builds it"),
        (Err(_), _) => report.note(Figure::Dist, "not built: `--dist` builds it"),
    }
    Ok(())
}

fn size(path: &Path) -> Result<f64> {
    let file = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file.len() as f64)
}
