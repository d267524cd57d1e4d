// Asks the host every two seconds and shows what it says.

import { fill, make } from "/dom.js";
import { span } from "/format.js";
import * as sections from "/sections.js";
import * as tables from "/tables.js";

const EVERY = 2000;
const TIMEOUT = 5000;

const form = document.getElementById("filter");
const chosen = () => Object.fromEntries(new FormData(form));

let last = null;

const show = (snapshot, filter) => {
  // Each is named after the element that it fills.
  for (const [id, section] of Object.entries({ ...sections, ...tables }))
    fill(id, ...section(snapshot, filter));
  document.title = `${snapshot.state} · loqua-host`;
  pill("state", snapshot.state, snapshot.state);
  const phase = `${snapshot.phase}${snapshot.ready ? "" : ", not ready"}, up ${span(snapshot.uptime)}`;
  pill("phase", phase, snapshot.ready ? "" : "degraded");
  offer(snapshot.tutors.map((tutor) => tutor.name));
  announce(snapshot);
};

const pill = (id, text, state) => {
  fill(id, text);
  document.getElementById(id).className = `pill ${state}`;
};

// A tutor that is filtered for remains on offer when it has left.
const offer = (names) => {
  const select = form.elements.tutor;
  const wanted = new Set(["", ...names, select.value]);
  const there = [...select.options].map((option) => option.value);
  if ([...wanted].join("\n") === there.join("\n")) return;
  const kept = select.value;
  select.replaceChildren(
    ...[...wanted].map((name) => make("option", { value: name }, name || "all")),
  );
  select.options[0].value = "";
  select.value = kept;
};

// Read out to those who hear the page, so only when it changes.
const announce = (snapshot) => {
  const found = snapshot.levels
    .flatMap((level) => level.findings)
    .filter((one) => one.state !== "ok");
  fill(
    "announcement",
    `${snapshot.state}: ${found.map((one) => one.name).join(", ") || "all checks pass"}`,
  );
};

const heard = (text, isLost) => {
  document.body.classList.toggle("lost", isLost);
  fill("heard", text);
};

const refused = { 401: "the host refuses the token; reload the page and enter OPS_TOKEN" };

const ask = async () => {
  const answer = await fetch("/status", { signal: AbortSignal.timeout(TIMEOUT) });
  if (!answer.ok) throw new Error(refused[answer.status] ?? `the host answers ${answer.status}`);
  return answer.json();
};

const follow = async () => {
  try {
    last = await ask();
    show(last, chosen());
    heard(`as of ${new Date().toLocaleTimeString([], { hour12: false })}`, false);
  } catch (error) {
    const isNetwork = error instanceof TypeError || error.name === "TimeoutError";
    heard(isNetwork ? "the host does not answer; this is the last snapshot" : error.message, true);
  }
  setTimeout(follow, EVERY);
};

// The filter is in the address, so that it outlives a reload and can be sent to a colleague.
const restore = () => {
  const asked = new URLSearchParams(location.search);
  offer([asked.get("tutor")].filter(Boolean));
  form.elements.tutor.value = asked.get("tutor") ?? "";
  for (const radio of form.elements.state)
    radio.checked = radio.value === (asked.get("state") ?? "");
  if (!form.elements.state.value) form.elements.state[0].checked = true;
};

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", () => {
  const kept = Object.entries(chosen()).filter(([, value]) => value);
  history.replaceState(null, "", kept.length ? `?${new URLSearchParams(kept)}` : location.pathname);
  if (last) show(last, chosen());
});

restore();
follow();
