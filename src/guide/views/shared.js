// Each page is a module of this file after one of the others, which has: title; draw(data),
// what it shows of a result; and buttons(data), the labels and functions of its buttons.
const MOST = 50;
let capabilities = {}, tool = "", input = {}, latest, isBusy, sent = 0;
const waiting = {};
const [main, footer] = document.body.children;
const [controls, note] = footer.children;
// Whatever comes from the cluster is text: a guest's name may be anything.
const element = (name, attributes, ...children) => {
  const made = document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children.flat(2).filter(child => child != null && child !== ""));
  return made;
};
const paragraph = (text, kind = "") => text ? element("p", { class: kind }, text) : "";
const list = (texts, kind = "") =>
  texts?.length ? element("ul", { class: kind }, cut(texts).map(text => element("li", {}, text))) : "";
const cut = all => all.length > MOST ? [...all.slice(0, MOST), `and ${all.length - MOST} more`] : all;
const section = (name, ...parts) =>
  parts.some(Boolean) ? element("section", {}, element("h2", {}, name), ...parts) : "";
// A column: its name, what it shows of a row, and whether a narrow page can do without.
// What `more` makes of a row is below it, in the whole width.
const table = (name, columns, rows, total = rows?.length, more = () => []) => {
  if (!rows?.length) return "";
  const row = (tag, show) => element("tr", {}, columns.map((column, at) =>
    element(at ? tag : "th", { ...(tag == "th" ? { scope: "col" } : at ? {} : { scope: "row" }),
      ...(column[2] ? { class: "less" } : {}) }, show(column))));
  const shown = rows.slice(0, MOST);
  return element("section", {},
    element("table", {}, element("caption", {}, element("h2", {}, name)),
      element("thead", {}, row("th", column => column[0])),
      element("tbody", {}, shown.map(one => {
        const parts = more(one).filter(Boolean);
        return [row("td", column => column[1](one)),
          parts.length ? element("tr", {}, element("td", { colspan: columns.length }, parts)) : ""];
      }))),
    total > shown.length ? paragraph(`${shown.length} of ${total} are shown`, "soft") : "");
};
const size = bytes => {
  if (!(bytes >= 0)) return "";
  let unit = 0;
  for (; bytes >= 1024 && unit < 5; unit++) bytes /= 1024;
  return `${+bytes.toFixed(bytes < 10 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
};
// A share of something; the bar repeats the text.
const bar = (used, total, text) => total > 0 && used >= 0
  ? [text, element("meter", { "aria-hidden": "true", max: total, high: total * .9, low: total * .75,
      optimum: 0, value: used })]
  : "";
const plural = (count, noun) => `${count} ${noun}${count == 1 ? "" : "s"}`;
const post = message => parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
const notify = (method, params = {}) => post({ method, params });
const request = (method, params) => new Promise((resolve, reject) => {
  waiting[++sent] = [resolve, reject];
  post({ id: sent, method, params });
});
const call = (name, given = {}) => request("tools/call", { name, arguments: given });
const say = text => { note.textContent = text };
const text = result => (result.content ?? []).map(block => block.text ?? "").join("\n");
const receive = result => {
  latest = result;
  const data = result.structuredContent;
  let parts, wanted = [];
  try {
    if (!data || result.isError) throw 0;
    parts = draw(data);
    wanted = buttons(data);
  } catch {
    parts = [element("h1", {}, title), paragraph(result.isError && "The call failed.", "bad"),
      paragraph(text(result), "text")];
  }
  main.replaceChildren(...parts.filter(Boolean));
  const known = controls.children.length;
  if (known != wanted.length) controls.replaceChildren(...wanted.map(([label, act]) => {
    const button = element("button", { type: "button" }, label);
    button.onclick = async () => {
      if (isBusy) return;
      isBusy = true;
      await act().catch(() => say("The client refused."));
      isBusy = false;
    };
    return button;
  }));
};
// Has the model do what it has previewed. Of its arguments only those that say which
// guests are meant are repeated: others may be secret, or words that somebody else wrote.
const WHICH = ["vmid", "vmids", "node", "pool", "tag", "snapshot"];
const isPlain = value => [value].flat().every(one => /^[\w.-]{1,64}$/.test(one));
const proceed = (label, how) => capabilities.message ? [[label, async () => {
  const which = WHICH.filter(name => name in input && isPlain(input[name]))
    .map(name => `${name} ${[input[name]].flat().join(", ")}`);
  const what = [isPlain(tool) ? tool : "the tool", ...which].join(", ");
  const words = `I have seen the preview of ${what}. Do it now, with the same arguments${how}.`;
  const { isError } = await request("ui/message",
    { role: "user", content: [{ type: "text", text: words }] });
  if (isError) return say("The client refused.");
  controls.replaceChildren();
  say("The assistant was asked to do it.");
}]] : [];
const adopt = ({ theme, styles, toolInfo }) => {
  const { style } = document.documentElement;
  if (theme) style.colorScheme = theme;
  for (const [name, value] of Object.entries(styles?.variables ?? {}))
    if (name.startsWith("--") && value) style.setProperty(name, value);
  tool = toolInfo?.tool?.name ?? tool;
};
addEventListener("message", ({ source, data }) => {
  if (source !== parent || data?.jsonrpc != "2.0") return;
  const { id, method, params = {}, result, error } = data;
  switch (method) {
    case undefined:
      waiting[id]?.[error ? 1 : 0](error ?? result);
      delete waiting[id];
      break;
    case "ui/notifications/tool-input": input = params.arguments ?? {}; break;
    case "ui/notifications/tool-result": receive(params); break;
    case "ui/notifications/tool-cancelled": say("The call was cancelled."); break;
    case "ui/notifications/host-context-changed": adopt(params); break;
    case "ping":
    case "ui/resource-teardown": post({ id, result: {} }); break;
    default: if (id != null) post({ id, error: { code: -32601, message: "unknown method" } });
  }
});
request("ui/initialize", {
  appInfo: { name: "proxmox-mcp", title, version: "1" },
  appCapabilities: {}, protocolVersion: "2026-01-26",
}).then(({ hostCapabilities, hostContext }) => {
  capabilities = hostCapabilities ?? {};
  adopt(hostContext ?? {});
  notify("ui/notifications/initialized");
  new ResizeObserver(() => notify("ui/notifications/size-changed",
    { width: innerWidth, height: Math.ceil(document.documentElement.getBoundingClientRect().height) }))
    .observe(document.documentElement);
});
