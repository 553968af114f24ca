// Code to copy, with this service's own address.

import { $ } from "./element.js";

const { keyed, field } = $("code").dataset;
const root = new URL(".", location.href).href;
const url = new URL("predict", root).href;
const quoted = (text) => `'${text.replaceAll("'", "%27")}'`; // for a shell, whatever a proxy's path holds
const SNIPPETS = {
  curl: `curl${keyed ? " -H 'Authorization: Bearer KEY'" : ""} -F file=@photo.jpg ${/^[\w:./-]+$/.test(url) ? url : quoted(url)}`,
  python: [
    "from whisker import Client",
    "",
    `with Client("${root.replace(/\/$/, "")}"${keyed ? ', api_key="KEY"' : ""}) as client:`,
    field === "labels"
      ? '    print([it.label for it in client.predict("photo.jpg").labels])'
      : '    answer = client.predict("photo.jpg")\n    print(answer.label, answer.score, answer.verdict)',
  ].join("\n"),
  javascript: [
    "const body = new FormData();",
    'body.append("file", photo); // a File or Blob',
    `const response = await fetch("${url}", {`,
    '  method: "POST",',
    ...(keyed ? ['  headers: { Authorization: "Bearer KEY" },'] : []),
    "  body,",
    "});",
    "const answer = await response.json();",
    `console.log(${field === "labels" ? "answer.labels" : "answer.label, answer.score, answer.verdict"});`,
  ].join("\n"),
};

const tabs = document.querySelectorAll("[data-code]");

function write(chosen) {
  for (const tab of tabs) tab.setAttribute("aria-pressed", tab === chosen);
  $("snippet").textContent = SNIPPETS[chosen.dataset.code];
  $("copied").textContent = "";
}

// Browsers have a clipboard only for https and localhost; elsewhere, what is selected can be copied.
async function copy() {
  try {
    await navigator.clipboard.writeText($("snippet").textContent);
  } catch {
    getSelection().selectAllChildren($("snippet"));
    if (!document.execCommand("copy")) {
      $("copied").textContent = "Selected: copy it with the keyboard or the menu.";
      return;
    }
  }
  $("copied").textContent = "Copied.";
}

for (const tab of tabs) tab.onclick = () => write(tab);
$("copy").onclick = copy;
write(tabs[0]);
