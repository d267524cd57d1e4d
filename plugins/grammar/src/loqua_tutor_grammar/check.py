"""The grammar check: several engines behind one port."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .correction import GrammarCorrection, merge_corrections
from .harper import HarperEngine, is_installed
from .rules import RuleEngine

__all__ = ["Checker", "CorrectionEngine", "embedded_checker"]


class CorrectionEngine(Protocol):
    """The interface of an engine that finds mistakes in a sentence."""

    async def find(self, text: str, language: str) -> Sequence[GrammarCorrection]:
        """Return what is wrong; nothing in a language that the engine doesn't know."""
        ...


@dataclass(frozen=True, slots=True)
class Checker:
    """The port: ask all engines, and merge their corrections.

    Attributes:
        engines: In the order of their right of way.
    """

    engines: tuple[CorrectionEngine, ...]

    async def check(self, text: str, language: str) -> list[GrammarCorrection]:
        """Find mistakes in a sentence, in the order of the text; they don't overlap.

        What is found is nearly always wrong; much that is wrong is not found.

        Args:
            text: What somebody wrote, or a recogniser heard.
            language: ISO 639-1; nothing is found in a language that no engine knows.
        """
        found = await asyncio.gather(*(engine.find(text, language) for engine in self.engines))
        return merge_corrections(each for some in found for each in some)


def embedded_checker(*others: CorrectionEngine) -> Checker:
    """Return the checker with the rules, and Harper where its extra is installed.

    Args:
        others: More engines, which come after those.
    """
    harper = (HarperEngine(),) if is_installed() else ()
    return Checker((RuleEngine(), *harper, *others))
