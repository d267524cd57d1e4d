// Before a lesson: who learns, which tutor.

import { element } from "./dom.js";
import { hasText, text } from "./texts.js";

const LANGUAGES = ["english", "spanish", "french", "german", "italian", "portuguese"];
const TAUGHT = ["spanish", "english", "french"];
const LEVELS = ["A1", "A2", "B1", "B2"];
const NEW = "new";

export function languageName(name) {
  return hasText(name) ? text(name) : name;
}

export function tutorName(name) {
  const key = `tutor_${name}`;
  return hasText(key) ? text(key) : name;
}

// `chosen` is kept from one rendering to the next; `start` is called with a wish.
export function startView({ choices, chosen, start }) {
  chosen.learner ??= choices.learners[0]?.id ?? NEW;
  chosen.tutor ??= choices.tutors[0]?.agent_name ?? "";
  const fields = newLearnerFields(chosen);
  const form = element(
    "form",
    { className: "start" },
    element("h1", {}, text("title")),
    element("p", { className: "lead" }, text("lead")),
    choiceGroup("learner", text("who"), learnerCards(choices.learners), chosen, () => {
      fields.hidden = chosen.learner !== NEW;
    }),
    fields,
    choiceGroup("tutor", text("which"), choices.tutors.map(tutorCard), chosen, () => {}),
    element(
      "div",
      { className: "actions" },
      element("button", { type: "submit", className: "primary", id: "start" }, text("start")),
      element(
        "button",
        { type: "submit", className: "quiet", id: "start-typing", value: "typing" },
        text("start_typing"),
      ),
    ),
  );
  fields.hidden = chosen.learner !== NEW;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start(wishOf(chosen), { typing: event.submitter?.value === "typing" });
  });
  return form;
}

function wishOf(chosen) {
  const { name, learning, native, level } = chosen.fresh;
  const learner = chosen.learner === NEW ? { name, learning, native, level } : chosen.learner;
  return { learner, tutor: chosen.tutor };
}

function choiceGroup(name, legend, cards, chosen, changed) {
  const options = cards.map(({ value, title, hint, note }) => {
    const input = element("input", {
      type: "radio",
      name,
      value,
      checked: chosen[name] === value,
      onchange: () => {
        chosen[name] = value;
        changed();
      },
    });
    const words = [
      element("span", { className: "title" }, title),
      element("span", { className: "hint" }, hint),
      note ? element("span", { className: "note" }, note) : null,
    ];
    return element("label", { className: "card" }, input, element("span", { className: "face" }, ...words));
  });
  return element(
    "fieldset",
    {},
    element("legend", {}, legend),
    element("div", { className: `cards cards-${name}` }, ...options),
  );
}

function learnerCards(learners) {
  const known = learners.map((one) => ({
    value: one.id,
    title: one.name,
    hint: text("pair", {
      learning: languageName(one.learning),
      native: languageName(one.native),
    }),
    note: text(hasText(`sessions_${one.sessions}`) ? `sessions_${one.sessions}` : "sessions", {
      count: one.sessions,
    }),
  }));
  return [...known, { value: NEW, title: text("someone"), hint: text("someone_hint") }];
}

function tutorCard(tutor) {
  const hint = `tutor_${tutor.name}_hint`;
  return {
    value: tutor.agent_name,
    title: tutorName(tutor.name),
    hint: hasText(hint) ? text(hint) : tutor.agent_name,
    note: text(tutor.agent_name ? "on_call" : "automatic"),
  };
}

function newLearnerFields(chosen) {
  const fresh = (chosen.fresh ??= {
    name: text("name_default"),
    learning: "spanish",
    native: "english",
    level: "A1",
  });
  const field = (label, control) => element("label", { className: "field" }, element("span", {}, label), control);
  const select = (name, options, shown) =>
    element(
      "select",
      { name, onchange: (event) => (fresh[name] = event.target.value) },
      ...options.map((value) => element("option", { value, selected: fresh[name] === value }, shown(value))),
    );
  const name = element("input", {
    name: "name",
    value: fresh.name,
    maxLength: 60,
    autocomplete: "off",
    oninput: (event) => (fresh.name = event.target.value),
  });
  return element(
    "div",
    { className: "fields", id: "new-learner" },
    field(text("name"), name),
    field(text("learning"), select("learning", TAUGHT, languageName)),
    field(text("native"), select("native", LANGUAGES, languageName)),
    field(text("level"), select("level", LEVELS, (level) => level)),
  );
}
