"""The checks of `loqua-host check --live`."""
