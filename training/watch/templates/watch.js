"use strict";

// Each event holds the page's changing parts as HTML that the server has escaped; only those that differ are replaced.
const shown = new Map();
const connection = document.getElementById("connection");

function show(html) {
  const parts = new DOMParser().parseFromString(html, "text/html");
  for (const part of parts.querySelectorAll("header, section")) {
    if (shown.get(part.id) === part.outerHTML) continue;
    shown.set(part.id, part.outerHTML);
    const old = document.getElementById(part.id);
    const open = old.querySelector("details")?.open;
    const element = document.importNode(part, true);
    const details = element.querySelector("details");
    if (details && open !== undefined) details.open = open;
    old.replaceWith(element);
  }
  const frame = document.querySelector("iframe");
  frame?.addEventListener("load", () => {
    frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 4}px`;
  });
}

function follow() {
  const source = new EventSource("/events");
  source.addEventListener("open", () => { connection.textContent = ""; });
  source.addEventListener("error", () => {
    connection.textContent = "No connection to the training: it may have ended. Trying again.";
  });
  source.addEventListener("parts", (event) => { show(event.data); });
  source.addEventListener("end", (event) => {
    source.close();
    show(event.data);
    connection.textContent = "The training has ended.";
  });
}

follow();
