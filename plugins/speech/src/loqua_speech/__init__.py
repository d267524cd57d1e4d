"""Offline speech as one local server with OpenAI-compatible endpoints."""
