// The script of /label: shows photos one after the other, takes keys or taps, and stores nothing in the browser.

import { $, element, say } from "../page/element.js";
import { download } from "../page/export.js";
import { isKey, NO_KEY, Problem, request, useKey } from "../page/service.js";
import { percent } from "../page/words.js";

const COUNT = 20; // photos asked for at once
const LOW = 6; // with fewer left, more are asked for
const AHEAD = 3; // photos loaded before they are shown
const KEYS = "1234567890abcdefghijklmopqrstvwyz"; // of classes; n, u and x have another meaning
const LIKELY = 9;

let photos = []; // the one that is shown first, and those that come after it
let classes = [], several = false, progress = null;
let chosen = new Set(); // labels of the photo that is shown, if it may have several
let history = []; // what can be undone
let changes = 0; // of photos, so far
let loading = null;
let turn = Promise.resolve(); // one change after the other, however fast the keys come
const done = new Set(), skipped = new Set(); // ids, since the page was opened
const pictures = new Map(); // by id: a promise of the address of a photo that is loaded

document.documentElement.classList.add("scripted");

// Requests

async function json(path, method = "GET", body) {
  const response = body ? await request(method, path, JSON.stringify(body), "application/json") : await request(method, path);
  return response.json();
}

function picture(photo) {
  if (!pictures.has(photo.id)) {
    const address = request("GET", photo.photo).then(async (response) => URL.createObjectURL(await response.blob()));
    address.catch(() => pictures.delete(photo.id));
    pictures.set(photo.id, address);
  }
  return pictures.get(photo.id);
}

function forget(id) {
  pictures.get(id)?.then(URL.revokeObjectURL, () => {});
  pictures.delete(id);
}

// Ask for more photos; those that were skipped come back when there are no others.
async function load() {
  const before = changes;
  const queue = await json(`review?count=${COUNT}`);
  ({ several } = queue);
  classes = [...new Set([...queue.classes, ...classes])];
  if (before === changes) ({ progress } = queue); // or else it is older than what is known
  const known = new Set(photos.map((photo) => photo.id));
  const fresh = queue.photos.filter(({ id }) => !done.has(id) && !known.has(id));
  let wanted = fresh.filter(({ id }) => !skipped.has(id));
  if (!wanted.length && !photos.length) {
    skipped.clear();
    wanted = fresh;
  }
  photos.push(...wanted);
}

async function fill() {
  if (photos.length < LOW && (progress === null || progress.waiting > photos.length)) {
    loading ??= load().finally(() => (loading = null));
    if (!photos.length) await loading;
    else loading.then(preload, () => {}); // it is tried again with the next photo
  }
  preload();
}

const preload = () => photos.slice(0, 1 + AHEAD).forEach((photo) => picture(photo).catch(() => {}));

// What is done with a photo

function act(work) {
  turn = turn.then(work).catch(fail);
  return turn;
}

// Change the photo that is shown, if there is one, and go on to the next.
function change(work, note) {
  $("search").value = ""; // now, since people may type on before the next photo is there
  $("suggestion").focus({ preventScroll: true });
  return act(async () => {
    const photo = photos[0];
    if (!photo || $("work").hidden) return;
    complain("");
    changes++;
    try {
      await work(photo);
    } catch (problem) {
      if (problem.code !== "photo_gone") throw problem;
      note = "That photo is no longer there";
    }
    photos = photos.filter((other) => other !== photo);
    await next(note);
  });
}

function label(labels) {
  const said = labels.length ? `Saved: ${labels.join(", ")}` : "Saved: none of these";
  return change(async (photo) => {
    ({ progress } = await json(`review/${photo.id}/label`, "PUT", { labels }));
    for (const name of labels) if (!classes.includes(name)) classes.push(name);
    done.add(photo.id);
    history.push({ photo, undo: () => json(`review/${photo.id}/label`, "DELETE") });
  }, said);
}

const skip = () =>
  change(async (photo) => {
    progress = await json(`review/${photo.id}/skip`, "POST");
    skipped.add(photo.id);
    history.push({ photo });
  }, "Skipped");

const erase = () =>
  change(async (photo) => {
    progress = await json(`review/${photo.id}`, "DELETE");
    done.add(photo.id);
    forget(photo.id);
  }, "Deleted");

const undo = () =>
  act(async () => {
    const last = history.at(-1);
    if (!last) return;
    changes++;
    if (last.undo) ({ progress } = await last.undo());
    history.pop();
    done.delete(last.photo.id);
    skipped.delete(last.photo.id);
    photos = [last.photo, ...photos.filter(({ id }) => id !== last.photo.id)];
    await next("Undone");
  });

const ready = () => several ? label([...chosen]) : photos[0] && label([photos[0].suggestion.label]);

function choose(name) {
  if (!several) return label([name]);
  if (!chosen.delete(name)) chosen.add(name);
  if (!classes.includes(name)) classes.push(name);
  drawClasses();
  drawAccept();
}

// Showing

async function next(note = "") {
  await fill();
  const photo = photos[0];
  $("work").hidden = !photo;
  $("lead").hidden = Boolean(photo); // which would push the photo down
  $("done").hidden = Boolean(photo);
  $("how-far").hidden = false;
  drawProgress();
  if (!photo) return finish(note);
  chosen = new Set(photo.suggestion.labels ?? []);
  try {
    $("photo").src = await picture(photo);
  } catch (problem) {
    if (problem.code !== "photo_gone") throw problem;
    photos.shift();
    return next(note);
  }
  history.slice(0, -20).forEach((old) => forget(old.photo.id));
  history = history.slice(-20);
  const { suggestion } = photo;
  const names = suggestion.labels ? suggestion.labels.join(", ") || "none of the labels" : suggestion.label;
  const opening = suggestion.verdict === "unknown" ? "The model does not know this. Its best guess" : "The model says";
  $("suggestion").textContent = `${opening}: ${names}`;
  $("verdict").textContent = [`${percent(suggestion.score)}, ${suggestion.verdict}.`, suggestion.reason].join(" ");
  $("about").textContent = `Uploaded ${new Date(photo.kept_at).toLocaleString()}`;
  $("undo").disabled = !history.length;
  drawClasses();
  drawAccept();
  if (document.activeElement !== $("search")) $("suggestion").focus({ preventScroll: true });
  say(note ? `${note}. Next: ${names}, ${suggestion.verdict}` : "");
}

function finish(note) {
  const total = progress.labelled + progress.outliers;
  $("done-title").textContent = total ? "All photos are labelled" : "No photo is waiting";
  $("done-text").textContent = total
    ? "Download them below, or train with the folder itself. New uploads will be here when they are kept."
    : "Uploads will be here when they are kept: classify some photos first.";
  $("undo-last").hidden = !history.length;
  $("done-title").focus({ preventScroll: true });
  say(note);
}

function drawAccept() {
  $("accept-text").textContent = several ? `Save ${chosen.size} label${chosen.size === 1 ? "" : "s"}` : "Accept";
  $("accept").disabled = several && !chosen.size;
}

function drawClasses() {
  const wanted = $("search").value.trim();
  const scores = new Map(photos[0].suggestion.predictions.map(({ label, score }) => [label, score]));
  const isFew = classes.length <= KEYS.length;
  const likely = isFew || wanted ? [] : [...scores.keys()].slice(0, LIKELY);
  $("likely").hidden = !likely.length;
  $("likely").replaceChildren(...likely.map((name, at) => choice(name, KEYS[at], scores.get(name))));
  const keyed = classes.map((name, at) => [name, isFew ? KEYS[at] : ""]);
  const shown = keyed.filter(([name]) => plain(name).includes(plain(wanted)) && !likely.includes(name));
  shown.sort(([one], [other]) => starts(other, wanted) - starts(one, wanted));
  const buttons = shown.map(([name, letter]) => choice(name, letter, scores.get(name)));
  if (wanted && !classes.some((name) => plain(name) === plain(wanted))) {
    const add = choice(`New class: ${wanted}`);
    add.onclick = () => choose(wanted);
    buttons.push(add);
  }
  $("classes").replaceChildren(...buttons);
}

const plain = (text) => text.normalize("NFKC").toLowerCase();
const starts = (name, wanted) => Number(Boolean(wanted) && plain(name).startsWith(plain(wanted)));

function choice(name, letter = "", score) {
  const button = element("button", { type: "button", className: "choice" });
  if (letter) {
    button.append(element("kbd", {}, letter.toUpperCase()));
    button.setAttribute("aria-keyshortcuts", letter);
  }
  button.append(element("span", {}, name));
  if (score !== undefined) button.append(element("span", { className: "score" }, percent(score)));
  if (several) button.setAttribute("aria-pressed", chosen.has(name));
  button.dataset.name = name;
  button.onclick = () => choose(name);
  return button;
}

function drawProgress() {
  const { waiting: left, labelled, outliers } = progress;
  const total = left + labelled + outliers;
  $("bar").max = total || 1;
  $("bar").value = labelled + outliers;
  $("counts").textContent = `${labelled + outliers} of ${total} labelled${outliers ? `, ${outliers} of them as none of these` : ""}`;
  const rows = Object.entries(progress.classes).map(([name, count]) => element("li", {}, `${name}: ${count}`));
  $("tally").replaceChildren(...(rows.length ? rows : [element("li", {}, "none yet")]));
}

function complain(sentence) {
  $("problem").hidden = !sentence;
  $("problem").replaceChildren(element("p", {}, sentence));
}

function fail(problem) {
  say("");
  if (problem.code === "unauthorized") askForKey();
  if (!(problem instanceof Problem)) console.error(problem);
  complain(problem instanceof Problem ? problem.message : "Something went wrong in this page. Reload it and try again.");
}

function askForKey() {
  $("key-form").hidden = false;
  $("key").focus();
}

const start = () => act(() => next());

async function fetchFile(path, name) {
  say("Preparing the download …");
  try {
    const file = await (await request("GET", path)).blob();
    download(name, file.type, file);
    say("");
  } catch (problem) {
    fail(problem);
  }
}

// Events

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isKey($("key").value)) {
    complain(NO_KEY);
    return;
  }
  useKey($("key").value.trim());
  $("key-form").hidden = true;
  complain("");
  start();
});

$("accept").onclick = ready;
$("none").onclick = () => label([]);
$("skip").onclick = skip;
$("undo").onclick = $("undo-last").onclick = undo;
$("delete").onclick = () => $("sure").showModal();
$("look").onclick = start;
$("zip").onclick = () => fetchFile("review/export.zip", "review.zip");
$("csv").onclick = () => fetchFile("review/labels.csv", "labels.csv");
$("search").oninput = drawClasses;
$("sure").addEventListener("close", () => {
  if ($("sure").returnValue === "delete") erase();
  $("sure").returnValue = "";
});

$("search").addEventListener("keydown", (event) => {
  if (event.isComposing) return; // of an input method: the Enter is for its list
  if (event.key === "Enter") {
    event.preventDefault();
    if ($("search").value.trim()) $("classes").firstElementChild?.click();
    if (several) {
      $("search").value = "";
      drawClasses();
    }
  } else if (event.key === "Escape") {
    event.preventDefault();
    $("search").value = "";
    drawClasses();
    $("suggestion").focus();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("sure").open) return;
  const isButton = event.target.closest("button, a, summary");
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
  const letter = event.key.toLowerCase();
  if (event.key === "Enter" && !isButton && !$("work").hidden) run(event, () => $("accept").disabled || ready());
  else if (event.key === "Delete" && !$("work").hidden) run(event, () => $("sure").showModal());
  else if (!$("shortcuts").checked || event.repeat) return;
  else if (letter === "u") run(event, undo);
  else if ($("work").hidden) return;
  else if (letter === "x") run(event, skip);
  else if (letter === "n") run(event, () => label([]));
  else if (letter === "/") run(event, () => $("search").focus());
  else if (KEYS.includes(letter)) byKey(event, letter);
});

function byKey(event, letter) {
  const buttons = [...document.querySelectorAll(".choice")];
  const button = buttons.find((it) => it.getAttribute("aria-keyshortcuts") === letter);
  if (button) run(event, () => choose(button.dataset.name));
}

function run(event, work) {
  event.preventDefault();
  work();
}

askForKey(); // a service that keeps uploads always has one
