/* What leaves the page: links that find the same thing again, files, and commands. */
const sign = (row, column) => {
  const v = view();
  v.signs ||= new Map(v.marks.map(([r, c, s]) => [`${r}/${c}`, s]));
  return v.signs.get(`${row}/${column}`) || "";
};

/* Links name things: a number would lead elsewhere as soon as records are added. */
function place(at) {
  const t = table(), parts = { setting: t.key, metric: state.metric, unit: state.unit };
  const column = (c) => t.columns[c].key;
  if (state.pair !== null) parts.pair = state.pair < 0 ? "all" : column(state.pair);
  if (state.method !== null) parts.method = rowName(state.method);
  if (state.one !== null) parts.one = rowName(state.one);
  if (state.two !== null) parts.two = rowName(state.two);
  if (state.over !== null) parts.over = state.over < 0 ? "all" : column(state.over);
  if (state.target !== null) parts.target = state.target;
  if (state.subject !== null) parts.subject = state.subject;
  if (state.filter) parts.filter = state.filter;
  if (state.cell) {
    const [row, c] = state.cell;
    Object.assign(parts, { cell: rowName(row), on: column(c), record: DATA.records[t.rows[row].records[c][0]][0] });
  }
  if (at) parts.at = at;
  return `#${new URLSearchParams(parts)}`;
}

function remember() {
  if (!DATA.tables.length) return;
  try { history.replaceState(null, "", place()); } catch (refused) { /* sandboxed: no address */ }
}

const linkTo = (at) => location.href.split("#")[0] + place(at);

/* A row by its name; where a variant has got another name since, one of the same method. */
function findRow(name) {
  if (name === null) return null;
  const rows = table().rows.map((r, i) => i), base = (text) => text.split(" [")[0];
  const oracle = (text) => text.endsWith(" (oracle)");
  return rows.find((r) => rowName(r) === name)
    ?? rows.find((r) => base(table().rows[r].label) === base(name.replace(/ \(oracle\)$/, "")) && oracle(rowName(r)) === oracle(name)) ?? null;
}

function findColumn(name) {
  if (name === null) return null;
  const found = table().columns.findIndex((c) => c.key === name);
  const pair = name.slice(0, name.lastIndexOf("@"));
  const near = found >= 0 ? found : table().columns.findIndex((c) => c.pair === pair || c.pair === name);
  return near >= 0 ? near : null;
}

/* The cell that a link has open: by its record, else by its names. */
function findCell(wanted) {
  const name = wanted.get("cell"), id = wanted.get("record");
  if (name === null) return null;
  const oracle = name.endsWith(" (oracle)"), record = DATA.records.findIndex((r) => r[0] === id);
  for (const [k, t] of DATA.tables.entries()) {
    if (record < 0) break;
    for (const [r, row] of t.rows.entries()) {
      if ((row.kind === "oracle") !== oracle) continue;
      const c = row.records.findIndex((its) => its.includes(record));
      if (c >= 0) { state.table = k; return [r, c]; }
    }
  }
  const row = findRow(name), column = findColumn(wanted.get("on"));
  return row === null || column === null ? null : [row, column];
}

function recall() {
  if (!location.hash.includes("=") || !DATA.tables.length) return null;
  const wanted = new URLSearchParams(location.hash.slice(1));
  state.table = Math.max(0, DATA.tables.findIndex((t) => t.key === wanted.get("setting")));
  if (DATA.metrics.some((m) => m[0] === wanted.get("metric"))) state.metric = wanted.get("metric");
  if (DATA.units.includes(wanted.get("unit"))) state.unit = wanted.get("unit");
  state.cell = findCell(wanted);
  const several = (name) => (wanted.get(name) === "all" ? -1 : findColumn(wanted.get(name)));
  Object.assign(state, {
    pair: several("pair"), over: several("over"), method: findRow(wanted.get("method")),
    one: findRow(wanted.get("one")), two: findRow(wanted.get("two")),
    target: wanted.get("target"), subject: wanted.get("subject"), filter: wanted.get("filter") || "",
  });
  return wanted.get("at");
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`${name} saved`);
}

/* Text that a spreadsheet would run as a formula gets an apostrophe, as in the CSV files. */
function field(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "number" ? String(value) : String(value).replace(/(^|[;\t\r\n])(\s*[=+\-@\t\r])/g, "$1'$2");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const points = (tenths) => (tenths === null || tenths === undefined ? null : tenths / 10);
const shownAll = () => ["method", "control", "oracle"].flatMap((kind) => sorted(shownRows(kind)));

/* A line for each score shown: percent, rounded as on the page. */
function asCsv() {
  const names = ["method", "kind", "pair", "metric", "unit", "mean", "sd", "n_subjects", "mark", "against_best_target_only",
    "seconds", "parameters", "records", "from", "simulated"];
  const lines = [names];
  for (const row of shownAll()) {
    const r = table().rows[row];
    for (const c of shownColumns()) {
      const v = scores(row).values[c];
      if (!v) continue;
      lines.push([rowName(row), r.kind, table().columns[c].label, state.metric, state.unit, points(v[0]), points(v[1]), known(v[4]).length,
        ["", "second", "best"][r.kind === "method" ? v[2] : 0], { "*": "better", "°": "worse" }[sign(row, c)] || "", r.cost[0], r.cost[1],
        r.records[c].map((i) => DATA.records[i][0]).join(" "), r.from.join(" + "), SIM() ? "simulated" : "no"]);
    }
  }
  return `${lines.map((line) => line.map(field).join(",")).join("\n")}\n`;
}

function asJson() {
  const t = table(), v = view();
  const cell = (row, c) => {
    const s = scores(row).values[c];
    return s && { mean: points(s[0]), sd: points(s[1]), against_best_target_only: sign(row, c) || null,
      subjects: Object.fromEntries(t.columns[c].subjects.map((who, i) => [who, points(s[4][i])]).filter((p) => p[1] !== null)),
      records: t.rows[row].records[c].map((i) => DATA.records[i][0]) };
  };
  return `${JSON.stringify({
    title: v.title, bench: DATA.version, simulated: SIM(), scores: "percent, rounded to a tenth; leaderboard.json has all digits",
    metric: state.metric, unit: state.unit, setting: Object.fromEntries(t.setting), caption: v.caption, headline: worth()?.headline ?? null,
    rows: shownAll().map((row) => ({
      name: rowName(row), kind: t.rows[row].kind, mean: points(scores(row).mean), rank: scores(row).rank, from: t.rows[row].from,
      seconds: t.rows[row].cost[0], parameters: t.rows[row].cost[1],
      pairs: Object.fromEntries(shownColumns().map((c) => [t.columns[c].label, cell(row, c)]).filter((p) => p[1])),
    })),
    comparisons: v.families.map((f) => ({
      over: f.column < 0 ? "all pairs" : t.columns[f.column].label, subjects: f.n,
      differences: f.differences.map((d) => ({ first: rowName(d[0]), second: rowName(d[1]), n: d[2], points: points(d[3]),
        low: points(d[4]), high: points(d[5]), p: d[6], p_holm: d[7], significant: !!d[10] })),
    })),
  }, null, 1)}\n`;
}

const fileName = (ending) => `leaderboard-${table().key}-${state.metric}-${state.unit}.${ending}`;
const quoted = (text) => (/^[\w.+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/* The command that computes a record once more and compares. */
const rerun = (record) => `bench rerun ${record[0]} --runs ${quoted(record[3] || DATA.folder)}`;
const unnamed = (record) => record[3] === "ARCHIVE.zip";

const command = (text) => el("p", { class: "command" }, el("code", {}, text),
  el("button", { type: "button", class: "action", onclick: () => copy(text, "command") }, "Copy"));

const linkButton = (at) => el("button", { type: "button", class: "action quiet noprint", onclick: () => copy(linkTo(at), "link") }, "Copy link");
