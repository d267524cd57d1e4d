// After a lesson: the tutor's report and the record, as the API has it.

import { element } from "./dom.js";
import { grade } from "./pronunciation.js";
import { tutorName } from "./start-view.js";
import { currentLanguage, hasText, readable, text } from "./texts.js";

// `state` is "waiting", "late" or "arrived"; `sessions` are the API's records, and `nameOf` returns
// the name of the tutor of one.
// `history` has the learner's lessons, oldest first.
export function reportView({ sessions, state, nameOf, transcript, history, again }) {
  const figures = sessions.map((record) => report(record, nameOf(record)));
  return element(
    "section",
    { className: "report", "data-state": state },
    element("h1", { tabIndex: -1 }, text("done")),
    state === "arrived"
      ? null
      : element("p", { className: "lead", role: "status" }, text(state === "late" ? "done_late" : "done_waiting")),
    ...figures,
    history.length > 1 ? soFar(history) : null,
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
  return element(
    "article",
    { className: "summary" },
    element("h2", { className: "teacher" }, tutorName(tutor)),
    element(
      "dl",
      { className: "figures" },
      figure(text("minutes"), minutesText(record.duration_minutes)),
      figure(text("performance"), performanceText(record.overall_performance)),
      figure(text("vocabulary"), String(record.new_vocabulary.length)),
    ),
    list("next", record.next_session_recommendations.map(readable)),
    words(record.new_vocabulary),
    list("topics", record.topics_covered.map(readable)),
    list("grammar", record.grammar_points.map(readable)),
    list("achievements", record.achievements.map(readable)),
  );
}

// Scores over sessions, as bars in a table: whoever hears the page hears the numbers.
function soFar(history) {
  const head = ["when", "minutes", "performance", "score_short"].map((name) =>
    element("th", { scope: "col" }, text(name)),
  );
  return element(
    "article",
    { className: "summary", id: "so-far" },
    element("h2", {}, text("so_far")),
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...history.map(held))),
  );
}

const WHEN = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };

function held({ at, minutes, performance, score }) {
  const when = new Date(at).toLocaleString(currentLanguage(), WHEN);
  return element(
    "tr",
    {},
    element("td", {}, when),
    element("td", {}, minutesText(minutes)),
    element("td", {}, performanceText(performance)),
    element("td", {}, score === null ? "–" : bar(score)),
  );
}

function bar(score) {
  const level = element("span", { className: `level ${grade(score)}`, "aria-hidden": "true" });
  level.style.setProperty("--score", `${score}%`);
  return element("span", { className: "scored" }, level, String(Math.round(score)));
}

function minutesText(minutes) {
  return minutes < 1 ? "< 1" : String(Math.round(minutes));
}

function performanceText(performance) {
  const key = `performance_${performance}`;
  return hasText(key) ? text(key) : performance;
}

function figure(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
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
