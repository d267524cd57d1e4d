// The sections that are no tables, each from the snapshot as the host gives it.

import { bars, sparkline, stageBar, stageLegend } from "/charts.js";
import { make } from "/dom.js";
import { count, percent, seconds, span } from "/format.js";
import { filtered, mark, none, order, passes, runbook, soft, title } from "/parts.js";

const MEANINGS = {
  hearing: "until the transcript",
  turn: "until the end of the turn is clear",
  thinking: "until the first word",
  speaking: "until the first sound",
};

export const problems = (snapshot) => {
  const found = snapshot.levels
    .flatMap((level) =>
      level.findings.map((one) => ({ ...one, place: `${level.name}: ${one.name}` })),
    )
    .filter((one) => one.state !== "ok");
  found.sort((a, b) => order.indexOf(b.state) - order.indexOf(a.state));
  if (!found.length) return [title("problems", mark("ok", "All checks pass"))];
  return [
    title(
      "problems",
      `${count(found.length, "check")} ${found.length === 1 ? "needs" : "need"} attention`,
    ),
    make(
      "ul",
      { class: "problems" },
      ...found.map((one) =>
        make(
          "li",
          { class: one.state, "data-key": one.place },
          mark(one.state, one.place),
          make("span", { class: "reason" }, one.reason),
          runbook(one.runbook),
        ),
      ),
    ),
  ];
};

const figure = (name, value, state, note, chart = "") =>
  make(
    "article",
    { class: `figure ${state}`, "data-key": name },
    make("h2", {}, name),
    make("p", { class: "value" }, value),
    soft(note),
    chart,
  );

const highest = (values) => Math.max(0, ...values.filter((value) => value !== null));

const stateOf = (snapshot, name) =>
  snapshot.levels.flatMap((level) => level.findings).find((one) => one.name === name)?.state ?? "ok";

const EMPTY = { lessons: [], waiting: [], errors: [], reply: [], stages: [] };

// The last hour of the tutor that is filtered for, else of the whole host.
const hourOf = (snapshot, { tutor }) =>
  tutor
    ? (snapshot.tutors.find((one) => one.name === tutor)?.last_hour ?? EMPTY)
    : snapshot.last_hour;

const ofTutor = (all, { tutor }) => all.filter((one) => !tutor || one.tutor === tutor);

const room = (snapshot, { tutor }) => {
  const { lessons_free, limit } = snapshot.capacity;
  if (!tutor) return `room for ${lessons_free} more, limited by ${limit}`;
  const known = snapshot.tutors.find((one) => one.name === tutor);
  return known ? `${known.jobs} of ${count(known.max_jobs, "job")}` : "no worker now";
};

const of = ({ tutor }) => (tutor ? ` of ${tutor}` : "");

export const figures = (snapshot, filter) => {
  const hour = hourOf(snapshot, filter);
  const errors = hour.errors.reduce((sum, value) => sum + value, 0);
  const waits = ofTutor(snapshot.waiting, filter);
  const waiting = waits.reduce((sum, one) => sum + one.learners, 0);
  const longest = Math.max(0, ...waits.map((one) => one.longest));
  const reply = hour.stages.find((one) => one.stage === "reply");
  const most = (values, show = String) => `${show(highest(values))} at most in the last hour`;
  const named = (name) => (filter.tutor ? `${name} · ${filter.tutor}` : name);
  return [
    figure(
      named("Lessons"),
      String(ofTutor(snapshot.lessons, filter).length),
      "ok",
      room(snapshot, filter),
      sparkline(`Lessons: ${most(hour.lessons)}`, hour.lessons),
    ),
    figure(
      named("Waiting learners"),
      String(waiting),
      waiting ? stateOf(snapshot, "learners") : "ok",
      waiting ? `the longest for ${span(longest)}` : most(hour.waiting),
      sparkline(`Waiting learners: ${most(hour.waiting)}`, hour.waiting),
    ),
    figure(
      named("Warnings and errors"),
      String(errors),
      errors ? "degraded" : "ok",
      "in the last hour",
      bars(`Warnings and errors: ${errors} in the last hour`, hour.errors),
    ),
    figure(
      named("Reply latency"),
      reply ? seconds(reply.seconds) : "–",
      "ok",
      reply
        ? `mean of ${count(reply.replies, "reply", "replies")}, ${most(hour.reply, seconds)}`
        : "no reply in the last hour",
      sparkline(`Reply latency: ${most(hour.reply, seconds)}`, hour.reply),
    ),
  ];
};

// What all tutors share.
export const host = (snapshot) => {
  const { outbox, capacity } = snapshot;
  return [
    figure(
      "Pending records",
      String(outbox.records),
      stateOf(snapshot, "outbox"),
      `${outbox.oldest === null ? "" : `oldest ${span(outbox.oldest)}, `}${count(outbox.progress, "progress update")}, ${outbox.spooled} spooled`,
    ),
    figure(
      "Dead letters",
      String(outbox.dead),
      outbox.dead ? "degraded" : "ok",
      "entries that the API refused",
    ),
    figure(
      "Memory",
      percent(capacity.memory),
      stateOf(snapshot, "memory"),
      `${percent(capacity.cpu_load)} CPU load`,
    ),
    figure(
      "Disk free",
      percent(capacity.disk_free),
      stateOf(snapshot, "disk"),
      `event loop ${seconds(capacity.lag)} late at most`,
    ),
  ];
};

export const stages = (snapshot, filter) => {
  const parts = hourOf(snapshot, filter).stages.filter((one) => one.stage !== "reply");
  const name = title(
    "stages",
    "Latency by stage",
    soft(` means of the last hour${of(filter)}, from the learner's last word`),
  );
  if (!parts.length) return [name, none("LiveKit measured no stage in the last hour.")];
  return [
    name,
    stageBar(parts),
    stageLegend(parts.map((part) => ({ ...part, meaning: MEANINGS[part.stage] }))),
  ];
};

export const errors = (snapshot, filter) => {
  const shown = snapshot.errors.filter((one) => passes(filter, one));
  return [
    title("errors", "Recent errors", filtered(snapshot.errors, shown)),
    shown.length
      ? make("ol", { class: "errors" }, ...shown.map(error))
      : none(
          snapshot.errors.length ? "Nothing matches the filter." : "No warning or error so far.",
        ),
  ];
};

const error = (one) =>
  make(
    "li",
    { class: one.state, "data-key": `${one.level} ${one.event} ${one.why}` },
    make(
      "p",
      { class: "head" },
      mark(one.state, one.event),
      one.times > 1 ? soft(` ×${one.times}`) : "",
      soft(` ${span(one.age)} ago`),
    ),
    one.why ? make("p", { class: "why" }, one.why) : "",
    one.hint ? make("p", { class: "hint" }, make("b", {}, "Do: "), one.hint) : "",
    runbook(one.runbook),
  );

export const checks = (snapshot) => [
  title("checks", "Health checks"),
  make("div", { class: "levels" }, ...snapshot.levels.map(level)),
];

const level = (one) =>
  make(
    "div",
    { class: `level ${one.state}`, "data-key": one.name },
    make("h3", {}, one.name, mark(one.state, one.state)),
    make("dl", {}, ...one.findings.map(finding)),
  );

const finding = (one) =>
  make(
    "div",
    { "data-key": one.name },
    make("dt", {}, mark(one.state, one.name)),
    make("dd", {}, one.reason, one.latency === null ? "" : ` · ${seconds(one.latency)}`),
  );
