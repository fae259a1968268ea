"""Passes over the bins in blocks of time, against dense sums over the whole recording.

Spikes just before and after the borders of blocks are planted in all neurons: passes that lose a
filter at a border, or add it twice, are off by far more than rounding.
"""

import numpy as np
import pytest
from scipy.special import expit

from helpers.columns import dense_history
from pymc_glm.kernels import likelihood as kernel
from pymc_glm.kernels.custom_density import CustomDensity
from pymc_glm.kernels.edge_proposal import find_mode, log_likelihoods_with, scratch_of
from pymc_glm.kernels.history import convolve_history
from pymc_glm.kernels.likelihood import CUSTOM, GAUSSIAN, LOGISTIC, POISSON
from pymc_glm.kernels.network_gradient import mean_history
from pymc_glm.kernels.passes import log_likelihood_at, slopes_at, write_products
from pymc_glm.kernels.prior import NetworkPrior, edge_prior
from pymc_glm.kernels.spike_history import (
    BLOCK,
    drive_of,
    runs_with_history,
    spike_history,
    write_information,
    write_psi,
)

T, M, B, LAGS = 2 * BLOCK + 700, 3, 2, 30
BORDERS = [BLOCK - LAGS - 1, BLOCK - LAGS, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, T - 2, T - 1]
TRACE = 3  # a pre neuron that is not zero in most bins; the covariates come after it


def cubic(count, psi, dispersion):
    """A log density that is that of no other family: its third derivative is constant."""
    return (
        dispersion * (count * psi - psi**2 - 0.01 * psi**3),
        dispersion * (count - 2 * psi - 0.03 * psi**2),
        dispersion * (2 + 0.06 * psi),
    )


FAMILIES = {
    "Bernoulli": (LOGISTIC, 1.0, 0.0, 1, None),
    "negative binomial": (LOGISTIC, 2.5, 1.0, 9, None),
    "Poisson": (POISSON, 1.0, 0.0, 5, None),
    "traces": (GAUSSIAN, 1.7, 0.0, None, None),
    "custom": (CUSTOM, 0.7, 0.0, 4, CustomDensity(cubic)),
}
each_family = pytest.mark.parametrize("family", FAMILIES)
each_recording = pytest.mark.parametrize("recording", ["whole", "segments", "excluded"])


def recording_of(kind):
    """History as it is stored, and written out by a convolution (time, pre, basis)."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.01, (T, M))
    counts[BORDERS] += rng.integers(1, 4, (len(BORDERS), M))
    basis = rng.normal(size=(LAGS, B))
    starts, bins = np.zeros(1, np.int64), None
    if kind != "whole":  # one ends with spikes within reach of a border, one has a single bin
        starts = np.array([0, 1000, 1001, BLOCK - 5, BLOCK + 2, 2 * BLOCK])
    if kind == "excluded":
        out = rng.random(T) < 0.02
        out[BLOCK - 3 : BLOCK + 40] = out[2 * BLOCK + 100 : 2 * BLOCK + 250] = True
        bins = np.flatnonzero(~out)
    kept = slice(None) if bins is None else bins
    trace, covariates = 0.3 * rng.normal(size=(T, 1)), rng.normal(size=(T, B))
    covariates[:500] = 0.0
    every = np.concatenate([counts, trace], axis=1)
    stored = spike_history(every, basis, starts, bins, [covariates])
    dense = np.concatenate([convolve_history(every, basis, starts), covariates[:, None]], axis=1)
    return stored, dense[kept]


def density_of(name, counts, psi):
    """Log density of each bin, and its first derivative."""
    family, dispersion, slope, _, density = FAMILIES[name]
    if family == LOGISTIC:
        n = dispersion + slope * counts
        return counts * psi - n * np.logaddexp(0, psi), counts - n * expit(psi)
    if family == POISSON:
        return counts * psi - dispersion * np.exp(psi), counts - dispersion * np.exp(psi)
    if family == GAUSSIAN:
        return -0.5 * dispersion * (counts - psi) ** 2, dispersion * (counts - psi)
    return density.function(counts, psi, dispersion)[:2]


def example(name, stored):
    """Counts, likelihood and coefficients of one post neuron; one pre neuron has no edge."""
    family, dispersion, slope, most, density = FAMILIES[name]
    rng = np.random.default_rng(5)
    counts = rng.normal(size=stored.n_bins)
    if most is not None:
        counts = rng.integers(0, most + 1, stored.n_bins).astype(np.int8)
    weights = 0.2 * rng.normal(size=(stored.n_pre, B))
    weights[1] = 0.0
    return counts, kernel.NeuronLikelihood(family, dispersion, slope, density), -0.4, weights


@each_recording
def test_the_history_is_that_of_a_convolution(recording):
    stored, dense = recording_of(recording)
    assert (stored.group >= 0).tolist() == [False] * M + [True, True]
    assert stored.spikes.bins.dtype == np.int32
    np.testing.assert_allclose(dense_history(stored), dense, atol=1e-12)
    np.testing.assert_allclose(mean_history(stored), dense.mean(axis=0), atol=1e-12)
    values = np.random.default_rng(1).normal(size=stored.n_bins)
    information, product = np.empty((B, B)), np.empty(B)
    for m in range(stored.n_pre):
        write_information(stored, m, values, information)
        expected = (dense[:, m].T * values) @ dense[:, m]
        np.testing.assert_allclose(information, expected, atol=1e-9)
        write_products(stored, 0, np.full(1, m), values, product.reshape(1, -1))
        np.testing.assert_allclose(product, values @ dense[:, m], atol=1e-10)
        runs = np.empty((BLOCK, 2), int)
        for low in range(0, stored.n_bins, BLOCK):
            high = min(low + BLOCK, stored.n_bins)
            inside = np.zeros(high - low, bool)
            for first, last in runs[: runs_with_history(stored, m, low, high, runs)]:
                assert not inside[max(first - 1, 0) : last].any()  # apart from each other
                inside[first:last] = True
            if m < M:
                np.testing.assert_array_equal(inside, dense[low:high, m].any(axis=1))
            else:
                assert inside.all()


def test_spikes_take_five_bytes():
    counts = (np.random.default_rng(0).random((T, M)) < 0.02).astype(np.int8)
    spikes = spike_history(counts, np.ones((LAGS, B))).spikes
    assert spikes.bins.nbytes + spikes.counts.nbytes == 5 * counts.sum()
    many = spike_history(300 * counts.astype(int), np.ones((LAGS, B))).spikes
    assert many.counts.max() == 300


@each_recording
@each_family
def test_passes_are_sums_over_all_bins(family, recording):
    stored, dense = recording_of(recording)
    counts, neuron, bias, weights = example(family, stored)
    psi = bias + np.einsum("tmb,mb->t", dense, weights)
    found = np.empty(stored.n_bins)
    write_psi(stored, 0, bias, weights, found)
    np.testing.assert_allclose(found, psi, atol=1e-11)
    density, slope = density_of(family, counts.astype(float), psi)
    drive = drive_of(stored, bias, weights)
    value = log_likelihood_at(stored, 0, neuron, counts, drive)
    np.testing.assert_allclose(value, density.sum(), rtol=1e-11)
    for slots in (np.arange(stored.n_pre), np.array([0, 2, TRACE + 1]), np.zeros(0, int)):
        gradient = np.full((slots.size, B), np.nan)
        given = stored, 0, neuron, counts, drive, slots
        value, in_bias = slopes_at(*given, True, gradient)
        np.testing.assert_allclose(value, density.sum(), rtol=1e-11)
        np.testing.assert_allclose(in_bias, slope.sum(), atol=1e-8)
        expected = np.einsum("t,tmb->mb", slope, dense[:, slots])
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-8)
        again = np.empty_like(gradient)
        assert slopes_at(*given, False, again) == (0.0, in_bias)
        np.testing.assert_array_equal(again, gradient)


@each_recording
@each_family
def test_proposals_look_at_the_bins_of_an_edge(family, recording):
    stored, dense = recording_of(recording)
    counts, neuron, bias, weights = example(family, stored)
    rng = np.random.default_rng(2)
    for m in (0, TRACE):
        rest = weights.copy()
        rest[m] = 0.0
        psi = bias + np.einsum("tmb,mb->t", dense, rest)
        candidates, out = 0.3 * rng.normal(size=(2, B)), np.empty(2)
        scratch = scratch_of(counts)
        log_likelihoods_with(stored, m, neuron, psi, counts, candidates, scratch, out)
        there = dense[:, m].any(axis=1) | (m == TRACE)  # of columns, all bins are looked at
        both = [density_of(family, counts * 1.0, psi + dense[:, m] @ w)[0] for w in candidates]
        np.testing.assert_allclose(out, np.sum(both, axis=1, where=there), rtol=1e-10)
        ones = np.ones((1, stored.n_pre))
        means, precision = np.zeros((1, stored.n_pre, B)), ones[..., None, None] * np.eye(B)
        prior = edge_prior(NetworkPrior(ones, means, precision, np.zeros(1), np.ones(1)))
        mode, lower = np.zeros(B), np.empty((B, B))
        given = stored, m, neuron, psi, counts, prior, 0
        for _ in range(20):
            find_mode(*given, 1, scratch, mode, lower)
        slope = density_of(family, counts * 1.0, psi + dense[:, m] @ mode)[1]
        np.testing.assert_allclose(slope @ dense[:, m] - mode, 0.0, atol=1e-6)
        h = 1e-5
        shifted = [
            density_of(family, counts * 1.0, psi + dense[:, m] @ mode + s)[1] for s in (-h, h)
        ]
        curvature = (shifted[0] - shifted[1]) / (2 * h)
        expected = (dense[:, m].T * curvature) @ dense[:, m] + np.eye(B)
        np.testing.assert_allclose(
            np.tril(lower) @ np.tril(lower).T, expected, rtol=1e-5, atol=1e-3
        )
