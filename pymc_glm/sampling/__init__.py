"""Sampling: `sample`, initial points, more draws, and refits for cross-validation."""
