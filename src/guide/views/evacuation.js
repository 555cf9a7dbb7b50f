const title = "Evacuation of a node";
const NAMES = {
  plan: "Plan: nothing has been moved", running: "Guests are being moved",
  done: "Done", incomplete: "Incomplete",
};
const draw = ({ status, guests, targets, moved, failed, stays, excluded_nodes, not_visible, next_step }) => {
  const planned = guests.filter(one => one.state == "planned").length;
  const counts = [[planned, "can move"], [moved, "moved"], [failed, "failed"], [stays, "staying"]];
  const why = one => [list(one.reasons, "bad"), list(one.warnings)];
  return [
    element("h1", {}, title),
    paragraph(NAMES[status] ?? status, status == "incomplete" ? "bad" : "good"),
    paragraph(`${plural(guests.length, "guest")}: ${counts.filter(([count]) => count)
      .map(([count, what]) => `${count} ${what}`).join(", ")}`),
    table("Targets", [
      ["Node", one => one.node],
      ["Guests", one => `+${one.guests}`],
      ["Free memory", one => one.memory_left_bytes == null ? ""
        : `${size(one.memory_free_bytes)}, then ${size(one.memory_left_bytes)}`],
    ], targets),
    table("Guests", [
      ["Guest", one => `${one.name ?? ""} (${one.vmid})`],
      ["State", one => element("span", { class: { stays: "bad", failed: "bad", moved: "good" }[one.state] ?? "" },
        one.state)],
      ["To", one => one.target_node ? `${one.node} → ${one.target_node}` : one.node],
      ["How", one => one.how, 1],
      ["Memory", one => size(one.memory_bytes), 1],
      ["Local disks", one => size(one.local_disk_bytes), 1],
    ], guests, guests.length, why),
    section("Not used", list([...excluded_nodes ?? [], ...not_visible ?? []])),
    paragraph(next_step && `Next: ${next_step}`, "soft"),
  ];
};
const buttons = ({ status, guests }) =>
  status == "plan" && guests.some(one => one.state == "planned")
    ? proceed("Ask the assistant to move them", " and plan: false") : [];
