"""`python -m loqua_host` is `loqua-host`."""

from loqua_host.cli import main

main()
