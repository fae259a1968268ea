"""Whether the model fits: rates, time rescaling, residuals, predictive checks."""
