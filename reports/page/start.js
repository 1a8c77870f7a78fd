/* The start, and what holds for the whole page. */
const EVERY = [() => drawBoard(), () => drawHeat(), () => drawCompare(), () => drawPair(), () => drawMethod(), () => drawSubject()];

/* What was chosen in one setting means nothing in another. */
function leave() {
  state.off.clear();
  Object.assign(state, { sort: null, pair: null, method: null, one: null, two: null, over: null, target: null, subject: null, cell: null });
}

function draw(parts) {
  for (const one of parts) one();
}

function drawNav() {
  const links = [["board", "Leaderboard"], ["heat", "Source × target"], ["compare", "Compare"], ["pair", "By pair"], ["method", "By method"], ["subject", "By subject"], ["published", "Reported and measured"], ["problems", "Without scores"]];
  put(byId("nav"), links.filter(([id]) => !byId(id).hidden).map(([id, text]) => el("a", { href: `#${id}` }, text)));
}

function start() {
  byId("home").hidden = !DATA.home;
  if (DATA.home) byId("home").setAttribute("href", DATA.home);
  byId("subtitle").textContent = [`${DATA.folder}: ${DATA.records.length} record${DATA.records.length === 1 ? "" : "s"}`, `bench ${DATA.version}`, ...DATA.filters, DATA.origins.length > 1 ? `from ${DATA.origins.join(", ")}` : ""].filter(Boolean).join(" · ");
  byId("about").textContent = `Made by bench ${DATA.version} from the records in ${DATA.folder}. Every score opens to show how it was made. This page is one file and asks no network for anything.`;
  drawPublished();
  drawProblems();
  const any = DATA.tables.length > 0;
  for (const id of ["board", "heat", "compare", "pair", "method", "subject", "fold"]) byId(id).hidden = !any;
  if (any) {
    document.body.classList.toggle("sim", SIM());
    byId("simulated").hidden = !SIM();
    byId("simulated").textContent = "SIMULATED. These scores come from simulated corpora; they show that the software works and say nothing of EEG.";
    drawControls();
    draw(EVERY);
  } else {
    byId("board").hidden = false;
    put(byId("board"), el("h2", { id: "board-h" }, "No finished record"), el("p", {}, "Nothing here has scores; what failed, and why, stands below."));
  }
  drawNav();
}

const THEMES = ["auto", "light", "dark"];
function theme(name) {
  if (name === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", name);
  byId("theme").textContent = `Theme: ${name}`;
  byId("theme").onclick = () => theme(THEMES[(THEMES.indexOf(name) + 1) % 3]);
}

document.addEventListener("keydown", (e) => {
  if (e.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName) && byId("filter")) {
    e.preventDefault();
    byId("filter").focus();
  } else if (e.key === "Escape") byId("tip").hidden = true;
});
byId("controls").addEventListener("submit", (e) => e.preventDefault());

/* On a phone what is set once is folded. */
function fold() {
  byId("fold").open = !narrow.matches;
  state.cost = !narrow.matches;
  if (DATA.tables.length && byId("board").children.length) { drawControls(); drawBoard(); }
}
narrow.addEventListener("change", fold);

function follow() {
  leave();
  const at = recall(), cell = state.cell;
  start();
  if (cell) made(...cell);
  else if (at && byId(at)) byId(at).scrollIntoView();
}
addEventListener("hashchange", () => { if (location.hash.includes("=")) { if (byId("made").open) byId("made").close(); follow(); } });

theme("auto");
fold();
follow();
