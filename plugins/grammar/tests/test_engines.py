"""Engines outside this package: a LanguageTool server, a language model, Harper."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import APIConnectionError, llm

from loqua_tutor_grammar.check import Checker
from loqua_tutor_grammar.harper import HarperEngine
from loqua_tutor_grammar.language_model import LanguageModelEngine
from loqua_tutor_grammar.languagetool import LanguageToolEngine
from loqua_tutor_grammar.rules import RuleEngine

Answer = Callable[[httpx.Request], httpx.Response]


def server(answer: Answer) -> LanguageToolEngine:
    """Return an engine whose server answers so."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return LanguageToolEngine("http://grammar.test:8081/", client)


def match(
    offset: int, length: int, *right: str, rule: str = "AGREEMENT_DET_NOUN"
) -> dict[str, Any]:
    """Return a match as LanguageTool's API has it."""
    return {
        "message": "…",
        "offset": offset,
        "length": length,
        "replacements": [{"value": each} for each in right],
        "rule": {"id": rule, "category": {"id": "GRAMMAR"}},
    }


async def test_a_server_is_asked_for_grammar_alone() -> None:
    """Its own language code, and no spelling or style."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"matches": [match(0, 2, "El", "Lo")]})

    (found,) = await server(answer).find("La problema", "es")
    form = parse_qs(asked[0].content.decode())
    assert str(asked[0].url) == "http://grammar.test:8081/v2/check"
    assert (form["language"], form["text"]) == (["es"], ["La problema"])
    assert "TYPOS" in form["disabledCategories"][0]
    assert (found.start, found.end, found.replacements) == (0, 2, ("El", "Lo"))
    assert (found.source, found.message) == ("languagetool", "determiner")
    assert found.grammar_point == "noun_adjective_agreement"


async def test_spelling_is_not_heard() -> None:
    """A finding that differs in accents, case or spaces is dropped, and so is one without cure."""
    matches = [match(0, 2, "él"), match(3, 2, "Es"), match(6, 3)]
    engine = server(lambda _: httpx.Response(200, json={"matches": matches}))
    assert await engine.find("el es así", "es") == ()


async def test_a_place_is_counted_in_characters() -> None:
    """Java counts an emoji as two; what points outside the text or into one is dropped."""
    matches = [match(3, 2, "El"), match(1, 2, "x"), match(90, 2, "x")]
    engine = server(lambda _: httpx.Response(200, json={"matches": matches}))
    assert [(each.start, each.end) for each in await engine.find("😀 La problema", "es")] == [
        (2, 4)
    ]


def refuse(request: httpx.Request) -> httpx.Response:
    """Fail to connect."""
    raise httpx.ConnectTimeout("too late", request=request)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(refuse, id="timeout"),
        pytest.param(lambda _: httpx.Response(500, text="oh"), id="error"),
        pytest.param(lambda _: httpx.Response(200, text="<html>"), id="no_json"),
        pytest.param(lambda _: httpx.Response(200, json={"matches": [{"offset": -1}]}), id="odd"),
    ],
)
async def test_without_its_server_the_other_engines_go_on(answer: Answer) -> None:
    """The findings of the rules remain."""
    checker = Checker((RuleEngine(), server(answer)))
    assert [each.source for each in await checker.check("La problema es grande.", "es")] == [
        "rules"
    ]


class FixedLLM(llm.LLM):
    """A language model that gives one reply, or fails."""

    def __init__(self, answer: str | Exception) -> None:
        super().__init__()
        self._answer = answer
        self.asked: list[str] = []

    def chat(self, *, chat_ctx: llm.ChatContext, **_: Any) -> Any:
        """Return an answer like a stream's."""
        self.asked += [message.text_content or "" for message in chat_ctx.messages()]
        return self

    async def collect(self) -> llm.CollectedResponse:
        """Return it whole."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return llm.CollectedResponse(text=self._answer)


async def answered(answer: str | Exception, text: str = "Yo bailo con el mañana") -> list[str]:
    """Return the replacements of what a model finds."""
    found = await LanguageModelEngine(FixedLLM(answer)).find(text, "es")
    return [each.replacements[0] for each in found]


def finding(wrong: str, right: str, point: str = "prepositions") -> dict[str, str]:
    """Return a finding as the model is asked to write it."""
    return {"wrong": wrong, "right": right, "point": point}


async def test_what_a_model_finds_has_its_place_and_our_message() -> None:
    """Its words are looked up in the sentence; the message is that of the point."""
    model = FixedLLM(json.dumps([finding("con el", "por la")]))
    (found,) = await LanguageModelEngine(model).find("Yo bailo con el mañana", "es")
    assert (found.start, found.end, found.replacements) == (9, 15, ("por la",))
    assert (found.message, found.source) == ("preposition", "llm")
    assert json.loads(model.asked[1]) == {"language": "es", "sentence": "Yo bailo con el mañana"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("It looks good to me!", id="prose"),
        pytest.param('{"wrong": "Yo"}', id="no_list"),
        pytest.param(json.dumps([finding("not there", "x")]), id="words_not_in_it"),
        pytest.param(json.dumps([finding("a", "x")]), id="words_not_unique"),
        pytest.param(json.dumps([finding("con el", "x", "haikus")]), id="unknown_point"),
        pytest.param(json.dumps([finding("el", "él")]), id="spelling"),
        pytest.param(json.dumps([finding("con el", "x" * 500)]), id="endless"),
        pytest.param(APIConnectionError(), id="out_of_reach"),
        pytest.param(TimeoutError(), id="too_slow"),
    ],
)
async def test_what_is_not_about_the_sentence_is_not_used(answer: str | Exception) -> None:
    """The model's word is checked before anything is made of it."""
    assert await answered(answer) == []


async def test_json_in_a_fence_is_json() -> None:
    """Models like to put Markdown around it."""
    assert await answered(f"```json\n{json.dumps([finding('con el', 'por la')])}\n```") == [
        "por la"
    ]


@given(st.one_of(st.text(max_size=80), st.recursive(st.none() | st.text(max_size=5), st.lists)))
async def test_no_answer_breaks_the_check(answer: Any) -> None:
    """This holds for any output of a model."""
    await answered(answer if isinstance(answer, str) else json.dumps(answer))


async def test_harper_finds_what_was_said_not_how_it_is_spelt() -> None:
    """English only, and no homophones."""
    engine = HarperEngine()
    found = await engine.find("I have an important informations and he go home.", "en")
    assert [each.replacements for each in found] == [("information",), ("goes",)]
    assert {each.source for each in found} == {"harper"}
    assert await engine.find("their is a problem", "en") == ()
    assert await engine.find("Yo es estudiante", "es") == ()
