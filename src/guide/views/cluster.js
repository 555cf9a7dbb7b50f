const title = "Cluster";
let nodes, guests, isComplete;
const state = is => is == "online" || is == "running" || is == "started" ? "good"
  : is == "offline" || is == "error" || is == "fence" ? "bad" : "";
const memory = one => bar(one.memory_used_bytes, one.memory_total_bytes,
  `${size(one.memory_used_bytes)} of ${size(one.memory_total_bytes)}`);
const word = is => element("span", { class: state(is) }, is);
const draw = ({ cluster, nodes: known, ha, problems }) => [
  element("h1", {}, cluster ? `Cluster ${cluster.name}` : "Proxmox VE"),
  cluster?.quorate === false ? paragraph("No quorum", "bad")
    : cluster?.quorate ? paragraph("Quorate", "good") : "",
  section("Needs attention", list(problems, "bad")),
  table("Nodes", [
    ["Node", one => one.node],
    ["Status", one => word(one.status ?? { true: "online", false: "offline" }[one.online] ?? "unknown")],
    ["CPU", one => bar(one.cpu_percent, 100, `${Math.round(one.cpu_percent)} %`)],
    ["Memory", memory],
    ["Up", one => one.uptime_seconds ? plural(Math.floor(one.uptime_seconds / 86400), "day") : "", 1],
  ], nodes ?? known),
  table("Guests by memory use", [
    ["Guest", one => `${one.name ?? ""} (${one.vmid})`],
    ["Status", one => word(one.status)],
    ["Node", one => one.node, 1],
    ["Memory", memory],
  ], guests?.guests, guests?.total),
  table("High availability", [
    ["Resource", one => one.sid],
    ["State", one => word(one.state)],
    ["Node", one => one.node],
  ], ha?.services, ha?.services_total),
  paragraph(ha?.unavailable, "soft"),
];
// What the result lacks is read by the page, where the client allows it. A tool that is
// not offered leaves its part out.
const more = async () => {
  const read = (name, given) => call(name, given).then(
    result => result.isError ? undefined : result.structuredContent, () => undefined);
  const all = await Promise.all([read("list_nodes"), read("list_guests", { sort: "memory", limit: 10 })]);
  nodes = all[0]?.nodes;
  guests = all[1];
};
const refresh = async () => {
  say("Reading …");
  const [result] = await Promise.all([call("get_cluster_status"), more()]);
  receive(result);
  say(`Read at ${new Date().toLocaleTimeString()}`);
};
const buttons = () => {
  if (!capabilities.serverTools) return [];
  if (!isComplete) {
    isComplete = true;
    more().then(() => receive(latest));
  }
  return [["Refresh", refresh]];
};
