// A correction of the answer shown, where the operator keeps them: sent once, and only with consent.

import { $ } from "./element.js";
import { ask } from "./service.js";

const form = $("correction");
let shown = null;

export function show(visit, found) {
  if (!form) return;
  shown = visit;
  form.reset();
  for (const box of form.querySelectorAll("[name=label][type=checkbox]")) box.checked = found.has(box.value);
  $("wrong").open = false;
  $("sent").textContent = "";
  $("send").disabled = false;
  settle(visit);
}

// Once it is sent there is nothing left to send.
function settle(visit) {
  $("wrong").hidden = Boolean(visit.corrected);
  $("thanks").textContent = visit.corrected ? `Thank you. The photo is stored as ${visit.corrected}.` : "";
  $("thanks").classList.toggle("thanks", Boolean(visit.corrected));
}

async function send(event) {
  event.preventDefault();
  const body = new FormData(form), visit = shown;
  if (!body.has("label")) {
    $("sent").textContent = "Choose at least one label.";
    return;
  }
  const labels = body.getAll("label").join(", ");
  body.set("consent", "yes");
  body.set("file", visit.blob, "photo");
  $("send").disabled = true;
  try {
    await ask("corrections", body);
    visit.corrected = labels;
  } catch (problem) {
    if (visit === shown) $("sent").textContent = problem.message;
  }
  if (visit !== shown) return;
  $("send").disabled = false;
  settle(visit);
}

form?.addEventListener("submit", send);
