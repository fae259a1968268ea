"""Scores of neurons that a fit has not seen."""
