"""Predictive scores: leave-one-out, held-out data, comparison of models."""
