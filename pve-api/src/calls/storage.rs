//! Storages, and images and templates on them.

use super::common::{ANYONE, REQUIRED};
use crate::action::Action;
use crate::call::{Call, Listing, Param, get, must, opt, post};
use crate::grammar::Grammar as G;

/// What a node may be made to fetch from elsewhere.
const ACCESS_NETWORK: &str = "Sys.Audit and Sys.Modify on /, or Sys.AccessNetwork on /nodes/{node}";

const CONTENT_TYPE: G = G::OneOf(&[
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import",
]);

const CHECKSUM: G = G::OneOf(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]);

/// Proxmox overwrites no file, and verifies certificates by default.
const DOWNLOAD: &[Param] = &[
    opt("content", G::OneOf(&["iso", "vztmpl", "import"])),
    opt("filename", G::FileName),
    opt("url", G::Url),
    opt("checksum", G::Hex),
    opt("checksum-algorithm", CHECKSUM),
    opt("verify-certificates", G::Bool),
    opt("compression", G::OneOf(&["gz", "lzo", "zst", "bz2"])),
];

calls! {
    /// The storages of the cluster as they are configured, on whichever nodes.
    CONFIGURED = get("/storage", ANYONE)
        .also("Datastore.Audit or Datastore.AllocateSpace on /storage/{storage} for each entry")
        .lists(Listing::Storages);
    /// The storages of a node, with how full each is.
    LIST = get("/nodes/{node}/storage", ANYONE)
        .also("Datastore.Audit or Datastore.AllocateSpace on /storage/{storage} for each entry")
        .lists(Listing::Storages);
    /// The volumes on a storage.
    CONTENT = get(
        "/nodes/{node}/storage/{storage}/content",
        "Datastore.Audit or Datastore.AllocateSpace on /storage/{storage}",
    )
        .also(
            "VM.Config.Disk on /vms/{vmid} for each disk; VM.Backup on /vms/{vmid} and \
             Datastore.AllocateSpace on /storage/{storage} for each backup",
        )
        .takes(&[opt("content", CONTENT_TYPE), opt("vmid", G::Vmid)])
        .lists(Listing::Content);
    /// Container templates that Proxmox offers for download.
    TEMPLATES = get("/nodes/{node}/aplinfo", ANYONE);
    /// Downloads such a template.
    DOWNLOAD_TEMPLATE = post(
        "/nodes/{node}/aplinfo",
        Action::Download,
        "Datastore.AllocateTemplate on /storage/{storage}",
    )
        .takes(&[must("storage", G::Storage, REQUIRED), opt("template", G::FileName)]);
    /// Asks an address for the name and size of a file: the node sends that
    /// request, so this is a download to the policy.
    URL_METADATA = get("/nodes/{node}/query-url-metadata", ACCESS_NETWORK)
        .is(Action::Download)
        .came_with("7.0")
        .takes(&[opt("url", G::Url), opt("verify-certificates", G::Bool)]);
    /// Downloads a file from an address.
    DOWNLOAD_URL = post(
        "/nodes/{node}/storage/{storage}/download-url",
        Action::Download,
        "Datastore.AllocateTemplate on /storage/{storage}, and (Sys.Audit and Sys.Modify on /, \
         or Sys.AccessNetwork on /nodes/{node})",
    )
        .takes(DOWNLOAD)
        .came_with("7.0");
}
