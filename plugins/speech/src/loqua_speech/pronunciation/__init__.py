"""Pronunciation scores of a known English text from the audio, on a CPU.

`Scorer.packaged()` loads it; MODEL_CARD.md says what its scores mean and how good they are.
"""
