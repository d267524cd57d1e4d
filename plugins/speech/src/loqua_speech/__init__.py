"""Offline speech for tutors: one local server, spoken to as OpenAI's audio API is."""
