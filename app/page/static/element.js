// Elements of the page, and small ones that are made of words.

export const $ = (id) => document.getElementById(id);

// Properties with a hyphen in their name are attributes.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

// A name is of any script: it must not turn the sentence around it.
export const name = (text) => element("bdi", { textContent: text, title: text });

export const say = (text) => ($("status").textContent = text);

export function reveal(target, at = target) {
  const { top } = at.getBoundingClientRect();
  if (top >= 0 && top < innerHeight * 0.7) return;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  target.scrollIntoView({ block: "start", behavior });
}
