/* The headline's picture: scores by size of calibration, or, of one size, gains over plain learning. */
const worth = () => (view().worth === null ? null : DATA.worths[`${state.metric}/${state.unit}`][view().worth]);
const MOST_LINES = 7;
const MOST_PAIRS = 6;
const isPlain = (cells) => cells.every((c) => !c || c.length === 1);

function hero(w) {
  const pairs = w.pairs.map((_, i) => i).slice(0, MOST_PAIRS), curve = w.sizes.length > 1;
  const drawn = pairs.map((pair) => {
    const its = w.lines.filter((l) => l[1] === pair), methodsOf = its.filter((l) => !isPlain(l[2]));
    const some = methodsOf.slice(0, MOST_LINES);
    return el("figure", {}, curve ? calibrationCurve(w, pair, some, its.filter((l) => isPlain(l[2])), pairs.length > 1)
      : forest(w, pair, some, pairs.length > 1),
    el("figcaption", {}, methodsOf.length > some.length ? `${some.length} of ${methodsOf.length} methods drawn` : ""));
  });
  return [
    el("p", { class: "count" }, curve
      ? `Score by number of labelled calibration trials; ${measure()} in %. Filled: differs from the best target-only after Holm. Dashed grey: target-only, which saw no source.`
      : `Gain over the best target-only method, in points of ${measure()}, with 95 % interval over subjects. Filled: significant after Holm over all comparisons.`),
    el("div", { class: "charts heroes" }, drawn),
    w.caption.length ? el("p", { class: "count", id: "curve-caption" }, w.caption.join(" ")) : null,
    w.pairs.length > MOST_PAIRS ? el("p", { class: "count" }, `${MOST_PAIRS} of ${w.pairs.length} pairs drawn; all stand under Gain over the best target-only.`) : null,
  ];
}

/* Places for labels of one height, as near to where they belong as can be, from the top down. */
function spread(wanted, step, low, high) {
  const order = wanted.map((y, i) => [y, i]).sort((a, b) => a[0] - b[0]);
  let last = low - step;
  for (const one of order) { one[0] = Math.max(one[0], last + step); last = one[0]; }
  let limit = high;
  for (const one of [...order].reverse()) { one[0] = Math.min(one[0], limit); limit = one[0] - step; }
  const out = [];
  for (const [y, i] of order) out[i] = y;
  return out;
}

function calibrationCurve(w, pair, some, plain, small) {
  const [wide, tall, right] = small ? [376, 238, 118] : [700, 300, 150], left = 34, top = small ? 24 : 10, bottom = 40;
  const all = [...some, ...plain].flatMap((l) => l[2].filter(Boolean).map((c) => c[0])).concat(known([w.chance[pair]]));
  const low = Math.max(0, Math.min(...all) - 20), high = Math.min(1000, Math.max(...all) + 20);
  const x = (i) => left + 14 + (w.sizes.length === 1 ? 0.5 : i / (w.sizes.length - 1)) * (wide - left - right - 28);
  const y = (v) => top + (high - v) / (high - low) * (tall - top - bottom);
  const marks = axis(low, high, stepOf(high - low), y, left, wide - right, true);
  const chance = w.chance[pair], named = [];
  if (chance !== null) {
    marks.push(svg("line", { x1: left, x2: wide - right, y1: y(chance), y2: y(chance), class: "chance" }));
    named.push([y(chance), "chance", "soft", null]);
  }
  w.sizes.forEach((size, i) => marks.push(svg("text", { x: x(i), y: tall - 22, "text-anchor": "middle", class: "small" }, size.split(" ")[0] + (size.includes("%") ? " %" : ""))));
  marks.push(svg("text", { x: (left + wide - right) / 2, y: tall - 6, "text-anchor": "middle", class: "soft small" }, axisName(w)));
  const line = ([name, , cells], colour, dash, hollow) => {
    const at = cells.map((c, i) => c && [x(i), y(c[0]), c]).map((p) => p || null), on = at.filter(Boolean);
    if (!on.length) return;
    marks.push(svg("path", { d: on.map((p, k) => `${k ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`).join(""), fill: "none",
      "stroke-dasharray": dash, "stroke-width": hollow ? 1.6 : 2, style: { stroke: colour } }));
    at.forEach((p, i) => p && marks.push(tip(svg("circle", { cx: p[0], cy: p[1], r: 3.6, "stroke-width": 1.6,
      style: { stroke: colour, fill: p[2][4] ? colour : "var(--paper)" } }), pointSaid(name, w.sizes[i], p[2]))));
    named.push([on[on.length - 1][1], name, "", colour]);
  };
  plain.forEach((l, i) => line(l, "var(--grey)", ["6 4", "2 3", "8 3 2 3"][i % 3], true));
  some.forEach((l, i) => line(l, LINES[i % 8], "", false));
  const places = spread(named.map((n) => n[0]), 12.5, top + 4, tall - bottom + 4);
  named.forEach(([, name, kind, colour], i) => marks.push(tip(svg("text", { x: wide - right + 10, y: places[i] + 3.5, class: `${kind} ${small ? "small" : ""}`,
    style: colour ? { fill: colour, "font-weight": 600 } : {} }, cut(name, small ? 16 : 20)), name)));
  if (small) marks.push(svg("text", { x: left, y: 13, class: "strong" }, cut(w.pairs[pair], 40)));
  return chart(wide, tall, `Score by size of calibration on ${w.pairs[pair]}`, marks);
}

function axisName(w) {
  const trials = w.sizes.some((s) => s.includes("trial")), share = w.sizes.some((s) => s.includes("%"));
  return trials && share ? "calibration trials a class, or share of all trials" : trials ? "calibration trials a class" : "share of the trials that calibrates";
}

function pointSaid(name, size, [score, gain, low, high, mark, reference]) {
  const lines = [`${name}, ${size}: ${fmt(score)}`];
  if (gain !== undefined) {
    lines.push(`${signed(gain)} points over ${reference}${low === null ? "" : ` (${signed(low)} to ${signed(high)})`}`,
      mark ? "significant after Holm" : "not significant after Holm");
  }
  return lines.join("\n");
}

/* Gains of one size: a line a method, filled where a test tells it from plain learning. */
function forest(w, pair, some, small) {
  const every = w.lines.filter((l) => !isPlain(l[2])).flatMap((l) => l[2].filter(Boolean).flatMap((c) => known([c[1], c[2], c[3]])));
  const low = Math.min(0, ...every) - 15, high = Math.max(0, ...every) + 15;
  const [wide, left, line, top] = [small ? 296 : 640, small ? 92 : 150, 19, 22], base = top + some.length * line, tall = base + 32;
  const x = (v) => left + (v - low) / (high - low) * (wide - left - 8);
  const marks = axis(low, high, [50, 100, 200, 500].find((s) => (high - low) / s <= 7) || 500, x, top, base, false);
  marks.push(svg("line", { x1: x(0), x2: x(0), y1: top, y2: base, class: "zero" }));
  some.forEach(([name, , cells], i) => {
    const c = cells[0], y = top + (i + 0.5) * line, kind = !c[4] ? "plainer" : c[1] > 0 ? "gain" : "loss";
    marks.push(tip(svg("text", { x: left - 8, y: y + 3.5, "text-anchor": "end", class: small ? "small" : "" }, cut(name, small ? 14 : 24)), name));
    if (c[2] !== null) marks.push(svg("line", { x1: x(c[2]), x2: x(c[3]), y1: y, y2: y, class: `stem ${kind}` }));
    marks.push(tip(svg("circle", { cx: x(c[1]), cy: y, r: 4, class: `dot ${kind} hover` }), pointSaid(name, w.sizes[0] === "score" ? w.pairs[pair] : w.sizes[0], c)));
  });
  marks.push(svg("text", { x: left, y: 13, class: "strong" }, cut(w.pairs[pair], small ? 32 : 60)),
    svg("text", { x: (left + wide) / 2, y: tall - 4, "text-anchor": "middle", class: "soft small" }, "points; 0 is the best target-only"));
  return chart(wide, tall, `Gain over the best target-only on ${w.pairs[pair]}`, marks);
}
