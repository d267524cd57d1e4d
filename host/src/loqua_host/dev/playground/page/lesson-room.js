// A lesson's room, as events: what a page needs of LiveKit and of host/TOPICS.md.

const {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionState,
  DisconnectReason,
  Room,
  RoomEvent,
  Track,
} = globalThis.LivekitClient;

const VERSION = 1;
const TOPICS = ["correction", "pronunciation", "due", "progress", "outcome"];

export class LessonRoom extends EventTarget {
  // `presence` is that of the tutors, before and after an interruption.
  constructor(presence) {
    super();
    this.presence = presence;
    this.room = new Room({ adaptiveStream: false, dynacast: false });
    this.follow();
  }

  tell(type, detail = {}) {
    this.dispatchEvent(Object.assign(new Event(type), { detail }));
  }

  follow() {
    const { room } = this;
    const changed = () => {
      this.presence.see(this.isConnected ? this.tutors : null);
      this.tell("tutors");
    };
    for (const event of [
      RoomEvent.ParticipantConnected,
      RoomEvent.ParticipantDisconnected,
      RoomEvent.ParticipantAttributesChanged,
      RoomEvent.ConnectionStateChanged,
      RoomEvent.Reconnected,
    ]) {
      room.on(event, changed);
    }
    room.on(RoomEvent.Reconnecting, () => this.tell("reconnecting"));
    room.on(RoomEvent.SignalReconnecting, () => this.tell("reconnecting"));
    room.on(RoomEvent.Reconnected, () => this.tell("reconnected"));
    room.on(RoomEvent.Disconnected, (reason) => this.tell("disconnected", { why: whyOf(reason) }));
    room.on(RoomEvent.TrackSubscribed, (track, _, participant) => {
      if (track.kind === Track.Kind.Audio) this.tell("voice", { track, participant });
    });
    room.on(RoomEvent.TrackUnsubscribed, (track) => {
      track.detach().forEach((one) => one.remove());
      if (track.kind === Track.Kind.Audio) this.tell("voice-gone", { track });
    });
    room.on(RoomEvent.LocalTrackPublished, () => this.tell("microphone"));
    room.on(RoomEvent.LocalTrackUnpublished, () => this.tell("microphone"));
    room.on(RoomEvent.TrackMuted, () => this.tell("microphone"));
    room.on(RoomEvent.TrackUnmuted, () => this.tell("microphone"));
    room.registerTextStreamHandler("lk.transcription", (reader, from) => this.caption(reader, from));
    for (const name of TOPICS) {
      room.registerTextStreamHandler(`loqua.${name}`, async (reader, from) => {
        const tutor = await this.presence.sender(from.identity);
        const read = await reader.readAll().catch(() => "{}"); // the tutor has left meanwhile
        const { version, body, lesson } = JSON.parse(read);
        if (version === VERSION && tutor) this.tell(name, { body, lesson, tutor });
      });
    }
  }

  async caption(reader, from) {
    const { attributes, id: stream } = reader.info;
    const id = attributes?.["lk.segment_id"] || stream;
    const own = from.identity === this.room.localParticipant.identity;
    const final = attributes?.["lk.transcription_final"] === "true";
    const tutor = own ? undefined : await this.presence.sender(from.identity);
    if (!own && !tutor) return;
    let said = "";
    try {
      for await (const piece of reader) {
        said += piece;
        this.tell("caption", { id, own, tutor, text: said, final: false });
      }
    } catch {
      // Whoever spoke has left in the middle of it.
    }
    // A tutor's words come as one stream, whose end is theirs.
    this.tell("caption", { id, own, tutor, text: said, final: final || !own });
  }

  // Enter. Throws an error whose message is the key of a text.
  async connect(url, token) {
    try {
      await this.room.connect(url, token);
    } catch (error) {
      const refused =
        error instanceof ConnectionError && error.reason === ConnectionErrorReason.NotAllowed;
      throw new Error(refused ? "livekit_refused" : "livekit_down");
    }
  }

  // Let the tutor hear. Throws an error whose message is the key of a text.
  async openMicrophone() {
    try {
      await this.room.localParticipant.setMicrophoneEnabled(true);
    } catch (error) {
      throw new Error(error.name === "NotAllowedError" ? "mic_refused" : "no_mic");
    }
  }

  get microphone() {
    return this.room.localParticipant.getTrackPublication(Track.Source.Microphone);
  }

  async mute(muted) {
    await this.room.localParticipant.setMicrophoneEnabled(!muted);
  }

  // Whether a tutor reads what is typed now.
  get hasReader() {
    const reads = (one) => !one.aside && one.state !== "initializing";
    return this.isConnected && this.tutors.some(reads);
  }

  async type(text) {
    await this.room.localParticipant.sendText(text, { topic: "lk.chat" });
  }

  get isConnected() {
    return this.room.state === ConnectionState.Connected;
  }

  get tutors() {
    return [...this.room.remoteParticipants.values()].filter((one) => one.isAgent).map(tutorOf);
  }

  async leave() {
    await this.room.disconnect();
  }
}

function tutorOf({ identity, attributes }) {
  return {
    identity,
    agentName: attributes["lk.agent.name"] || "",
    state: attributes["lk.agent.state"] || "initializing",
    aside: attributes["loqua.floor"] === "false",
  };
}

function whyOf(reason) {
  if (reason === DisconnectReason.CLIENT_INITIATED) return "left";
  if (reason === DisconnectReason.DUPLICATE_IDENTITY) return "elsewhere";
  if (reason === DisconnectReason.ROOM_DELETED) return "room_closed";
  return "lost";
}
