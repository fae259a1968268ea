"""A bootstrap particle filter of shared input: a slow, independent computation.

Gordon, Salmond & Smith (1993, IEE Proceedings F 140:107), with systematic resampling (Kitagawa
1996, J. Comput. Graph. Stat. 5:1) after each bin. The product of the mean weights is an unbiased
estimate of the likelihood.
"""

import numpy as np


def moved(path, place, timescale, smoothness, step, rng):
    """Values (particle, 2), latest first, of one factor at its next grid point."""
    r = np.exp(-step / timescale)
    noise = rng.standard_normal(len(path))
    if place == 0:
        return np.column_stack([noise, np.zeros(len(path))])
    if smoothness < 1:
        new = r * path[:, 0] + np.sqrt(1 - r**2) * noise
    elif place == 1:
        rho = 2 * r / (1 + r**2)
        new = rho * path[:, 0] + np.sqrt(1 - rho**2) * noise
    else:
        new = 2 * r * path[:, 0] - r**2 * path[:, 1]
        new += np.sqrt((1 - r**2) ** 3 / (1 + r**2)) * noise
    return np.column_stack([new, path[:, 0]])


def particle_filter(log_density, psi, loadings, timescale, smoothness, step, bin_width, starts,
                    n_particles, rng):  # fmt: skip
    """Estimates of the log predictive density of each bin, (time,).

    log_density(t, psi) takes psi (particle, post) and returns log densities (particle,);
    step (factor,) is in bins.
    """
    n_factors = len(timescale)
    path = np.zeros((n_factors, n_particles, 2))
    out = np.empty(len(psi))
    first = 0
    for t in range(len(psi)):
        if t in starts:
            first = t
        for k in range(n_factors):
            if (t - first) % step[k] == 0:
                place = (t - first) // step[k]
                path[k] = moved(
                    path[k], place, timescale[k], smoothness[k], step[k] * bin_width, rng
                )
        log_weight = log_density(t, psi[t] + path[:, :, 0].T @ loadings.T)
        highest = log_weight.max()
        weight = np.exp(log_weight - highest)
        out[t] = highest + np.log(weight.mean())
        edges = np.cumsum(weight) / weight.sum()
        points = (np.arange(n_particles) + rng.random()) / n_particles
        path = path[:, np.searchsorted(edges, points).clip(max=n_particles - 1)]
    return out
