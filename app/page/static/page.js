// The page's script: photos come in, answers are shown. Nothing is stored in the browser.

import * as answer from "./answer.js";
import { $, say } from "./element.js";
import * as gallery from "./gallery.js";
import * as history from "./history.js";
import { read, thumbnail } from "./photo.js";
import { clear, fail } from "./problem.js";
import { Problem, predict } from "./service.js";
import "./snippets.js";

const AT_ONCE = 3; // of several photos, requests in flight
const classes = $("photo").dataset.bars;
let turn = 0; // number of the latest request: answers to earlier ones are no longer wanted

document.documentElement.classList.add("scripted");

async function take(files) {
  files = [...files];
  if (!files.length) return;
  const mine = ++turn;
  const isWanted = () => mine === turn;
  const wait = (seconds) => isWanted() && say(`Busy; trying again in ${seconds} s …`);
  answer.hide();
  gallery.close();
  clear();
  $("progress").hidden = true;
  document.body.classList.add("asked");
  say(files.length > 1 ? `Classifying ${files.length} photos …` : "Classifying …");
  try {
    await (files.length > 1 ? askMany(files, isWanted, wait) : askOne(files[0], isWanted, wait));
    if (isWanted()) say("");
  } catch (problem) {
    if (isWanted()) fail(problem, () => take(files), files.length > 1 ? "" : nameOf(files[0]));
  }
}

async function askOne(file, isWanted, wait) {
  const { view, ...photo } = await open(file);
  const visit = { ...photo, answer: await predict(photo, { classes, wait }) };
  if (!isWanted()) return;
  history.remember(visit);
  await answer.show(visit, view);
}

async function askMany(files, isWanted, wait) {
  const results = files.map((file) => ({ name: nameOf(file), visit: null }));
  gallery.open(results);
  let next = 0, done = 0;
  showProgress(0, files.length);
  const work = async () => {
    while (next < files.length && isWanted()) {
      const result = results[next];
      await classify(files[next++], result, wait);
      if (!isWanted()) return;
      gallery.update(result);
      say(`${++done} of ${files.length} classified`);
      showProgress(done, files.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (!isWanted()) return;
  $("progress").hidden = true;
  history.rememberMany(results);
  if ($("answer").hidden) $("many-title").focus({ preventScroll: true });
}

// Write the answer into `result`, or what is wrong with this photo; that a key is missing is wrong with all.
async function classify(file, result, wait) {
  try {
    const { view, ...photo } = await open(file);
    result.thumb = photo.thumb;
    result.visit = { ...photo, answer: await predict(photo, { classes, wait }) };
  } catch (problem) {
    if (problem.code === "unauthorized") throw problem;
    result.problem = problem instanceof Problem ? problem : new Problem("", "Something went wrong in this page.");
  }
}

async function open(file) {
  const { view, ...photo } = await read(file);
  return { name: nameOf(file), ...photo, view, thumb: view && thumbnail(view), maps: new Map() };
}

const nameOf = (file) => file.name || "pasted photo";

function showProgress(done, all) {
  Object.assign($("progress"), { max: all, value: done, hidden: false });
}

$("photos").onchange = $("camera").onchange = async (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // the same photo can be chosen again
  await take(files);
};
// Space opens a file input without help. Enter would send the form. Browsers open the dialog only when the key comes up;
// it must have gone down here, because the Enter that closes the dialog comes up here, too.
let enterIsDown = false;
$("photos").onkeydown = (event) => {
  enterIsDown = event.key === "Enter";
  if (enterIsDown) event.preventDefault();
};
$("photos").onkeyup = (event) => {
  if (event.key === "Enter" && enterIsDown) event.target.click();
  enterIsDown = false;
};
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
};
document.ondragleave = (event) => event.relatedTarget ?? document.body.classList.remove("dragging");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files);
};
document.onpaste = (event) => take(event.clipboardData.files);
for (const example of document.querySelectorAll(".example")) {
  example.onclick = async () => {
    const mine = ++turn;
    const blob = await fetch(example.dataset.src).then((response) => response.ok && response.blob(), () => null);
    if (mine !== turn) return;
    if (blob) take([new File([blob], example.firstElementChild.alt, { type: blob.type })]);
    else fail(new Problem("unreachable", "The example cannot be loaded. Check your connection and try again."));
  };
}
$("clear").onclick = () => {
  turn++;
  answer.hide();
  gallery.close();
  history.forget();
  clear();
  $("progress").hidden = true;
  document.body.classList.remove("asked");
  say("History cleared.");
  $("photos").focus();
};
