// What several sections are made of.

import { make } from "/dom.js";

const MARKS = { ok: "●", degraded: "▲", failed: "■" };

export const mark = (state, text, shape = "short") =>
  make(
    "span",
    { class: `state ${state} ${shape}` },
    make("span", { "aria-hidden": "true" }, MARKS[state]),
    ` ${text}`,
  );
export const title = (id, text, ...more) => make("h2", { id: `${id}-title` }, text, ...more);
export const soft = (text) => make("span", { class: "soft" }, text);
export const none = (text) => make("p", { class: "none" }, text);
export const runbook = (name) =>
  name
    ? make(
        "a",
        { class: "runbook", href: `/runbooks/${encodeURIComponent(name)}` },
        `Runbook ${name}`,
      )
    : "";

// From the best state to the worst.
export const order = ["ok", "degraded", "failed"];
export const passes = (filter, one, tutor = one.tutor) =>
  (!filter.tutor || tutor === filter.tutor) &&
  order.indexOf(one.state) >= order.indexOf(filter.state || "ok");

export const filtered = (all, shown) =>
  shown.length === all.length ? "" : soft(` ${shown.length} of ${all.length} match the filter`);
