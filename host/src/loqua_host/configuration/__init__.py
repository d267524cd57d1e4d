"""config/ and secrets as they are read, and as they change under a running host."""
