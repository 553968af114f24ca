// An answer in words: the verdict, what it is, and why it is to be trusted or not. The form without scripts says the same.

import { $ } from "./element.js";

const BADGES = { confident: "Confident", unsure: "Not sure", unknown: "Unlike the training photos" };
const MARKS = { confident: "✓", unsure: "?", unknown: "≠", failed: "!" };

const isProven = () => "proven" in $("answer").dataset;

export function percent(score) {
  if (score > 0.999 && score < 1) return "> 99.9\u00a0%";
  if (score < 0.001 && score > 0) return "< 0.1\u00a0%";
  return `${(100 * score).toFixed(score === 1 || score === 0 ? 0 : 1)}\u00a0%`;
}

// What a verdict is called, with a mark for those who cannot tell its colour.
export function verdict(kind) {
  const unproven = kind === "confident" && !isProven();
  const words = kind === "failed" ? "Not classified" : BADGES[kind] + (unproven ? ", but untested" : "");
  return { words, mark: MARKS[kind], className: unproven ? "unproven" : kind };
}

// The label of an answer or, of a multi-label checkpoint, all of them.
export function names({ label, labels, verdict: kind }) {
  if (!labels || kind === "unknown") return label;
  return labels.map((it) => it.label).join(", ") || (kind === "unsure" ? "none of the labels" : "None of the labels");
}

// What stands before the names.
export const lead = ({ verdict: kind, labels }) =>
  kind === "unsure" ? "Perhaps " : kind === "unknown" ? `Closest ${labels ? "label" : "class"}: ` : "";
export const shortLead = (answer) => lead(answer).replace(/ (label|class):/, ":");

export function explain({ verdict: kind, reason, labels }) {
  if (kind === "confident") return isProven() && labels?.length === 0 ? "No label's score comes near its threshold." : $("answer").dataset.confident;
  return kind === "unsure" ? reason ?? "" : "The picture is unlike anything the model was trained on, so this is probably wrong.";
}
