// One visit: its room, its transcript, and what both do to the view.

import { beginVisit, loadHistory, loadRecords } from "./api.js";
import { hideProblem, showProblem } from "./problem.js";
import { LessonRoom } from "./lesson-room.js";
import { LessonView } from "./lesson-view.js";
import { openAudio, VoiceRecorder } from "./recorder.js";
import { tutorName } from "./start-view.js";
import { text } from "./texts.js";
import { Transcript } from "./transcript.js";
import { TutorPresence } from "./tutor-presence.js";

const TUTOR_SECONDS = 20;
const RECORD_SECONDS = 90;
const AFTER_OUTCOME_SECONDS = 1.5;

export class Lesson {
  // `wish` is what the server takes; `names` are tutors' names by agent name; `over` is called with
  // the records, all lessons so far and the records' state when the lesson has ended.
  constructor({ wish, names, typing, over }) {
    Object.assign(this, { wish, names, typing, over });
    this.transcript = new Transcript();
    this.own = new VoiceRecorder();
    this.tutorVoice = new VoiceRecorder();
    this.presence = new TutorPresence({
      came: (agentName, before) => this.ended || this.noteComing(agentName, before),
      left: (agentName, over) => this.ended || this.noteLeaving(agentName, over),
    });
    this.progress = new Map(); // by lesson: each tutor counts its own
    this.visits = []; // one more each time the learner returns
    this.typed = 0;
    this.unsent = []; // captions of what is typed while nobody can read it
    this.view = new LessonView({
      transcript: this.transcript,
      send: (typed) => this.send(typed),
      toggleMicrophone: () => this.toggleMicrophone(),
      end: () => this.end(),
    });
    this.measure();
  }

  // Begin, or return into the same room. Throws an error whose message is the key of a text.
  async enter() {
    await openAudio();
    this.visit = await beginVisit(this.wish);
    this.visits.push(this.visit);
    this.wish = { ...this.wish, learner: this.visit.learner, room: this.visit.room };
    this.room = new LessonRoom(this.presence);
    this.follow(this.room);
    await this.room.connect(this.visit.url, this.visit.token).catch((error) => {
      throw Object.assign(error, { values: { url: this.visit.url } });
    });
    performance.mark("connected");
    this.showTutors();
    this.awaitTutor();
    await this.openMicrophone();
  }

  async openMicrophone() {
    try {
      if (!this.typing) await this.room.openMicrophone();
    } catch (error) {
      this.noMicrophone = true;
      showProblem(`problem_${error.message}`, { label: "dismiss", action: hideProblem });
    }
    this.showMicrophone();
  }

  awaitTutor() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      if (this.room.tutors.length || this.ended) return;
      this.alone = true;
      showProblem("problem_no_tutor", { label: "retry", action: () => this.reenter() });
    }, TUTOR_SECONDS * 1000);
  }

  follow(room) {
    const on = (type, handle) =>
      room.addEventListener(type, (event) => {
        if (room === this.room && !this.ended) handle(event.detail);
      });
    on("tutors", () => this.showTutors());
    on("caption", (caption) => this.caption(caption));
    on("correction", ({ body }) => {
      const entry = this.transcript.correct(body);
      if (entry) this.view.showCorrection(entry);
    });
    on("pronunciation", ({ body }) => {
      this.view.showScore(body, this.own.lastSpeech(), this.tutorVoice.lastSpeech());
    });
    on("due", ({ body }) => this.view.showDue(body.topics));
    on("progress", ({ body, lesson }) => {
      this.progress.set(lesson, body);
      this.view.showProgress(total([...this.progress.values()]));
    });
    on("outcome", (outcome) => this.outcome(outcome));
    on("voice", ({ track }) => this.attach(track));
    on("microphone", () => this.showMicrophone());
    on("reconnecting", () => showProblem("reconnecting"));
    on("reconnected", () => {
      hideProblem();
      this.view.showNotice(text("reconnected"));
    });
    on("disconnected", ({ why }) => {
      showProblem(`problem_${why}`, { label: "return", action: () => this.reenter() });
    });
  }

  async reenter() {
    hideProblem();
    await this.room?.leave();
    try {
      await this.enter();
    } catch (error) {
      const action = () => this.reenter();
      showProblem(`problem_${error.message}`, { values: error.values, label: "retry", action });
    }
  }

  attach(track) {
    const audio = track.attach();
    audio.hidden = true;
    document.body.append(audio);
    if (this.speaker) this.hearFloor(this.speaker);
  }

  // Marks for whoever measures, in the page's own clock.
  measure() {
    this.tutorVoice.addEventListener("level", () => this.view.showTutorLevel(this.tutorVoice.level));
    this.own.addEventListener("level", () => this.view.showOwnLevel(this.own.level));
    this.tutorVoice.addEventListener("sound", () => performance.mark("tutor-sound"));
    this.own.addEventListener("silence", () => performance.mark("own-silence"));
  }

  nameOf(tutor) {
    return this.names[tutor?.agentName ?? ""] ?? tutor?.agentName ?? "";
  }

  showTutors() {
    const floor = this.room.tutors.toSorted((one, other) => one.aside - other.aside);
    const shown = floor.map((one) => ({ ...one, name: this.nameOf(one) }));
    const { tutor } = this.wish;
    const state = this.presence.isOver(tutor) ? "gone" : "waiting";
    const absent = { name: this.nameOf({ agentName: tutor }), state };
    this.view.showTutors(shown.length ? shown : [absent]);
    const speaker = floor[0]?.identity;
    if (speaker && speaker !== this.speaker) {
      this.speaker = speaker;
      this.hearFloor(speaker);
    }
    this.sendTyped();
  }

  // The one who has the floor is the one whose voice is shown and kept.
  hearFloor(identity) {
    const participant = this.room.room.remoteParticipants.get(identity);
    const track = [...(participant?.audioTrackPublications.values() || [])][0]?.track;
    if (track) this.tutorVoice.follow(track.mediaStreamTrack);
  }

  noteComing(agentName, before) {
    if (this.alone) hideProblem();
    this.alone = false;
    const tutor = tutorName(this.nameOf({ agentName }));
    if (!this.met) performance.mark("tutor-here");
    else this.view.showNotice(text(before && !before.over ? "back" : "came", { tutor }));
    this.met = true;
  }

  noteLeaving(agentName, over) {
    const tutor = tutorName(this.nameOf({ agentName }));
    this.view.showNotice(text(over ? "left" : "lost_tutor", { tutor }));
    if (!over) this.awaitTutor();
  }

  caption({ id, own, tutor, text: said, final }) {
    if (!own && !this.transcript.entries.length) performance.mark("tutor-word");
    const speaker = own ? "learner" : "tutor";
    const entry = this.transcript.say(id, speaker, this.nameOf(tutor), said, final);
    this.view.showEntry(entry);
  }

  async send(typed) {
    this.typed += 1;
    const caption = { id: `typed-${this.typed}`, own: true, text: typed };
    this.unsent.push(caption);
    this.caption({ ...caption, final: false });
    await this.sendTyped();
  }

  // What is typed during an interruption, or before a tutor is there, waits for its end.
  async sendTyped() {
    while (this.unsent.length && this.room.hasReader) {
      const caption = this.unsent.shift();
      try {
        await this.room.type(caption.text);
      } catch {
        this.unsent.unshift(caption);
        showProblem("problem_lost", { label: "return", action: () => this.reenter() });
        return;
      }
      this.caption({ ...caption, final: true });
      performance.mark("own-silence");
    }
  }

  async toggleMicrophone() {
    if (this.room.microphone) {
      await this.room.mute(!this.room.microphone.isMuted);
    } else {
      this.typing = false;
      await this.openMicrophone();
    }
    this.showMicrophone();
  }

  showMicrophone() {
    const track = this.room.microphone?.track?.mediaStreamTrack;
    if (track !== this.ownTrack) {
      this.ownTrack = track;
      this.own.follow(track);
    }
    const closed = this.noMicrophone ? "none" : "off";
    this.view.showMicrophone(track && !this.room.microphone.isMuted ? "on" : closed);
  }

  // A specialist's outcome hands back to the tutor who has called it; any other ends the lesson.
  outcome({ tutor }) {
    this.presence.finish(tutor);
    if (tutor.agentName === this.wish.tutor || !tutor.agentName) {
      setTimeout(() => this.end(), AFTER_OUTCOME_SECONDS * 1000);
    }
  }

  async end() {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.waiting);
    hideProblem();
    this.own.stop();
    this.tutorVoice.stop();
    await this.room.leave();
    await this.followRecords();
  }

  // A visit's first lesson has its id; later ones add the tutor's agent name to it.
  tutorOfRecord({ sessionId }) {
    const first = this.visits.find(({ visit }) => sessionId.startsWith(visit));
    const agentName = sessionId.slice(first.visit.length + 1);
    return this.names[agentName || this.wish.tutor] ?? agentName;
  }

  // The lesson is over for the API when it has the record of the visit's first one.
  async followRecords() {
    const until = Date.now() + RECORD_SECONDS * 1000;
    this.over({ sessions: [], history: [], state: "waiting" });
    while (Date.now() < until) {
      const found = await Promise.all(this.visits.map((one) => loadRecords(one).catch(() => [])));
      const sessions = found.flat();
      if (sessions.some((one) => this.visits.some(({ visit }) => visit === one.sessionId))) {
        const history = await loadHistory(this.visit).catch(() => []);
        this.over({ sessions, history, state: "arrived" });
        return;
      }
      await new Promise((done) => setTimeout(done, 1000));
    }
    this.over({ sessions: [], history: [], state: "late" });
  }
}

// The progress of several lessons; the score is the latest.
function total(progress) {
  const sum = (name) => progress.reduce((count, one) => count + one[name], 0);
  return {
    words_learned: sum("words_learned"),
    phrases_practiced: sum("phrases_practiced"),
    pronunciation_score: progress.findLast((one) => one.pronunciation_score !== null)?.pronunciation_score ?? null,
    grammar_points: [...new Set(progress.flatMap((one) => one.grammar_points))],
  };
}
