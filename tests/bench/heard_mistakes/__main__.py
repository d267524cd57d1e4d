"""The share of learners' mistakes that recognition preserves, and of correct sentences.

Run from the project's root with `python -m tests.bench.heard_mistakes`. SVOX Pico's voices say the
sentences of `en.tsv` and `es.tsv`, each wrong and right. Prints JSON: of each kind how many were
said, and how many were heard word for word: by Whisper alone, and as the speech server hears.
"""

import json
import re
from pathlib import Path

from loqua_speech.audio import decode, wav
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recognition import Whisper
from loqua_speech.rescoring import Rescorer
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights

VOICES = {"en": ("en-US", "en-GB"), "es": ("es",)}


def main() -> None:
    """Measure and print."""
    scorer = Scorer.packaged()
    with packaged_weights() as weights:
        rescorer = Rescorer(scorer.network, scorer.lexicon)
        whisper = Whisper(weights, threads=2, rescorer=rescorer)
    report = {language: _measure(whisper, language) for language in VOICES}
    print(json.dumps(report, indent=1))  # noqa: T201  # the result


def _measure(whisper: Whisper, language: str) -> dict[str, dict[str, int]]:
    lines = Path(__file__).with_name(f"{language}.tsv").read_text("utf-8").splitlines()
    wrong, right = zip(*(line.split("\t") for line in lines), strict=True)
    return {
        "wrong": _count(whisper, language, wrong),
        "right": _count(whisper, language, right),
    }


def _count(whisper: Whisper, language: str, sentences: tuple[str, ...]) -> dict[str, int]:
    counts = {"said": 0, "whisper": 0, "server": 0}
    for voice in VOICES[language]:
        for text in sentences:
            pcm = b"".join(synthesize(text, voice=voice_for(voice)))
            heard = whisper.transcribe(decode(wav(pcm, rate=SPEAKING_RATE)), language)
            alone = heard.likeliest[0].text if heard.likeliest else ""
            counts["said"] += 1
            counts["whisper"] += _words(alone) == _words(text)
            counts["server"] += _words(heard.text) == _words(text)
    return counts


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.casefold())


if __name__ == "__main__":
    main()
