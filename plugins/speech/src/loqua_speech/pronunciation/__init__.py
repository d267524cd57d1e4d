"""Pronunciation of a known English text, scored from the sound itself, on a CPU.

`Scorer.packaged()` loads it; MODEL_CARD.md says what its scores mean and how good they are.
"""
