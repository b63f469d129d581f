// The review page: verdicts, the list of cases, keyboard shortcuts.
// page.py wraps review_picture.js and this file in one function, in that order.
// Names, reasons and notes are untrusted text: they enter the page through textContent and attributes only.
const audit = JSON.parse($("audit").textContent);
const { cases, classes } = audit;
const indexOf = new Map(cases.map((row, index) => [row.case, index]));
const KINDS = { case: "whole case", missing: "missing object", spurious: "spurious object",
  wrong_class: "wrong class", outline: "inaccurate outline", fault: "file problem" };
const VERDICTS = { keep: ["A", "keep given"], take: ["S", "take proposed"], redraw: ["D", "redraw"], skip: ["F", "skip"] };
const KEY = `labelmend review ${audit.id}`;
const NOTHING = { verdict: "", at: "", note: "" };
const MOST_UNDOS = 200, MOST_PARSED = 6;

const decided = new Map();  // case -> { verdict, at, note }; verdict "" after undo
const past = [];            // [index, previous entry], for undo
const parsed = new Map();   // index -> picture data of recently shown cases
const hidden = new Set();   // class indices, and "given" or "proposed", whose outlines are hidden
const rows = [];            // buttons of the list
let listed = cases.map((_, index) => index);
let here = -1, data = null, slice = 0, finding = -1;
let storage = null, unsaved = false;

const element = (tag, more, ...inside) => {
  const made = Object.assign(document.createElement(tag), more);
  made.append(...inside);
  return made;
};
const verdictOf = index => decided.get(cases[index].case) ?? NOTHING;

// ---- Verdicts: stored in this browser under the id of the audit, and in a file ---------------------------

const content = more => ({
  kind: "labelmend verdicts", version: 1, audit: audit.id, reviewer: $("reviewer").value, saved: new Date().toISOString(),
  verdicts: cases.flatMap(row => {
    const entry = decided.get(row.case);
    const labels = { given: row.given, proposed: row.proposed };  // the labels that the verdict is about
    return entry && (more || entry.verdict) ? [{ case: row.case, verdict: entry.verdict, at: entry.at, note: entry.note, ...labels }] : [];
  }),
  ...more,
});

function save() {
  unsaved = true;
  try {
    storage?.setItem(KEY, JSON.stringify(content({ past })));
  } catch {
    storage = null;
  }
  $("notice").hidden = storage !== null;
}

function merge(found) {  // the newest verdict on each case counts
  let taken = 0;
  for (const row of Array.isArray(found) ? found : []) {
    const index = indexOf.get(row?.case), at = String(row?.at ?? "");
    if (index === undefined || !(row.verdict === "" || Object.hasOwn(VERDICTS, row.verdict))) continue;
    if (row.verdict === "take" && !cases[index].proposal) continue;
    if (decided.has(row.case) && at <= decided.get(row.case).at) continue;
    decided.set(row.case, { verdict: row.verdict, at, note: String(row.note ?? "") });
    taken += 1;
  }
  return taken;
}

function sameLabels(row) {  // whether a verdict is about the labels and the proposal shown on this page
  const here = cases[indexOf.get(row.case)];
  return here !== undefined && row.given === here.given && (row.proposed ?? "") === here.proposed;
}

function restore() {
  try {
    storage = window.localStorage;
    storage.setItem(`${KEY} probe`, "1");
    storage.removeItem(`${KEY} probe`);
    const kept = JSON.parse(storage.getItem(KEY) ?? "{}");
    merge(kept.verdicts);
    $("reviewer").value = String(kept.reviewer ?? "");
    for (const [index, before] of kept.past ?? []) if (cases[index]) past.push([index, { ...NOTHING, ...before }]);
  } catch {
    storage = null;
  }
  $("notice").hidden = storage !== null;
}

function download() {
  const blob = new Blob([JSON.stringify(content(), null, 1), "\n"], { type: "application/json" });
  const link = element("a", { href: URL.createObjectURL(blob), download: `verdicts-${audit.id.replace(/\W/g, "").slice(0, 10)}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
  say(`${content().verdicts.length} verdicts downloaded as ${link.download}`);
}

async function load(file) {
  let found = null;
  try { found = JSON.parse(await file.text()); } catch { /* reported below */ }
  if (found?.kind !== "labelmend verdicts" || found.version !== 1) return say("This is not a verdicts file.");
  const all = Array.isArray(found.verdicts) ? found.verdicts : [], own = found.audit === audit.id;
  const holding = all.filter(row => row?.given ? sameLabels(row) : own);
  if (!own && !holding.length) return say("These verdicts belong to another audit of other labels.");
  const taken = merge(holding), lost = all.length - holding.length;
  if (!$("reviewer").value) $("reviewer").value = String(found.reviewer ?? "");
  save();
  refresh();
  say(`${taken} verdicts loaded; newer ones on this page were kept.${lost ? ` ${lost} refer to other labels: decide those cases again.` : ""}`);
}

function put(index, entry) {
  decided.set(cases[index].case, { ...entry, at: new Date().toISOString() });
  save();
  mark(index);
  count();
}

function decide(verdict) {
  if (here < 0) return;
  if (verdict === "take" && !cases[here].proposal) return say("This case has no proposal: keep, redraw or skip it.");
  const at = listed.indexOf(here);
  past.push([here, { ...verdictOf(here) }]);
  if (past.length > MOST_UNDOS) past.shift();
  put(here, { ...verdictOf(here), verdict });
  if ($("by-verdict").value) filter(false);
  nextUndecided(at, `${cases[here].case}: ${VERDICTS[verdict][1]}`);
}

function undo() {
  const last = past.pop();
  if (!last) return say("Nothing to undo.");
  put(...last);
  filter(false);
  show(last[0]);
  say(`${cases[last[0]].case}: verdict undone`);
}

// ---- The list ---------------------------------------------------------------------------------------------

function nextUndecided(at = listed.indexOf(here), said = "") {
  const order = [...listed.slice(Math.max(at, 0)), ...listed.slice(0, Math.max(at, 0))];
  const next = order.find(index => index !== here && !verdictOf(index).verdict);
  if (next !== undefined) {
    say(said && `${said} · Z to undo`);
    return show(next);
  }
  const left = cases.some((_, index) => !verdictOf(index).verdict);
  const end = left ? "All cases in this list are decided." : "All cases are decided: download the verdicts.";
  say(said ? `${said}. ${end}` : end);
  show(here);
}

function step(by) {
  if (!listed.length) return;
  const at = listed.indexOf(here);
  show(listed[at < 0 ? 0 : clamp(at + by, 0, listed.length - 1)]);
}

function matches(index) {
  const kind = $("by-kind").value, name = $("by-class").value, verdict = $("by-verdict").value, row = cases[index];
  const text = $("by-name").value.trim().toLowerCase(), known = verdictOf(index).verdict;
  return (!text || row.case.toLowerCase().includes(text))
    && (!verdict || (verdict === "none" ? !known : verdict === known))
    && (kind === "none" ? !row.findings.length : !(kind || name) || row.findings.some(found =>
      (!kind || found.kind === kind) && (!name || found.class === name || found.other === name)));
}

function filter(move = true) {
  listed = [];
  rows.forEach((row, index) => {
    const there = matches(index);
    if (row.parentNode.hidden === there) row.parentNode.hidden = !there;
    if (there) listed.push(index);
  });
  count();
  if (move && !listed.includes(here) && listed.length) show(listed.find(index => !verdictOf(index).verdict) ?? listed[0]);
}

function mark(index) {
  const { verdict } = verdictOf(index), chip = rows[index].lastChild;
  chip.dataset.verdict = verdict;
  chip.textContent = verdict ? VERDICTS[verdict][0] : "";
  chip.title = verdict ? VERDICTS[verdict][1] : "";
}

function count() {
  const numbers = { keep: 0, take: 0, redraw: 0, skip: 0, "": 0 };
  cases.forEach((_, index) => { numbers[verdictOf(index).verdict] += 1; });
  const done = cases.length - numbers[""];
  $("done").textContent = done;
  $("all").textContent = cases.length;
  $("in-list").textContent = listed.length < cases.length ? `${listed.length} listed` : "";
  for (const part of $("bar").children) part.style.flexGrow = numbers[part.dataset.verdict];
  document.title = `${done} of ${cases.length} decided: labelmend review`;
}

function refresh() {
  cases.forEach((_, index) => mark(index));
  filter();
  if (here >= 0) side();
}

function build() {
  const list = document.createDocumentFragment();
  cases.forEach((row, index) => {
    const kinds = [...new Set(row.findings.map(found => KINDS[found.kind]))].join(", ");
    const button = element("button", { type: "button" },
      element("span", { className: "n" }, String(row.rank)),
      element("span", {}, element("span", { className: "name" }, row.case), element("span", { className: "kinds" }, kinds || "no finding")),
      element("span", { className: "chip" }));
    button.title = row.case;
    button.addEventListener("click", () => show(index));
    rows.push(button);
    list.append(element("li", {}, button));
  });
  $("cases").append(list);
  const of = test => cases.filter(row => row.findings.some(test)).length;
  for (const [kind, word] of Object.entries(KINDS)) {
    const n = of(found => found.kind === kind);
    if (n) $("by-kind").append(element("option", { value: kind }, `${word} (${n})`));
  }
  $("by-kind").append(element("option", { value: "none" }, "no finding"));
  for (const name of classes) {
    $("by-class").append(element("option", { value: name }, `${name} (${of(found => found.class === name || found.other === name)})`));
  }
  if (classes.length > 1) classes.forEach((name, k) => {
    const button = element("button", { type: "button", title: "show or hide this class" }, name);
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!hidden.delete(k)) hidden.add(k);
      button.setAttribute("aria-pressed", String(!hidden.has(k)));
      draw();
    });
    $("classes").append(button);
  });
}

// ---- One case ---------------------------------------------------------------------------------------------

function picture(index) {  // parsed on demand and dropped again: a page may have a thousand
  if (!parsed.has(index)) parsed.set(index, JSON.parse($(`case-${index}`).textContent));
  const found = parsed.get(index);
  parsed.delete(index);
  parsed.set(index, found);
  if (parsed.size > MOST_PARSED) parsed.delete(parsed.keys().next().value);
  return found;
}

function show(index) {
  if (index === undefined || index < 0 || !cases[index]) return;
  rows[here]?.removeAttribute("aria-current");
  here = index;
  rows[here].setAttribute("aria-current", "true");
  rows[here].scrollIntoView({ block: "nearest" });
  data = picture(index);
  slice = data.start ?? 0;
  finding = -1;
  side();
  fit();
  draw();
  setTimeout(() => {  // preload the case most likely to come next
    const next = listed.find(other => other > here && !verdictOf(other).verdict);
    if (here !== index || next === undefined) return;
    const found = picture(next);
    photoOf(found.slices?.[found.start])?.decode().catch(() => {});
  }, 60);
}

function side() {
  const row = cases[here], entry = verdictOf(here);
  $("rank").textContent = `${row.rank} of ${cases.length} · suspicion ${row.score.toFixed(2)}${row.annotator ? ` · by ${row.annotator}` : ""}`;
  $("name").textContent = row.case;
  $("reason").textContent = row.reason;
  $("note").value = entry.note;
  $("findings").replaceChildren(...row.findings.map((found, k) => {
    const what = [KINDS[found.kind], found.class && `${found.class}${found.other ? ` / ${found.other}` : ""}`];
    const button = element("button", { type: "button" },
      element("b", {}, `${k + 1}  ${what.filter(Boolean).join(": ")}`), element("span", {}, found.reason));
    button.setAttribute("aria-current", String(k === finding));
    button.addEventListener("click", () => focusOn(k));
    return element("li", {}, button);
  }));
  for (const button of document.querySelectorAll(".verdicts button")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === entry.verdict));
    button.disabled = button.dataset.verdict === "take" && !row.proposal;
  }
  $("show-proposed").disabled = !row.proposal;
}

function turn(by) {
  if (!data?.slices) return;
  const to = clamp(slice + by, 0, data.slices.length - 1);
  if (to !== slice) { slice = to; draw(); }
}

function focusOn(k) {
  finding = k;
  fit();
  const place = data.places?.[k];
  if (place) {
    const [x0, y0, x1, y1] = place.box, tall = data.ratio * data.w, scale = tall / data.h;
    const to = Math.min(data.w / (2.5 * (x1 - x0)), tall / (2.5 * scale * (y1 - y0)), 10);
    slice = place.at;
    if (to > 1.1) view = { x: (x0 + x1) / 2, y: scale * (y0 + y1) / 2, zoom: to };
  }
  draw();
  [...$("findings").children].forEach((item, at) => item.firstChild.setAttribute("aria-current", String(at === k)));
  $("findings").children[k]?.scrollIntoView({ block: "nearest" });
}

function nextFinding() {
  const n = cases[here]?.findings.length ?? 0;
  if (!n) return say("This case has no findings.");
  if (finding + 1 < n) return focusOn(finding + 1);
  finding = -1;
  slice = data.start ?? 0;
  fit();
  draw();
  [...$("findings").children].forEach(item => item.firstChild.setAttribute("aria-current", "false"));
}

function say(text) {
  const said = $("said");
  clearTimeout(said.timer);
  said.textContent = text;
  said.classList.remove("gone");
  said.timer = setTimeout(() => said.classList.add("gone"), 3500);
}

function toggle(kind) {
  if (!hidden.delete(kind)) hidden.add(kind);
  $(`show-${kind}`).setAttribute("aria-pressed", String(!hidden.has(kind)));
  draw();
}

function bare() {
  say($("stage").classList.toggle("bare") ? "Outlines hidden · Space to show" : "");
}

// ---- Keyboard and mouse ----------------------------------------------------------------------------------------

const KEYS = {
  a: () => decide("keep"), s: () => decide("take"), d: () => decide("redraw"), f: () => decide("skip"), z: undo,
  j: () => step(1), arrowright: () => step(1), arrowdown: () => step(1),
  k: () => step(-1), arrowleft: () => step(-1), arrowup: () => step(-1), u: () => nextUndecided(),
  w: () => turn(-1), e: () => turn(1), x: nextFinding, n: () => $("note").focus(),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: wholeAgain,
  " ": bare, 1: () => toggle("given"), 2: () => toggle("proposed"),
  "?": () => $("help").showModal(), i: () => $("about").showModal(),
};
const ONCE = new Set("asdfzu ?in12");  // not repeated while a key is held down

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target;
  if (target.matches("input:not([type=range]), textarea, select")) {
    if (event.key === "Escape" || (event.key === "Enter" && target.tagName === "INPUT")) target.blur();
    return;
  }
  if (target.matches("button") && (event.key === " " || event.key === "Enter")) return;
  const latin = /^[ -~]+$/.test(event.key), key = (latin ? event.key : event.code.replace(/^Key/, "")).toLowerCase();
  if (!Object.hasOwn(KEYS, key) || (target.matches("[type=range]") && key.startsWith("arrow"))) return;
  event.preventDefault();
  if (!(event.repeat && ONCE.has(key))) KEYS[key]();
});

const on = (id, kind, act) => $(id).addEventListener(kind, act);
document.addEventListener("click", event => { if (event.detail) event.target.closest?.("button")?.blur(); });
for (const button of document.querySelectorAll(".verdicts button")) button.addEventListener("click", () => decide(button.dataset.verdict));
for (const id of ["by-kind", "by-class", "by-verdict"]) on(id, "change", () => { filter(); $(id).blur(); });
on("by-name", "input", () => filter());
on("reviewer", "input", save);
on("note", "input", () => put(here, { ...verdictOf(here), note: $("note").value }));
on("download", "click", download);
on("load", "click", () => $("file").click());
on("file", "change", () => { if ($("file").files[0]) load($("file").files[0]); $("file").value = ""; });
on("help-button", "click", () => $("help").showModal());
on("about-button", "click", () => $("about").showModal());
on("undo", "click", undo);
on("previous", "click", () => step(-1));
on("following", "click", () => step(1));
on("larger", "click", () => zoom(1.25));
on("smaller", "click", () => zoom(0.8));
on("fit", "click", wholeAgain);
on("show-given", "click", () => toggle("given"));
on("show-proposed", "click", () => toggle("proposed"));
on("slice", "input", () => turn(+$("slice").value - slice));
window.addEventListener("storage", event => {
  if (event.key !== KEY || !event.newValue) return;
  merge(JSON.parse(event.newValue).verdicts);
  refresh();
});
window.addEventListener("beforeunload", event => { if (!storage && unsaved) event.preventDefault(); });

build();
restore();
cases.forEach((_, index) => mark(index));
filter(false);
if (cases.length) show(Math.max(0, cases.findIndex((_, index) => !verdictOf(index).verdict)));
