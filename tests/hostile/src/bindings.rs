//! The guest side of `wit/world.wit`, and what std imports anyway. It exports no
//! `guide`: a host needs only the tools.

wit_bindgen::generate!({
    path: ["../../wit", "wit/random", "wit/cli"],
    inline: "
        package hostile:component;

        world hostile {
            import wasi:http/outgoing-handler@0.2.2;
            export proxmox:mcp/tools@0.1.0;
            import wasi:clocks/monotonic-clock@0.2.2;
            import wasi:clocks/wall-clock@0.2.2;
            import wasi:random/random@0.2.2;
            import wasi:cli/stdout@0.2.2;
            import wasi:cli/stderr@0.2.2;
        }
    ",
    world: "hostile:component/hostile",
    generate_all,
});

pub(crate) use exports::proxmox::mcp::tools::*;
