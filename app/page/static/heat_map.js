// The photo of an answer and, when asked for, which of its parts are evidence for a class.

import { $, element } from "./element.js";
import { smooth } from "./photo.js";
import { fail } from "./problem.js";
import { predict } from "./service.js";

const FOR = [230, 159, 0], AGAINST = [0, 114, 178]; // the colours of POST explain
const NO_MAP = { rows: null, label: "" };
let shown = null, view = null;

// Show a photo as it is, or with the map if that is switched on.
export function show(visit, decoded) {
  [shown, view] = [visit, decoded];
  const labels = visit.answer.predictions.map((it) => it.label);
  $("heat-class").replaceChildren(...labels.map((label) => new Option(label, label)));
  $("heat-class").value = visit.answer.label;
  $("tools").hidden = !view;
  $("as-seen").checked = false;
  return paint();
}

export const forget = () => ([shown, view] = [null, null]);

async function paint() {
  const visit = shown, canvas = $("photo"), isOn = $("heat-on")?.checked ?? false;
  $("heat").hidden = !isOn;
  if (!view) {
    canvas.width = canvas.height = 1;
    canvas.setAttribute("aria-label", "The photo, which this browser cannot show");
    return;
  }
  const label = isOn ? $("heat-class").value : "";
  const map = label ? await mapOf(visit, label) : NO_MAP;
  if (!map || visit !== shown || label !== ($("heat-on")?.checked ? $("heat-class").value : "")) return;
  draw(canvas, map.rows);
  canvas.setAttribute("aria-label", map.rows ? `The photo; ${describe(map.rows, label)}` : "The photo");
}

async function mapOf(visit, label) {
  // Once, however often the slider moves.
  if (!visit.maps.has(label)) visit.maps.set(label, predict(visit, { classes: 1, explain: label }));
  try {
    return { rows: (await visit.maps.get(label)).heat_map.rows, label };
  } catch (problem) {
    if (visit === shown && visit.maps.has(label)) fail(problem, paint, visit.name);
    visit.maps.delete(label);
    return null;
  }
}

function draw(canvas, rows) {
  const side = $("as-seen").checked ? Number(canvas.dataset.size) : 0;
  canvas.width = side || view.width;
  canvas.height = side || view.height;
  canvas.classList.toggle("pixels", Boolean(side));
  const context = smooth(canvas);
  const opacity = rows ? Number($("opacity").value) / 100 : 0;
  $("opacity-value").textContent = `${$("opacity").value} %`;
  context.drawImage(view, 0, 0, canvas.width, canvas.height);
  drain(context, side && "grey" in canvas.dataset ? 1 : Math.min(1, 2 * opacity));
  if (rows) context.drawImage(colours(rows, opacity), 0, 0, canvas.width, canvas.height);
}

// Take the colours out: on grey, the map's stand out. A `filter` would be shorter, but Safari has none.
function drain(context, share) {
  context.save();
  context.globalCompositeOperation = "saturation";
  context.globalAlpha = share;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.restore();
}

function colours(rows, opacity) {
  const canvas = element("canvas", { width: rows[0].length, height: rows.length });
  const most = Math.max(...rows.flat().map(Math.abs), 1e-9);
  const pixels = rows.flat().flatMap((heat) => [...(heat > 0 ? FOR : AGAINST), 255 * opacity * (Math.abs(heat) / most)]);
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), canvas.width), 0, 0);
  return canvas;
}

// Describe in words where the heat is, for people who cannot see it.
function describe(rows, label) {
  const height = rows.length, width = rows[0].length, flat = rows.flat();
  const at = flat.indexOf(Math.max(...flat));
  const third = (value, size, names) => names[Math.min(2, Math.floor((3 * (value + 0.5)) / size))];
  const place = `${third(Math.floor(at / width), height, ["top", "middle", "bottom"])} ${third(at % width, width, ["left", "centre", "right"])}`;
  return `the strongest evidence for ${label} is at the ${place}`;
}

for (const id of ["heat-on", "heat-class", "opacity", "as-seen"]) $(id)?.addEventListener("input", () => paint());
