"use strict";

// Whatever the host says becomes text: no string is ever read as markup.
const make = (tag, className, ...parts) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...parts);
  return element;
};
const fill = (id, ...parts) => document.getElementById(id).replaceChildren(...parts);

const percent = (share) => `${Math.round(share * 100)} %`;
const millis = (seconds) =>
  seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
const span = (seconds) => {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
};

const table = (id, headings, rows, empty) => {
  const head = make("tr", "", ...headings.map((heading) => make("th", "", heading)));
  const none = make("td", "none", empty);
  none.colSpan = headings.length;
  fill(id, head, ...(rows.length ? rows : [make("tr", "", none)]));
};
const row = (...cells) =>
  make("tr", "", ...cells.map((cell) => (cell instanceof Node && cell.tagName === "TD" ? cell : make("td", "", cell))));

const level = (one) => {
  const findings = one.findings.flatMap((found) => [
    make("dt", found.state, found.name),
    make("dd", "", found.reason, found.latency === null ? "" : ` · ${millis(found.latency)}`),
  ]);
  const title = make("h2", "", one.name, make("span", one.state, one.state));
  return make("article", one.state, title, make("dl", "", ...findings));
};

const places = (worker) => {
  const meter = make("meter", "");
  Object.assign(meter, { max: worker.places, low: worker.places - 0.5, optimum: 0, value: worker.busy });
  return make("td", "", meter, `${worker.busy} of ${worker.places}`);
};

const figure = (value, name, state = "ok") =>
  make("div", "figure", make("b", state === "ok" ? "" : state, value), make("span", "", name));

const figures = (health, sight) => {
  const findings = health.levels.flatMap((one) => one.findings);
  const state = (name) => findings.find((found) => found.name === name).state;
  const { backlog } = sight;
  const waiting = sight.waiting.length;
  const alone = waiting ? span(Math.max(...sight.waiting)) : "nobody";
  const jwt = sight.agent_jwt_left;
  return [
    figure(alone, waiting > 1 ? `the longest wait of ${waiting} for a tutor` : "waits for a tutor", state("learners")),
    figure(String(sight.lessons.length), "lessons now"),
    figure(String(backlog.records), backlog.oldest === null ? "records pending" : `records pending, oldest ${span(sight.unix - backlog.oldest)}`, state("outbox")),
    figure(String(backlog.dead), "refused for good", backlog.dead ? "degraded" : "ok"),
    figure(jwt === null ? "unknown" : span(jwt), "agent JWT lives on", state("AGENT_JWT_TOKEN")),
    figure(percent(sight.memory), "memory in use", state("memory")),
    figure(percent(sight.cpu_load), "CPU load"),
    figure(percent(sight.disk_free), "disk free", state("disk")),
  ];
};

const registration = (worker) => {
  if (worker.leaving) return make("td", "degraded", "leaving");
  if (worker.online) return make("td", "ok", "registered");
  return worker.is_new ? make("td", "degraded", "registering") : make("td", "failed", "offline");
};

const tutors = (sight) => {
  const taught = (name) => sight.lessons.filter((lesson) => lesson.tutor === name).length;
  return sight.workers.map((worker) =>
    row(
      worker.tutor,
      worker.agent_name || "every new room",
      registration(worker),
      places(worker),
      String(taught(worker.tutor)),
    ),
  );
};

const fallbacks = (lesson) =>
  Object.entries(lesson.engines)
    .filter(([, index]) => index > 0)
    .map(([kind, index]) => `${kind}[${index}]`);

const trouble = (lesson) => lesson.restarts + (lesson.mode === "full" ? 0 : 1) + fallbacks(lesson).length;
const lessons = (sight) =>
  sight.lessons.toSorted((a, b) => trouble(b) - trouble(a) || a.opened_at - b.opened_at).map((lesson) =>
    row(
      lesson.short_id,
      lesson.tutor,
      make("td", lesson.mode === "full" ? "ok" : "degraded", lesson.mode),
      span(sight.unix - lesson.opened_at),
      make("td", lesson.restarts ? "degraded" : "", String(lesson.restarts)),
      make("td", fallbacks(lesson).length ? "degraded" : "", fallbacks(lesson).join(", ")),
    ),
  );

const endpoints = (sight) =>
  Object.entries(sight.endpoints).sort().map(([name, last]) => {
    return row(
      name,
      make("td", last.breaker === "closed" ? "ok" : "failed", last.breaker.replace("_", " ")),
      millis(last.seconds),
      `${span(sight.now - last.at)} ago`,
      make("td", last.failure ? "wide degraded" : "wide ok", last.failure || "answered"),
    );
  });

const recentErrors = (status) =>
  status.recent_errors.map((error) =>
    row(
      `${span(status.sight.now - error.at)} ago`,
      make("td", error.level, error.level),
      error.times > 1 ? `${error.event} ×${error.times}` : error.event,
      make("td", "wide", error.why),
    ),
  );

const show = (status) => {
  const { health, sight } = status;
  fill("phase", `${sight.phase}${health.ready ? "" : ", not ready"}, up ${span(sight.now - sight.since)}`);
  document.getElementById("phase").className = health.ready ? "pill" : "pill degraded";
  fill("state", health.state);
  document.getElementById("state").className = `pill ${health.state}`;
  fill("levels", ...health.levels.map(level));
  document.title = `${health.state} · loqua-host`;
  fill("figures", ...figures(health, sight));
  table("tutors", ["tutor", "called as", "worker", "places", "lessons"], tutors(sight), "no tutor");
  table("lessons", ["lesson", "tutor", "mode", "since", "restarts", "fallbacks"], lessons(sight), "no lesson now");
  table("endpoints", ["endpoint", "breaker", "took", "when", "last outcome"], endpoints(sight), "not called yet");
  table("recent-errors", ["when", "level", "event", "why"], recentErrors(status), "none");
};

const heard = (told, isLost) => {
  document.body.classList.toggle("lost", isLost);
  fill("heard", told);
};

const follow = async () => {
  try {
    const answer = await fetch("/status", { signal: AbortSignal.timeout(5000) });
    show(await answer.json());
    heard(`as of ${new Date().toLocaleTimeString()}`, false);
  } catch {
    heard("the host does not answer; this is the last that was heard", true);
  }
  setTimeout(follow, 2000);
};
follow();
