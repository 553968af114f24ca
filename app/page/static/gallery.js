// Several photos: cards to sort and to filter, and their answers as files.

import * as answer from "./answer.js";
import { $, element } from "./element.js";
import { download, toCsv, toPlain } from "./export.js";
import { shot } from "./shot.js";
import { names, verdict } from "./words.js";

const AT_ONCE = matchMedia("(max-width: 46rem)").matches ? 12 : 24; // cards, and as many more by a button
const KINDS = ["confident", "unsure", "unknown", "failed"];
const compare = new Intl.Collator(undefined, { numeric: true }).compare;
const ORDERS = {
  "": () => 0,
  file: (a, b) => compare(a.name, b.name),
  label: (a, b) => compare(labelOf(a), labelOf(b)),
  high: (a, b) => scoreOf(b) - scoreOf(a),
  low: (a, b) => scoreOf(a) - scoreOf(b),
  verdict: (a, b) => KINDS.indexOf(kindOf(b)) - KINDS.indexOf(kindOf(a)),
};
let results = [], kind = "", limit = AT_ONCE;

const kindOf = ({ visit, problem }) => (problem ? "failed" : visit?.answer.verdict ?? "");
const labelOf = ({ visit }) => (visit && visit.answer.verdict !== "unknown" ? names(visit.answer) : "\uffff");
const scoreOf = ({ visit }) => visit?.answer.score ?? -1;

export function open(list) {
  [results, kind, limit] = [list, "", AT_ONCE];
  $("order").value = $("class").value = "";
  for (const result of results) write(result);
  $("many-title").textContent = `${results.length} photos`;
  $("many").hidden = false;
  refresh();
}

export function close() {
  results = [];
  $("many").hidden = true;
  $("shots").replaceChildren();
}

// Show what has become of a photo.
export function update(result) {
  write(result);
  refresh();
}

function write(result) {
  result.item ??= element("li");
  result.item.replaceChildren(shot(result, () => answer.show(result.visit, null, { ofMany: true })));
}

function refresh() {
  const isDone = results.every(kindOf);
  $("csv").disabled = $("json").disabled = !isDone;
  writeKinds();
  writeClasses();
  arrange();
}

function writeKinds() {
  const counts = group(results);
  const chips = KINDS.filter((it) => counts[it]).map((it) => chip(`${verdict(it).words} (${counts[it].length})`, it));
  const had = $("kinds").contains(document.activeElement) && document.activeElement.dataset.kind;
  $("kinds").replaceChildren(chip(`All (${results.length})`, ""), ...chips);
  if (had !== false) $("kinds").querySelector(`[data-kind="${had}"]`)?.focus();
}

function chip(text, value) {
  const act = () => {
    [kind, limit] = [value, AT_ONCE];
    refresh();
  };
  return element("button", { type: "button", textContent: text, onclick: act, "aria-pressed": kind === value, "data-kind": value });
}

function writeClasses() {
  const counts = new Map();
  for (const result of results) for (const label of classesOf(result)) counts.set(label, (counts.get(label) ?? 0) + 1);
  const chosen = $("class").value;
  const options = [...counts].sort(([a], [b]) => compare(a, b)).map(([label, count]) => new Option(`${label} (${count})`, label));
  $("class").replaceChildren(new Option("All classes", ""), ...options);
  $("class").value = counts.has(chosen) ? chosen : "";
}

// What is unlike the training photos is of no class.
function classesOf({ visit }) {
  if (!visit || visit.answer.verdict === "unknown") return [];
  return visit.answer.labels?.map((it) => it.label) ?? [visit.answer.label];
}

function arrange() {
  const label = $("class").value;
  const wanted = results.filter((it) => (!kind || kindOf(it) === kind) && (!label || classesOf(it).includes(label)));
  const items = wanted.sort(ORDERS[$("order").value]).slice(0, limit).map((it) => it.item);
  const list = $("shots"), focused = document.activeElement;
  if (items.length !== list.childElementCount || items.some((it, at) => it !== list.children[at])) {
    list.replaceChildren(...items);
    if (list.contains(focused)) focused.focus({ preventScroll: true });
  }
  const rest = wanted.length - items.length;
  $("show-more").hidden = !rest;
  $("show-more").textContent = `Show ${Math.min(rest, AT_ONCE)} more of ${rest}`;
}

function group(list) {
  const groups = {};
  for (const result of list) (groups[kindOf(result)] ??= []).push(result);
  return groups;
}

$("order").onchange = $("class").onchange = () => {
  limit = AT_ONCE;
  arrange();
};
$("show-more").onclick = () => {
  const at = limit;
  limit += AT_ONCE;
  arrange();
  $("shots").children[at]?.querySelector("button, a")?.focus({ preventScroll: true });
};
$("csv").onclick = () => download("answers.csv", "text/csv", toCsv(results));
$("json").onclick = () => download("answers.json", "application/json", JSON.stringify(results.map(toPlain), null, 2));
