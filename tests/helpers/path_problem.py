"""Activations with shared input as a dense normal distribution, and the filter run on them."""

import numpy as np

from pymc_glm.kernels.normal_activation import quadrature
from pymc_glm.kernels.path_filter import Delays, factors_of, filter_path, prior_belief

BIN_WIDTH = 0.002
RULE = quadrature()


def correlation_at(lag, timescale, smoothness, step):
    """Correlation of an autoregression at a lag in steps."""
    r = np.exp(-step * BIN_WIDTH / timescale)
    more = lag * (1 - r**2) / (1 + r**2) if smoothness > 1 else 0
    return r**lag * (1 + more)


class Problem:
    """Two factors of different smoothness and grid, three neurons, two segments, unseen bins."""

    n_bins, n_posts, starts = 40, 3, (0, 23)
    timescale, smoothness, step = np.array([0.01, 0.03]), np.array([0.5, 1.5]), np.array([1, 4])

    def __init__(self, n_factors=2, seed=1, delay=None, most=0, **other):
        rng = np.random.default_rng(seed)
        for name in ("timescale", "smoothness", "step"):
            setattr(self, name, np.array(other.get(name, getattr(self, name)))[:n_factors])
        self.loadings = rng.normal(0, 0.8, (self.n_posts, n_factors))
        self.psi = rng.normal(-1.5, 0.5, (self.n_bins, self.n_posts))
        self.segment = (np.arange(self.n_bins) >= self.starts[1]).astype(int)
        self.place = np.arange(self.n_bins) - np.array(self.starts)[self.segment]
        self.seen = ~np.isin(np.arange(self.n_bins), (5, 6, 7, 30))
        self.delays = None if delay is None else Delays(np.array(delay), most)

    def factors(self):
        return factors_of(
            self.loadings, self.timescale, self.smoothness, self.step, BIN_WIDTH, self.delays
        )

    def covariance(self):
        """Of the activations, (time, post, time, post)."""
        total = np.zeros((self.n_bins, self.n_posts) * 2)
        same = (self.segment[:, None] == self.segment)[:, None, :, None]
        late = np.zeros(self.n_posts, int)
        if self.delays is not None:
            late = self.delays.most - self.delays.each
        for k, loading in enumerate(self.loadings.T):
            grid = (self.place[:, None] + late) // self.step[k]
            lag = np.abs(grid[:, :, None, None] - grid)
            path = same * correlation_at(lag, self.timescale[k], self.smoothness[k], self.step[k])
            total += loading[:, None, None] * loading * path
        return total

    def given(self, counts, noise, before, at):
        """Mean and variance of one activation given counts of Gaussian noise, by flat indices."""
        full = self.covariance().reshape(self.psi.size, -1)
        known = full[np.ix_(before, before)] + noise * np.eye(len(before))
        gain = np.linalg.solve(known, full[before, at])
        mean = self.psi.ravel()[at] + gain @ (counts - self.psi).ravel()[before]
        return mean, full[at, at] - gain @ full[before, at]

    def filtered(self, likelihood_of, counts, pieces=1, rng=None):
        """Log densities; mean and variance of psi, before and in turn; draws; each (time, post)."""
        factors = self.factors()
        belief = prior_belief(factors)
        found = []
        for bins in np.array_split(np.arange(self.n_bins), pieces):
            density = np.zeros((bins.size, self.n_posts))
            before, turn = np.zeros((2, 2, bins.size, self.n_posts))
            normals = np.empty((0, belief.mean.size))
            if rng is not None:
                normals = rng.standard_normal((bins.size, belief.mean.size))
            drawn = np.empty((len(normals), self.n_posts))
            filter_path(
                factors, belief, likelihood_of(counts[bins]), self.psi[bins],
                self.place[bins], self.seen[bins], np.arange(bins.size), RULE, density, before,
                turn, normals, drawn,
            )  # fmt: skip
            found.append((density, *before, *turn, drawn))
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]
