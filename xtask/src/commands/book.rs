use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::tools;
use crate::workspace::{Workspace, run};

/// Make a book of the documentation, in target/book, with mdBook
///
/// Links between the pages are checked by `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Book {}

/// Where the files beside `docs/` are shown.
const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

impl Book {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let source = workspace.target("book-source");
        let pages = source.join("docs");
        if source.exists() {
            fs::remove_dir_all(&source).context("cannot remove the previous source")?;
        }
        copy(&workspace.root().join("docs"), &pages, 1)?;
        for name in ["CHANGELOG.md", "CONTRIBUTING.md"] {
            let text = fs::read_to_string(workspace.root().join(name))
                .with_context(|| format!("cannot read {name}"))?;
            let text = text.replace("](docs/", "](");
            fs::write(pages.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        fs::copy(workspace.root().join("book.toml"), source.join("book.toml"))
            .context("cannot copy book.toml")?;
        let book = workspace.target("book");
        run(tools::mdbook(workspace)?
            .arg("build")
            .arg(&source)
            .arg("--dest-dir")
            .arg(&book))?;
        check(&book)?;
        eprintln!("the book is {}", book.join("index.html").display());
        Ok(())
    }
}

/// Copies the pages. Links to files above `docs/` become links to the repository.
fn copy(from: &Path, to: &Path, depth: usize) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("a file without a name")?);
        if path.is_dir() {
            copy(&path, &target, depth.saturating_add(1))?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let above = format!("]({}", "../".repeat(depth));
            let mut text = text.replace(&above, &format!("]({REPOSITORY}"));
            for page in ["CHANGELOG.md", "CONTRIBUTING.md"] {
                let inside = format!("]({}{page}", "../".repeat(depth.saturating_sub(1)));
                text = text.replace(&format!("]({REPOSITORY}{page}"), &inside);
            }
            fs::write(&target, text)
                .with_context(|| format!("cannot write {}", target.display()))?;
        } else {
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Fails if a page of the built book links to a file that the book does not have.
fn check(book: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for page in html(book)? {
        let text = fs::read_to_string(&page)?;
        let folder = page.parent().context("a page without a folder")?;
        for link in text.split("href=\"").skip(1) {
            let Some((link, _)) = link.split_once('"') else {
                continue;
            };
            let file = link.split(['#', '?']).next().unwrap_or_default();
            if file.is_empty() || file.contains(':') || file.starts_with('/') {
                continue;
            }
            if !folder.join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    if !broken.is_empty() {
        bail!("links of the book to nothing:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// The pages of the book. mdBook's own `404.html` has links from the root of a site,
/// and `print.html` and `toc.html` repeat those of the others.
fn html(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_ours = !["404.html", "print.html", "toc.html"]
            .iter()
            .any(|one| name == *one);
        if path.is_dir() {
            pages.extend(html(&path)?);
        } else if is_ours
            && path
                .extension()
                .is_some_and(|extension| extension == "html")
        {
            pages.push(path);
        }
    }
    Ok(pages)
}
