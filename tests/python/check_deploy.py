#!/usr/bin/env python3
"""Check the manifests in deploy/ without running their engines.

Kubernetes objects are validated against the Kubernetes schemas. The files for
Spin and wasmCloud are only parsed and checked for their security settings; a
full validation needs `spin up` or the custom resource definition in a cluster.
"""

import sys
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
failures = []


def that(holds, what):
    """Records a failure unless the condition holds."""
    if not holds:
        failures.append(what)


def kubernetes():
    """Objects are valid, have no privileges, and can reach only one address."""
    objects = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    kinds = {one["kind"]: one for one in objects}
    that(set(kinds) == {"Deployment", "Service", "NetworkPolicy"}, f"kinds: {set(kinds)}")
    for one in objects:
        try:
            kubernetes_validate.validate(one, "1.33", strict=True)
        except Exception as error:  # the library has no common base class
            failures.append(f"{one['kind']}: {error}")
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    that(pod["automountServiceAccountToken"] is False, "the pod gets a service account token")
    for container in pod["containers"]:
        name, security = container["name"], container["securityContext"]
        that(security["readOnlyRootFilesystem"], f"{name} can write to its root")
        that(security["capabilities"]["drop"] == ["ALL"], f"{name} keeps capabilities")
        for variable in container.get("env", []):
            if variable["name"].endswith(("SECRET", "TOKEN")):
                that("secretKeyRef" in variable.get("valueFrom", {}), f"{name} contains a secret")
    serve = next(one for one in pod["containers"] if one["name"] == "serve")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        that(serve[probe]["httpGet"]["path"] == "/healthz", f"{probe} does not use /healthz")
    policy = kinds["NetworkPolicy"]["spec"]
    that(set(policy["policyTypes"]) == {"Ingress", "Egress"}, "a direction is unrestricted")
    (egress,) = policy["egress"]
    (to,), (port,) = egress["to"], egress["ports"]
    that(to["ipBlock"]["cidr"].endswith("/32") and port["port"] == 8006, "egress is not restricted to one address and port")
    that(all(rule.get("from") for rule in policy["ingress"]), "ingress is open to all")


def spin():
    """Only loopback is reachable, and secrets are variables."""
    manifest = tomllib.loads((DEPLOY / "spin.toml").read_text())
    that(manifest["spin_manifest_version"] == 2, "the Spin manifest does not have version 2")
    component = manifest["component"][manifest["trigger"]["http"][0]["component"]]
    hosts = component["allowed_outbound_hosts"]
    that(all(host.startswith("http://127.0.0.1:") for host in hosts), f"Spin reaches {hosts}")
    environment, variables = component["environment"], manifest["variables"]
    for name in ("PROXMOX_TOKEN_SECRET", "PROXMOX_MCP_HTTP_TOKEN"):
        variable = variables[environment[name].strip("{} ")]
        that(variable.get("secret") and "default" not in variable, f"{name} is not a secret")


def wasmcloud():
    """Only one host is reachable, and secrets are references."""
    manifest = yaml.safe_load((DEPLOY / "wasmcloud.yaml").read_text())
    that(manifest["kind"] == "WorkloadDeployment", "the wasmCloud manifest has another kind")
    (component,) = manifest["spec"]["template"]["spec"]["components"]
    resources = component["localResources"]
    that(len(resources["allowedHosts"]) == 1, "the wasmCloud component can reach more than one host")
    config = resources["environment"]["config"]
    that(not any(name.endswith(("SECRET", "TOKEN")) for name in config), "the wasmCloud manifest contains a secret")


kubernetes()
spin()
wasmcloud()
for failure in failures:
    print(f"FAILED: {failure}", file=sys.stderr)
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
