"""The manifests of an overlay, built by kustomize."""

import subprocess
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[3] / "config/kubernetes"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


@cache
def build(overlay: str) -> Sequence[dict[str, Any]]:
    """Return the manifests of an overlay."""
    built = subprocess.run(  # noqa: S603  # arguments of tests
        [KUBECTL, "kustomize", KUBERNETES / overlay], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def find(manifests: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only manifest of a kind."""
    [found] = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found
