"""Shared input that reaches each neuron with its own delay, written out in plain loops."""

import numpy as np


def grid_index(starts, n_bins, steps, most, delay):
    """Grid point that each neuron reads in each bin, (time, post, factor).

    Grids of a segment begin `most` bins before it and end as many after it; all segments of the
    first factor come before those of the second.
    """
    index = np.empty((n_bins, len(delay), len(steps)), int)
    offset = 0
    for k, step in enumerate(steps):
        for first, end in zip(starts, [*starts[1:], n_bins], strict=True):
            for t in range(first, end):
                for n, late in enumerate(delay):
                    index[t, n, k] = offset + (t - first + most - late) // step
            offset += -(-(end - first + 2 * most) // step)
    return index


def delayed_input(starts, n_bins, steps, most, delay, factors, loadings):
    """What shared input adds to the activations, (time, post)."""
    return (factors[grid_index(starts, n_bins, steps, most, delay)] * loadings).sum(axis=2)
