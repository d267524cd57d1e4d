// The sections that are tables: tutors, learners, lessons, endpoints.

import { make } from "/dom.js";
import { seconds, span } from "/format.js";
import { filtered, mark, none, passes, title } from "/parts.js";

// On a narrow screen a row becomes a card, whose cells bring their headings; roles keep it a table.
const table = (id, headings, rows) =>
  make(
    "table",
    { role: "table", "aria-labelledby": `${id}-title` },
    make(
      "thead",
      { role: "rowgroup" },
      make(
        "tr",
        { role: "row" },
        ...headings.map((text) => make("th", { role: "columnheader", scope: "col" }, text)),
      ),
    ),
    make(
      "tbody",
      { role: "rowgroup" },
      ...rows.map(([key, ...cells]) =>
        make(
          "tr",
          { role: "row", "data-key": key },
          ...cells.map((cell, at) =>
            make("td", { role: "cell", "data-heading": headings[at] }, cell),
          ),
        ),
      ),
    ),
  );

const listed = (id, name, all, shown, headings, rows, empty) => [
  title(id, name, filtered(all, shown)),
  shown.length
    ? table(id, headings, rows)
    : none(all.length ? "Nothing matches the filter." : empty),
];

const places = (tutor) => {
  const meter = make("meter", {
    max: tutor.max_jobs,
    value: tutor.jobs,
    "aria-label": `jobs of ${tutor.name}`,
  });
  return make("span", { class: "places" }, meter, `${tutor.jobs} of ${tutor.max_jobs}`);
};

export const tutors = (snapshot, filter) => {
  const shown = snapshot.tutors.filter((one) => passes(filter, one, one.name));
  const rows = shown.map((one) => [
    one.name,
    one.name,
    mark(one.state, one.registration),
    one.dispatch === "automatic" ? "automatic" : `explicit: ${one.agent_name}`,
    String(one.lessons),
    places(one),
    one.waiting ? mark("degraded", String(one.waiting)) : "0",
  ]);
  return listed(
    "tutors",
    "Tutors",
    snapshot.tutors,
    shown,
    ["tutor", "worker", "dispatch", "lessons", "jobs", "waiting"],
    rows,
    "No tutor.",
  );
};

export const waiting = (snapshot, filter) => {
  const all = snapshot.waiting.map((one) => ({
    ...one,
    state: one.longest > 10 ? "degraded" : "ok",
  }));
  const shown = all.filter((one) => passes(filter, one));
  const rows = shown.map((one) => [
    one.tutor,
    one.tutor,
    String(one.learners),
    mark(one.state, span(one.longest)),
  ]);
  return listed(
    "waiting",
    "Waiting learners",
    all,
    shown,
    ["for", "learners", "longest wait"],
    rows,
    "Nobody waits for a tutor.",
  );
};

export const lessons = (snapshot, filter) => {
  const shown = snapshot.lessons.filter((one) => passes(filter, one));
  const rows = shown.map((one) => [
    one.id,
    make("code", {}, one.id),
    one.tutor,
    one.mode === "full" ? mark("ok", "with the API") : mark("degraded", `${one.mode} mode`),
    span(one.age),
    one.restarts ? mark("degraded", String(one.restarts)) : "0",
    one.fallbacks.length ? mark("degraded", one.fallbacks.join(", ")) : "none",
  ]);
  return listed(
    "lessons",
    "Lessons",
    snapshot.lessons,
    shown,
    ["lesson", "tutor", "state", "since", "restarts", "fallback engines"],
    rows,
    "No lesson now.",
  );
};

export const endpoints = (snapshot, filter) => {
  const shown = snapshot.endpoints.filter((one) => passes({ ...filter, tutor: "" }, one));
  const rows = shown.map((one) => [
    one.name,
    one.name,
    mark(one.breaker === "closed" ? "ok" : "failed", one.breaker.replace("_", " ")),
    seconds(one.seconds),
    `${span(one.age)} ago`,
    one.failure ? mark(one.state, one.failure, "") : "answered",
  ]);
  return listed(
    "endpoints",
    "Loqua API",
    snapshot.endpoints,
    shown,
    ["endpoint", "breaker", "took", "when", "last response"],
    rows,
    "Not called yet.",
  );
};
