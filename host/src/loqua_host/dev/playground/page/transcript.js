// What was said, and where corrections belong in it. No DOM in here.

const BREAK = /\s+/g;

// Offsets of corrections count code points; strings of JavaScript count UTF-16 units.
function unitsBefore(text, points) {
  return Array.from(text).slice(0, points).join("").length;
}

// Where a correction is in the entry of its turn; null if the entry is not of that turn.
function findInTurn(entry, correction) {
  const start = unitsBefore(correction.text, correction.start);
  const end = unitsBefore(correction.text, correction.end);
  const shown = entry.text;
  const inside = shown.indexOf(correction.text); // the entry has more than the turn
  if (inside >= 0) return [inside + start, inside + end];
  const around = correction.text.indexOf(shown); // the turn has more than the entry
  const isThere = around >= 0 && start >= around && end <= around + shown.length;
  return isThere ? [start - around, end - around] : null;
}

// Where its words are in an entry whose turn was written in another way; null if they are not there.
function findWords(entry, { text, start, end }) {
  const wrong = text.slice(unitsBefore(text, start), unitsBefore(text, end));
  const escaped = wrong.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const found = wrong && entry.text.match(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, "iu"));
  return found ? [found.index, found.index + found[0].length] : null;
}

// Return the newest entry that a correction is of and where it is there, or undefined.
export function place(entries, correction) {
  for (const find of [findInTurn, findWords]) {
    for (const entry of entries.toReversed()) {
      const span = find(entry, correction);
      if (span) return { entry, span };
    }
  }
  return undefined;
}

export class Transcript {
  constructor() {
    this.entries = [];
    this.waiting = [];
  }

  // Add or update what somebody says; returns the entry.
  say(id, speaker, name, text, final) {
    let entry = this.entries.find((one) => one.id === id);
    if (!entry) {
      entry = { id, speaker, name, text: "", final: false, marks: [] };
      this.entries.push(entry);
    }
    entry.text = text.replace(BREAK, " ").trim();
    entry.final = final;
    if (final && speaker === "learner") {
      const waiting = this.waiting;
      this.waiting = [];
      waiting.forEach((correction) => this.correct(correction));
    }
    return entry;
  }

  // Mark a correction; returns the entry, or undefined if its words are not here yet.
  correct(correction) {
    const said = this.entries.filter((one) => one.speaker === "learner" && one.final);
    const placed = place(said, correction);
    if (!placed) {
      this.waiting.push(correction);
      return undefined;
    }
    const { entry, span } = placed;
    const [start, end] = span;
    const known = entry.marks.some(
      (mark) => mark.start === start && mark.end === end && mark.corrected === correction.corrected,
    );
    if (!known) entry.marks.push({ start, end, ...pick(correction) });
    entry.marks.sort((one, other) => one.start - other.start);
    return entry;
  }
}

function pick({ corrected, rule, message }) {
  return { corrected, rule, message };
}

// The pieces of an entry's text: [text, mark or null], in order; marks do not overlap in it.
export function splitByMarks(entry) {
  const pieces = [];
  let at = 0;
  for (const mark of entry.marks) {
    if (mark.start < at) continue;
    if (mark.start > at) pieces.push([entry.text.slice(at, mark.start), null]);
    pieces.push([entry.text.slice(mark.start, mark.end), mark]);
    at = mark.end;
  }
  if (at < entry.text.length) pieces.push([entry.text.slice(at), null]);
  return pieces;
}
