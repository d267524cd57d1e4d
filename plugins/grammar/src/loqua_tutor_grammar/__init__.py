"""The grammar tutor."""
