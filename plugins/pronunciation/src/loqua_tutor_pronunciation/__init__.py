"""The pronunciation tutor."""
