"""Numerical kernels: arrays in, arrays out, independent of PyMC and xarray."""
