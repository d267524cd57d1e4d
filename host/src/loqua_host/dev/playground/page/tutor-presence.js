// Which tutors are in the room, and who sends a text stream. No DOM, no LiveKit in here.

// LiveKit sends participants by signal and text streams by data channel, in no common order: a
// tutor's first words may arrive before the tutor, and its last ones after it has left.
const CATCH_UP_SECONDS = 3; // one packet lost twice, and a busy machine

export class TutorPresence {
  // `came(agentName, before)` is called for a tutor that enters; `before` is how it was here the last
  // time. `left(agentName, over)` is called for one that is gone, whose lesson is over or not.
  // `later(call)` calls back when the other channel has caught up.
  constructor({ came, left, later = (call) => setTimeout(call, CATCH_UP_SECONDS * 1000) }) {
    Object.assign(this, { came, left, later });
    this.senders = new Map(); // tutors that are or were here, by identity
    this.expected = new Map(); // by identity, who sends before it is here
    this.states = new Map(); // by agent name: {identity, here, missed, over}
  }

  // Take in the tutors that are in the room, or null while the connection is interrupted.
  see(tutors) {
    this.connected = tutors !== null;
    if (!this.connected) return;
    tutors.forEach((one) => this.meet(one));
    const names = new Set(tutors.map((one) => one.agentName));
    for (const [name, state] of this.states) {
      if (state.here && !state.missed && !names.has(name)) this.miss(name, state);
    }
  }

  meet(tutor) {
    const { agentName, identity } = tutor;
    this.senders.set(identity, tutor);
    this.expected.get(identity)?.resolve(tutor);
    this.expected.delete(identity);
    const known = this.states.get(agentName);
    // Another one in its place: a tutor that was only cut off has the same identity.
    if (known?.missed && known.identity !== identity) this.conclude(agentName, known);
    if (known?.here) {
      Object.assign(known, { identity, missed: null });
    } else {
      this.states.set(agentName, { identity, here: true, missed: null, over: false });
      this.came(agentName, known);
    }
  }

  miss(agentName, state) {
    if (state.over) {
      this.conclude(agentName, state);
      return;
    }
    const missed = (state.missed = {});
    this.later(() => {
      if (state.missed !== missed) return;
      if (this.connected) this.conclude(agentName, state);
      else state.missed = null; // it may be here when the connection is back
    });
  }

  conclude(agentName, state) {
    Object.assign(state, { here: false, missed: null });
    this.left(agentName, state.over);
  }

  // Take in that the lesson of a tutor is over, here or gone.
  finish({ agentName, identity }) {
    const state = this.states.get(agentName);
    if (state.identity !== identity) return; // another one has its place by now
    state.over = true;
    if (state.missed) this.conclude(agentName, state);
  }

  isOver(agentName) {
    return Boolean(this.states.get(agentName)?.over);
  }

  // Return the tutor that sends a text stream; undefined for one that is no tutor.
  async sender(identity) {
    const known = this.senders.get(identity);
    if (known) return known;
    if (!this.expected.has(identity)) this.expect(identity);
    return await this.expected.get(identity).promise;
  }

  expect(identity) {
    let resolve;
    const promise = new Promise((done) => (resolve = done));
    this.expected.set(identity, { promise, resolve });
    this.later(() => {
      this.expected.delete(identity);
      resolve(undefined);
    });
  }
}
