/* Charts as inline SVG, drawn from the data of the tables. */
const SIM = () => table().simulated;
const LINES = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => `var(--line-${i})`);
const DASHES = ["", "6 3", "2 2", "8 3 2 3"];

function chart(width, high, label, ...marks) {
  const cross = SIM() ? svg("text", {
    class: "sim", x: width / 2, y: high / 2, "text-anchor": "middle", "font-size": 12,
    transform: `rotate(-11 ${width / 2} ${high / 2})`,
    style: { "font-size": `${Math.min(44, width / 8)}px` },
  }, "SIMULATED") : null;
  return svg("svg", { viewBox: `0 0 ${width} ${high}`, width, height: high, role: "img",
    "aria-label": `${label}${SIM() ? " (simulated)" : ""}` }, marks, cross);
}

function cut(text, letters) { return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`; }

function figure(drawing, strong, rest) {
  return el("figure", { style: { width: `${drawing.getAttribute("width")}px` } }, drawing, el("figcaption", {}, el("b", {}, strong), rest ? ` ${rest}` : ""));
}

/* Source by target of one method. */
function heat(row) {
  const m = table().matrix, side = 60, left = 88, top = 6, values = scores(row).values;
  const marks = [];
  m.cells.forEach((line, i) => line.forEach((column, j) => {
    const x = left + j * side, y = top + i * side, value = column >= 0 ? values[column] : null;
    if (!value) {
      marks.push(svg("rect", { x: x + 1, y: y + 1, width: side - 2, height: side - 2, fill: "none", class: "grid" }),
        svg("text", { x: x + side / 2, y: y + side / 2 + 3, "text-anchor": "middle", class: "soft small" },
          column === -2 ? "same" : "not run"));
      return;
    }
    const paint = colour(height(value[0], column)), ink = onDark(paint) ? "on-dark" : "on-light";
    const box = svg("rect", { x: x + 1, y: y + 1, width: side - 2, height: side - 2, rx: 2, fill: paint, class: "hover", tabindex: 0,
      role: "button", "aria-label": `${table().columns[column].label} ${fmt(value[0])}`,
      onclick: () => made(row, column), onkeydown: (e) => { if (e.key === "Enter") made(row, column); } });
    marks.push(tip(box, () => about(row, column)),
      svg("text", { x: x + side / 2, y: y + 29, "text-anchor": "middle", class: ink, "pointer-events": "none", style: { "font-size": "14px" } }, fmt(value[0])),
      value[1] === null ? null : svg("text", { x: x + side / 2, y: y + 45, "text-anchor": "middle", class: `${ink} small`, "pointer-events": "none" }, `±${fmt(value[1])}`));
  }));
  m.sources.forEach((s, i) => marks.push(names(s, "source", left - 7, top + i * side + side / 2, "end")));
  m.targets.forEach((t, j) => marks.push(names(t, "target", left + (j + 0.5) * side, top + m.sources.length * side + 16, "middle")));
  const wide = left + m.targets.length * side + 10, high = top + m.sources.length * side + 40;
  return chart(Math.max(wide, 200), high, `Source by target of ${rowName(row)}`, marks);
}

/* Corpus over task; where labels were mapped to shared classes, how many were scored. */
function names(name, end, x, y, anchor) {
  const [corpus, task] = name.split(/:(.*)/s);
  const scored = table().columns.filter((c) => c.mapped && c[end] === name).map((c) => c.classes.length);
  const [low, high] = scored.length ? [Math.min(...scored), Math.max(...scored)] : [task, task];
  const words = task && /^\d+$/.test(task) ? `${low === high ? low : `${low}–${high}`} classes` : task;
  return svg("text", { x, y, "text-anchor": anchor, class: "small" }, cut(corpus, 13),
    words ? svg("tspan", { x, dy: 12, class: "soft" }, cut(words, 14)) : null);
}

const tick = (tenths) => String(tenths / 10).replace("-", "−");

function axis(low, high, step, place, from, to, vertical) {
  const marks = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    const at = place(v);
    marks.push(vertical
      ? svg("line", { x1: from, x2: to, y1: at, y2: at, class: "grid" })
      : svg("line", { x1: at, x2: at, y1: from, y2: to, class: "grid" }),
    vertical
      ? svg("text", { x: from - 6, y: at + 3.5, "text-anchor": "end", class: "soft small" }, tick(v))
      : svg("text", { x: at, y: to + 13, "text-anchor": "middle", class: "soft small" }, tick(v)));
  }
  return marks;
}

const stepOf = (range) => [25, 50, 100, 200].find((s) => range / s <= 7) || 200;

/* Two columns of subjects' scores, each subject joined by a line; diamonds are means. */
function slopes({ from, to, who, names, chance, label, title, low, high, wide = 206, tall = 200 }) {
  const all = [...from, ...to, ...known([chance])], top = title ? 26 : 10, bottom = 30, left = 34;
  low ??= Math.max(0, Math.min(...all) - 40);
  high ??= Math.min(1020, Math.max(...all) + 40);
  const y = (v) => top + (high - v) / (high - low) * (tall - top - bottom);
  const [a, b] = [left + 0.26 * (wide - left), wide - 0.19 * (wide - left)];
  const marks = axis(low, high, stepOf(high - low), y, left, wide, true);
  if (chance !== null) {
    marks.push(svg("line", { x1: left, x2: wide, y1: y(chance), y2: y(chance), class: "chance" }),
      svg("text", { x: wide - 2, y: y(chance) - 3, "text-anchor": "end", class: "soft small" }, "chance"));
  }
  who.forEach((name, i) => {
    const kind = to[i] > from[i] ? "better" : to[i] < from[i] ? "worse" : "same";
    marks.push(svg("line", { x1: a, y1: y(from[i]), x2: b, y2: y(to[i]), class: `pairline ${kind}` }),
      svg("circle", { cx: a, cy: y(from[i]), r: 3, class: "theirs" }),
      tip(svg("circle", { cx: b, cy: y(to[i]), r: 3.6, class: "ours hover" }), `${name}: ${fmt(to[i])}, ${names[0]} ${fmt(from[i])} (${signed(to[i] - from[i])})`));
  });
  for (const [x, values, kind] of [[a - 16, from, "theirs"], [b + 16, to, "ours"]]) {
    const m = y(mean(values));
    marks.push(svg("path", { d: `M${x} ${m - 6}l6 6l-6 6l-6 -6z`, class: kind }));
  }
  [[a, names[0]], [b, names[1]]].forEach(([x, name]) => marks.push(tip(svg("text", { x, y: tall - 10, "text-anchor": "middle", class: "small" },
    cut(name, Math.floor(wide / 17))), name)));
  if (title) marks.push(svg("text", { x: (a + b) / 2, y: 13, "text-anchor": "middle" }, title));
  return chart(wide, tall, label, marks);
}

/* A method beside its target-only control. */
function paired(c, low, high) {
  return slopes({ from: c.control, to: c.method, who: c.subjects.map((s) => `subject ${s}`), chance: view().chance[c.column], low, high,
    names: ["target-only", table().rows[c.row].label.split(" [")[0]], title: `${c.difference} [${c.interval}]`,
    label: `${table().rows[c.row].label} against target-only on ${table().columns[c.column].label}` });
}

/* Rows of subjects' scores: small dots, mean as a diamond, bar of one SD to either side. */
function dots(entries, chance, label, { wide = 654, left = 184, title = "" } = {}) {
  const all = entries.flatMap((e) => [...known(e.scores), e.mean]).concat(chance === null ? [] : [chance]);
  const low = Math.max(0, Math.min(...all) - 30), high = Math.min(1000, Math.max(...all) + 30);
  const small = wide < 500, top = title ? 24 : 4, line = small ? 19 : 22, tall = top + entries.length * line + 34;
  const x = (v) => left + (v - low) / (high - low) * (wide - left - (small ? 62 : 90));
  const base = top + entries.length * line;
  const marks = axis(low, high, stepOf(high - low), x, top, base, false);
  if (chance !== null) {
    marks.push(svg("line", { x1: x(chance), x2: x(chance), y1: top, y2: base, class: "chance" }),
      svg("text", { x: x(chance), y: base + 26, "text-anchor": "middle", class: "soft small" }, "chance"));
  }
  entries.forEach((e, i) => {
    const y = top + (i + 0.5) * line, kind = e.kind === "method" ? "ours" : e.kind === "oracle" ? "hollow" : "theirs";
    marks.push(tip(svg("text", { x: left - 8, y: y + 4, "text-anchor": "end", class: `${e.kind === "method" ? "" : "soft"} ${small ? "small" : ""}` }, cut(e.name, small ? 16 : 27)), e.name));
    if (e.sd !== null && e.sd !== undefined) {
      marks.push(svg("line", { x1: x(Math.max(low, e.mean - e.sd)), x2: x(Math.min(high, e.mean + e.sd)), y1: y, y2: y, class: `bar ${kind}`, opacity: 0.35 }));
    }
    e.scores.forEach((v, k) => {
      if (v === null) return;
      marks.push(tip(svg("circle", { cx: x(v), cy: y, r: 3, class: `${kind} hover`, opacity: 0.55 }), `${e.name}\n${e.who[k]}: ${fmt(v)}`));
    });
    marks.push(tip(svg("path", { d: `M${x(e.mean)} ${y - 6}l6 6l-6 6l-6 -6z`, class: `${kind} hover`, "stroke-width": 1 }), `${e.name}\nmean ${fmt(e.mean)}${e.sd === null || e.sd === undefined ? "" : ` ± ${fmt(e.sd)} (n ${known(e.scores).length})`}`),
      svg("text", { x: wide - 4, y: y + 4, "text-anchor": "end", class: `${e.kind === "method" ? "" : "soft"} ${small ? "small" : ""}` }, fmt(e.mean) + (e.sd === null || e.sd === undefined ? "" : ` ±${fmt(e.sd)}${small ? "" : ` (n ${known(e.scores).length})`}`)));
  });
  if (title) marks.push(svg("text", { x: 4, y: 13, class: "strong" }, cut(title, 52)));
  return chart(wide, tall, label, marks);
}

/* Learning curves: [name, [epochs, shown, values]] a line. */
function lines(entries, label, scores) {
  const wide = 362, tall = 190, left = 46, bottom = 32, top = 8;
  const values = entries.flatMap((e) => e[1][2]), most = Math.max(...entries.map((e) => e[1][0]));
  let low = Math.min(...values), high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  [low, high] = [low - room, high + room];
  const x = (v) => left + (most === 1 ? 0.5 : (v - 1) / (most - 1)) * (wide - left - 10);
  const y = (v) => top + (high - v) / (high - low) * (tall - top - bottom);
  const step = scores ? stepOf(high - low) : nice(high - low), marks = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    marks.push(svg("line", { x1: left, x2: wide, y1: y(v), y2: y(v), class: "grid" }),
      svg("text", { x: left - 6, y: y(v) + 3.5, "text-anchor": "end", class: "soft small" }, scores ? v / 10 : Number(v.toPrecision(3))));
  }
  entries.forEach(([name, [, shown, line]], i) => {
    const d = shown.map((e, k) => `${k ? "L" : "M"}${x(e).toFixed(1)} ${y(line[k]).toFixed(1)}`).join("");
    const last = line[line.length - 1];
    marks.push(tip(svg("path", { d, fill: "none", "stroke-width": 1.8, style: { stroke: LINES[i % 8] },
      "stroke-dasharray": DASHES[Math.floor(i / 8) % 4] }), `${name}\nlast epoch: ${scores ? fmt(last) : last}`));
  });
  marks.push(svg("text", { x: (left + wide) / 2, y: tall - 4, "text-anchor": "middle", class: "soft small" }, "epoch"),
    svg("text", { x: left, y: tall - 18, "text-anchor": "middle", class: "soft small" }, 1),
    svg("text", { x: wide - 10, y: tall - 18, "text-anchor": "end", class: "soft small" }, most));
  return chart(wide, tall, label, marks);
}

function nice(range) {
  const power = 10 ** Math.floor(Math.log10(range / 4));
  return [1, 2, 5, 10].map((m) => m * power).find((s) => range / s <= 6);
}

function keys(entries) {
  return el("div", { class: "keys" }, entries.map((e, i) =>
    el("span", { class: "key" }, el("i", { style: { background: LINES[i % 8] } }), e[0])));
}
