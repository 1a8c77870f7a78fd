"use strict";
/* Everything that comes from a record is put on the page by el() and svg(), as text. */
const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const ARROW = "→";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
/* Content of a node, in place of what was there. */
const put = (node, ...children) => { node.replaceChildren(); return fill(node, {}, children); };
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/* Scores are whole tenths of a percent, rounded where the records were read. */
const fmt = (tenths) => (tenths === null || tenths === undefined ? "–" : (tenths / 10).toFixed(1));
const signed = (tenths) => (tenths > 0 ? "+" : tenths < 0 ? "−" : "") + (Math.abs(tenths) / 10).toFixed(1);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const known = (values) => values.filter((v) => v !== null);

/* What is shown. Of pair, method and so on null is "nobody has chosen": then the first is shown. */
const narrow = matchMedia("(max-width: 40rem)");
const state = {
  table: 0, metric: DATA.metric, unit: DATA.unit, filter: "", off: new Set(), blocks: true, cost: true,
  sort: null, pair: null, method: null, target: null, subject: null, one: null, two: null, over: null,
  cell: null, allMaps: false,
};
const table = () => DATA.tables[state.table];
const view = () => table().views[`${state.metric}/${state.unit}`];
const scores = (row) => view().rows[view().order.indexOf(row)];
const metricName = () => DATA.metrics.find((m) => m[0] === state.metric)[1];
const measure = () => `${metricName()} per ${state.unit}`;
const columnOn = (c) => !state.off.has(`s:${c.source}`) && !state.off.has(`t:${c.target}`);
const shownColumns = () => table().columns.map((c, i) => i).filter((i) => columnOn(table().columns[i]));

function shownRows(kind) {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const all = view().order.filter((r) => table().rows[r].kind === kind);
  if (kind !== "method") return state.blocks ? all : [];
  return all.filter((r) => words.every((w) => table().rows[r].label.toLowerCase().includes(w)));
}

function rowName(row) {
  const r = table().rows[row];
  return r.kind === "oracle" ? `${r.label} (oracle)` : r.label;
}

/* Place between chance (0) and perfect (1), and the colour of it: as in the heat maps. */
const height = (tenths, column) =>
  Math.min(1, Math.max(0, (tenths - view().floor[column]) / (1000 - view().floor[column])));
const colour = (h) => DATA.palette[Math.round(h * 32)];
function onDark(hex) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.25;
}

/* Hover values: shown on hover and on keyboard focus. */
function tip(node, text) {
  const show = () => {
    const box = byId("tip"), at = node.getBoundingClientRect();
    box.textContent = typeof text === "function" ? text() : text;
    box.hidden = false;
    const left = Math.min(Math.max(6, at.left + at.width / 2 - box.offsetWidth / 2), innerWidth - box.offsetWidth - 6);
    const above = at.top - box.offsetHeight - 6;
    box.style.left = `${Math.max(6, left)}px`;
    box.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  };
  const hide = () => { byId("tip").hidden = true; };
  node.addEventListener("mouseenter", show);
  node.addEventListener("mouseleave", hide);
  // A listener for focus alone would make each dot of a chart a stop of the Tab key.
  if (node instanceof SVGElement && !node.hasAttribute("tabindex")) return node;
  node.addEventListener("focus", show);
  node.addEventListener("blur", hide);
  return node;
}

/* Of a count and what is counted: "1 pair", "2 pairs". */
const plural = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function say(text) { byId("live").textContent = text; }

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch (refused) { // a page from a file may not use the clipboard in every browser
    const area = el("textarea", { class: "unseen" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
  const done = document.activeElement;
  if (done?.classList.contains("action") && !done.dataset.was) {
    done.dataset.was = done.textContent;
    done.textContent = "Copied";
    setTimeout(() => { done.textContent = done.dataset.was; delete done.dataset.was; }, 1200);
  }
}

function options(select, items, chosen) {
  select.replaceChildren(...items.map(([value, text]) =>
    el("option", { value, selected: String(value) === String(chosen) }, text)));
  return select;
}
