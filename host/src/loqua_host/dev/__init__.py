"""Development tools: the demo, a Loqua API, a LiveKit server, synthetic learners."""
