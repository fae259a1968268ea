"""Numerical kernels: arrays in, arrays out. Nothing here knows PyMC or xarray."""
