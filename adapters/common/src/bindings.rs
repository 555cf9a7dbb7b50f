//! The import of `wit/world.wit`, as wit-bindgen makes it.

wit_bindgen::generate!({
    path: "../../wit",
    inline: "
        package proxmox:adapter;
        world adapter {
            import proxmox:mcp/tools@0.1.0;
        }
    ",
    // Adapters describe their failures, and a test compares them.
    additional_derives: [PartialEq],
    generate_all,
});
