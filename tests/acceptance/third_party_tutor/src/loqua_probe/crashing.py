"""A plugin whose import raises."""

raise RuntimeError("as its test says")
