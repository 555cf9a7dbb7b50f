const title = "Change";
const NAMES = {
  preview: "Preview: nothing has been changed", done: "Done", unchanged: "No change needed",
  done_with_warnings: "Done, with warnings", running: "Still running", requested: "Requested",
  partly_failed: "Partly failed", failed: "Failed", not_started: "Not started",
};
const name = status => NAMES[status] ?? status;
const kind = status => /fail|not_/.test(status) ? "bad" : /done|preview/.test(status) ? "good" : "";
const change = ({ what, from, to, waits_for_reboot }) =>
  `${what}: ${from ?? "none"} → ${to ?? "none"}${waits_for_reboot ? " (after a restart)" : ""}`;
const effects = one => [
  list(one.changes?.map(change)), paragraph(one.error, "bad"), list(one.warnings, "bad"),
];
const draw = data => [
  element("h1", {}, data.action),
  paragraph(name(data.status), kind(data.status)),
  data.node ? paragraph(`${data.vmid ? `Guest ${data.vmid} on n` : "N"}ode ${data.node}`, "soft") : "",
  ...effects(data),
  table("Guests", [
    ["Guest", one => `${one.name ?? ""} (${one.vmid})`],
    ["Node", one => one.node],
    ["Result", one => element("span", { class: kind(one.status) },
      one.status == "preview" ? "would change" : name(one.status))],
  ], data.guests, data.guests?.length, effects),
  section("Left out", list(data.left_out)),
  paragraph(data.next_step && `Next: ${data.next_step}`, "soft"),
];
const buttons = ({ status, counts }) => status == "preview" && counts?.preview !== 0
  ? proceed("Ask the assistant to do it", " and no preview") : [];
