"""The voice session of a lesson: what the tutor hears, what it says, and whose words are whose."""
