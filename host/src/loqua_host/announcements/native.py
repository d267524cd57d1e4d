"""LiveKit's native library, told to keep its log to itself.

It hands every line to Python, those of libwebrtc's lowest level among them, to be dropped there
(livekit 1.1.21, rtc/_ffi_client.py): 0.15 s of a processor for each room that is entered, three
times what entering takes.
"""

from typing import Any

from livekit.rtc import _ffi_client

__all__ = ["silence_native_log"]


def silence_native_log() -> None:
    """Have it log nothing; to be called before the process first uses it."""
    client: Any = _ffi_client  # a part of LiveKit's that is nobody else's
    load = client.get_ffi_lib
    client.get_ffi_lib = lambda: _Library(load())


class _Library:
    """The library, started without its log."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.livekit_ffi_initialize = _Start(library.livekit_ffi_initialize)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


class _Start:
    """What starts the library, a C function that takes its arguments' types as an attribute."""

    def __init__(self, start: Any) -> None:
        self._start = start

    @property
    def argtypes(self) -> Any:
        """The types of its arguments."""
        return self._start.argtypes

    @argtypes.setter
    def argtypes(self, types: Any) -> None:
        self._start.argtypes = types

    def __call__(self, callback: object, _with_log: object, *client: bytes) -> object:
        """Start it."""
        return self._start(callback, False, *client)
