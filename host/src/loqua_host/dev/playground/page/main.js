// The page: before, during and after a lesson.

import { loadChoices } from "./api.js";
import { Lesson } from "./lesson.js";
import { hideProblem, showProblem, translateProblem } from "./problem.js";
import { reportView } from "./report-view.js";
import { startView } from "./start-view.js";
import { chooseLanguage, currentLanguage, text } from "./texts.js";

const main = document.getElementById("main");
const chosen = {};
let choices;
let show = () => {};

function render(view) {
  show = view;
  view();
}

function showLanguage() {
  document.documentElement.lang = currentLanguage();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
}

async function begin() {
  try {
    choices = await loadChoices();
    hideProblem();
    render(() => main.replaceChildren(startView({ choices, chosen, start })));
  } catch (error) {
    showProblem(`problem_${error.message}`, { label: "retry", action: begin });
  }
}

async function start(wish, { typing }) {
  performance.clearMarks();
  performance.mark("start");
  hideProblem();
  const names = Object.fromEntries(choices.tutors.map((one) => [one.agent_name, one.name]));
  const lesson = new Lesson({
    wish,
    names,
    typing,
    over: ({ sessions, history, state }) => {
      const shown = {
        sessions,
        history,
        state,
        nameOf: (record) => lesson.tutorOfRecord(record),
        transcript: lesson.view.list,
        again: begin,
      };
      render(() => main.replaceChildren(reportView(shown)));
      if (state === "waiting") main.querySelector("h1").focus();
    },
  });
  for (const button of main.querySelectorAll(".actions button")) button.disabled = true;
  document.getElementById("start").textContent = text("starting");
  try {
    await lesson.enter();
    if (!lesson.ended) render(() => main.replaceChildren(lesson.view.translated()));
    lesson.view.focus({ typing: typing || lesson.noMicrophone });
  } catch (error) {
    await lesson.room?.leave();
    render(() => main.replaceChildren(startView({ choices, chosen, start })));
    const action = () => start(wish, { typing });
    showProblem(`problem_${error.message}`, { values: error.values, label: "retry", action });
  }
  globalThis.lesson = lesson; // for the console of whoever develops an app
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    chooseLanguage(button.dataset.language);
    showLanguage();
    show();
    translateProblem();
  });
}
showLanguage();
begin();
