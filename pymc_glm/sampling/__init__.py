"""Sampling: `sample`, where chains start, more draws, and refits for cross-validation."""
