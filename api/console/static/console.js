// @ts-check
"use strict";
/* The console's script. Every page is complete without it; with it, pages follow what is published.
 *
 * One event stream a page (/events). An event asks for the page anew, at most every 1.5 s, and the parts that changed
 * (elements with data-part) take the place of the old ones. Selections, focus and scroll positions stay. */

const LEAST_MS = 1500;
const SLOW_MS = 10000;
document.documentElement.classList.add("js");

let refreshedAt = 0;
let waiting = 0;
let busy = false;
let again = false;

/** Ask for the page anew, soon. */
function refreshSoon() {
  if (waiting || document.hidden) return;
  const wait = Math.max(0, refreshedAt + LEAST_MS - Date.now());
  waiting = window.setTimeout(() => { waiting = 0; void refresh(); }, wait);
}

async function refresh() {
  if (busy) { again = true; return; }
  if (dragging) return;
  busy = true;
  refreshedAt = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) { location.reload(); return; }
    replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
    setLost(false);
  } catch {
    setLost(true);
  } finally {
    busy = false;
    if (again) { again = false; refreshSoon(); }
  }
}

/** @param {Document} fresh */
function replaceParts(fresh) {
  for (const old of document.querySelectorAll("[data-part]")) {
    const next = fresh.getElementById(old.id);
    if (!next || next.innerHTML === old.innerHTML || old.contains(openControl())) continue;
    const checked = [...old.querySelectorAll("input:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value);
    const focus = old.contains(document.activeElement) ? pathOf(/** @type {Element} */ (document.activeElement)) : null;
    const unfolded = [...old.querySelectorAll("details[open]")].map((one) => one.id);
    old.replaceChildren(...next.cloneNode(true).childNodes);
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (old.querySelectorAll("input[type=checkbox]"))) {
      box.checked = checked.includes(box.value);
    }
    for (const one of old.querySelectorAll("details")) one.open = unfolded.includes(one.id);
    if (focus) /** @type {HTMLElement | null} */ (old.querySelector(focus))?.focus({ preventScroll: true });
  }
  showCurrent();
  localTimes();
}

/** A field that somebody is writing in must not be replaced under their hands. */
function openControl() {
  const active = document.activeElement;
  return active instanceof HTMLTextAreaElement || active instanceof HTMLSelectElement ||
    (active instanceof HTMLInputElement && active.type !== "checkbox") ? active : null;
}

/** @param {Element} element */
function pathOf(element) {
  if (element instanceof HTMLAnchorElement) return `a[href="${CSS.escape(element.getAttribute("href") ?? "")}"]`;
  if (element instanceof HTMLInputElement) return `input[value="${CSS.escape(element.value)}"]`;
  return null;
}

/** @param {boolean} lost */
function setLost(lost) {
  const banner = document.getElementById("lost");
  if (!banner || banner.hidden === !lost) return;
  banner.textContent = lost ? document.body.dataset.lost ?? "" : "";
  banner.hidden = !lost;
}

/** Follow what is published from `since` on: what came between the page and its stream must not be missed.
 * @param {string} since */
function follow(since) {
  const from = since ? `&since=${encodeURIComponent(since)}` : "";
  const stream = new EventSource(`/events?topics=alert,recommendation,feedback,forecast,energy,machine${from}`);
  for (const name of ["alert", "recommendation", "feedback", "forecast", "energy", "machine", "reset", "position"]) {
    stream.addEventListener(name, refreshSoon);
  }
  stream.addEventListener("open", () => setLost(false));
  stream.addEventListener("error", () => {
    setLost(true);
    // the browser gives up where the answer is no stream, as while the service starts
    if (stream.readyState === EventSource.CLOSED) window.setTimeout(() => { stream.close(); follow(""); refreshSoon(); }, 2000);
  });
}

// ---- charts: crosshair over all panels of a page, and zoom by dragging ----

/** @type {{ chart: SVGSVGElement, from: number, box: SVGRectElement } | null} */
let dragging = null;
/** @type {WeakMap<SVGSVGElement, [number, number][]>} */
const parsed = new WeakMap();

/** @param {SVGSVGElement} chart */
function pointsOf(chart) {
  let points = parsed.get(chart);
  if (!points) { points = JSON.parse(chart.dataset.points ?? "[]"); parsed.set(chart, points ?? []); }
  return points ?? [];
}

/** @param {[number, number][]} points @param {number} moment */
function nearest(points, moment) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (points[middle][0] < moment) low = middle; else high = middle; }
  return points.length && Math.abs(points[low][0] - moment) <= Math.abs(points[high][0] - moment) ? points[low] : points[high];
}

/** @param {PointerEvent} event */
function chartUnder(event) {
  const chart = /** @type {Element} */ (event.target).closest?.("svg.chart");
  if (!(chart instanceof SVGSVGElement)) return null;
  const place = chart.getBoundingClientRect();
  return { chart, share: Math.min(1, Math.max(0, (event.clientX - place.left) / place.width)) };
}

document.addEventListener("pointermove", (event) => {
  const found = chartUnder(event);
  if (dragging && found?.chart === dragging.chart) {
    dragging.box.setAttribute("x", String(1000 * Math.min(dragging.from, found.share)));
    dragging.box.setAttribute("width", String(1000 * Math.abs(found.share - dragging.from)));
  }
  for (const chart of /** @type {NodeListOf<SVGSVGElement>} */ (document.querySelectorAll("svg.chart"))) {
    const cross = chart.querySelector(".cross"), output = chart.closest(".panel")?.querySelector(".readout");
    const same = found && chart.dataset.start === found.chart.dataset.start && chart.dataset.end === found.chart.dataset.end;
    const point = same ? nearest(pointsOf(chart), Number(chart.dataset.start) + found.share * (Number(chart.dataset.end) - Number(chart.dataset.start))) : null;
    const x = point ? 1000 * (point[0] - Number(chart.dataset.start)) / (Number(chart.dataset.end) - Number(chart.dataset.start)) : -9;
    cross?.setAttribute("x1", String(x));
    cross?.setAttribute("x2", String(x));
    if (output) output.textContent = point ? `${clock(point[0])}  ${point[1].toLocaleString(document.documentElement.lang, { maximumSignificantDigits: 4 })} ${/** @type {HTMLElement} */ (chart.closest(".panel")).dataset.unit ?? ""}` : "";
  }
});

document.addEventListener("pointerdown", (event) => {
  const found = chartUnder(event);
  if (!found || event.button || event.pointerType === "touch" || !found.chart.closest("[data-zoom]")) return;
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  box.setAttribute("class", "zoom");
  box.setAttribute("height", "100");
  found.chart.append(box);
  dragging = { chart: found.chart, from: found.share, box };
  event.preventDefault();
});

document.addEventListener("pointerup", (event) => {
  if (!dragging) return;
  const { chart, from, box } = dragging;
  const found = chartUnder(event);
  const to = found?.chart === chart ? found.share : from;
  dragging = null;
  box.remove();
  if (Math.abs(to - from) < 0.02) return;
  const start = Number(chart.dataset.start), length = Number(chart.dataset.end) - start;
  const address = new URL(location.href);
  address.searchParams.set("begin", (start + Math.min(from, to) * length).toFixed(1));
  address.searchParams.set("end", (start + Math.max(from, to) * length).toFixed(1));
  location.assign(address);
});

/** @param {number} seconds */
function clock(seconds) {
  return new Date(1000 * seconds).toLocaleString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", day: "2-digit", month: "2-digit" });
}

/** The reader's own time on hover, beside the plant's. */
function localTimes() {
  for (const element of document.querySelectorAll("time:not([data-told])")) {
    const moment = new Date(element.getAttribute("datetime") ?? "");
    element.setAttribute("title", `${element.getAttribute("title")} · ${moment.toLocaleString()} (${Intl.DateTimeFormat().resolvedOptions().timeZone})`);
    element.setAttribute("data-told", "");
  }
}

// ---- the alarm list by keyboard ----

let current = sessionStorage.getItem(`row:${location.pathname}`) ?? "";

function rows() { return /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]); }

function showCurrent() {
  for (const row of rows()) row.classList.toggle("current", row.dataset.row === current);
}

/** @param {number} step */
function move(step) {
  const all = rows(), at = all.findIndex((row) => row.dataset.row === current);
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  if (!next) return;
  current = next.dataset.row ?? "";
  sessionStorage.setItem(`row:${location.pathname}`, current);
  showCurrent();
  next.scrollIntoView({ block: "nearest" });
}

/** @param {string} kind */
function answer(kind) {
  const form = /** @type {HTMLFormElement | null} */ (document.getElementById("bulk"));
  const row = rows().find((one) => one.dataset.row === current);
  if (form && row) {
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("input[type=checkbox]"))) box.checked = box.value === current;
    const field = document.createElement("input");
    field.type = "hidden"; field.name = "kind"; field.value = kind;
    form.append(field);
    form.submit();
    return;
  }
  /** @type {HTMLButtonElement | null} */ (document.querySelector(`.answer button[value="${kind}"]`))?.click();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || openControl()) return;
  const row = rows().find((one) => one.dataset.row === current);
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "a") answer("acknowledged");
  else if (event.key === "f") answer("false_alarm");
  else if (event.key === "x" && row) /** @type {HTMLInputElement | null} */ (row.querySelector("input"))?.click();
  else if (event.key === "Enter" && row && (document.activeElement === document.body || !document.activeElement)) /** @type {HTMLAnchorElement | null} */ (row.querySelector("a.open"))?.click();
});

document.addEventListener("visibilitychange", () => { if (!document.hidden && document.body.dataset.live === "yes") refreshSoon(); });
showCurrent();
localTimes();
if (document.body.dataset.live === "yes") {
  follow(document.body.dataset.position ?? "");
  // ages grow even where nothing is published
  window.setInterval(refreshSoon, SLOW_MS);
}
