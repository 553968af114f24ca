// A photo with its answer as a small card: one of several, or of the history.

import { element, name } from "./element.js";
import { copy } from "./photo.js";
import { names, percent, shortLead, verdict } from "./words.js";

export function badge(kind) {
  const { words, mark, className } = verdict(kind);
  return element("span", { className: `badge ${className}` }, element("span", { textContent: mark, "aria-hidden": "true" }), words);
}

// What can be opened is a button; a photo without an answer says what is wrong, and what to do.
export function shot({ name: file, visit, problem, thumb }, open) {
  const title = element("span", { className: "name", title: file }, name(file));
  if (problem) return element("div", { className: "shot" }, small(thumb), title, badge("failed"), element("p", {}, problem.message, " ", help(problem)));
  if (!visit) return element("div", { className: "shot" }, small(), title, element("span", { className: "said", textContent: "…" }));
  const { answer } = visit;
  const said = element("span", { className: "said", title: names(answer) }, shortLead(answer), name(names(answer)), answer.labels ? "" : ` ${percent(answer.score)}`);
  return element("button", { type: "button", className: "shot", onclick: open }, small(thumb), title, said, badge(answer.verdict));
}

export function help({ code }) {
  if (!code || code === "unreachable") return "";
  return element("a", { href: `docs/errors#${code}`, textContent: "What to do" });
}

function small(thumb) {
  const drawn = thumb ? copy(thumb) : element("span");
  drawn.classList.add("thumb");
  return drawn;
}
