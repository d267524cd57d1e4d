// The last half minute of a voice, for its level and for replay. Nothing of it leaves the page.

const KEPT_SECONDS = 30;
const AUDIBLE = 0.008; // RMS: above a codec's noise, below soft speech
const PAUSE_SECONDS = 1.2; // shorter silences are within a sentence
const MARGIN_SECONDS = 0.25;

let context;

export async function openAudio() {
  context = context || new AudioContext();
  if (!context.loaded) {
    context.loaded = context.audioWorklet.addModule("recorder-worklet.js");
  }
  await context.loaded;
  await context.resume();
}

export class VoiceRecorder extends EventTarget {
  constructor() {
    super();
    this.blocks = [];
    this.audible = false;
    this.level = 0;
  }

  // Follow a MediaStreamTrack instead of the one before.
  follow(track) {
    this.stop();
    if (!track || !context) return;
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    this.node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    this.node.port.onmessage = ({ data }) => this.add(data);
    this.source.connect(this.node);
  }

  stop() {
    this.source?.disconnect();
    this.node?.port.close();
    this.source = this.node = undefined;
    this.setLevel(0);
  }

  add(samples) {
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    const level = Math.sqrt(sum / samples.length);
    this.blocks.push({ samples, level });
    const kept = (KEPT_SECONDS * context.sampleRate) / samples.length;
    if (this.blocks.length > kept) this.blocks.shift();
    this.setLevel(level);
  }

  setLevel(level) {
    this.level = level;
    const audible = level > AUDIBLE;
    if (audible !== this.audible) {
      this.audible = audible;
      this.dispatchEvent(new Event(audible ? "sound" : "silence"));
    }
    this.dispatchEvent(new Event("level"));
  }

  // The last stretch of speech as samples; `onset` is when it begins in them, in seconds.
  lastSpeech() {
    const seconds = (this.blocks[0]?.samples.length || 0) / (context?.sampleRate || 1);
    const last = this.blocks.findLastIndex((block) => block.level > AUDIBLE);
    if (last < 0) return null;
    let first = last;
    for (let at = last; at >= 0 && (first - at) * seconds < PAUSE_SECONDS; at -= 1) {
      if (this.blocks[at].level > AUDIBLE) first = at;
    }
    const margin = Math.ceil(MARGIN_SECONDS / seconds);
    const from = Math.max(0, first - margin);
    const blocks = this.blocks.slice(from, last + 1 + margin);
    return { blocks: blocks.map((block) => block.samples), onset: (first - from) * seconds };
  }
}

// Samples as a WAV file: 16-bit mono.
export function encodeWav(blocks) {
  const count = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * count));
  const write = (at, word) => [...word].forEach((one, i) => view.setUint8(at + i, one.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * count, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, context.sampleRate, true);
  view.setUint32(28, 2 * context.sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * count, true);
  let at = 44;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 0x7fff, true);
      at += 2;
    }
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}
