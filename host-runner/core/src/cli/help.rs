//! What `--help` and `help` show below the options: examples, and what else is common to all
//! commands. A test parses every example, and a black-box test runs those with `--demo`.

pub(super) const ALL: &str = "\
Examples:
  host-runner --env-file proxmox.env
  host-runner --demo call list_guests status=running
  host-runner tools
  host-runner help call

An option counts before its environment variable, which counts before the same name in the file
of --env-file.

Exit status:
  0    success
  1    Proxmox VE or the tool reports an error, or the answer is no
  2    the command line, the settings or the arguments of a call are invalid
  130  interrupted by Ctrl-C";

pub(super) const SERVE: &str = "\
Examples:
  host-runner serve --env-file proxmox.env
  host-runner serve --demo --read-only
  host-runner serve --env-file proxmox.env --http 127.0.0.1:8080";

pub(super) const SETUP: &str = "\
Examples:
  host-runner setup
  host-runner setup --commands --preset observe
  host-runner setup --url pve1 --token-id 'mcp@pve!assistant' --token-secret-file secret.txt
  host-runner setup --out /opt/proxmox-mcp/.env --replace";

pub(super) const TOOLS: &str = "\
Examples:
  host-runner --demo tools
  host-runner --demo tools clone_guest
  host-runner --demo tools --toolsets all -o json
  host-runner --demo tools --checksum";

pub(super) const CALL: &str = "\
Examples:
  host-runner --demo call list_guests status=running
  host-runner --demo call get_guest vmid=101 -o yaml
  host-runner --demo call get_guest '{\"vmid\":101}'
  host-runner --demo call start_guest vmid=140 wait=false
  host-runner call get_guest - < arguments.json

Exit status:
  0    the call has succeeded
  1    the tool reports an error; with -o json or -o yaml, it is printed in that format
  2    the settings or the arguments are invalid, or there is no such tool
  130  Ctrl-C has ended the call";

pub(super) const CLIENT: &str = "\
Examples:
  host-runner client
  host-runner --demo client cursor
  host-runner client cursor --env-file /opt/proxmox-mcp/.env --write
  host-runner client zed --http http://127.0.0.1:8080/mcp --token-env PROXMOX_TOKEN";

pub(super) const FORWARD: &str = "\
Examples:
  host-runner forward --env-file proxmox.env --preset observe
  host-runner forward --env-file proxmox.env --listen 127.0.0.1:8007";

pub(super) const HEALTH: &str = "\
Examples:
  host-runner health 127.0.0.1:8080
  host-runner health -o json";

pub(super) const POLICY: &str = "\
Examples:
  host-runner policy show --preset observe
  host-runner --demo policy explain get_guest vmid=101";

pub(super) const POLICY_SHOW: &str = "\
Examples:
  host-runner --demo policy show
  host-runner --demo policy show --preset observe --pools development
  host-runner policy show --policy policy.toml --client alice -o json";

pub(super) const POLICY_EXPLAIN: &str = "\
Examples:
  host-runner --demo policy explain get_guest vmid=101
  host-runner --demo policy explain start_guest vmid=140 -o json
  host-runner policy explain \"POST /nodes/pve1/qemu/101/status/stop\" timeout=30";

pub(super) const DOCTOR: &str = "\
Examples:
  host-runner --demo doctor
  host-runner doctor --env-file proxmox.env
  host-runner doctor --env-file proxmox.env -o json

Exit status:
  0    all is well; there may be warnings
  1    Proxmox VE or the token cannot be used
  2    the settings, the policy or the component cannot be used";

/// Of -o, where a table would be the text of a file.
pub(super) const TEXT_FORMAT: &str = "Format of the output: table (the text of a policy file), \
                                      json or yaml [default: table] [env: PROXMOX_MCP_OUTPUT]";

/// Of -o, where the default is the same everywhere.
pub(super) const TABLE_FORMAT: &str =
    "Format of the output: table, json or yaml [default: table] [env: PROXMOX_MCP_OUTPUT]";

pub(super) const AUDIT: &str = "\
Examples:
  host-runner audit verify /var/log/proxmox-mcp/audit.jsonl";

pub(super) const AUDIT_VERIFY: &str = "\
Examples:
  host-runner audit verify audit.jsonl
  host-runner audit verify audit.jsonl.1 audit.jsonl -o json";

pub(super) const INSPECT: &str = "\
Examples:
  host-runner inspect
  host-runner inspect --calls -o json
  host-runner inspect proxmox_mcp.wasm";

pub(super) const COMPLETIONS: &str = "\
Examples:
  host-runner completions bash > ~/.local/share/bash-completion/completions/host-runner
  host-runner completions zsh > ~/.zfunc/_host-runner
  host-runner completions fish > ~/.config/fish/completions/host-runner.fish

The folder must exist: `mkdir -p` creates it. zsh reads ~/.zfunc only if ~/.zshrc has
`fpath+=~/.zfunc` before compinit.";

pub(super) const MAN: &str = "\
Examples:
  host-runner man | man -l -
  host-runner man --out ~/.local/share/man/man1";

pub(super) const HELP: &str = "\
Examples:
  host-runner help
  host-runner help call
  host-runner help policy explain";
