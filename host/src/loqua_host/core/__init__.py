"""The auth and API core: acts for the learner towards the Loqua API. Knows no LiveKit."""
