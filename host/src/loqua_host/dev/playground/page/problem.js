// What is wrong, above the page, with what a person can do about it.

import { text } from "./texts.js";

let shown = null;

// `label` is the key of a text; `action` is called when a person presses the button with it.
export function showProblem(key, { values, label, action } = {}) {
  shown = { key, values, label };
  translateProblem();
  document.getElementById("problem-action").onclick = action ?? null;
  document.getElementById("problem").hidden = false;
}

export function hideProblem() {
  shown = null;
  document.getElementById("problem").hidden = true;
}

// Write it in the language that is chosen now.
export function translateProblem() {
  if (!shown) return;
  const button = document.getElementById("problem-action");
  document.getElementById("problem-text").textContent = text(shown.key, shown.values);
  button.hidden = !shown.label;
  button.textContent = shown.label ? text(shown.label) : "";
}
