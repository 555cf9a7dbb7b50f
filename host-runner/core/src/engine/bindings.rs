//! The host's side of `wit/world.wit`.

// What the component imports is linked by `linking`, not through this world.
wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package proxmox:host;

        world runner {
            export proxmox:mcp/tools@0.1.0;
        }
    ",
    world: "proxmox:host/runner",
    exports: { default: async },
    // The list of the embedded component's tools is read when it is built.
    additional_derives: [serde::Deserialize, serde::Serialize],
    require_store_data_send: true,
});

/// What a component may have besides: it is linked without it, too.
pub(super) mod guided {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package proxmox:host;

            world guided {
                export proxmox:mcp/guide@0.1.0;
            }
        ",
        world: "proxmox:host/guided",
        exports: { default: async },
        additional_derives: [serde::Deserialize, serde::Serialize],
        require_store_data_send: true,
    });
}
