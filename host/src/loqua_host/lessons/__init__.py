"""Lessons in the host: prepare, open, follow, close."""
