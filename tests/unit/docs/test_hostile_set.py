"""The threat model's table of the hostile set, compared with the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "host/docs/threat-model.md"
SET = ROOT / "tests/acceptance/third_party_tutor/src/loqua_probe/misbehaviour.py"

AT_IMPORT = {"crashes-at-import", "hangs-at-import"}
"""Modules beside the set: loqua_probe.crashing and loqua_probe.hanging."""


def names(constant: str) -> set[str]:
    """Return the keys of a mapping in the set's module, which only tutors import."""
    [mapping] = (
        node.value
        for node in ast.parse(SET.read_text()).body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == constant
    )
    assert isinstance(mapping, ast.Dict)
    return {str(key.value) for key in mapping.keys if isinstance(key, ast.Constant)}


def test_the_threat_model_has_a_row_for_each_hostile_tutor_and_no_other() -> None:
    """Each says what happens to its learner, to other lessons and to the host."""
    section = PAGE.read_text().partition("## The hostile set")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    documented = [name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(documented) == sorted(AT_IMPORT | names("MISBEHAVIOUR") | names("ATTEMPTS"))
    assert all(cell.strip() for row in rows for cell in row)
