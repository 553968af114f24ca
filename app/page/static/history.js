// What was asked since the page was opened, the latest first: it is gone with the page.

import * as answer from "./answer.js";
import { $, element } from "./element.js";
import * as gallery from "./gallery.js";
import { shot } from "./shot.js";

const MOST = 200;

export function remember(visit) {
  add(shot({ ...visit, visit }, () => answer.show(visit)));
}

// Several photos are one entry.
export function rememberMany(results) {
  const answered = results.filter((it) => it.visit).length;
  const title = element("span", { className: "said", textContent: `${results.length} photos` });
  const text = element("span", { className: "name", textContent: `${answered} classified` });
  const open = () => {
    answer.hide();
    gallery.open(results);
    $("many-title").focus();
  };
  const thumb = element("span", { className: "thumb stack", textContent: results.length, "aria-hidden": "true" });
  add(element("button", { type: "button", className: "shot", onclick: open }, thumb, title, text));
}

export function forget() {
  $("visits").replaceChildren();
  $("history").hidden = true;
}

function add(entry) {
  $("visits").prepend(element("li", {}, entry));
  if ($("visits").childElementCount > MOST) $("visits").lastElementChild.remove();
  $("history").hidden = false;
}
