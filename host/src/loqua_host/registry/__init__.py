"""Plugins: discovery, inspection in a child process, loading, hook calls with time limits."""
