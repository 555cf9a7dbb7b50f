# host-runner with the embedded component, and the files that it reads:
#
#   docker build -t proxmox-mcp .
#   docker run -i --rm --env-file .env proxmox-mcp
#
# `cargo xtask docker-test` builds and tests this image.

# The digest is that of the index for all architectures. After an update of the version:
# `docker buildx imagetools inspect rust:VERSION-bookworm`.
ARG RUST_IMAGE=rust:1.95-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
# As in Cargo.toml. A test of the image may do with less optimization, and with a
# component that is compiled already.
ARG CARGO_PROFILE_DIST_LTO=fat
ARG CARGO_PROFILE_DIST_CODEGEN_UNITS=1
ARG CARGO_PROFILE_DIST_OPT_LEVEL=s
ARG PROXMOX_MCP_COMPONENT=
ARG PROXMOX_MCP_COMPONENT_CWASM=
# Keep cargo's downloads and build results for the next build.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo --locked xtask dist --out /image/usr/local/bin/host-runner
# The public CA certificates, and nsswitch.conf for host name lookups in files
# and DNS, which the statically linked C library supports without other files.
RUN install -D -m 444 /etc/ssl/certs/ca-certificates.crt -t /image/etc/ssl/certs \
 && install -D -m 444 LICENSE-APACHE LICENSE-MIT -t /image/usr/share/licenses/proxmox-mcp \
 && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
 && chmod 444 /image/etc/nsswitch.conf \
 && chmod 555 /image/usr/local/bin/host-runner \
 && find /image -type d -exec chmod 755 {} +

# No shell, no other program, and no file that the image's user can write to.
FROM scratch
COPY --from=build /image /
USER 65532:65532
LABEL org.opencontainers.image.title="proxmox-mcp" \
      org.opencontainers.image.description="MCP server for Proxmox VE, with its tools in a sandbox" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      io.modelcontextprotocol.server.name="io.github.proxmox-mcp/proxmox-mcp" \
      org.opencontainers.image.source="https://github.com/proxmox-mcp/proxmox-mcp"
ENTRYPOINT ["/usr/local/bin/host-runner"]
