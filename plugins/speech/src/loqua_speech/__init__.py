"""Offline speech for tutors: a local server with OpenAI's audio API."""
