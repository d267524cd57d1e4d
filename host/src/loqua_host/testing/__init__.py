"""The kit for tutor authors."""
