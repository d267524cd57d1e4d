"""LiveKit's rooms API, as the host asks it."""
