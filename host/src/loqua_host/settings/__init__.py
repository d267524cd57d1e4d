"""What the host is told: config/, the environment, and the secrets, all checked at start."""
