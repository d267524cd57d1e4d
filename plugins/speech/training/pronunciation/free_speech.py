"""The corpus as free speech: recognised texts with the experts' scores."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from loqua_speech.audio import Samples
from loqua_speech.pronunciation.free_speech import SURE_WORD, SpokenWord
from loqua_speech.pronunciation.head import WORD_SCORES, Head, Scores
from loqua_speech.pronunciation.lexicon import PronunciationLexicon, ReferenceWord
from loqua_speech.pronunciation.scorer import MISPRONOUNCED
from training.pronunciation.corpus import CorpusUtterance, read_labels
from training.pronunciation.measuring import measure_samples
from training.pronunciation.reading import read_samples
from training.pronunciation.recognising import recognise_split
from training.pronunciation.report import render_table

__all__ = ["render_free_speech"]


def render_free_speech(corpus: Path, labels: Path, split: str, cache_folder: Path) -> str:
    """Return a Markdown table of the packaged head's agreement with experts in free speech.

    Words that the recogniser heard in another one's place keep the experts' score of that one;
    others have none. Phones and words that the recogniser is not sure of do not count, as the
    scorer does not tell them.
    """
    recognised = recognise_split(corpus, labels, split, cache_folder)
    chosen = [one for one in read_labels(labels, split) if one.name in recognised]
    lexicon, head = PronunciationLexicon.packaged(), Head.packaged()
    heard = [it for one in chosen if (it := as_heard(one, recognised[one.name], lexicon))]
    scores = [_score(head, one.samples(corpus), one) for one in heard]
    spoken = sum(len(one.text) for one in chosen)
    scored = sum(int((~np.isnan(one.words[:, 0])).sum()) for one in heard)
    summary = (
        f"{len(heard)} of {len(chosen)} utterances have words; of their {spoken} words, "
        f"{100 * scored / spoken:.0f} % have scores."
    )
    return f"{summary}\n\n{render_table(heard, scores, MISPRONOUNCED / 50)}"


def _score(head: Head, samples: Samples, utterance: CorpusUtterance) -> Scores:
    evidence = measure_samples(samples, utterance).evidence
    return head.score_free_speech(evidence, read_samples(samples, utterance.text))


def as_heard(
    utterance: CorpusUtterance, heard: Sequence[SpokenWord], lexicon: PronunciationLexicon
) -> CorpusUtterance | None:
    """Return the utterance with the text that was heard; None if there is none."""
    known = [word for word in heard if all(it.phones for it in lexicon.pronounce(word.text))]
    if not known:
        return None
    text = lexicon.pronounce(" ".join(word.text for word in known))
    phones = [np.full(len(word.phones), np.nan) for word in text]
    words = np.full((len(text), len(WORD_SCORES)), np.nan)
    bounds = np.append(0, np.cumsum([len(word.phones) for word in utterance.text]))
    for read, at in _pairs(utterance.text, text):
        if known[at].probability >= SURE_WORD:
            words[at] = utterance.words[read]
            if utterance.text[read].phones == text[at].phones:
                phones[at] = utterance.phones[bounds[read] : bounds[read + 1]]
    return replace(utterance, text=text, phones=np.concatenate(phones), words=words)


def _pairs(
    read: Sequence[ReferenceWord], heard: Sequence[ReferenceWord]
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of words that were read and heard at the same place."""
    matcher = SequenceMatcher(None, _lower(read), _lower(heard), autojunk=False)
    for kind, start, end, from_, to in matcher.get_opcodes():
        if kind == "equal" or (kind == "replace" and end - start == to - from_):
            yield from zip(range(start, end), range(from_, to), strict=True)


def _lower(words: Sequence[ReferenceWord]) -> list[str]:
    return [word.text.casefold() for word in words]
