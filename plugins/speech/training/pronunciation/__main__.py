"""Evaluate, train or test the head that scores pronunciation.

`evaluate` prints the agreement with experts by speaker-disjoint cross-validation on TRAIN: choose
by it. `gates` prints how often changed texts and words are noticed, on TRAIN; `stress` what comes
out of changed sound and of sound without the text, and how long scoring takes. `train` fits the
head to TRAIN and writes the package's english.npz. `test` scores TEST with that head and writes its
TEST.md: run it once a release, never to choose. `test-free` does the same for free speech, with the
recogniser's words of every fifth utterance, and writes TEST_FREE.md; `test-opus` prints what is
lost of every twelfth in Opus, the codec of LiveKit.
"""

import argparse
from pathlib import Path

import loqua_speech.pronunciation
from loqua_speech.pronunciation.head import Head
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.pronunciation.scorer import MISPRONOUNCED
from training.pronunciation.corpus import read_labels
from training.pronunciation.fitting import (
    cross_validate,
    cross_validate_sound,
    cross_validate_substitutions,
    fit_head,
)
from training.pronunciation.free_speech import render_free_speech
from training.pronunciation.gates import render_gates
from training.pronunciation.measuring import Example, measure_split
from training.pronunciation.opus import render_opus
from training.pronunciation.reading import read_split
from training.pronunciation.report import (
    best_threshold,
    render_sound,
    render_substitutions,
    render_table,
)
from training.pronunciation.stress import render_stress
from training.pronunciation.substitutions import Substitution, measure_substitutions

_PACKAGE = Path(loqua_speech.pronunciation.__file__).parent


def main() -> None:
    """Run one command."""
    options = _options()
    if options.command == "gates":
        print(render_gates(options.corpus, list(read_labels(options.labels, "train"))))
        return
    if options.command == "stress":
        print(render_stress(options.corpus, list(read_labels(options.labels, "train"))))
        return
    if options.command == "test-free":
        _write(
            "TEST_FREE.md",
            render_free_speech(options.corpus, options.labels, "test", options.cache),
        )
        return
    if options.command == "test-opus":
        print(render_opus(options.corpus, list(read_labels(options.labels, "test"))))
        return
    split = "test" if options.command == "test" else "train"
    examples = measure_split(options.corpus, options.labels, split, options.cache)
    readings = read_split(options.corpus, options.labels, split, options.cache)
    if options.command == "test":
        _test(examples, readings)
        return
    substitutions = measure_substitutions(options.corpus, options.labels, options.cache)
    {"evaluate": _evaluate, "train": _train}[options.command](examples, readings, substitutions)


def _evaluate(
    examples: list[Example], readings: list[RecogniserReading], substitutions: list[Substitution]
) -> None:
    utterances = [example.utterance for example in examples]
    alone, read = cross_validate(examples, readings)
    for name, scores in (("Trees alone", alone), ("With readings", read)):
        threshold = best_threshold(utterances, scores)
        print(f"{name}; phones below {50 * threshold:.1f} of 100 count as mispronounced.\n")
        print(render_table(utterances, scores, threshold), end="\n\n")
    print(render_sound(utterances, cross_validate_sound(examples, readings)), end="\n\n")
    print(render_substitutions(utterances, *cross_validate_substitutions(examples, substitutions)))


def _train(
    examples: list[Example], readings: list[RecogniserReading], substitutions: list[Substitution]
) -> None:
    file = _PACKAGE / "english.npz"
    fit_head(examples, readings, substitutions).save(file)
    print(f"{file.name}: {file.stat().st_size} bytes")


def _test(examples: list[Example], readings: list[RecogniserReading]) -> None:
    head, utterances = Head.packaged(), [example.utterance for example in examples]
    pairs = zip(examples, readings, strict=True)
    read = [head.score(example.evidence, reading) for example, reading in pairs]
    alone = [head.score(example.evidence, None) for example in examples]
    tables = (render_table(utterances, it, MISPRONOUNCED / 50) for it in (read, alone))
    _write("TEST.md", "\n\nWithout Whisper, by trees alone:\n\n".join(tables))


def _write(name: str, table: str) -> None:
    (_PACKAGE / name).write_text(f"{table}\n", "utf-8")
    print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="training.pronunciation", description=__doc__)
    parser.add_argument(
        "command",
        choices=("evaluate", "gates", "stress", "train", "test", "test-free", "test-opus"),
    )
    parser.add_argument("corpus", type=Path, help="folder of jimbozhang/speechocean762")
    parser.add_argument("labels", type=Path, help="labels.jsonl.gz")
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache"), help="folder for measurements [.cache]"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
