// The picture of the review page: two canvases, so that outlines stay crisp and toggle quickly.
// page.py wraps this file and review.js in one function, in that order.
const $ = id => document.getElementById(id);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const COLOURS = { ignored: "#c9d1d9" };
for (const kind of ["given", "proposed"]) COLOURS[kind] = getComputedStyle(document.documentElement).getPropertyValue(`--${kind}`);
const LONGEST_WITH_HALO = 20000;  // characters of all outlines of a slice; above this, drawing dark edges is too slow
const LARGEST = 40;
let view = { x: 0, y: 0, zoom: 1 }, light = { brightness: 1, contrast: 1 };
let size = { width: 1, height: 1 }, asked = false, lines = [], dragged = null;

function draw() {
  const found = data.slices?.[slice];
  $("unseen").hidden = !(data.error || data.note);
  $("unseen").textContent = data.error ? `This case cannot be shown. ${data.error}` : data.note ?? "";
  $("stage").hidden = !found;
  $("slider").hidden = !(data.slices?.length > 1);
  $("view").classList.toggle("paged", !$("slider").hidden);
  lines = [];
  $("lines").painted = null;
  if (!found) return;
  const about = finding < 0 ? "" : cases[here].findings[finding].class;
  for (const [kind, of] of [["given", found.given], ["proposed", found.prop ?? {}]]) {
    if (hidden.has(kind)) continue;
    for (const [k, d] of Object.entries(of)) {
      if (d && !hidden.has(+k)) lines.push({ kind, name: classes[k], d, aside: about !== "" && classes[k] !== about });
    }
  }
  if (found.ignored) lines.push({ kind: "ignored", name: "not annotated", d: found.ignored, aside: false });
  ["left", "right", "top", "bottom"].forEach((end, k) => { document.querySelector(`.end.${end}`).textContent = data.ends[k] ?? ""; });
  $("slice").max = data.slices.length - 1;
  $("slice").value = slice;
  const fewer = data.slices.length < data.of ? `, ${data.slices.length} kept` : "";
  $("where").textContent = `${data.plane} ${found.at} of ${data.of}${fewer}`;
  for (const near of [data.slices[slice - 1], data.slices[slice + 1]]) photoOf(near);
  look();
}

function photoOf(found) {  // decoded in the background, painted when ready
  if (!found?.img) return null;
  if (!found.photo) found.photo = Object.assign(new Image(), { onload: look, src: found.img });
  return found.photo;
}

function look() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; paint(); });
}

const squeeze = () => data.ratio * data.w / data.h;
function frame() {  // position of the picture on screen: x -> left + x * scale, y -> top + y * squeeze * scale
  const scale = Math.min(size.width / data.w, size.height / (data.ratio * data.w)) * view.zoom;
  return { scale, left: size.width / 2 - view.x * scale, top: size.height / 2 - view.y * scale };
}

function paint() {
  const found = data?.slices?.[slice], photo = photoOf(found);
  if (!found || (photo && !photo.complete)) return;
  const { scale, left, top } = frame(), ratio = window.devicePixelRatio || 1, tall = scale * squeeze();
  const pens = ["photo", "lines"].map(id => {
    const canvas = $(id), [width, height] = [size.width, size.height].map(side => Math.round(side * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return pen;
  });
  pens[0].imageSmoothingQuality = "high";
  pens[0].fillStyle = "#3a3f45";
  if (photo) pens[0].drawImage(photo, left, top, data.w * scale, data.h * tall);
  else pens[0].fillRect(left, top, data.w * scale, data.h * tall);
  const place = new DOMMatrix([scale * data.step, 0, 0, tall * data.step, left, top]);
  const haloed = lines.reduce((sum, line) => sum + line.d.length, 0) <= LONGEST_WITH_HALO;
  for (const line of lines) {
    line.path = new Path2D();
    line.path.addPath(new Path2D(line.d), place);
    if (haloed) stroke(pens[1], line, "#0009", 5);
    stroke(pens[1], line, COLOURS[line.kind], line.kind === "given" ? 2.6 : 2);
  }
  marks(pens[1], left, top, scale, tall);
  Object.assign($("lines"), { painted: lines, view });
}

function stroke(pen, line, colour, width) {
  pen.globalAlpha = line.aside ? 0.35 : 1;
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.setLineDash(line.kind === "ignored" ? [2, 5] : []);
  pen.stroke(line.path);
}

function marks(pen, left, top, scale, tall) {
  pen.setLineDash([5, 5]);
  pen.strokeStyle = "#fff";
  data.places.forEach((place, k) => {
    if (!place || slice < place.from || slice > place.to) return;
    const [x0, y0, x1, y1] = place.box;
    if (k !== finding && (x1 - x0) * (y1 - y0) > data.w * data.h / 4) return;  // too large to be informative
    pen.globalAlpha = k === finding ? 1 : 0.5;
    pen.lineWidth = k === finding ? 1.6 : 1;
    pen.strokeRect(left + x0 * scale - 3, top + y0 * tall - 3, (x1 - x0) * scale + 6, (y1 - y0) * tall + 6);
  });
}

function fit() {
  if (!data?.slices) return;
  view = { x: data.w / 2, y: data.ratio * data.w / 2, zoom: 1 };
  look();
}

function zoom(by, at = view) {
  if (!data?.slices) return;
  const to = clamp(view.zoom * by, 0.5, LARGEST), part = view.zoom / to;
  view = { x: at.x + (view.x - at.x) * part, y: at.y + (view.y - at.y) * part, zoom: to };
  look();
}

function pointAt(event) {
  const { scale, left, top } = frame();
  return { x: (event.offsetX - left) / scale, y: (event.offsetY - top) / scale };
}

function drag(event) {
  if (!dragged) return name(event);
  const dx = event.clientX - dragged.x, dy = event.clientY - dragged.y;
  dragged = { ...dragged, x: event.clientX, y: event.clientY };
  if (dragged.button === 2) {
    light = { brightness: clamp(light.brightness - dy / 300, 0.2, 4), contrast: clamp(light.contrast + dx / 300, 0.2, 6) };
    $("photo").style.filter = `brightness(${light.brightness}) contrast(${light.contrast})`;
  } else {
    const { scale } = frame();
    view = { ...view, x: view.x - dx / scale, y: view.y - dy / scale };
    look();
  }
}

function name(event) {  // class under the pointer, and whose outline it is in
  const pen = $("lines").getContext("2d"), ratio = window.devicePixelRatio || 1, found = new Map();
  for (const line of lines) {
    if (!line.path || !pen.isPointInPath(line.path, event.offsetX * ratio, event.offsetY * ratio, "evenodd")) continue;
    found.set(line.name, [...found.get(line.name) ?? [], line.kind]);
  }
  $("under").textContent = [...found].map(([what, kinds]) => (kinds[0] === "ignored" ? what : `${what}: ${kinds.join(", ")}`)).join(" · ");
}

function wholeAgain() {
  light = { brightness: 1, contrast: 1 };
  $("photo").style.filter = "";
  fit();
}

$("stage").addEventListener("wheel", event => {
  event.preventDefault();
  if (data?.slices?.length > 1 && !event.ctrlKey) turn(Math.sign(event.deltaY));
  else zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, pointAt(event));
});
$("stage").addEventListener("pointerdown", event => {
  dragged = { x: event.clientX, y: event.clientY, button: event.button };
  $("stage").setPointerCapture(event.pointerId);
  $("stage").classList.add("moving");
});
$("stage").addEventListener("pointermove", drag);
for (const kind of ["pointerup", "pointercancel"]) $("stage").addEventListener(kind, () => {
  dragged = null;
  $("stage").classList.remove("moving");
});
$("stage").addEventListener("contextmenu", event => event.preventDefault());
$("stage").addEventListener("dblclick", wholeAgain);
$("stage").addEventListener("pointerleave", () => { $("under").textContent = ""; });
new ResizeObserver(([entry]) => {
  size = { width: entry.contentRect.width, height: entry.contentRect.height };
  look();
}).observe($("stage"));
