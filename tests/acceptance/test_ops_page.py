"""The status page in a browser during an incident."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from tests.pictures.browser import chromium, find_barriers
from tests.pictures.incident import OUTAGE, TOKEN, incident, serve_page
from tests.pictures.ops_page import open_page

from loqua_host.ops.snapshot import ErrorSnapshot, HostSnapshot
from loqua_host.ops.status import WorkerStatus

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=1</script>&amp;'


@dataclass
class Served:
    """A served page and what it shows."""

    url: str
    snapshot: HostSnapshot
    browser: Browser

    async def open(self, *, width: int = 1280, scheme: str = "light", query: str = "") -> Page:
        """Open the page as an operator does."""
        return await open_page(
            self.browser, f"{self.url}/{query}", width=width, height=900, scheme=scheme
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run a browser for all tests."""
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def served(browser: Browser) -> AsyncIterator[Served]:
    """Serve a host in trouble: three tutors, ten lessons, one failing endpoint."""
    host: Served
    async with serve_page(lambda: host.snapshot) as url:
        host = Served(url, incident(), browser)
        yield host
        for context in browser.contexts:
            await context.close()


async def refreshed(page: Page) -> None:
    """Wait until the page has asked again and shown the answer."""
    async with page.expect_response("**/status") as asked:
        pass
    await (await asked.value).finished()
    await page.evaluate("() => new Promise(requestAnimationFrame)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280], ids=["phone", "desktop"])
async def test_the_page_has_no_barriers_and_fits_its_screen(
    served: Served, width: int, scheme: str
) -> None:
    """For those who see little, hear it, or have only a keyboard; and nothing is blocked in it."""
    page = await served.open(width=width, scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.reload()
    await page.locator("#checks h3").first.wait_for()
    assert complaints == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await find_barriers(page) == []


async def test_what_is_wrong_comes_first_and_leads_to_its_runbook(served: Served) -> None:
    """With the reason, in words."""
    page = await served.open()
    problems = page.locator("#problems li")
    await expect(problems).to_have_count(4)
    await expect(problems.first).to_contain_text("503, an answer of its proxy")
    await expect(page).to_have_title(re.compile("^failed"))
    await problems.first.get_by_role("link", name="Runbook BreakerOpen").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("BreakerOpen")
    await page.get_by_role("link", name="Status").click()
    await expect(page.locator("#errors li")).to_have_count(5)


async def test_tutors_lessons_waiting_learners_and_the_last_hour_are_shown(served: Served) -> None:
    """All of it, in tables and pictures that have names."""
    page = await served.open()
    await expect(page.get_by_role("table", name="Tutors").locator("tbody tr")).to_have_count(3)
    await expect(page.get_by_role("table", name="Lessons").locator("tbody tr")).to_have_count(10)
    await expect(page.get_by_role("table", name="Waiting learners")).to_contain_text("23 s")
    await expect(page.get_by_role("img", name=re.compile(r"Lessons: \d+ at most"))).to_be_visible()
    await expect(page.get_by_role("img", name="Mean latency: hearing")).to_be_visible()


async def test_a_filter_outlives_refreshes_and_reloads(served: Served) -> None:
    """It is in the address, which can be sent to a colleague."""
    page = await served.open()
    rows = page.locator("#lessons tbody tr")
    await page.get_by_role("combobox").select_option("conversation")
    await page.get_by_label("in trouble").check()
    await expect(rows).to_have_count(2)
    await expect(page.locator("#lessons h2")).to_contain_text("2 of 10")
    await expect(page.locator("#errors")).to_contain_text("Nothing matches the filter")
    await refreshed(page)
    await expect(rows).to_have_count(2)
    assert page.url.endswith("/?tutor=conversation&state=degraded")
    await page.reload()
    await expect(rows).to_have_count(2)
    await expect(page.get_by_role("combobox")).to_have_value("conversation")


async def test_the_filter_of_a_tutor_narrows_the_last_hour_to_it(served: Served) -> None:
    """Figures, sparklines and latencies; what all tutors share stays."""
    page = await served.open()
    lessons = page.get_by_role("img", name=re.compile(r"Lessons: \d+ at most"))
    whole = await lessons.locator(".line").get_attribute("d")
    await expect(page.locator("#figures")).to_contain_text("mean of 960 replies")
    await page.get_by_role("combobox").select_option("pronunciation")
    figures = page.locator("#figures .value")
    await expect(figures).to_have_text(["2", "2", "1", re.compile("s$")])
    await expect(page.locator("#figures")).to_contain_text("mean of 240 replies")
    await expect(page.locator("#stages")).to_contain_text("of pronunciation")
    assert await lessons.locator(".line").get_attribute("d") != whole
    await expect(page.locator("#host .value").first).to_have_text("3")
    await page.get_by_role("combobox").select_option("grammar")
    await expect(page.get_by_role("img", name="Waiting learners: 0 at most")).to_be_visible()


async def test_focus_stays_on_what_it_is_on_while_errors_come_in(served: Served) -> None:
    """Else nobody could follow a link by keyboard."""
    page = await served.open()
    await page.get_by_role("link", name="Runbook ConfigStale").focus()
    newest = served.snapshot.errors[0]
    more = [newest.model_copy(update={"event": f"new.error_{n}"}) for n in range(3)]
    served.snapshot = served.snapshot.model_copy(
        update={"errors": (*more, *served.snapshot.errors)}
    )
    await expect(page.locator("#errors li")).to_have_count(8)
    focused = page.locator("a:focus")
    await expect(focused).to_have_text("Runbook ConfigStale")
    assert await focused.evaluate("(a) => a.closest('li').textContent.includes('config.refused')")


async def test_nothing_that_the_host_says_becomes_markup(served: Served) -> None:
    """Names of tutors and agents are others' words, and an error may quote a participant."""
    worker = WorkerStatus(MARKUP, MARKUP, online=True, busy=0, places=1)
    hostile = incident(replace(OUTAGE, workers=(worker,), stale_config=MARKUP))
    error = ErrorSnapshot.model_validate(
        {
            **served.snapshot.errors[0].model_dump(),
            **dict.fromkeys(("event", "why", "hint", "tutor", "runbook"), MARKUP),
        }
    )
    served.snapshot = hostile.model_copy(update={"errors": (error,)})
    page = await served.open()
    await expect(page.locator("#tutors")).to_contain_text(MARKUP)
    await expect(page.locator("#errors")).to_contain_text(MARKUP)
    await expect(page.locator("#problems")).to_contain_text(MARKUP)
    assert await page.locator("img, body script").count() == 0
    assert await page.title() == "failed · loqua-host"
    await page.get_by_role("combobox").select_option(MARKUP)
    await expect(page.locator("#tutors tbody tr")).to_have_count(1)


async def test_a_change_is_announced_once_to_those_who_hear_the_page(served: Served) -> None:
    """A refresh without a change is silent."""
    page = await served.open()
    announced = page.get_by_role("status")
    await expect(announced).to_have_text("failed: learners, engines, sessions, outbox")
    await page.evaluate(
        """window.said = 0;
        new MutationObserver(() => { window.said += 1; }).observe(
            document.getElementById("announcement"),
            { childList: true, characterData: true, subtree: true });"""
    )
    await refreshed(page)
    assert await page.evaluate("window.said") == 0
    served.snapshot = incident(replace(OUTAGE, waiting=()))
    await expect(announced).to_have_text("failed: engines, sessions, outbox")
    assert await page.evaluate("window.said") == 1


async def test_a_host_that_is_gone_is_not_shown_as_well(served: Served) -> None:
    """The last snapshot stays, and is said to be the last."""
    page = await served.open()
    await page.route("**/status", lambda route: route.abort())
    await expect(page.locator("#heard")).to_contain_text("the host does not answer")
    await page.unroute("**/status")
    await page.route("**/status", lambda route: route.fulfill(status=401))
    await expect(page.locator("#heard")).to_contain_text("OPS_TOKEN")
    await expect(page.locator("#tutors tbody tr")).to_have_count(3)
    await page.unroute("**/status")
    await expect(page.locator("#heard")).to_contain_text("as of")


async def test_without_the_token_the_browser_gets_nothing(served: Served) -> None:
    """All paths of the ops address refuse it."""
    context = await served.browser.new_context()
    answer = await context.request.get(served.url)
    assert answer.status == 401
    assert TOKEN.get_secret_value() not in await answer.text()
