// During a lesson: the tutors, the transcript, what is typed, progress.

import { announce, element } from "./dom.js";
import { scoreCard } from "./pronunciation.js";
import { tutorName } from "./start-view.js";
import { hasText, readable, text } from "./texts.js";
import { splitByMarks } from "./transcript.js";

const NEAR_END = 80; // pixels from the end within which a reader follows what is said

export class LessonView {
  // `send(text)`, `toggleMicrophone()` and `end()` are called for what a person does.
  constructor({ transcript, send, toggleMicrophone, end }) {
    this.transcript = transcript;
    this.items = new Map();
    this.tutors = [];
    this.topics = [];
    this.stage = element("div", { className: "stage", id: "stage" });
    this.progress = element("dl", { className: "progress", id: "progress" });
    this.due = element("p", { className: "due", id: "due" });
    this.list = element("ol", { className: "said", id: "said", tabIndex: 0 });
    this.input = element("input", { id: "typed", autocomplete: "off", maxLength: 1000 });
    this.submit = element("button", { type: "submit", className: "round send" }, icon("send"));
    this.microphone = element("button", {
      type: "button",
      id: "microphone",
      className: "round",
      onclick: toggleMicrophone,
    });
    const composer = element(
      "form",
      { className: "composer" },
      this.microphone,
      this.input,
      this.submit,
    );
    composer.addEventListener("submit", (event) => {
      event.preventDefault();
      const typed = this.input.value.trim();
      if (!typed) return;
      this.input.value = "";
      send(typed);
    });
    this.ends = element("button", { type: "button", id: "end", className: "quiet", onclick: end });
    this.title = element("h1", { className: "visually-hidden" });
    this.node = element(
      "section",
      { className: "lesson" },
      this.title,
      element("div", { className: "lesson-top" }, this.stage, this.ends),
      element("div", { className: "facts" }, this.progress, this.due),
      this.list,
      composer,
    );
  }

  // Return the node in the language that is chosen now. Notices stay as they were announced.
  translated() {
    this.title.textContent = text("lesson");
    this.ends.textContent = text("end");
    this.list.setAttribute("aria-label", text("transcript"));
    this.submit.setAttribute("aria-label", text("send"));
    this.input.setAttribute("aria-label", text("type_here"));
    this.input.placeholder = text("type_here");
    this.showTutors(this.tutors);
    this.showMicrophone(this.microphone.dataset.state);
    this.showProgress(this.made);
    this.showDue(this.topics);
    this.transcript.entries.forEach((entry) => this.showEntry(entry));
    return this.node;
  }

  // Focus what a person uses next: on a phone, a field that has the focus opens the keyboard.
  focus({ typing }) {
    (typing ? this.input : this.microphone).focus({ preventScroll: true });
  }

  // Show the tutors: [{name, state, aside, agentName}], the one who has the floor first.
  showTutors(tutors) {
    this.tutors = tutors;
    const shown = tutors.map(({ name, state, aside }) => {
      const does = aside ? "aside" : state;
      return element(
        "div",
        { className: `speaker ${does}`, "data-tutor": name, "data-state": does },
        element("span", { className: "portrait", "aria-hidden": "true" }, tutorName(name).slice(0, 1)),
        element(
          "span",
          {},
          element("strong", {}, tutorName(name)),
          " ",
          element("span", { className: "does" }, text(`state_${does}`)),
        ),
      );
    });
    this.stage.replaceChildren(...shown);
  }

  showTutorLevel(level) {
    showLevel(this.stage, level);
  }

  showOwnLevel(level) {
    showLevel(this.microphone, level);
  }

  showMicrophone(state) {
    this.microphone.dataset.state = state;
    this.microphone.disabled = state === "none";
    this.microphone.setAttribute("aria-pressed", String(state === "on"));
    const label = text({ on: "mic_off", off: "mic_on", none: "mic_none" }[state]);
    this.microphone.setAttribute("aria-label", label);
    this.microphone.title = label;
    this.microphone.replaceChildren(icon(state === "on" ? "microphone" : "muted"));
  }

  showEntry(entry) {
    if (!entry.text) return;
    const own = entry.speaker === "learner";
    const who = own ? text("you") : tutorName(entry.name);
    let item = this.items.get(entry.id);
    if (!item) {
      item = element("li", {});
      this.items.set(entry.id, item);
      if (!own) this.scored = undefined;
      this.append(item, this.scored);
    }
    item.className = `entry ${entry.speaker}${entry.final ? "" : " unfinished"}`;
    item.replaceChildren(
      element("span", { className: "who" }, who),
      element("p", { className: "words" }, ...splitByMarks(entry).map(piece)),
      entry.marks.length ? element("ul", { className: "corrections" }, ...entry.marks.map((mark) => note(mark, entry))) : "",
    );
    if (entry.final && !item.dataset.announced) {
      item.dataset.announced = "true";
      announce(`${who}: ${entry.text}`);
    }
    this.follow();
  }

  showCorrection(entry) {
    this.showEntry(entry);
    announce(entry.marks.map((mark) => noteText(mark, entry)).join(". "));
  }

  // Scores may come before the learner's words are recognised, and anew if the learner continues.
  showScore(score, own, tutor) {
    const before = this.scored;
    this.scored = element("li", { className: "entry learner" }, scoreCard(score, own, tutor));
    this.append(this.scored, before);
    before?.remove();
    announce(`${text("score_title")}: ${text("score_of", { score: Math.round(score.score) })}`);
  }

  showNotice(words) {
    this.append(element("li", { className: "notice" }, words));
    announce(words);
  }

  // Show the progress so far, if there is any.
  showProgress(progress) {
    this.made = progress;
    this.progress.hidden = !progress;
    if (progress) this.progress.replaceChildren(...figuresOf(progress).map(figure));
  }

  showDue(topics) {
    this.topics = topics;
    this.due.hidden = !topics.length;
    this.due.replaceChildren(element("strong", {}, text("due")), ` ${topics.map(readable).join(", ")}`);
  }

  // Add to the end, or before another item.
  append(item, next = null) {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.list.insertBefore(item, next);
    this.follow();
  }

  follow() {
    if (this.following !== false) this.list.scrollTop = this.list.scrollHeight;
  }
}

function showLevel(node, level) {
  node.style.setProperty("--level", Math.min(1, level * 8).toFixed(2));
}

function figuresOf({ words_learned, phrases_practiced, pronunciation_score, grammar_points }) {
  return [
    ["words", words_learned],
    ["phrases", phrases_practiced],
    ["score", pronunciation_score === null ? null : Math.round(pronunciation_score)],
    ["points", grammar_points.length || null],
  ].filter(([, value]) => value !== null);
}

function figure([name, value]) {
  const label = text(hasText(`${name}_${value}`) ? `${name}_${value}` : name);
  return element("div", { "data-figure": name }, element("dt", {}, label), element("dd", {}, String(value)));
}

const MISSING = "\u2038"; // a caret where a word is missing

function piece([words, mark]) {
  return mark ? element("mark", { title: mark.corrected }, words || MISSING) : words;
}

function noteText(mark, entry) {
  const wrong = entry.text.slice(mark.start, mark.end);
  const said = mark.corrected ? text("instead", mark) : text("leave_out", { wrong });
  return mark.message ? `${said} — ${mark.message}` : said;
}

function note(mark, entry) {
  return element("li", { "data-rule": mark.rule }, noteText(mark, entry));
}

const ICONS = {
  send: "M4 12 20 4l-4 16-4-6-8-2z",
  microphone: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  muted: "M9 9v3a3 3 0 0 0 5 2M15 10V6a3 3 0 0 0-5-2M6 11a6 6 0 0 0 10 4M12 17v4M4 3l16 18",
};

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
