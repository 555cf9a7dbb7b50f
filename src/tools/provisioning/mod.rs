//! Templates and images, and new guests made of them.

mod appliance;
mod clone_guest;
mod clone_source;
mod download_iso;
mod download_template;
mod image_file;
mod list_templates;
#[cfg(test)]
mod tests;

pub(crate) use clone_guest::CloneGuest;
pub(crate) use download_iso::DownloadIso;
pub(crate) use download_template::DownloadTemplate;
pub(crate) use list_templates::ListTemplates;
