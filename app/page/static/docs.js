// Swagger UI: it starts, follows the system's colours, and gets the names that it leaves out for screen readers.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.onchange = follow;
follow();

const root = document.getElementById("swagger-ui");
const NAMES = [
  [".examples-select-element", () => "Example"],
  [".response-controls .content-type, .body-param-content-type select", () => "Media type"],
  [".parameters-col_description :is(input, select, textarea)", (it) => it.closest("tr").querySelector(".parameter__name")?.firstChild.textContent],
  [".copy-to-clipboard button", () => "Copy"],
  ["table[role=region]", (it) => it.id.replaceAll("_", " ")],
];

const LEVELS = [["h3.opblock-tag, .models > h4", 2], [":is(h4, h5).opblock-title, .opblock-section-header h4, .responses-inner h4", 3], [".responses-inner h5", 4]];

function mend() {
  for (const [where, nameOf] of NAMES) {
    for (const it of root.querySelectorAll(where)) if (!it.hasAttribute("aria-label")) it.setAttribute("aria-label", nameOf(it) || "Value");
  }
  for (const link of root.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href"); // in a button
  for (const code of root.querySelectorAll("pre:not([tabindex]), .microlight:not([tabindex])")) code.tabIndex = 0;
  for (const [where, level] of LEVELS) for (const heading of root.querySelectorAll(where)) heading.setAttribute("aria-level", level);
}

new MutationObserver(mend).observe(root, { childList: true, subtree: true });

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // the default is a third party's
});
