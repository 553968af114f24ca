// The page's script: photos go to POST predict, answers come back as bars and a heat map. Nothing is stored in the browser.

const SEND_SIDE = 1024; // pixels: larger photos are shrunk to this before they are sent
const SHOW_SIDE = 900;
const MAX_VISITS = 200;
const AT_ONCE = 3; // of several photos, requests in flight
const TRIES = 4;
const FOR = [230, 159, 0], AGAINST = [0, 114, 178]; // the colours of POST explain

const ADVICE = {
  unsupported_picture_format: "This file is not a supported picture. Choose a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF file.",
  undecodable_picture: "This picture is damaged or incomplete. Try another copy of it.",
  picture_too_large: "This picture has too many pixels. Save a smaller copy and choose that.",
  body_too_large: "This file is too large. Save a smaller copy and choose that.",
  inference_failed: "The model could not classify this picture. Try another one.",
  overloaded: "The service is busy. Try again in a moment.",
  not_ready: "The service is starting or stopping. Try again in a moment.",
  deadline_exceeded: "That took too long. Try again in a moment.",
  request_timeout: "The upload was too slow. Check your connection and try again.",
  unauthorized: "The API key is missing or wrong.",
};

const $ = (id) => document.getElementById(id);
let key = "";
let shown = null; // the answer on screen
let view = null; // and its photo: one alone is kept decoded, which takes megabytes
let waiting = null; // called once there is a key
let turn = 0; // number of the latest request: answers to earlier ones are no longer wanted
let look = 0; // number of the answer shown last; showing another one stops no request

document.documentElement.classList.add("scripted");

// Requests

class Problem extends Error {
  constructor(code, sentence) {
    super(ADVICE[code] ?? sentence);
    this.code = code;
  }
}

const post = async (...request) => (await ask(...request)).json();

async function ask(path, body, type, wait = () => {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (type) headers["Content-Type"] = type;
  for (let tried = 1; ; tried++) {
    let response;
    try {
      response = await fetch(path, { method: "POST", body, headers });
    } catch {
      throw new Problem("unreachable", "The service cannot be reached. Check your connection and try again.");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    if (response.status !== 503 || tried === TRIES) throw new Problem(problem.code, problem.detail ?? "Something went wrong. Try again in a moment.");
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 1, 5);
    wait(seconds);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
}

// Read a photo upright and, if it is large, shrunk: what is shown, and what is sent.
async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { view: null, blob: file }; // the service will name the reason
  }
  const { width, height } = bitmap;
  const side = Math.max(width, height);
  const view = draw(bitmap, Math.min(1, SHOW_SIDE / side));
  const small = side > SEND_SIDE && draw(bitmap, SEND_SIDE / side);
  bitmap.close();
  const blob = small ? await new Promise((resolve) => small.toBlob(resolve, "image/jpeg", 0.92)) : file;
  return { view, blob, width, height };
}

function draw(image, scale) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = $("photo").dataset.background; // behind transparent parts, as the service does
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// What this browser cannot show, such as HEIC, the service draws.
async function drawn({ blob }) {
  try {
    const response = await ask("explain?opacity=0", blob, typeOf(blob));
    return (await read(await response.blob())).view;
  } catch {
    return null; // there is no heat map, so nothing is drawn
  }
}

const typeOf = (blob) => (blob.type.startsWith("image/") ? blob.type : "application/octet-stream");

function send(visit, explain, wait) {
  const type = typeOf(visit.blob);
  const query = new URLSearchParams({ top_k: $("photo").dataset.bars, ...(explain !== undefined && { explain }) });
  return post(`predict?${query}`, visit.blob, type, wait);
}

async function classify(file, wait) {
  const { view, ...photo } = await read(file);
  const visit = { name: file.name || "pasted photo", ...photo, maps: {} };
  try {
    visit.answer = await send(visit, "", wait);
  } catch (problem) {
    if (problem.code !== "no_heat_map") throw problem;
    visit.answer = await send(visit, undefined, wait);
  }
  const map = visit.answer.heat_map;
  if (map) visit.maps[map.label] = map.rows;
  return { visit, view };
}

async function take(files) {
  files = [...files];
  if (!files.length) return;
  const mine = ++turn;
  look++;
  const isWanted = () => mine === turn;
  const wait = (seconds) => isWanted() && say(`Busy; trying again in ${seconds} s …`);
  $("problem").hidden = $("answer").hidden = $("many").hidden = true;
  say(files.length > 1 ? `Classifying ${files.length} photos …` : "Classifying …");
  try {
    if (files.length > 1) {
      await askMany(files, isWanted, wait);
    } else {
      const asked = await classify(files[0], wait);
      if (!isWanted()) return;
      remember(asked.visit);
      await show(asked.visit, asked.view);
    }
    if (isWanted()) say("");
  } catch (problem) {
    if (isWanted()) fail(problem, () => take(files));
  }
}

function remember(visit) {
  const item = document.createElement("li");
  const text = `${visit.name}: ${visit.answer.verdict === "unknown" ? "unknown" : names(visit.answer)}`;
  item.append(button(text, `Show ${text}`, () => show(visit)));
  $("visits").append(item);
  if ($("visits").childElementCount > MAX_VISITS) $("visits").firstElementChild.remove();
  $("history").hidden = false;
}

function fail(problem, again) {
  say("");
  if (problem.code === "unauthorized") {
    waiting = again;
    $("key-form").hidden = false;
    $("key").focus();
    if (!key) return;
  }
  if (!(problem instanceof Problem)) console.error(problem);
  complain(problem instanceof Problem ? problem.message : "Something went wrong in this page. Reload it and try again.");
}

function complain(sentence) {
  const paragraph = document.createElement("p");
  paragraph.textContent = sentence;
  $("problem").replaceChildren(paragraph);
  $("problem").hidden = false;
}

const say = (text) => ($("status").textContent = text);

// Showing an answer

function percent(score) {
  if (score > 0.999 && score < 1) return "> 99.9\u00a0%";
  if (score < 0.001 && score > 0) return "< 0.1\u00a0%";
  return `${(100 * score).toFixed(score === 1 || score === 0 ? 0 : 1)}\u00a0%`;
}

// The label of an answer or, of a multi-label checkpoint, all of them.
function names({ label, labels }) {
  return labels ? labels.map((it) => it.label).join(", ") || "none of the labels" : label;
}

function sentence(answer) {
  const { verdict, label, labels, score, predictions } = answer;
  if (labels && verdict !== "unknown") return verdict === "confident" ? names(answer) : `Not sure: ${names(answer)}`;
  if (verdict === "confident") return `${label}: ${percent(score)}`;
  const best = predictions.slice(0, 2).map((it) => `${it.label} ${percent(it.score)}`).join(", ");
  return verdict === "unsure" ? `Not sure: ${best}` : "Unlike anything the model was trained on";
}

// What stands above the labels found, which are many at times.
function heading(answer) {
  const { verdict, labels } = answer;
  if (!labels || verdict === "unknown") return sentence(answer);
  const found = `${labels.length || "None of the"} label${labels.length === 1 ? "" : "s"}${labels.length ? " found" : ""}`;
  return verdict === "confident" ? found : `${found}, not sure`;
}

function explain({ verdict, label, reason }) {
  if (verdict === "confident") return "";
  if (verdict === "unsure") return reason ?? "";
  return `Closest class: ${label}. Probably wrong.`;
}

async function show(visit, decoded) {
  const mine = ++look;
  const photo = decoded ?? (await read(visit.blob)).view ?? (await drawn(visit));
  if (mine !== look) return;
  [shown, view] = [visit, photo];
  const { answer } = visit;
  $("verdict").textContent = heading(answer);
  $("explanation").textContent = explain(answer);
  const found = new Set(answer.labels?.map((it) => it.label));
  $("labels").hidden = !found.size || answer.verdict === "unknown";
  $("labels").replaceChildren(...(answer.labels ?? []).map(chip));
  $("bars").replaceChildren(...answer.predictions.map((it) => bar(it, found.has(it.label))));
  const { timing_ms: time, image, model } = answer;
  $("seen").textContent = `${visit.name}, ${visit.width ?? image.width} × ${visit.height ?? image.height} pixels`;
  $("timing").textContent = `Decoding ${time.decode} ms, network ${time.inference} ms, total ${time.total} ms. Model ${model.name}, version ${model.version}.`;
  const labels = answer.predictions.map((it) => it.label);
  $("heat").hidden = !answer.heat_map || !view;
  $("heat-class").replaceChildren(...labels.map((label) => new Option(label, label)));
  $("heat-class").value = answer.label;
  $("as-seen").checked = false;
  if ($("wrong")) {
    $("wrong").open = false;
    $("correction").reset();
    for (const box of $("correction").querySelectorAll("[type=checkbox][name=label]")) box.checked = found.has(box.value);
    $("corrected").textContent = "";
  }
  $("answer").hidden = false;
  paint();
  writeSnippet();
  $("verdict").focus({ preventScroll: true });
  $("answer").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function chip({ label, score }) {
  const item = document.createElement("li");
  item.textContent = `${label} ${percent(score)}`;
  return item;
}

function bar({ label, score }, isFound) {
  const item = document.createElement("li");
  item.classList.toggle("found", isFound);
  const [name, line, fill, number] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  name.textContent = label;
  line.className = "bar";
  fill.style.width = `${100 * score}%`;
  line.append(fill);
  line.setAttribute("aria-hidden", "true");
  number.className = "number";
  number.textContent = percent(score);
  item.append(name, line, number);
  return item;
}

async function paint() {
  const visit = shown, canvas = $("photo"), label = $("heat-class").value;
  if (!view) {
    canvas.width = canvas.height = 1;
    canvas.setAttribute("aria-label", "The photo, which this browser cannot show");
    return;
  }
  if (!$("heat").hidden && !visit.maps[label]) {
    visit.maps[label] = send(visit, label).then((answer) => answer.heat_map.rows); // once, however often the slider moves
  }
  let map;
  try {
    map = await visit.maps[label];
  } catch (problem) {
    if (visit === shown && visit.maps[label]) fail(problem, paint);
    delete visit.maps[label];
    return;
  }
  if (visit !== shown || !view || label !== $("heat-class").value) return;
  const side = $("as-seen").checked ? Number(canvas.dataset.size) : 0;
  canvas.width = side || view.width;
  canvas.height = side || view.height;
  canvas.classList.toggle("pixels", Boolean(side));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.filter = side && "grey" in canvas.dataset ? "grayscale(1)" : "none";
  context.drawImage(view, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  const opacity = Number($("opacity").value) / 100;
  $("opacity-value").textContent = `${$("opacity").value} %`;
  if (map) context.drawImage(colour(map, opacity), 0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", `The photo; ${describe(map, label)}`);
}

function colour(rows, opacity) {
  const canvas = document.createElement("canvas");
  canvas.width = rows[0].length;
  canvas.height = rows.length;
  const most = Math.max(...rows.flat().map(Math.abs), 1e-9);
  const pixels = rows.flat().flatMap((heat) => [...(heat > 0 ? FOR : AGAINST), 255 * opacity * (Math.abs(heat) / most)]);
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), canvas.width), 0, 0);
  return canvas;
}

// Describe in words where the heat is, for people who cannot see it.
function describe(rows, label) {
  if (!rows) return "no heat map";
  const height = rows.length, width = rows[0].length, flat = rows.flat();
  const at = flat.indexOf(Math.max(...flat));
  const third = (value, size, names) => names[Math.min(2, Math.floor((3 * (value + 0.5)) / size))];
  const place = `${third(Math.floor(at / width), height, ["top", "middle", "bottom"])} ${third(at % width, width, ["left", "centre", "right"])}`;
  return `the strongest evidence for ${label} is at the ${place}`;
}

// Several photos, and the history

async function askMany(files, isWanted, wait) {
  const results = files.map((file) => ({ name: file.name, file }));
  const rows = results.map((result) => row(result));
  $("rows").replaceChildren(...rows.map((it) => it.element));
  $("many-title").textContent = `${files.length} photos`;
  $("many").hidden = false;
  $("csv").onclick = () => download("answers.csv", "text/csv", toCsv(results));
  $("json").onclick = () => download("answers.json", "application/json", JSON.stringify(results.map(toPlain), null, 2));
  $("csv").disabled = $("json").disabled = true;
  let next = 0, done = 0;
  const work = async () => {
    while (next < files.length && isWanted()) {
      const index = next++;
      try {
        results[index].visit = (await classify(files[index], wait)).visit;
      } catch (problem) {
        if (problem.code === "unauthorized") throw problem;
        results[index].problem = problem;
      }
      if (!isWanted()) return;
      if (results[index].visit) remember(results[index].visit);
      rows[index].fill();
      say(`${++done} of ${files.length} classified`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (!isWanted()) return;
  $("csv").disabled = $("json").disabled = false;
  $("many-title").focus();
}

function row(result) {
  const element = document.createElement("tr");
  const [name, answer, score, look] = ["th", "td", "td", "td"].map((tag) => document.createElement(tag));
  name.scope = "row";
  name.textContent = result.name;
  answer.textContent = "…";
  score.className = "number";
  element.append(name, answer, score, look);
  const fill = () => {
    if (result.problem) {
      answer.textContent = result.problem.message;
      return;
    }
    const given = result.visit.answer;
    answer.textContent = given.verdict === "confident" && !given.labels ? given.label : sentence(given);
    score.textContent = given.verdict === "unknown" ? "" : (given.labels ?? [given]).map((it) => percent(it.score)).join(", ");
    look.append(button("Show", `Show ${result.name}`, () => show(result.visit)));
  };
  return { element, fill };
}

function toPlain({ name, visit, problem }) {
  if (!visit) return { photo: name, error: problem ? { code: problem.code, message: problem.message } : null };
  const { label, score, verdict, unknown_score, labels, reason, predictions } = visit.answer;
  return { photo: name, label, score, verdict, reason, unknown_score, ...(labels && { labels }), predictions };
}

function toCsv(results) {
  // A cell that begins like a formula would be run as one by a spreadsheet.
  const cell = (value) => `"${String(value ?? "").replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const plain = results.map(toPlain), several = plain.some((it) => it.labels);
  const joined = (it) => (several ? [it.labels?.map((entry) => entry.label).join("|")] : []);
  const lines = plain.map((it) => [it.photo, it.label, it.score, it.verdict, it.reason, ...joined(it), it.error?.message]);
  const heading = ["photo", "label", "score", "verdict", "reason", ...(several ? ["labels"] : []), "error"];
  return [heading, ...lines].map((line) => line.map(cell).join(",")).join("\r\n");
}

function download(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // some browsers start reading it later
}

function button(text, label, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.setAttribute("aria-label", label);
  element.onclick = act;
  return element;
}

// Code to copy

const FIELD = "several" in $("photo").dataset ? "labels" : "label";
const SNIPPETS = {
  curl: (url) => `curl ${key ? "-H 'Authorization: Bearer KEY' " : ""}-F file=@photo.jpg ${url}`,
  python: (url) => `import httpx\n\nwith open("photo.jpg", "rb") as photo:\n    answer = httpx.post("${url}", files={"file": photo}${key ? ', headers={"Authorization": "Bearer KEY"}' : ""})\nprint(answer.json()["${FIELD}"])`,
  javascript: (url) => `const body = new FormData();\nbody.append("file", photo); // a File or Blob\nconst answer = await fetch("${url}", { method: "POST", body${key ? ', headers: { Authorization: "Bearer KEY" }' : ""} });\nconsole.log((await answer.json()).${FIELD});`,
};

function writeSnippet() {
  const language = document.querySelector("[data-code][aria-pressed=true]").dataset.code;
  $("snippet").textContent = SNIPPETS[language](new URL("predict", location.href).href);
}

// Events

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
    if (blob) take([new File([blob], "example photo", { type: blob.type })]);
    else fail(new Problem("unreachable", "The example cannot be loaded. Check your connection and try again."));
  };
}
$("opacity").oninput = $("heat-class").onchange = $("as-seen").onchange = () => paint();
$("clear").onclick = () => {
  turn++;
  look++;
  shown = view = null;
  $("answer").hidden = $("many").hidden = $("problem").hidden = true;
  $("rows").replaceChildren();
  $("visits").replaceChildren();
  $("history").hidden = true;
  say("History cleared.");
  $("photos").focus();
};
$("key-form").onsubmit = (event) => {
  event.preventDefault();
  if (!/^[\x20-\x7e]+$/.test($("key").value)) {
    complain("An API key has only ASCII letters, digits and punctuation characters."); // in a header
    return;
  }
  key = $("key").value;
  $("key-form").hidden = true;
  $("problem").hidden = true;
  writeSnippet();
  waiting?.();
};
for (const tab of document.querySelectorAll("[data-code]")) {
  tab.onclick = () => {
    for (const other of document.querySelectorAll("[data-code]")) other.setAttribute("aria-pressed", String(other === tab));
    writeSnippet();
  };
}
$("copy").hidden = !navigator.clipboard; // browsers have it only for https and localhost
$("copy").onclick = async () => {
  await navigator.clipboard.writeText($("snippet").textContent);
  $("copied").textContent = "Copied.";
};
if ($("correction")) {
  $("correction").onsubmit = async (event) => {
    event.preventDefault();
    const body = new FormData(event.target);
    if (!body.has("label")) {
      $("corrected").textContent = "Choose at least one label.";
      return;
    }
    body.set("consent", "yes");
    const visit = shown;
    body.set("file", visit.blob, "photo");
    const said = await post("corrections", body).then(
      () => "Thank you. The photo is stored.",
      (problem) => problem.message,
    );
    if (visit === shown) $("corrected").textContent = said;
  };
}
writeSnippet();
