"""Voice activity, detected without a network connection."""

import os
import subprocess
import sys
from pathlib import Path


def test_listening_leaves_no_file_and_reports_nothing(tmp_path: Path) -> None:
    """ONNX Runtime of PyPI keeps a telemetry session in the temporary directory if it may."""
    code = (
        "import numpy; from loqua_speech.voice_activity import detect_voice;"
        "detect_voice(numpy.ones(512, numpy.float32))"
    )
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    environ.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environ, check=True)  # noqa: S603  # ours
    assert list(tmp_path.iterdir()) == []
