// What a page shows of a lesson: the JSON of the text streams that loqua-host sends to its learner.
// `python -m loqua_host.dev.typescript` generates this file; TOPICS.md has the rules of the topics.

/** The JSON of one text stream. Ignore fields that you do not know, and other versions. */
export interface LessonMessage<Topic extends keyof LessonTopics = keyof LessonTopics> {
  version: 1;
  /** The lesson's id. */
  lesson: string;
  body: LessonTopics[Topic];
}

/** The bodies by topic. */
export interface LessonTopics {
  "loqua.correction": Correction;
  "loqua.pronunciation": PronunciationScore;
  "loqua.due": DueTopics;
  "loqua.progress": Progress;
  "loqua.outcome": LessonOutcome;
}

/** A mistake in an utterance of the learner, and what to say instead. */
export interface Correction {
  /** The utterance, as it was recognised or typed. */
  text: string;
  /** Where the wrong part begins in it, in Unicode code points. */
  start: number;
  /** Where it ends, exclusive. Equal to `start` where something is missing. */
  end: number;
  /** What to say instead of that part; empty to leave it out. */
  corrected: string;
  /** The grammar topic, with the API's names (`present_tense`). */
  rule: string;
  /** Why, for the learner to read; may be empty. */
  message: string;
}

/** Topics that are due for review. Each message replaces the previous one. */
export interface DueTopics {
  /** Topics of earlier sessions, with the API's names, the longest overdue first. */
  topics: string[];
}

/** The end of a lesson: a stable reason such as `learner_left`, and the seconds taught. */
export interface Ending {
  reason: string;
  seconds: number;
}

/** The end of a lesson, with the tutor's report if there is one. */
export interface LessonOutcome {
  ending: Ending;
  report: LessonReport | null;
}

/** A tutor's report of a lesson. The host adds identity, duration and derived values. */
export interface LessonReport {
  /** The final progress; if null, the last tick's. */
  progress: Progress | null;
  topics_covered: string[];
  new_vocabulary: Word[];
  grammar_points: string[];
  pronunciation_practice_count: number;
  /** If null, the host derives it from the progress. */
  performance: Performance | null;
  achievements: string[];
  /** Suggestions for the next session, most useful first. */
  recommendations: string[];
  /** Why each achievement and recommendation is in the report, by its text. They may quote the learner: `loqua-host records explain` shows them, the API does not get them, and they are not logged. */
  reasons: Record<string, string>;
}

/** The learner's overall performance, with the API's names. */
export type Performance = "excellent" | "good" | "fair" | "needs_improvement";

/** The learner's progress since the start of the lesson. Counts never decrease. */
export interface Progress {
  /** New words that the learner used or was taught. */
  words_learned: number;
  /** Phrases or exercises that the learner tried. */
  phrases_practiced: number;
  /** 0 to 100, or null while nothing has been scored. */
  pronunciation_score: number | null;
  /** Grammar topics so far, with the API's names (`present_tense`). */
  grammar_points: string[];
}

/** The scores of a sentence that the learner said. */
export interface PronunciationScore {
  /** The sentence that was to be said. */
  text: string;
  /** From 0 to 100. */
  score: number;
  /** Its words, in order. */
  words: ScoredWord[];
}

/** A sound of a word, in IPA, with its score from 0 to 100. */
export interface ScoredSound {
  /** The sound that was to be said. */
  sound: string;
  /** How well it was said. */
  score: number;
  /** When it begins, in seconds since the recording began. */
  start: number;
  /** When it ends. */
  end: number;
  /** The sound that was said instead; null if it was right, or has no name. */
  heard: string | null;
}

/** A word of an exercise; the score of one that was left out or added is null. */
export interface ScoredWord {
  /** The word; of one that was added, its sounds in IPA. */
  word: string;
  /** How well it was said, from 0 to 100. */
  score: number | null;
  /** When it begins, in seconds since the recording began. */
  start: number;
  /** When it ends. */
  end: number;
  /** What is wrong with it, in Azure's words. */
  error: string;
  /** Its sounds, in order. */
  sounds: ScoredSound[];
}

/** A new word for the learner, in `language` (ISO 639-1), with its translation. */
export interface Word {
  word: string;
  translation: string;
  language: string;
}
