// After a lesson: the tutor's report and the record, as the API has it.

import { element } from "./dom.js";
import { languageName, tutorName } from "./start-view.js";
import { hasText, text } from "./texts.js";

// `state` is "waiting", "late" or "arrived"; `sessions` are the API's records, and `nameOf` returns
// the name of the tutor of one.
export function reportView({ sessions, state, nameOf, transcript, again }) {
  const figures = sessions.map((record) => report(record, nameOf(record)));
  return element(
    "section",
    { className: "report", "data-state": state },
    element("h1", { tabIndex: -1 }, text("done")),
    state === "arrived"
      ? null
      : element("p", { className: "lead", role: "status" }, text(state === "late" ? "done_late" : "done_waiting")),
    ...figures,
    element(
      "div",
      { className: "actions" },
      element("button", { type: "button", id: "again", className: "primary", onclick: again }, text("again")),
    ),
    transcript
      ? element("details", {}, element("summary", {}, text("show_transcript")), transcript)
      : null,
    sessions.length
      ? element(
          "details",
          { id: "record" },
          element("summary", {}, text("record")),
          element("pre", { tabIndex: 0 }, JSON.stringify(sessions, null, 2)),
        )
      : null,
  );
}

function report(record, tutor) {
  const performance = `performance_${record.overall_performance}`;
  return element(
    "article",
    { className: "summary" },
    element("h2", { className: "teacher" }, tutorName(tutor)),
    element(
      "dl",
      { className: "figures" },
      figure(text("minutes"), record.duration_minutes < 1 ? "< 1" : String(Math.round(record.duration_minutes))),
      figure(text("performance"), hasText(performance) ? text(performance) : record.overall_performance),
      figure(text("vocabulary"), String(record.new_vocabulary.length)),
    ),
    list("next", record.next_session_recommendations),
    words(record.new_vocabulary),
    list("topics", record.topics_covered.map(readable)),
    list("grammar", record.grammar_points.map(readable)),
    list("achievements", record.achievements.map(readable)),
  );
}

function figure(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
}

function readable(label) {
  return hasText(label) ? languageName(label) : label.replaceAll("_", " ");
}

function list(name, items) {
  if (!items.length) return null;
  return element(
    "div",
    { className: `list ${name}` },
    element("h2", {}, text(name)),
    element("ul", {}, ...items.map((one) => element("li", {}, one))),
  );
}

function words(vocabulary) {
  if (!vocabulary.length) return null;
  const items = vocabulary.map((one) =>
    element("li", {}, element("b", { lang: one.language }, one.word), ` ${one.translation}`),
  );
  return element(
    "div",
    { className: "list vocabulary" },
    element("h2", {}, text("vocabulary")),
    element("ul", {}, ...items),
  );
}
