"""Prediction of the spikes of a neuron that was not in the fit."""
