"""LiveKit workers: one supervised AgentServer per tutor."""
