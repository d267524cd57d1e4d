"""The errors of this package, with messages for operators.

SpeechError
├── WeightsError            a model is missing or not the one it claims to be
└── RequestError            a request that is answered with an error
    ├── UnreadableAudioError    400
    ├── UnknownLanguageError    400
    ├── UnknownVoiceError       400
    ├── UnscorableTextError     400
    ├── UnknownModelError       404
    └── BusyError               503, may be sent again
"""

from typing import ClassVar


class SpeechError(Exception):
    """The base class of this package's errors."""


class WeightsError(SpeechError):
    """A model cannot be loaded, or its weights are not genuine."""


class RequestError(SpeechError):
    """A request that is answered with an error in OpenAI's format."""

    status: ClassVar[int] = 400
    code: ClassVar[str]
    param: ClassVar[str | None] = None


class UnreadableAudioError(RequestError):
    """The upload holds no audio that can be decoded, or more than is accepted."""

    code = "invalid_audio"
    param = "file"


class UnknownLanguageError(RequestError):
    """The model does not know the language."""

    code = "unknown_language"
    param = "language"


class UnknownVoiceError(RequestError):
    """No voice speaks the language."""

    code = "unknown_voice"
    param = "voice"


class UnscorableTextError(RequestError):
    """The text has no words, too many, or words whose pronunciation is unknown."""

    code = "invalid_text"
    param = "text"


class UnknownModelError(RequestError):
    """The endpoint does not serve the model."""

    status = 404
    code = "model_not_found"
    param = "model"


class BusyError(RequestError):
    """The queue of utterances to recognise is full."""

    status = 503
    code = "overloaded"
