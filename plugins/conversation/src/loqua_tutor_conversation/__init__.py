"""The conversation tutor."""
