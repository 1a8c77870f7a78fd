/* The leaderboard: sorted, filtered, copied as LaTeX. */
const several = () => table().columns.length > 1 && view().rows.some((r) => r.mean !== null);
const ranked = () => several() && view().complete > 1;
const covered = () => view().covered;
const costed = () => view().costed;
const coverage = (row) => `${scores(row).values.filter((v) => v).length}/${table().columns.length}`;
const BLOCKS = { control: "Controls, not ranked", oracle: "Oracle and leaky: saw of the test set what no method may; never ranked" };

function keyOf(row, key) {
  const s = scores(row);
  if (key === "name") return table().rows[row].label.toLowerCase();
  if (key === "mean") return s.mean;
  if (key === "pairs") return s.values.filter((v) => v).length;
  if (key === "seconds" || key === "parameters") return table().rows[row].cost[key === "seconds" ? 0 : 1];
  if (key === "rank") return s.rank === null ? null : Number(s.rank);
  return s.values[key] ? s.values[key][0] : null;
}

/* Sorted within a block; what was not run stands last whichever way; equal ones stay as ranked. */
function sorted(rows) {
  if (!state.sort) return rows;
  const { key, down } = state.sort;
  return [...rows].sort((a, b) => {
    const [x, y] = [keyOf(a, key), keyOf(b, key)];
    if (x === null || y === null) return (x === null) - (y === null);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
  });
}

function about(row, column) {
  const value = scores(row).values[column], subjects = known(value[4]);
  const chance = view().chance[column];
  return [
    `${rowName(row)} on ${table().columns[column].label}${SIM() ? " (SIMULATED)" : ""}`,
    `${fmt(value[0])}${value[1] === null ? "" : ` ± ${fmt(value[1])}`} ${measure()}`,
    `${subjects.length} subject${subjects.length === 1 ? "" : "s"}, ${fmt(Math.min(...subjects))} to ${fmt(Math.max(...subjects))}`,
    chance === null ? "" : `${signed(value[0] - chance)} above chance (${fmt(chance)})`,
    { "*": "* better than the best target-only after Holm", "°": "° worse than the best target-only after Holm" }[sign(row, column)] || "",
    value[3] ? "† not all subjects of the column have this score" : "",
    value[5] ? `nearly all of each subject is taken for one class: ${value[5]}` : "",
  ].filter(Boolean).join("\n");
}

function header(key, text, hint) {
  const now = state.sort && state.sort.key === key;
  const act = () => {
    const up = ["name", "rank", "seconds", "parameters"].includes(key);
    state.sort = now ? { key, down: !state.sort.down } : { key, down: !up };
    const at = [...document.querySelectorAll("#board thead button")].indexOf(document.activeElement);
    drawBoard();
    document.querySelectorAll("#board thead button")[at]?.focus();
    say(`sorted by ${text.replaceAll("\n", " ")}, ${state.sort.down ? "highest" : "lowest"} first`);
  };
  return el("th", { scope: "col", "aria-sort": now ? (state.sort.down ? "descending" : "ascending") : "none" },
    tip(el("button", { type: "button", class: "arrow", onclick: act }, text), hint));
}

function heading(c) {
  const [source, target] = c.short.split(ARROW);
  return `${target === undefined ? c.short : `${source}${ARROW}\n${target}`}\nn = ${c.subjects.length}`;
}

function boardRow(row, columns) {
  const r = table().rows[row], s = scores(row);
  const marks = (mark) => (mark === 2 ? "best" : mark === 1 ? "second" : "");
  const cells = columns.map((column) => {
    const value = s.values[column];
    if (!value) return el("td", { class: "value" }, "–");
    const button = el("button", {
      type: "button", class: `cell ${marks(value[2])}`, "aria-haspopup": "dialog",
      style: { "--h": colour(height(value[0], column)), "--a": height(value[0], column).toFixed(3) }, onclick: () => made(row, column),
    }, el("span", { class: "num" }, fmt(value[0])), el("span", { class: "sig" }, sign(row, column)), value[3] ? "†" : "",
    value[1] === null && !value[3] ? "" : el("span", { class: "sd" }, `${value[1] === null ? "" : `±${fmt(value[1])}`}${value[3] ? ` (n ${known(value[4]).length})` : ""}`),
    value[5] ? el("span", { class: "one-class" }, `one class: ${value[5]}`) : "");
    return el("td", { class: "value" }, tip(button, () => about(row, column)));
  });
  const name = r.kind === "method"
    ? el("a", { href: "#method", onclick: () => choose("method", row) }, rowName(row)) : rowName(row);
  const sums = [several() ? el("td", { class: r.kind === "method" ? marks(s.mark) : "" }, el("span", { class: "num" }, fmt(s.mean))) : null,
    ranked() ? el("td", {}, s.rank === null ? "" : s.rank) : null];
  return el("tr", {}, tip(el("th", { scope: "row" }, name), rowName(row)), inOrder(cells, sums),
    covered() ? el("td", { class: s.mean === null ? "short" : "" }, coverage(row)) : null,
    costed() ? s.cost.map((text) => el("td", {}, text)) : null,
    state.cost ? costCells(r.cost) : null, merged() ? el("td", { class: "text" }, r.from.join(" + ")) : null);
}

/* Pairs, then what sums them up; on a phone the other way round, since few pairs are in sight. */
const inOrder = (pairs, sums) => (narrow.matches ? [sums, pairs] : [pairs, sums]);

/* Costs: digits that a reader takes in, the rest on hover. */
const merged = () => DATA.origins.length > 1;
/* A number keeps its sign: no line ends between "60" and "%". */
const whole = (text) => text.replace(/(\d) %/g, "$1\u00a0%");
const time = (s) => (s === null ? "–" : s < 0.1 ? "<0.1 s" : s < 100 ? `${Number(s.toPrecision(2))} s` : s < 6000 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`);
const big = (n) => (n === null ? "–" : n < 1000 ? String(n) : n < 1e6 ? `${Number((n / 1e3).toPrecision(3))}k` : `${Number((n / 1e6).toPrecision(3))}M`);
function costCells([seconds, parameters, memory, devices]) {
  const more = seconds === null ? "no record did its own pre-training, or none says what it took" : `${seconds} s a record that did its own pre-training, on ${devices}${memory === null ? "" : `; ${memory} MB at most`}`;
  return [tip(el("td", { class: "cost" }, time(seconds)), more), el("td", { class: "cost" }, big(parameters))];
}

function block(kind, columns) {
  const rows = sorted(shownRows(kind));
  const span = 1 + columns.length + several() + ranked() + covered() + 2 * costed() + 2 * state.cost + merged();
  const body = el("tbody", { class: kind });
  if (kind !== "method" && (rows.length || (kind === "control" && state.blocks))) {
    body.append(el("tr", { class: "block" }, el("th", { colspan: span, scope: "rowgroup" }, BLOCKS[kind])));
  }
  if (kind === "control" && state.blocks) {
    body.append(el("tr", {}, el("th", { scope: "row" }, "chance"),
      inOrder(columns.map((c) => el("td", {}, fmt(view().chance[c]))),
        [several() ? el("td", {}, fmt(view().mean_chance)) : null, ranked() ? el("td", {}) : null]), covered() ? el("td", {}) : null,
      costed() ? [el("td", {}), el("td", {})] : null,
      state.cost ? [el("td", {}), el("td", {})] : null, merged() ? el("td", {}) : null));
  }
  body.append(...rows.map((row) => boardRow(row, columns)));
  return body.children.length ? body : null;
}

function shownNote(columns) {
  const all = view().order.filter((r) => table().rows[r].kind === "method").length;
  const rows = shownRows("method").length, pairs = table().columns.length, parts = [];
  if (rows < all) parts.push(`${rows} of ${all} methods shown; best, second and rank are over all of them`);
  if (columns.length < pairs) parts.push(`${columns.length} of ${pairs} pairs shown; mean and rank are over all of them`);
  return parts.join(". ");
}

/* The table in a glance; a tile stands only where its number is over all pairs. */
function tiles() {
  const t = table(), v = view(), found = [];
  const methods = v.order.filter((r) => t.rows[r].kind === "method");
  const subjects = t.columns.map((c) => c.subjects.length), few = Math.min(...subjects), most = Math.max(...subjects);
  found.push([`${plural(methods.length, "method")} × ${plural(t.columns.length, "pair")}`,
    `${few === most ? few : `${few}–${most}`} target subjects a pair, ${v.seeds.length === 1 ? "seed" : "seeds"} ${v.seeds.join(", ")}`]);
  const best = methods.find((r) => scores(r).mark === 2);
  if (best === undefined) return found;
  const name = rowName(best), pairs = plural(t.columns.length, "pair");
  found.push([`${name} ${fmt(scores(best).mean)}`,
    `best mean over ${pairs}${v.mean_chance === null ? "" : `; chance ${fmt(v.mean_chance)}`}`]);
  const gains = v.compared.filter((c) => c.row === best);
  if (gains.length === t.columns.length) {
    const gain = mean(gains.map((c) => mean(c.method) - mean(c.control)));
    found.push([signed(Math.round(gain)), `points of ${name} over target-only: what the source adds`]);
  }
  const oracle = v.order.find((r) => t.rows[r].kind === "oracle" && t.rows[r].label === t.rows[best].label);
  if (oracle !== undefined && scores(oracle).mean !== null) {
    found.push([signed(scores(oracle).mean - scores(best).mean), `points the test set would give ${name}, if it chose the epoch`, "grey"]);
  }
  return found;
}

function drawBoard() {
  const columns = shownColumns(), v = view(), pairs = table().columns.length;
  const grid = el("table", {},
    el("caption", { class: "unseen" }, v.title),
    el("thead", {}, el("tr", {},
      header("name", "method", "Sort by name"),
      inOrder(columns.map((c) => header(c, heading(table().columns[c]), `${table().columns[c].label}\nSort by this pair`)), [
        several() ? header("mean", "mean", `Mean over all ${pairs} pairs, for rows that ran every one. Sort by it`) : null,
        ranked() ? header("rank", "rank", `Mean rank of the ${v.complete} complete methods within each target subject; 1 is best. Sort by it`) : null]),
      covered() ? header("pairs", "pairs", "Pairs that have a score, of all. Mean and rank are of methods that ran every pair") : null,
      costed() ? ["steps", "windows"].map((text) => el("th", { scope: "col" }, text)) : null,
      state.cost ? [header("seconds", "time", "Wall time of a record that did its own pre-training, mean. Sort by it"),
        header("parameters", "size", "Parameters of the network, mean over records. Sort by it")] : null,
      merged() ? el("th", { scope: "col", class: "text" }, "from") : null)),
    ["method", "control", "oracle"].map((kind) => block(kind, columns)));
  const w = worth(), button = (id, text, act) => el("button", { type: "button", class: "action", id, onclick: act }, text);
  put(byId("board"),
    el("div", { class: "head" }, el("h2", { id: "board-h" }, v.title), el("div", { class: "buttons" },
      button("latex", "Copy as LaTeX", () => copy(asLatex(), "LaTeX")),
      button("csv", "CSV", () => save(fileName("csv"), "text/csv", asCsv())),
      button("json", "JSON", () => save(fileName("json"), "application/json", asJson())), linkButton("board"))),
    el("div", { class: "hero", id: "hero" },
      w ? el("p", { class: "headline", id: "headline" }, whole(w.headline)) : null,
      el("div", { class: w && (w.sizes.length === 1 || w.pairs.length < 3) ? "beside" : "" }, w ? el("div", {}, hero(w)) : null,
        el("div", { class: "tiles" }, tiles().map(([number, what, tone]) =>
          el("div", { class: `tile ${tone || ""}` }, el("b", {}, number), el("span", {}, what)))))),
    el("div", { class: "across" }, el("div", { class: "scroll", role: "region", "aria-label": "Leaderboard", tabindex: 0 }, grid)),
    el("p", { class: "count", id: "count" }, shownNote(columns)),
    el("p", { class: "count", id: "legend" }, legendOf(w)),
    el("ul", { class: "caption" }, v.caption.map((t) => el("li", {}, t)), v.notes.map((t) => el("li", { class: "note" }, t))),
    el("details", { class: "said" }, el("summary", {}, "Note"), el("ul", { class: "caption" }, v.note.map((t) => el("li", {}, t)))),
    w ? gains(w) : null);
}

/* What the marks mean: the order of means is one thing, what a test tells apart another. */
function legendOf(w) {
  const parts = ["Bold: best mean of a column, underlined: second. That is an order, not a test."];
  if (w) parts.push("* better, ° worse than the best target-only of the pair after Holm's correction; no mark: not told apart.");
  if (view().ranks) parts.push("Which methods differ from each other stands under Compare.");
  return parts.join(" ");
}

/* Methods against the best target-only, at each size of calibration. */
function gains(worth) {
  const pair = (text) => (worth.pairs > 1 ? el("td", { class: "text" }, text) : null);
  return el("details", { open: worth.sizes.length > 1 && !narrow.matches ? "" : null }, el("summary", {}, "Gain over the best target-only"),
    el("div", { class: "scroll" }, el("table", { id: "gains" },
      el("thead", {}, el("tr", {}, el("th", {}, "method"), worth.pairs > 1 ? el("th", {}, "pair") : null, worth.sizes.map((s) => el("th", {}, s)))),
      el("tbody", {}, worth.rows.map(([label, its, cells]) => el("tr", {}, el("th", { scope: "row" }, label), pair(its),
        cells.map(([score, gain, interval]) => el("td", {}, score, gain ? el("b", {}, ` ${gain}`) : null, gain ? el("small", {}, ` ${interval}`) : null))))))),
    el("ul", { class: "caption" }, worth.notes.map((t) => el("li", {}, t))));
}

/* The table as it stands, filtered and sorted; whole, it is leaderboard.tex. */
function asLatex() {
  const columns = shownColumns(), rows = [], wrap = (mark, text) =>
    (mark === 2 ? `\\textbf{${text}}` : mark === 1 ? `\\underline{${text}}` : text);
  const tex = (tenths) => fmt(tenths).replace("–", "--");
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const cellsOf = (row) => {
    const r = table().rows[row], s = scores(row), only = r.kind === "method";
    const cells = [r.tex + (r.kind === "oracle" ? " (oracle)" : "")];
    for (const column of columns) {
      const value = s.values[column];
      if (!value) { cells.push("--"); continue; }
      const text = wrap(only ? value[2] : 0, fmt(value[0])) + (value[3] ? "\\dag{}" : "");
      const n = value[3] ? ` ($n$ ${known(value[4]).length})` : "";
      const spread = value[1] === null ? n : ` {\\scriptsize$\\pm$${fmt(value[1])}${n}}`;
      cells.push(text + spread + (value[5] ? ` {\\scriptsize one class: ${value[5]}}` : ""));
    }
    if (several()) cells.push(wrap(only ? s.mark : 0, tex(s.mean)));
    if (ranked()) cells.push(s.rank === null ? "" : s.rank);
    if (covered()) cells.push(coverage(row));
    if (costed()) cells.push(...s.cost);
    return cells;
  };
  const head = ["Method", ...columns.map((c) => table().columns[c].tex)];
  if (several()) head.push("Mean");
  if (ranked()) head.push("Rank");
  if (covered()) head.push("Pairs");
  if (costed()) head.push("Steps", "Windows");
  const chance = ["chance", ...columns.map((c) => tex(view().chance[c]))];
  if (several()) chance.push(tex(view().mean_chance));
  if (ranked()) chance.push("");
  if (covered()) chance.push("");
  if (costed()) chance.push("", "");
  const methods = sorted(shownRows("method")), oracles = sorted(shownRows("oracle"));
  rows.push(...methods.map((r) => line(cellsOf(r))));
  if (state.blocks) {
    if (methods.length) rows.push("\\midrule");
    rows.push(line(chance), ...sorted(shownRows("control")).map((r) => line(cellsOf(r))));
  }
  if (oracles.length) {
    rows.push("\\midrule", ...oracles.map((r) => line(cellsOf(r).map((c) => (c ? `\\textcolor{gray}{${c}}` : "")))));
  }
  const note = shownNote(columns);
  return ["\\begin{table}[t]", "\\centering", `\\caption{${view().tex}}`, "\\small",
    "\\setlength{\\tabcolsep}{3pt}", "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
    `\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule", line(head), "\\midrule", ...rows,
    "\\bottomrule", "\\end{tabular}}",
    `\\par\\smallskip\\parbox{\\linewidth}{\\footnotesize\\emph{Note.} ${view().tex_note}${note ? ` ${note}.` : ""}}`,
    "\\end{table}"].join("\n");
}

/* How a number was made: subjects, setting, and each record with its identity and provenance. */
function made(row, column) {
  const c = table().columns[column], value = scores(row).values[column];
  const box = byId("made"), records = table().rows[row].records[column].map((i) => DATA.records[i]);
  const oracle = table().rows[row].kind === "oracle";
  const who = c.subjects.map((s, i) => [s, value[4][i]]).filter((p) => p[1] !== null);
  put(box,
    el("div", { class: "head" }, el("h2", { id: "made-h" }, `${rowName(row)} on ${c.label}`),
      el("div", { class: "buttons" }, linkButton(""), el("button", { type: "button", onclick: () => box.close() }, "Close"))),
    SIM() ? el("p", {}, el("b", {}, "SIMULATED: "), "these scores say nothing of EEG.") : null,
    el("p", {}, el("b", {}, fmt(value[0]), value[1] === null ? "" : ` ± ${fmt(value[1])}`),
      ` ${measure()} in %. Mean${value[1] === null ? "" : " and standard deviation (n − 1)"} over ${who.length} target subject${who.length === 1 ? "" : "s"}; `,
      `sessions, then ${records.length} record${records.length === 1 ? "" : "s"} (seeds), are averaged within a subject first. `,
      oracle ? "It saw of the test set what no method may, such as labels to choose the best epoch by: never ranked." : ""),
    el("div", { class: "scroll" }, dots([{ name: rowName(row), kind: table().rows[row].kind, mean: value[0], sd: value[1], scores: value[4], who: c.subjects.map((s) => `subject ${s}`) }], view().chance[column], "Target subjects")),
    el("p", { class: "count" }, "Subjects: ", who.map(([s, v]) => `${s}: ${fmt(v)}`).join(", ")),
    el("h3", {}, records.length === 1 ? "Repeat it" : "Repeat one of its records"), records.slice(0, 12).map((r) => command(rerun(r))),
    records.slice(0, 12).some(unnamed) ? el("p", { class: "count" }, `ARCHIVE.zip stands for the file of the archive that ${table().rows[row].from.join(", ")} published.`) : null,
    el("p", { class: "count" }, "It computes the record once more and says whether it agrees; for real corpora with --data, or after bench data set."),
    el("h3", {}, "Setting"), definitions(table().setting),
    el("h3", {}, records.length === 1 ? "Record" : "Records"),
    records.map((r, i) => recordPart(r, i === 0)));
  state.cell = [row, column];
  box.onclose = () => { state.cell = null; remember(); };
  remember();
  box.showModal();
}

const definitions = (pairs) => el("div", { class: "scroll" }, el("table", { class: "plain" },
  el("tbody", {}, pairs.map(([k, v]) => el("tr", {}, el("th", { scope: "row" }, k), el("td", {}, el("code", {}, v)))))));

function unpooled(flat) {
  const pairs = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([DATA.texts[flat[i]], DATA.texts[flat[i + 1]]]);
  return pairs;
}

function recordPart([id, identity, outcome], open) {
  const parts = unpooled(identity), seed = parts.find((p) => p[0] === "seed");
  return el("details", { open }, el("summary", {}, `${id} · seed ${seed ? seed[1] : "?"}`),
    el("h3", {}, "Identity: what decides the numbers"), definitions(parts),
    el("h3", {}, "Outcome and provenance"), definitions(unpooled(outcome)),
    el("button", { type: "button", class: "action", onclick: () => copy(JSON.stringify({ id, identity: Object.fromEntries(parts), outcome: Object.fromEntries(unpooled(outcome)) }, null, 1), "record") }, "Copy as JSON"));
}
