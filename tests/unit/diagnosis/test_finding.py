"""The execution of checks: in order, within a limit, and stopped at a failed prerequisite."""

import asyncio

from loqua_host.diagnosis.finding import (
    Check,
    CheckState,
    Verdict,
    broken,
    failed,
    in_order,
    ok,
    untried,
)


def check(name: str, verdict: Verdict, *, gate: bool = False) -> Check:
    """Return a check that is through at once."""

    async def ask() -> Verdict:
        return verdict

    return Check(name, ask, hangs="", gate=gate)


async def test_past_a_gate_that_is_not_ok_nothing_is_tried() -> None:
    """Whether it failed or could not be tried; other failures stop nothing."""
    bad = failed("it is wrong", "fix it")
    findings = await in_order(
        [
            check("first", bad),
            check("second", ok("well"), gate=True),
            check("third", untried("no learner"), gate=True),
            check("fourth", ok("well")),
        ]
    )
    assert [one.verdict for one in findings[:3]] == [bad, ok("well"), untried("no learner")]
    assert findings[3].verdict == untried("comes after third")
    assert broken(findings) == "first"


async def test_a_gate_broken_before_leaves_all_untried() -> None:
    """By its name."""
    findings = await in_order([check("one", ok("well"))], after="the name")
    assert [one.verdict for one in findings] == [untried("comes after the name")]
    assert broken(await in_order([check("one", ok("well"))])) is None


async def test_a_check_that_hangs_fails_with_its_mend() -> None:
    """After its limit."""

    async def hang() -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    (finding,) = await in_order([Check("slow", hang, hangs="see the log", limit=0.01)])
    assert finding.verdict.state is CheckState.FAILED
    assert finding.verdict.hint == "see the log"
    assert finding.seconds >= 0.01
