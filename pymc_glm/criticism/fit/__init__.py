"""Goodness of fit: rates, time rescaling, residuals and predictive checks."""
