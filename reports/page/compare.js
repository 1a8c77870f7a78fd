/* Two methods against each other, all against all, and mean ranks. Every test was made in Python. */
const MOST_RANKED = 24;
const MOST_SQUARED = 16;
const families = () => view().families;

function family() {
  const found = families(), at = state.over === null ? found[0]?.column : state.over;
  return found.find((f) => f.column === at) || found[0];
}

const overName = (f) => (f.column < 0 ? "all pairs together" : table().columns[f.column].label);

/* The difference of two rows, turned round where it was stored the other way. */
function difference(f, one, two) {
  const stored = f.differences.find((d) => (d[0] === one && d[1] === two) || (d[0] === two && d[1] === one));
  if (!stored) return null;
  const [, , n, by, low, high, p, holm, wins, losses, significant, seen] = stored, turned = stored[0] !== one;
  const minus = (v) => (v === null ? null : -v);
  return { n, p, holm, significant, seen, by: turned ? -by : by, low: turned ? minus(high) : low, high: turned ? minus(low) : high,
    wins: turned ? losses : wins, losses: turned ? wins : losses };
}

function subjectScores(f, row) {
  if (f.column < 0) return f.scores[f.rows.indexOf(row)];
  return scores(row).values[f.column][4];
}

const whoOf = (f) => (f.column < 0 ? f.who : table().columns[f.column].subjects.map((s) => `subject ${s}`));

function verdict(f, one, two, d) {
  const how = d.significant ? `${d.by > 0 ? rowName(one) : rowName(two)} is better: significant after correction.`
    : `Not significant${d.seen === null ? "" : `; with these ${d.n} subjects and so many comparisons the test would have found a difference of ${fmt(d.seen)} points`}.`;
  return el("div", { class: "verdict" },
    el("b", { id: "difference" }, `${signed(d.by)} points`),
    el("p", {}, `${rowName(one)} − ${rowName(two)}, ${measure()}, ${overName(f)}. ${d.low === null ? "Too few subjects for an interval" : `95 % interval ${signed(d.low)} to ${signed(d.high)}`}; Wilcoxon p ${d.p}, after Holm over ${plural(f.differences.length, "comparison")} `,
      el("b", {}, d.holm), `. ${rowName(one)} is better in ${d.wins} of ${d.n} subjects, worse in ${d.losses}. ${how}`));
}

/* Each subject's difference as a dot, piled where they meet; mean and interval below. */
function gaps(f, one, two, d) {
  const [a, b, who] = [subjectScores(f, one), subjectScores(f, two), whoOf(f)];
  const each = who.map((name, i) => (a[i] === null || b[i] === null ? null : [a[i] - b[i], name, a[i], b[i]])).filter(Boolean);
  const reach = Math.max(20, ...each.map((e) => Math.abs(e[0])), Math.abs(d.low || 0), Math.abs(d.high || 0)) * 1.08;
  const wide = 470, side = 12, top = 26, x = (v) => side + (v + reach) / (2 * reach) * (wide - 2 * side);
  const piles = new Map(), dotsAt = each.sort((p, q) => p[0] - q[0]).map((e) => {
    const bin = Math.round(x(e[0]) / 8), k = piles.get(bin) || 0;
    piles.set(bin, k + 1);
    return [e, k];
  });
  const most = Math.max(...piles.values()), step = Math.min(8, 96 / most), ground = top + 16 + Math.min(96, most * 8), base = ground + 34;
  const marks = axis(-reach, reach, [25, 50, 100, 200].find((s) => 2 * reach / s <= 9) || 500, x, top, base, false);
  marks.push(svg("line", { x1: x(0), x2: x(0), y1: top, y2: base, class: "zero" }),
    svg("text", { x: x(0) - 8, y: 14, "text-anchor": "end", class: "soft small" }, `← ${cut(rowName(two), 24)} better`),
    svg("text", { x: x(0) + 8, y: 14, class: "soft small" }, `${cut(rowName(one), 24)} better →`));
  for (const [[v, name, p, q], k] of dotsAt) {
    marks.push(tip(svg("circle", { cx: x(v), cy: ground - 6 - k * step, r: 3.6, class: `hover ${v > 0 ? "ours" : v < 0 ? "rival" : "theirs"}` }),
      `${name}: ${signed(v)}\n${rowName(one)} ${fmt(p)}, ${rowName(two)} ${fmt(q)}`));
  }
  if (d.low !== null) marks.push(svg("line", { x1: x(d.low), x2: x(d.high), y1: ground + 16, y2: ground + 16, class: "stem gain" }));
  marks.push(svg("path", { d: `M${x(d.by)} ${ground + 9}l7 7l-7 7l-7 -7z`, class: "ours" }),
    svg("text", { x: wide / 2, y: base + 27, "text-anchor": "middle", class: "soft small" }, "difference in points; diamond and bar: mean and 95 % interval"));
  return chart(wide, base + 32, `Difference of ${rowName(one)} and ${rowName(two)} in each subject`, marks);
}

/* All against all: row less column. */
function squares(f) {
  const rows = view().order.filter((r) => f.rows.includes(r)).slice(0, MOST_SQUARED);
  const head = rows.map((r) => tip(el("th", { scope: "col" }, el("span", { class: "turned" }, cut(rowName(r), 18))), rowName(r)));
  const body = rows.map((r) => el("tr", {}, el("th", { scope: "row" }, cut(rowName(r), 24)), rows.map((c) => {
    const d = r === c ? null : difference(f, r, c);
    if (!d) return el("td", {}, r === c ? "" : "–");
    const strength = Math.min(1, Math.abs(d.by) / 200);
    return el("td", {}, el("button", {
      type: "button", class: `cell square ${d.by > 0 ? "up" : "down"} ${d.significant ? "told" : ""}`, style: { "--a": strength.toFixed(2) },
      "aria-label": `${rowName(r)} less ${rowName(c)}: ${signed(d.by)}${d.significant ? ", significant" : ""}`,
      onclick: () => { state.one = r; state.two = c; state.over = f.column; remember(); drawCompare(); byId("compare").scrollIntoView({ block: "start" }); },
    }, signed(d.by) + (d.significant ? "*" : "")));
  })));
  return [el("h3", {}, `All against all, ${overName(f)}`),
    el("p", { class: "count" }, `Row less column in points. * significant (Wilcoxon, Holm over ${plural(f.differences.length, "comparison")}, 0.05); paler ones are not. Choose one to see its subjects.${f.rows.length > rows.length ? ` ${rows.length} of ${f.rows.length} methods shown.` : ""}`),
    el("div", { class: "scroll" }, el("table", { class: "squares", id: "squares" }, el("thead", {}, el("tr", {}, el("th", {}), head)), el("tbody", {}, body)))];
}

/* Mean ranks on a line, best at the left; a bar joins methods that no test tells apart (Demšar 2006). */
function criticalDifference(r) {
  const n = Math.min(r.rows.length, MOST_RANKED), ranks = r.ranks.slice(0, n), names = r.rows.slice(0, n).map(rowName);
  const bars = r.cliques.filter(([a]) => a < n).map(([a, b]) => [a, Math.min(b, n - 1)]);
  const half = Math.ceil(n / 2), wide = 660, side = 168, top = 30, line = 19, under = top + 10 + bars.length * 8;
  const worst = Math.max(Math.ceil(ranks[n - 1]), 2), x = (v) => side + (v - 1) / (worst - 1) * (wide - 2 * side), tall = under + 14 + half * line;
  const marks = [svg("line", { x1: x(1), x2: x(worst), y1: top, y2: top, class: "frame" })];
  for (let v = 1; v <= worst; v += Math.max(1, Math.ceil(worst / 12))) {
    marks.push(svg("line", { x1: x(v), x2: x(v), y1: top - 5, y2: top, class: "frame" }), svg("text", { x: x(v), y: top - 9, "text-anchor": "middle", class: "small" }, v));
  }
  ranks.forEach((rank, i) => {
    const first = i < half, y = under + 8 + (first ? i : n - 1 - i) * line, edge = first ? side - 12 : wide - side + 12;
    marks.push(svg("path", { d: `M${x(rank)} ${top}V${y}H${edge}`, class: "frame", fill: "none" }),
      tip(svg("text", { x: first ? edge - 5 : edge + 5, y: y + 4, "text-anchor": first ? "end" : "start" }, `${cut(names[i], 18)} `,
        svg("tspan", { class: "soft small" }, rank.toFixed(2))), `${names[i]}: mean rank ${rank.toFixed(2)}`));
  });
  bars.forEach(([a, b], k) => marks.push(svg("line", { x1: x(ranks[a]) - 4, x2: x(ranks[b]) + 4, y1: top + 9 + k * 8, y2: top + 9 + k * 8, class: "joined" })));
  return chart(wide, tall, "Critical-difference diagram of mean ranks", marks);
}

function drawRanks() {
  const r = view().ranks;
  if (!r) return null;
  if (r.refusal) return [el("h3", {}, "Critical-difference diagram"), el("p", { class: "count" }, `Not drawn: ${r.refusal}.`)];
  return [el("h3", {}, "Critical-difference diagram"),
    el("div", { class: "scroll" }, criticalDifference(r)),
    el("p", { class: "count" }, `Mean rank within target subjects, 1 is best, over ${plural(r.subjects, "subject")} and ${plural(table().columns.length, "pair")}. A bar joins methods that are not told apart (paired Wilcoxon, Holm over all pairs of methods, 0.05).`
      + `${r.p === null ? "" : ` Do they differ at all? Friedman (Iman-Davenport) p ${r.p}.`}${r.rows.length > MOST_RANKED ? ` The first ${MOST_RANKED} of ${r.rows.length}.` : ""}`)];
}

function drawCompare() {
  const v = view(), found = families();
  byId("compare").hidden = methods().length < 2;
  if (byId("compare").hidden) return;
  if (!found.length) {
    part("compare", "Compare two methods", null, el("p", { class: "count" }, v.untested
      ? `${v.untested} comparisons are too many for this page; significance.csv has those of the metric and unit of the report.`
      : "No two methods were tested on the same subjects."));
    return;
  }
  const f = family(), rows = v.order.filter((r) => f.rows.includes(r)), first = f.differences[0];
  const one = rows.includes(state.one) ? state.one : rows.find((r) => r !== state.two), two = rows.includes(state.two) && state.two !== one ? state.two : rows.find((r) => r !== one && difference(f, one, r)) ?? first[1];
  const d = difference(f, one, two), names = rows.map((r) => [r, rowName(r)]), choice = (key) => (value) => choose(key, Number(value));
  const [a, b] = [subjectScores(f, one), subjectScores(f, two)], who = whoOf(f), both = who.map((_, i) => i).filter((i) => a[i] !== null && b[i] !== null);
  part("compare", "Compare two methods", el("div", { class: "charts picks" },
    picker("one", "method", names, one, choice("one")), picker("two", "less", names, two, choice("two")),
    found.length > 1 ? picker("over", "over", found.map((x) => [x.column, overName(x)]), f.column, choice("over")) : null),
  d ? [verdict(f, one, two, d), el("div", { class: "charts" },
    slopes({ from: both.map((i) => b[i]), to: both.map((i) => a[i]), who: both.map((i) => who[i]), names: [rowName(two), rowName(one)],
      chance: f.column < 0 ? v.mean_chance : v.chance[f.column], label: `${rowName(one)} against ${rowName(two)}`, wide: 300, tall: 230 }),
    gaps(f, one, two, d))] : el("p", {}, "These two were not tested on the same subjects."),
  rows.length > 2 ? squares(f) : null, drawRanks(),
  el("details", {}, el("summary", {}, "How these tests were made"), el("ul", { class: "caption" }, f.notes.map((t) => el("li", {}, t)))));
}
