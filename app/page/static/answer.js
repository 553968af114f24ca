// The answer for one photo.

import * as correction from "./correction.js";
import { $, element, name, reveal } from "./element.js";
import * as heatMap from "./heat_map.js";
import { read, readByService } from "./photo.js";
import { badge } from "./shot.js";
import { explain, lead, names, percent } from "./words.js";

const FIRST = 5; // classes that are shown at once
let look = 0; // number of the answer shown last; showing another one stops no request

export function hide() {
  look++;
  heatMap.forget();
  $("answer").hidden = true;
}

export async function show(visit, decoded, { ofMany = false } = {}) {
  const mine = ++look;
  const view = decoded ?? (await read(visit.blob)).view ?? (await readByService(visit));
  if (mine !== look) return;
  const { answer } = visit;
  const found = new Set(answer.labels?.map((it) => it.label));
  $("badge").replaceChildren(badge(answer.verdict));
  $("verdict").replaceChildren(...heading(answer));
  $("explanation").textContent = explain(answer);
  $("labels").hidden = !found.size || answer.verdict === "unknown";
  $("labels").replaceChildren(...(answer.labels ?? []).map(chip));
  const bars = answer.predictions.map((it) => bar(it, found.has(it.label)));
  $("bars").replaceChildren(...bars.slice(0, FIRST));
  $("more-bars").replaceChildren(...bars.slice(FIRST));
  $("more").hidden = bars.length <= FIRST;
  $("more").open = false;
  const { timing_ms: time, image, model } = answer;
  $("seen").replaceChildren(name(visit.name), `, ${visit.width ?? image.width} × ${visit.height ?? image.height} pixels`);
  $("timing").textContent = `Decoding ${time.decode} ms, network ${time.inference} ms, total ${time.total} ms. Model ${model.name}, version ${model.version}.`;
  $("back").hidden = !ofMany;
  correction.show(visit, found);
  $("answer").hidden = false;
  heatMap.show(visit, view);
  $("verdict").focus({ preventScroll: true });
  reveal($("answer"));
}

// Of many labels there are chips below.
function heading(answer) {
  const { labels, verdict, score } = answer;
  if (labels?.length > 1 && verdict !== "unknown") return [lead(answer), `${labels.length} labels`];
  const after = labels ? "" : element("small", { textContent: percent(score) });
  return [lead(answer), name(names(answer)), after];
}

function chip({ label, score }) {
  return element("li", {}, name(label), ` ${percent(score)}`);
}

function bar({ label, score }, isFound) {
  const fill = element("span");
  fill.style.width = `${100 * score}%`;
  const line = element("span", { className: "bar", "aria-hidden": "true" }, fill);
  return element("li", { className: isFound ? "found" : "" }, name(label), element("span", { className: "number", textContent: percent(score) }), line);
}

$("back").onclick = () => {
  $("many-title").focus({ preventScroll: true });
  reveal($("many"));
};
