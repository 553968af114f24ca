// What went wrong, and the form for the key, which a service may ask for.

import { $, element, name, say } from "./element.js";
import { hasKey, isKey, NO_KEY, Problem, useKey } from "./service.js";
import { help } from "./shot.js";

let waiting = null; // called once there is a key

export const clear = () => ($("problem").hidden = true);

export function fail(problem, again, file = "") {
  say("");
  if (problem.code === "unauthorized") {
    waiting = again;
    $("key-form").hidden = false;
    $("key").focus();
    if (!hasKey()) return;
  }
  if (!(problem instanceof Problem)) console.error(problem);
  complain(problem instanceof Problem ? problem : new Problem("", "Something went wrong in this page. Reload it and try again."), file);
}

function complain(problem, file = "") {
  $("problem").replaceChildren(element("p", {}, file ? element("strong", {}, name(file)) : "", problem.message, " ", help(problem)));
  $("problem").hidden = false;
}

$("key-form").onsubmit = (event) => {
  event.preventDefault();
  if (!isKey($("key").value)) {
    complain(new Problem("", NO_KEY));
    return;
  }
  useKey($("key").value);
  $("key-form").hidden = true;
  clear();
  waiting?.();
};
