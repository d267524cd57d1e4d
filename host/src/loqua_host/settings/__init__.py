"""Settings and secrets of the host, from config/ and environment variables, with validation."""
