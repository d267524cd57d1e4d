"""The playground in a headless Chromium with a fake microphone."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route
from tests.pictures.browser import chromium

from .playground_faults import survive_all, survive_with_microphone
from .visitor import DESKTOP, PHONE, Playground, Visitor, playground, write_sentence

pytestmark = [pytest.mark.timeout(400, func_only=True), pytest.mark.asyncio(loop_scope="module")]

PATIENCE_IN_HAND = """
const wait = setTimeout;
window.setTimeout = (call, ms, ...given) =>
  ms === 20_000 ? (window.losePatience = call, 0) : wait(call, ms, ...given);
"""
"""The page waits for a tutor until the test says."""

REGIONS = (
    "document.querySelector('.waveform div').shadowRoot.querySelectorAll('[part~=region]').length"
)
"""How many words and sounds are marked on the waveform."""

SCORED = "document.querySelectorAll('.score-card .word, .score-card .sound').length"
"""How many words and sounds have a score."""

CARD = """
async (word) => {
  const { scoreCard } = await import("./pronunciation.js");
  const { openAudio } = await import("./recorder.js");
  await openAudio();
  const own = { blocks: [new Float32Array(48_000).map((_, at) => Math.sin(at / 20))], onset: 0.2 };
  document.body.append(scoreCard({ score: word.score, words: [word] }, own, null));
}
"""
"""Shows the scores of a word on a recording of a second."""

IN_ANY_ORDER = """
async (steps) => {
  const { Lesson } = await import("./lesson.js");
  const { LessonRoom } = await import("./lesson-room.js");
  const names = { "": "conversation", "grammar-specialist": "grammar" };
  const lesson = new Lesson({ wish: { tutor: "" }, names, typing: true, over: () => {} });
  const room = new LessonRoom(lesson.presence);
  const { room: livekit } = room;
  lesson.room = room;
  lesson.follow(room);
  const late = [];
  lesson.presence.later = (call) => late.push(call);
  const take = {
    enters: (identity, agentName) => {
      const attributes = { "lk.agent.name": agentName };
      const audioTrackPublications = new Map();
      const tutor = { identity, isAgent: true, attributes, audioTrackPublications };
      livekit.remoteParticipants.set(identity, tutor);
      livekit.emit("participantConnected", tutor);
    },
    leaves: (identity) => {
      livekit.remoteParticipants.delete(identity);
      livekit.emit("participantDisconnected");
    },
    sends: (identity, topic, body) => {
      const { textStreamHandlers } = livekit.incomingDataStreamManager;
      const text = JSON.stringify({ version: 1, lesson: "", body });
      textStreamHandlers.get(topic)({ readAll: async () => text }, { identity });
    },
    connection: (state) => {
      livekit.state = state;
      livekit.emit("connectionStateChanged", state);
    },
    passes: () => late.splice(0).forEach((call) => call()),
  };
  for (const [step, ...given] of [["connection", "connected"], ["enters", "c1", ""], ...steps]) {
    take[step](...given);
    await new Promise((done) => setTimeout(done));
  }
  const shown = [...lesson.view.node.querySelectorAll(".notice, #due:not(:empty)")];
  lesson.ended = true;
  clearTimeout(lesson.waiting);
  return shown.map((it) => it.textContent);
}
"""
"""What a lesson shows after news of participants and text streams."""

CAME = "Grammar joins the lesson"
LEFT = "Grammar has left"
LOST = "Grammar has dropped out. Another process takes over…"
BACK = "Grammar is back, where you stopped"

REFUSES_MICROPHONE = """
() => {
  const missing = new DOMException("there is none", "NotFoundError");
  navigator.mediaDevices.getUserMedia = () => Promise.reject(missing);
}
"""


async def offer_nobody(route: Route) -> None:
    """Offer a tutor whom no host has."""
    answer = await route.fetch()
    absent = {"name": "absent", "agent_name": "absent-specialist"}
    await route.fulfill(json={**await answer.json(), "tutors": [absent]})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[Playground]:
    """Yield a playground with its host."""
    async with playground(tmp_path_factory.mktemp("host"), speech_url) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Yield a browser with a microphone that beeps now and then."""
    async with chromium() as it:
        yield it


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(served: Playground, browser: Browser) -> AsyncIterator[Visitor]:
    """Yield somebody who has opened the page on a phone in English."""
    context = await browser.new_context(viewport=PHONE, locale="en-GB")
    person = Visitor(await context.new_page())
    await person.open(served.url)
    yield person
    room = await person.room()
    await context.close()
    await served.close(room)
    assert person.complaints == []


@pytest.mark.timeout(500, func_only=True)
async def test_a_lesson_survives_faults_of_its_connection_and_has_one_record(
    served: Playground, browser: Browser
) -> None:
    """Two lessons side by side: what was said stays, and the same tutor goes on."""
    records = await asyncio.gather(
        survive_all(served, browser), survive_with_microphone(served, browser)
    )
    assert records == [1, 1]


async def test_a_typed_lesson_from_its_choice_to_its_record(
    served: Playground, visitor: Visitor
) -> None:
    """The tutor is heard, mistakes are marked at their words, a specialist comes and leaves."""
    page = visitor.page
    assert await visitor.barriers() == []
    await visitor.enter("user_ana")
    await visitor.until("lesson.tutorVoice.blocks.some((block) => block.level > 0.02)")
    await page.wait_for_selector("#due:has-text('travel')")

    await visitor.type("¡Hola! Yo es Ana.")
    assert await page.inner_text("mark") == "Yo es"
    assert await page.inner_text(".corrections") == "Better: yo soy"

    await page.fill("#typed", "¿Puedes explicarme la gramática?")
    await page.press("#typed", "Enter")
    await page.wait_for_selector("[data-tutor=conversation][data-state=aside]")
    await visitor.until_said("estudiante o profesor")
    await page.wait_for_selector(".notice:has-text('Grammar joins the lesson')")
    assert await visitor.barriers() == []
    await visitor.type("Yo es estudiante.")
    marks = await page.locator("mark").all_inner_texts()
    assert marks == ["Yo es", "es"]
    (note,) = await page.locator("[data-rule=subject_verb_agreement]").all_inner_texts()
    assert note.startswith("Better: soy — ")
    await visitor.type("Yo soy estudiante.")
    await page.wait_for_selector("[data-tutor=grammar]", state="detached")
    await page.wait_for_selector(".notice:has-text('Grammar has left')")
    await page.wait_for_selector("[data-tutor=conversation]:not([data-state=aside])")
    await page.wait_for_selector("[data-figure=phrases]")

    await visitor.end(served)
    assert await visitor.barriers() == []
    assert len(await served.sessions(await visitor.visit())) == 2
    assert "subject_verb_agreement" in await page.locator("#record pre").text_content()
    assert await page.locator("#so-far tbody tr").count() >= 2


async def test_what_a_learner_pronounces_is_scored_on_their_own_waveform(
    served: Playground, speech_url: str, tmp_path: Path
) -> None:
    """Words and sounds have scores, and the own try can be heard again."""
    sentence = await write_sentence(tmp_path / "voice.wav", speech_url)
    async with chromium(f"--use-file-for-fake-audio-capture={tmp_path / 'voice.wav'}") as browser:
        visitor = Visitor(await browser.new_page(viewport=DESKTOP, color_scheme="dark"))
        await visitor.open(served.url)
        await visitor.pronounce()
        card = visitor.page.locator(".score-card").first
        words = await card.locator(".word .spelling").all_inner_texts()
        assert words == re.findall(r"\w+", sentence)
        assert await card.locator(".sound").count() > len(words)
        await visitor.until(f"{REGIONS} === {SCORED}")
        assert await visitor.barriers() == []
        assert visitor.complaints == []


async def test_sounds_that_a_slow_network_has_stretched_are_marked_within_the_recording(
    visitor: Visitor,
) -> None:
    """They are later in what the tutor heard than in what the page has recorded."""
    sound = {"sound": "s", "heard": None, "score": 70.0}
    sounds = [sound | {"start": at, "end": at + 0.2} for at in (0.3, 0.6, 1.3)]
    word = {"word": "books", "error": None, "score": 80.0, "start": 0.3, "end": 1.4}
    await visitor.page.evaluate(CARD, word | {"sounds": sounds})
    await visitor.until(f"{REGIONS} === {SCORED}")


async def test_a_network_that_drops_and_returns_loses_nothing_that_was_said(
    served: Playground, visitor: Visitor
) -> None:
    """The page says so meanwhile, and the tutor answers afterwards; also who is put out returns."""
    await visitor.enter("user_chloe")
    said = await visitor.said()
    await visitor.page.context.set_offline(True)
    await visitor.page.evaluate("lesson.room.room.engine.client.ws?.close()")
    await visitor.page.wait_for_selector("#problem-text:has-text('Reconnecting')")
    assert await visitor.barriers() == []
    await visitor.page.context.set_offline(False)
    await visitor.until("document.getElementById('problem').hidden")
    assert (await visitor.said())[: len(said)] == said
    await visitor.type("Hola.")

    said = await visitor.said()
    await served.put_out(await visitor.room(), await visitor.identity())
    await visitor.page.click("#problem-action:has-text('Return to the lesson')")
    await visitor.until("lesson.room.room.state === 'connected' && lesson.room.tutors.length")
    await visitor.type("Hola otra vez.")
    assert (await visitor.said())[: len(said)] == said


async def test_what_is_typed_on_the_way_back_is_sent_when_the_tutor_is_there(
    served: Playground, visitor: Visitor
) -> None:
    """Before and after the click that returns; until then, it is shown as unfinished."""
    await visitor.enter("user_chloe")
    await served.put_out(await visitor.room(), await visitor.identity())
    await visitor.page.wait_for_selector("#problem-action:has-text('Return to the lesson')")
    await visitor.page.fill("#typed", "Hola.")
    await visitor.page.press("#typed", "Enter")
    await visitor.page.wait_for_selector(".entry.learner.unfinished")
    await visitor.page.click("#problem-action")
    await visitor.type("Soy Chloé.")
    assert await visitor.page.locator(".entry.learner:not(.unfinished)").count() == 2


async def test_without_a_tutor_the_page_says_so_until_one_comes(
    served: Playground, browser: Browser
) -> None:
    """It keeps nobody out meanwhile, and a tutor who comes late is welcome."""
    context = await browser.new_context(locale="en-GB")
    await context.add_init_script(PATIENCE_IN_HAND)
    visitor = Visitor(await context.new_page())
    await visitor.page.route("**/api/choices", offer_nobody)
    await visitor.open(served.url)
    await visitor.page.click("#start-typing")
    await visitor.page.wait_for_selector("[data-state=waiting]")
    assert await visitor.barriers() == []
    await visitor.page.evaluate("losePatience()")
    await visitor.page.wait_for_selector("#problem-text:has-text('No tutor has come.')")
    assert await visitor.barriers() == []
    await served.call("grammar-specialist", await visitor.room())
    await visitor.page.wait_for_selector(".entry.tutor")
    assert not await visitor.page.is_visible("#problem")
    await context.close()


async def test_a_tutor_that_crashes_comes_back_where_it_was(
    served: Playground, visitor: Visitor
) -> None:
    """The learner sees both, and the lesson has one record."""
    await visitor.enter("user_ana")
    room = await visitor.room()
    (process,) = re.findall(
        rf"room\.connected room={room} .*?pid=(\d+)", "\n".join(served.log.lines)
    )
    os.kill(int(process), signal.SIGKILL)
    back = "[...document.querySelectorAll('.notice')].some((it) => it.textContent.includes({!r}))"
    await visitor.until(back.format("has dropped out"))
    await visitor.until(back.format("is back"))
    await visitor.type("Hola.")
    await visitor.end(served)
    assert len(await served.sessions(await visitor.visit())) == 1


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        pytest.param(
            [
                ("enters", "g1", "grammar-specialist"),
                ("sends", "g1", "loqua.outcome"),
                ("leaves", "g1"),
            ],
            [CAME, LEFT],
            id="outcome before it leaves",
        ),
        pytest.param(
            [
                ("enters", "g1", "grammar-specialist"),
                ("leaves", "g1"),
                ("sends", "g1", "loqua.outcome"),
                ("passes",),
            ],
            [CAME, LEFT],
            id="outcome after it has left",
        ),
        pytest.param(
            [("enters", "g1", "grammar-specialist"), ("leaves", "g1"), ("passes",)],
            [CAME, LOST],
            id="no outcome",
        ),
        pytest.param(
            [
                ("enters", "g1", "grammar-specialist"),
                ("leaves", "g1"),
                ("enters", "g2", "grammar-specialist"),
                ("passes",),
            ],
            [CAME, LOST, BACK],
            id="another in its place at once",
        ),
        pytest.param(
            [
                ("enters", "g1", "grammar-specialist"),
                ("leaves", "g1"),
                ("connection", "reconnecting"),
                ("passes",),
                ("enters", "g1", "grammar-specialist"),
                ("connection", "connected"),
                ("passes",),
            ],
            [CAME],
            id="the learner's own connection restarts",
        ),
        pytest.param(
            [
                ("enters", "g1", "grammar-specialist"),
                ("connection", "reconnecting"),
                ("leaves", "g1"),
                ("passes",),
                ("connection", "connected"),
                ("passes",),
            ],
            [CAME, LOST],
            id="lost while the learner reconnects",
        ),
        pytest.param(
            [
                ("sends", "g1", "loqua.due", {"topics": ["travel"]}),
                ("enters", "g1", "grammar-specialist"),
                ("passes",),
            ],
            ["Due again travel", CAME],
            id="its first words before it enters",
        ),
        pytest.param(
            [("sends", "stranger", "loqua.due", {"topics": ["travel"]}), ("passes",)],
            [],
            id="no tutor",
        ),
    ],
)
async def test_participants_and_texts_arrive_in_any_order(
    visitor: Visitor, steps: list[tuple[object, ...]], shown: list[str]
) -> None:
    """LiveKit sends them on two channels: a tutor who has left has not dropped out."""
    assert await visitor.page.evaluate(IN_ANY_ORDER, steps) == shown


async def test_without_a_microphone_a_person_types(visitor: Visitor) -> None:
    """The page says so, and the lesson goes on."""
    await visitor.page.evaluate(REFUSES_MICROPHONE)
    await visitor.enter(typing=False)
    assert await visitor.barriers() == []
    assert "No microphone was found" in await visitor.page.inner_text("#problem-text")
    assert await visitor.page.get_attribute("#microphone", "data-state") == "none"
    await visitor.type("Hola.")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        pytest.param(
            "**/api/visits", {"error": "api_down"}, "The Loqua API does not answer", id="API down"
        ),
        pytest.param(
            "**/api/visits",
            {"url": "ws://127.0.0.1:9", "token": "t", "room": "r", "visit": "v", "learner": "l"},
            "LiveKit cannot be reached",
            id="LiveKit down",
        ),
    ],
)
async def test_a_start_that_fails_says_why_and_can_be_tried_again(
    visitor: Visitor, path: str, body: dict[str, str], words: str
) -> None:
    """The choices stay."""
    status = 502 if "error" in body else 200
    await visitor.page.route(path, lambda route: route.fulfill(status=status, json=body))
    await visitor.page.click("#start-typing")
    await visitor.page.wait_for_selector(f"#problem-text:has-text('{words}')")
    await visitor.page.wait_for_selector("#start:enabled")
    assert await visitor.barriers() == []
    assert await visitor.page.inner_text("#problem-action") == "Try again"
    visitor.complaints.clear()  # the other LiveKit is not in the policy


async def test_a_key_that_livekit_refuses_is_said_to_be_one(
    served: Playground, visitor: Visitor
) -> None:
    """API and LiveKit have different secrets."""
    visit = {
        "url": served.parts.livekit.url,
        "token": "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJvdGhlciJ9.AAAA",
        "room": "r",
        "visit": "v",
        "learner": "l",
    }
    await visitor.page.route("**/api/visits", lambda route: route.fulfill(json=visit))
    await visitor.page.click("#start-typing")
    await visitor.page.wait_for_selector("#problem-text:has-text('LiveKit refuses the key')")
    assert await visitor.barriers() == []


async def test_the_page_speaks_spanish_in_full(visitor: Visitor) -> None:
    """All texts are there in both languages, and the choice is one click."""
    keys = await visitor.page.evaluate("import('./texts.js').then((it) => it.TEXT_KEYS)")
    assert sorted(keys["en"]) == sorted(keys["es"])
    await visitor.page.click("[data-language=es]")
    assert await visitor.page.inner_text("h1") == "Habla con un tutor"
    assert await visitor.page.get_attribute("html", "lang") == "es"
    await visitor.enter()
    assert await visitor.page.inner_text("#end") == "Terminar la clase"
    await visitor.page.click("[data-language=en]")
    assert await visitor.page.inner_text("#end") == "End lesson"
    await visitor.page.click("[data-language=es]")
    assert await visitor.barriers() == []


async def test_a_lesson_can_be_begun_by_keyboard(visitor: Visitor) -> None:
    """From the first field to the tutor's greeting."""
    page = visitor.page
    await page.focus("input[name=learner]:checked")
    await page.keyboard.press("ArrowDown")
    assert await page.input_value("input[name=learner]:checked") == "user_ben"
    await page.focus("#start-typing")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".entry.tutor")
    assert await page.evaluate("document.activeElement.id") == "typed"


async def test_scores_over_sessions_are_bars_with_their_numbers(visitor: Visitor) -> None:
    """Of the lessons in which something was scored; in both schemes, for all readers."""
    held = {"at": "2026-01-02T10:00:00Z", "minutes": 4.5, "performance": "good", "score": 72.4}
    await visitor.page.evaluate(
        """async (history) => {
            const { reportView } = await import('./report-view.js');
            const shown = { sessions: [], state: 'arrived', history };
            document.getElementById('main').replaceChildren(reportView(shown));
        }""",
        [held, {**held, "score": None}],
    )
    scores = visitor.page.locator("#so-far td:last-child")
    assert await scores.all_inner_texts() == ["72", "\N{EN DASH}"]
    bar = visitor.page.locator("#so-far .level.fair")
    assert await bar.evaluate("(bar) => bar.style.getPropertyValue('--score')") == "72.4%"
    assert await visitor.barriers() == []


async def test_scores_stand_below_the_learners_words_although_they_come_first(
    visitor: Visitor,
) -> None:
    """Once a turn: those of a learner who continued replace those of the pause."""
    shown = await visitor.page.evaluate(
        """async () => {
            const { LessonView } = await import('./lesson-view.js');
            const view = new LessonView({ transcript: { entries: [] } });
            const say = (id, speaker) =>
                view.showEntry({ id, speaker, name: '', text: id, final: true, marks: [] });
            const score = (score) => view.showScore({ text: '', score, words: [] }, null, null);
            say('Repeat.', 'tutor');
            score(40);
            score(81);
            say('I read.', 'learner');
            say('Very good.', 'tutor');
            score(72);
            const shown = (item) =>
                item.querySelector('.words:not(ul)') ?? item.querySelector('.total');
            return [...view.list.children].map((item) => shown(item).textContent);
        }"""
    )
    assert shown == ["Repeat.", "I read.", "81", "Very good.", "72"]


async def test_a_correction_is_placed_at_its_words(visitor: Visitor) -> None:
    """Captions and turns may differ; offsets count code points."""
    cases = [
        ("Yo es.", ("Yo es.", 3, 5), "es"),
        ("😀 Yo es.", ("😀 Yo es.", 5, 7), "es"),
        ("es aquí.", ("Yo es aquí.", 3, 5), "es"),  # the end of a turn with a pause
        ("Yo es. ¿Y tú?", ("Yo es.", 3, 5), "es"),  # more than the turn
        ("Yo Es.", ("bueno yo es", 9, 11), "Es"),  # written in another way
        ("Yo soy est", ("Yo es.", 3, 5), None),  # part of another word
        ("Hola.", ("Yo es.", 3, 5), None),
    ]
    placed = await visitor.page.evaluate(
        """async (cases) => {
            const { place } = await import('./transcript.js');
            return cases.map(([text, [whole, start, end]]) => {
                const placed = place([{ text }], { text: whole, start, end });
                return placed ? text.slice(...placed.span) : null;
            });
        }""",
        cases,
    )
    assert placed == [wrong for _, _, wrong in cases]


async def test_a_correction_is_placed_in_its_own_turn(visitor: Visitor) -> None:
    """Not in a later one that has the same words, nor in one that is still being said."""
    marked = await visitor.page.evaluate(
        """async () => {
            const { Transcript } = await import('./transcript.js');
            const transcript = new Transcript();
            const correction = { text: "Yo es Ana.", start: 3, end: 5, corrected: "soy" };
            transcript.say("1", "learner", "", "Yo es", false);
            const early = transcript.correct(correction);
            transcript.say("1", "learner", "", "Yo es Ana.", true);
            transcript.say("2", "learner", "", "Ella es de aquí.", true);
            transcript.correct({ ...correction, corrected: "yo soy" });
            return [early ?? null, ...transcript.entries.map(({ marks }) => marks.length)];
        }"""
    )
    assert marked == [None, 2, 0]
