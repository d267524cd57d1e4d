"""Client of LiveKit's rooms API, and its webhooks."""
