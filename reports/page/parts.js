/* Parts of the page below the leaderboard, its controls, and the start. */
const byMean = (rows, column) => rows.filter((r) => scores(r).values[column])
  .sort((a, b) => scores(b).values[column][0] - scores(a).values[column][0]);
const methods = () => view().order.filter((r) => table().rows[r].kind === "method");
const picker = (id, label, items, chosen, act) => el("label", { for: `${id}-pick`, class: "noprint" }, label,
  options(el("select", { id: `${id}-pick`, onchange: (e) => act(e.target.value) }), items, chosen));
const part = (id, title, ...content) => put(byId(id),
  el("div", { class: "head" }, el("h2", { id: `${id}-h` }, title, SIM() ? " (simulated)" : ""), content[0], linkButton(id)), ...content.slice(1).flat());

function choose(key, value) {
  state[key] = value;
  remember();
  draw({ pair: [drawPair], method: [drawMethod], target: [drawSubject], subject: [drawSubject] }[key] || [drawCompare]);
  if (document.activeElement === document.body) byId(`${key}-pick`)?.focus();
}

function drawHeat() {
  const rows = shownRows("method").filter((r) => table().matrix.cells.flat().some((c) => c >= 0 && scores(r).values[c]));
  byId("heat").hidden = !rows.length || !table().matrix.sources.length || table().columns.length < 2;
  if (byId("heat").hidden) return;
  const some = state.allMaps ? rows : rows.slice(0, 4);
  part("heat", "Source × target", null,
    el("p", { class: "count" }, `Rows: trained on; columns: tested on. ${measure()} in %, mean ± SD over subjects. Colour runs from each pair's own chance to 100.`),
    el("div", { class: "charts" }, some.map((r) => figure(heat(r), rowName(r)))),
    rows.length > 4 ? el("button", { type: "button", class: "action", onclick: () => { state.allMaps = !state.allMaps; drawHeat(); } },
      state.allMaps ? "Show fewer" : `Show all ${rows.length}`) : null);
}

function comparisons(found) {
  if (view().not_compared) return el("p", { class: "count" }, "Comparisons with target-only were made in the metric and unit of the report only; choose those above.");
  if (!found.length) return null;
  return [el("h3", {}, "Against target-only: what pre-training on the source adds"),
    el("div", { class: "scroll" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ["method", "pair", "difference", "95 % interval", "p", "p (Holm)", "wins"].map((t) => el("th", { scope: "col" }, t)))),
      el("tbody", {}, found.map((c) => el("tr", {}, el("td", {}, table().rows[c.row].label), el("td", {}, table().columns[c.column].label),
        [c.difference, c.interval, c.p, c.holm, c.wins].map((t) => el("td", { class: "n" }, t))))))),
    el("ul", { class: "caption" }, view().footnotes.map((t) => el("li", {}, t)))];
}

function pairedCharts(found) {
  const all = found.flatMap((c) => [...c.control, ...c.method, ...known([view().chance[c.column]])]);
  const [low, high] = [Math.max(0, Math.min(...all) - 40), Math.min(1020, Math.max(...all) + 40)];
  return el("div", { class: "charts" }, found.map((c) => figure(paired(c, low, high), table().rows[c.row].label, `on ${table().columns[c.column].label}`)));
}

function curveCharts(found, name) {
  const kinds = [[2, "Loss of the pre-training", false], [3, "Loss of the fine-tuning", false], [4, "Test accuracy per window while fine-tuning (it chose nothing)", true]];
  const drawn = kinds.map(([at, title, isScore]) => {
    const entries = found.filter((c) => c[at]).map((c) => [name(c), c[at]]);
    return entries.length ? el("figure", { style: { width: "362px" } }, lines(entries, title, isScore), keys(entries), el("figcaption", {}, el("b", {}, title), ", mean over seeds and subjects")) : null;
  }).filter(Boolean);
  return drawn.length ? [el("h3", {}, "Learning curves"), el("div", { class: "charts" }, drawn)] : null;
}

const entryOf = (row, column) => {
  const v = scores(row).values[column];
  return { name: rowName(row), kind: table().rows[row].kind, mean: v[0], sd: v[1], scores: v[4], who: table().columns[column].subjects.map((s) => `subject ${s}`) };
};

/* Every pair at once, its rows in the order of the leaderboard. */
function drawPairs(pick) {
  // The best attainable is far to the right: it would leave the others no room.
  const controls = shownRows("control").filter((r) => table().rows[r].method !== "attainable").slice(0, 5);
  const rows = [...shownRows("method").slice(0, 10), ...controls], all = shownRows("method").length;
  part("pair", "All pairs", pick,
    el("p", { class: "count" }, `Small dots are target subjects, diamonds their mean, bars ± one SD; ${measure()} in %. Rows stand as in the leaderboard.${all > 10 ? ` 10 of ${all} methods drawn; filter for others.` : ""}`),
    el("div", { class: "charts heroes" }, shownColumns().map((i) => {
      const its = rows.filter((r) => scores(r).values[i]), c = table().columns[i];
      return its.length ? el("figure", {}, dots(its.map((r) => entryOf(r, i)), view().chance[i], `Methods on ${c.label}`, { wide: 376, left: 108, title: c.label })) : null;
    })));
}

function drawPair() {
  const columns = table().columns, items = columns.map((x, i) => [i, x.label]);
  const asked = state.pair ?? (columns.length > 1 ? -1 : 0), column = Math.min(asked, columns.length - 1), c = columns[column];
  if (columns.length > 1) items.unshift([-1, "all pairs"]);
  const pick = picker("pair", "pair", items, column, (v) => choose("pair", Number(v)));
  if (column < 0) { drawPairs(pick); return; }
  const rows = [...byMean(shownRows("method"), column), ...byMean(shownRows("control"), column), ...byMean(shownRows("oracle"), column)];
  const found = view().compared.filter((x) => x.column === column && shownRows("method").includes(x.row));
  const keep = new Set(rows.slice(0, 60));
  part("pair", `Pair ${c.label}`, pick,
    el("p", { class: "count" }, `${c.classes.length} classes: ${c.classes.join(", ")}. Small dots are target subjects, diamonds their mean, bars ± one SD; ${measure()} in %.`),
    rows.length ? el("div", { class: "scroll" }, dots([...keep].map((r) => entryOf(r, column)), view().chance[column], `Methods on ${c.label}`)) : el("p", {}, "No score is shown on this pair."),
    rows.length > keep.size ? el("p", { class: "count" }, `${keep.size} of ${rows.length} rows drawn; filter for others.`) : null,
    found.length ? pairedCharts(found.slice(0, 12)) : null, comparisons(found),
    curveCharts(table().curves.filter((x) => x[1] === column && keep.has(x[0])), (x) => rowName(x[0])));
}

/* What bench show knows of a method. */
function card(name) {
  const c = DATA.cards[name];
  if (!c) return el("p", { class: "count" }, `No method of the name ${name} was installed where this page was made, so it has no card here.`);
  const line = (term, text) => (text && text.length ? el("div", {}, el("dt", {}, term), el("dd", {}, text)) : null);
  return el("div", { class: "card", id: "card" },
    el("h3", {}, name, " ", el("small", {}, c.family)), el("p", {}, c.summary, c.paper ? el("span", { class: "soft" }, ` · ${c.paper}`) : null),
    el("dl", {}, line("learns from", c.learns), line("equation", c.equation ? el("code", {}, c.equation) : ""),
      line("adapted", c.adapted.map(([what, why]) => el("p", {}, what, why ? el("span", { class: "soft" }, `: ${why}`) : null)))),
    c.description.length ? el("details", {}, el("summary", {}, "More"), c.description.map((p) => el("p", {}, p))) : null,
    command(`bench show ${quoted(name)}`));
}

function drawMethod() {
  const all = methods();
  byId("method").hidden = !all.length;
  if (!all.length) return;
  const row = all.includes(state.method) ? state.method : all[0], s = scores(row);
  const columns = table().columns.map((c, i) => i).filter((i) => s.values[i]);
  const found = view().compared.filter((c) => c.row === row);
  const first = table().rows[row].records.flat()[0];
  part("method", `Method ${rowName(row)}`, picker("method", "method", all.map((r) => [r, rowName(r)]), row, (v) => choose("method", Number(v))),
    el("p", { class: "count" }, `${columns.length} of ${table().columns.length} pairs${s.mean === null ? "; no mean, since not every pair was run" : `; mean ${fmt(s.mean)}`}${s.rank === null ? "" : `; mean rank ${s.rank} of ${view().complete}`}. ${measure()} in %.`),
    el("div", { class: "charts" }, table().matrix.sources.length ? figure(heat(row), "Source × target") : null,
      columns.length ? el("div", { class: "scroll" }, dots(columns.map((c) => ({ ...entryOf(row, c), name: table().columns[c].short })), null, `Target subjects of ${rowName(row)}`)) : null),
    card(table().rows[row].method),
    found.length ? pairedCharts(found) : null, comparisons(found),
    curveCharts(table().curves.filter((x) => x[0] === row), (x) => table().columns[x[1]].short),
    first === undefined ? null : el("details", {}, el("summary", {}, "How its numbers were made: parameters and provenance of one record"), recordPart(DATA.records[first], true)));
}

function drawSubject() {
  const targets = [...new Set(table().columns.map((c) => c.target))];
  const target = targets.includes(state.target) ? state.target : targets[0];
  const columns = table().columns.map((c, i) => i).filter((i) => table().columns[i].target === target);
  const subjects = [...new Set(columns.flatMap((i) => table().columns[i].subjects))];
  const subject = subjects.includes(state.subject) ? state.subject : subjects[0];
  const at = (row, c) => { const v = scores(row).values[c]; const i = table().columns[c].subjects.indexOf(subject); return v && i >= 0 ? v[4][i] : null; };
  const rows = [...shownRows("method"), ...shownRows("control"), ...shownRows("oracle")].filter((r) => columns.some((c) => at(r, c) !== null));
  const drawn = rows.slice(0, 60).map((r) => {
    const values = columns.map((c) => at(r, c));
    return { name: rowName(r), kind: table().rows[r].kind, mean: Math.round(mean(known(values))), sd: null, scores: values, who: columns.map((c) => table().columns[c].label) };
  });
  const levels = new Set(columns.map((c) => view().chance[c]));
  part("subject", `Subject ${subject} of ${target}`, el("div", { class: "charts" },
    picker("target", "target", targets.map((t) => [t, t]), target, (v) => choose("target", v)),
    picker("subject", "subject", subjects.map((s) => [s, s]), subject, (v) => choose("subject", v))),
  el("p", { class: "count" }, `A dot for each source, the diamond is their mean; ${measure()} in %. The table gives the score and, smaller, how far it is from the mean over all subjects.`),
  drawn.length ? el("div", { class: "scroll" }, dots(drawn, levels.size === 1 ? [...levels][0] : null, `Methods on subject ${subject}`)) : el("p", {}, "No score is shown for this subject."),
  rows.length > drawn.length ? el("p", { class: "count" }, `${drawn.length} of ${rows.length} rows drawn; filter for others.`) : null,
  el("details", {}, el("summary", {}, "Table"), el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "method"), columns.map((c) => el("th", { scope: "col" }, table().columns[c].label)))),
    el("tbody", {}, rows.map((r) => el("tr", {}, el("th", { scope: "row" }, rowName(r)), columns.map((c) => {
      const v = at(r, c);
      return el("td", {}, fmt(v), v === null ? "" : el("span", { class: "sd" }, signed(v - scores(r).values[c][0])));
    }))))))));
}

function drawPublished() {
  const rows = DATA.published.rows, beside = rows.filter((r) => r.measured.length);
  byId("published").hidden = !rows.length;
  put(byId("published"), el("div", { class: "head" }, el("h2", { id: "published-h" }, "Reported and measured")),
    el("p", { class: "count" }, DATA.published.note),
    beside.length ? null : el("p", {}, "No published figure agrees with these records in pair, classes and target access; each is listed with the reason."),
    el("details", { open: beside.length > 0 }, el("summary", {}, `${rows.length} published figures, ${beside.length} beside measured ones`),
      el("div", { class: "scroll" }, el("table", { class: "plain" },
        el("thead", {}, el("tr", {}, ["method", "pair", "reported", "target access, setting", "measured here, or why not", "seen in"].map((t) => el("th", { scope: "col" }, t)))),
        el("tbody", {}, rows.map((r) => el("tr", {}, el("td", {}, r.method, r.paper ? ` (${r.paper})` : ""), el("td", {}, r.pair),
          el("td", { class: "n" }, r.value + (r.sd ? ` ± ${r.sd}` : "")), el("td", {}, `${r.access}; ${r.setting}`),
          el("td", {}, r.measured.length ? r.measured.join("; ") : `not comparable: ${r.reason}`),
          el("td", {}, r.seen, r.note ? `; ${r.note}` : ""))))))));
}

function drawProblems() {
  byId("problems").hidden = !DATA.problems.length;
  put(byId("problems"), el("div", { class: "head" }, el("h2", { id: "problems-h" }, "Without scores")),
    el("ul", { class: "caption" }, DATA.problems.map((t) => el("li", { class: "note" }, t))));
}

function drawControls() {
  const t = table(), names = (key) => [...new Set(t.columns.map((c) => c[key]))].filter(Boolean);
  const all = () => draw(EVERY);
  const tick = (id, text) => el("label", { class: "tick" }, el("input", { type: "checkbox", checked: !state.off.has(id), onchange: (e) => {
    if (e.target.checked) state.off.delete(id); else state.off.add(id);
    drawBoard(); say(byId("count").textContent);
  } }), text);
  const change = (key) => (e) => { state[key] = e.target.value; remember(); all(); };
  const count = (n, name) => `${n} ${name}${n === 1 ? "" : "s"}`;
  const name = (x) => x.views[`${DATA.metric}/${DATA.unit}`].title.split(": ")[0];
  const heads = DATA.tables.map((x, i) => [i, `${i + 1}. ${name(x)}${x.simulated ? " (simulated)" : ""}: ${count(x.rows.filter((r) => r.kind === "method").length, "method")}, ${count(x.columns.length, "pair")}`]);
  put(byId("controls"),
    DATA.tables.length > 1 ? el("label", {}, "setting (never mixed)", options(el("select", { id: "table", onchange: (e) => { state.table = Number(e.target.value); leave(); remember(); start(); } }), heads, state.table)) : null,
    el("label", {}, "metric", options(el("select", { id: "metric", onchange: change("metric") }), DATA.metrics, state.metric)),
    el("label", {}, "per", options(el("select", { id: "unit", onchange: change("unit") }), DATA.units.map((u) => [u, u]), state.unit)),
    el("label", {}, "filter methods ( / )", el("input", { type: "search", id: "filter", placeholder: "part of a name", autocomplete: "off", value: state.filter,
      oninput: (e) => { state.filter = e.target.value; remember(); all(); say(byId("count").textContent || "all methods shown"); } })),
    [["source", "s", "trained on"], ["target", "t", "tested on"]].map(([key, letter, title]) => (names(key).length > 1
      ? el("div", { class: "field", role: "group", "aria-label": title }, title, el("div", { class: "charts", style: { gap: "0 .8rem" } }, names(key).map((n) => tick(`${letter}:${n}`, n)))) : null)),
    el("label", { class: "tick" }, el("input", { type: "checkbox", id: "blocks", checked: state.blocks, onchange: (e) => { state.blocks = e.target.checked; all(); } }), "controls and oracle"),
    el("label", { class: "tick" }, el("input", { type: "checkbox", id: "cost", checked: state.cost, onchange: (e) => { state.cost = e.target.checked; drawBoard(); } }), "cost"));
}
