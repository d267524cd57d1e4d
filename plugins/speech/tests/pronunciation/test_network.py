"""The acoustic model in numpy, compared with the package that its weights come from."""

from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from loqua_speech.audio import Samples
from loqua_speech.errors import WeightsError
from loqua_speech.pronunciation import network
from loqua_speech.pronunciation.network import PhoneNetwork
from loqua_speech.pronunciation.phones import BLANK, CLASSES, class_matrix


def test_posteriors_are_those_of_the_original_engine(recordings: dict[str, Samples]) -> None:
    """In every frame."""
    hama = pytest.importorskip("hama")
    samples = next(iter(recordings.values()))
    model = hama.ASRModel()
    feeds: dict[str, Any] = {"waveform": samples, "waveform_lengths": None}
    theirs, _ = model.session.run(["log_probs", "out_lengths"], feeds)
    mass = np.exp(theirs[0]) @ class_matrix(model.decoder_tokens)
    mass[:, BLANK] += mass[:, -1]  # a word boundary is no sound

    ours = PhoneNetwork.packaged().listen(samples)
    assert np.exp(ours.log_posteriors) == pytest.approx(mass[:, :CLASSES], abs=2e-3)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr(network, "find_spec", lambda _: None)

    with pytest.raises(WeightsError, match="hama is missing"):
        PhoneNetwork.packaged()


def test_a_file_of_other_weights_is_refused() -> None:
    """Rather than read as noise."""
    packed = files("hama.assets").joinpath("g2p_vocab.json").read_bytes()

    with pytest.raises(ValueError, match="hama"):
        network._read_weights(packed)
