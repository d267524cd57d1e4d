"""The command `loqua-speech`, as `python -m loqua_speech`."""

from loqua_speech.server import main

main()
