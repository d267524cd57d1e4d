"""LiveKit workers: one AgentServer per tutor, under a supervisor."""
