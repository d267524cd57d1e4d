"""The configuration at run time: reading, reloading, rotation of secrets."""
