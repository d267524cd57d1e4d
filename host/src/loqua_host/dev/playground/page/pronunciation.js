// How a sentence sounded: words and sounds by score, on the learner's own waveform.

import { element } from "./dom.js";
import { encodeWav } from "./recorder.js";
import { text } from "./texts.js";
import Regions from "./vendor/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";

const GOOD = 80;
const FAIR = 60;

export function grade(score) {
  if (score === null) return "none";
  if (score >= GOOD) return "good";
  return score >= FAIR ? "fair" : "poor";
}

// A card about one try. `own` and `tutor` are what VoiceRecorder.lastSpeech returns.
export function scoreCard(score, own, tutor) {
  const card = element(
    "section",
    { className: "score-card", "aria-label": text("score_title") },
    element(
      "header",
      {},
      element("h2", {}, text("score_title")),
      element(
        "span",
        { className: `total ${grade(score.score)}`, title: text("score_of", rounded(score.score)) },
        String(Math.round(score.score)),
      ),
    ),
    element("ul", { className: "words" }, ...score.words.filter((word) => word.word).map(wordItem)),
    confusions(score),
  );
  const buttons = element("div", { className: "replays" });
  if (own) card.append(waveform(card, score, own, buttons));
  if (tutor) buttons.append(replayButton(text("hear_tutor"), tutor));
  if (!own) buttons.append(element("span", { className: "hint" }, text("no_recording")));
  card.append(buttons);
  return card;
}

// The sounds of a word, each until the next one begins: recognised sounds are moments.
function stretched({ start, end, sounds }) {
  return sounds.map((sound, at) => ({
    ...sound,
    start: at ? sound.start : start,
    end: sounds[at + 1]?.start ?? end,
  }));
}

function rounded(score) {
  return { score: Math.round(score) };
}

function toldOf(word) {
  if (word.score !== null) return text("score_of", rounded(word.score));
  return text(word.error === "Insertion" ? "inserted" : "omitted");
}

function wordItem(word) {
  const told = toldOf(word);
  return element(
    "li",
    { className: `word ${grade(word.score)}` },
    element("span", { className: "spelling" }, word.word),
    element("span", { className: "visually-hidden" }, `: ${told}`),
    element("ol", { className: "sounds" }, ...word.sounds.map(soundItem)),
  );
}

// What each sound that was another one sounded like, for those who have no pointer to hover.
function confusions({ words }) {
  const told = new Set(words.flatMap(({ sounds }) => sounds.map(confusion)).filter(Boolean));
  return told.size ? element("p", { className: "hint", "aria-hidden": "true" }, [...told].join(" · ")) : null;
}

function confusion(sound) {
  return sound.heard && grade(sound.score) !== "good" ? text("heard_as", sound) : "";
}

function soundItem(sound) {
  const wrong = confusion(sound);
  const told = `${text("score_of", rounded(sound.score))}${wrong ? `. ${wrong}` : ""}`;
  return element(
    "li",
    { className: `sound ${grade(sound.score)}`, title: told },
    sound.sound,
    element("span", { className: "visually-hidden" }, ` ${told}`),
  );
}

function replayButton(label, speech) {
  const url = URL.createObjectURL(encodeWav(speech.blocks));
  const audio = new Audio(url);
  return element("button", { type: "button", className: "quiet", onclick: () => audio.play() }, label);
}

function waveform(card, score, own, buttons) {
  const container = element("div", { className: "waveform", role: "img", "aria-label": text("waveform") });
  const colours = getComputedStyle(document.documentElement);
  const surfer = WaveSurfer.create({
    container,
    height: 56,
    barWidth: 3,
    barGap: 2,
    barRadius: 2,
    normalize: true,
    waveColor: colours.getPropertyValue("--faint"),
    progressColor: colours.getPropertyValue("--accent"),
    cursorColor: colours.getPropertyValue("--accent"),
    cspNonce: document.querySelector("meta[name=csp-nonce]").content,
  });
  const regions = surfer.registerPlugin(Regions.create());
  surfer.on("ready", () => {
    const spoken = score.words.filter((word) => word.score !== null && word.end > word.start);
    if (!spoken.length) return;
    // The tutor's recording began earlier than this one: both have the same first word. A slow
    // network may have stretched it, but not beyond the end of this one.
    const shift = Math.min(own.onset - spoken[0].start, surfer.getDuration() - spoken.at(-1).end);
    const show = ({ start, end }, color) =>
      regions.addRegion({ start: Math.max(0, start + shift), end: end + shift, color, drag: false, resize: false });
    for (const word of spoken) {
      for (const sound of stretched(word)) show(sound, `var(--${grade(sound.score)}-soft)`);
      const region = show(word, "transparent"); // above its sounds, to be played
      region.element.style.borderBottom = `3px solid var(--${grade(word.score)})`;
      region.on("click", (event) => {
        event.stopPropagation();
        region.play(true);
      });
    }
  });
  surfer.loadBlob(encodeWav(own.blocks));
  buttons.append(
    element(
      "button",
      { type: "button", className: "quiet", onclick: () => (surfer.setTime(0), surfer.play()) },
      text("hear_self"),
    ),
  );
  return container;
}
