"""`python -m loqua_speech` is `loqua-speech`."""

from loqua_speech.server import main

main()
