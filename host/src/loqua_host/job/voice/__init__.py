"""The voice session of a lesson: audio input and output, and who speaks."""
