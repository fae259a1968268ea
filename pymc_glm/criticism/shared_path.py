"""Models with shared input: prediction one bin ahead, with the path integrated out."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pymc_glm.criticism.one_step import ObservedData, PostDraws, activations, post_draws
from pymc_glm.kernels.likelihood import CUSTOM, Likelihood
from pymc_glm.kernels.normal_activation import quadrature
from pymc_glm.kernels.path_filter import (
    expected_counts,
    factors_of,
    filter_path,
    prior_belief,
)
from pymc_glm.simulation.shared_input import (
    PathParameters,
    delays_of,
    has_shared_input,
    path_of_draw,
    steps_of,
)

__all__ = ["DrawFilter", "PathPiece", "draw_filter", "has_shared_input", "refuse_shared_input"]

_BINS = 2**14  # filtered at a time

type Floats = NDArray[np.float64]
type Kind = Literal["before", "turn", "drawn"]  # what is known of a bin: see `filter_path`


class PathPiece(NamedTuple):
    """What is known of some bins from all bins before each of them."""

    window: slice
    centre: Floats  # (time, post): mean of psi
    spread: Floats  # (time, post): its variance
    drawn: Floats  # (time, post): psi, drawn; or empty


def refuse_shared_input(tree: xr.DataTree, function: str, instead: str) -> None:
    """Raise ValueError if a model has shared input, for functions that cannot integrate it out.

    Parameters
    ----------
    tree : DataTree
        Result of sampling.
    function : str
        Name of the function.
    instead : str
        What to do.
    """
    if has_shared_input(tree):
        raise ValueError(
            f"tree: the model has shared input, which {function} cannot integrate out, and its "
            f"fitted path has seen the data; {instead}."
        )


class DrawFilter:
    """Predictions of the counts in one draw of the parameters, with the path integrated out.

    See `pymc_glm.kernels.path_filter`. The path that was fitted is not used.

    Parameters
    ----------
    data : ObservedData
    drawn : PostDraws
        One draw; each post neuron takes the place of a draw.
    path : PathParameters
        Checked, or from a draw.
    """

    def __init__(self, data: ObservedData, drawn: PostDraws, path: PathParameters) -> None:
        self._data, self._drawn, self._path = data, drawn, path
        parameter = drawn.parameter
        same = bool((parameter == parameter[0]).all())
        self.parameter: Any = float(parameter[0]) if same else parameter
        self._observation = data.observation.with_parameter(self.parameter)
        steps = steps_of(path, data.bin_width)
        self._factors = factors_of(
            path.loadings,
            path.timescale,
            path.smoothness,
            steps,
            data.bin_width,
            delays_of(path, data.bin_width),
        )
        self._rule = quadrature()
        n_bins = len(data.counts)
        self._seen = np.ones(n_bins, dtype=bool)
        if data.bins is not None:
            self._seen[:] = False
            self._seen[data.bins] = True
        lengths = np.diff(np.append(data.starts, n_bins))
        self._place = np.arange(n_bins) - np.repeat(data.starts, lengths)

    def log_densities(self, group: NDArray[np.int64], out: Floats) -> None:
        """Add up log densities of the counts, up to terms without psi.

        Parameters
        ----------
        group : array of int, shape (time,)
            The group of each bin; -1: none.
        out : array, shape (group, post)
            The sums are added to it. A neuron's density is given all bins before, and the counts of
            the neurons before it in the same bin.
        """
        scored = np.flatnonzero(group >= 0)
        window = slice(int(scored[0]), int(scored[-1]) + 1)
        for _ in self._filtered(window, group, out):
            pass

    def moments(
        self, window: slice, posts: NDArray[np.intp], in_turn: bool = False
    ) -> Iterator[tuple[Floats, Floats]]:
        """Yield mean and variance of the counts of some neurons, (time, post), piece by piece.

        Parameters
        ----------
        window : slice
            Bins.
        posts : array of int, shape (post,)
        in_turn : bool
            Whether a count is also predicted from those of the neurons before it in the same bin;
            else from the bins before only. In turn, bins that are not data have no prediction.
        """
        for piece in self._pieces(window, "turn" if in_turn else "before"):
            centre, spread = piece.centre[:, posts], piece.spread[:, posts]
            yield self._expected(np.ascontiguousarray(centre), np.ascontiguousarray(spread), posts)

    def psi_drawn(self, window: slice, rng: np.random.Generator) -> Floats:
        """Draw the activations of each bin given all bins before it, (time, post)."""
        return np.concatenate([piece.drawn for piece in self._pieces(window, "drawn", rng)])

    def _likelihood(self, counts: NDArray) -> Likelihood:
        """Return the likelihood of counts (post, time)."""
        likelihood = self._observation.likelihood(counts)
        dispersion = np.broadcast_to(likelihood.dispersion, (len(counts),))
        return likelihood._replace(dispersion=np.array(dispersion, dtype=np.float64))

    def _pieces(
        self, window: slice, kind: Kind, rng: np.random.Generator | None = None
    ) -> Iterator[PathPiece]:
        """Yield what is known of each bin of a window before it is seen, some bins at a time."""
        none = np.full(len(self._place), -1)
        yield from self._filtered(window, none, np.empty((0, len(self._drawn.bias))), kind, rng)

    def _filtered(
        self,
        window: slice,
        group: NDArray[np.int64],
        out: Floats,
        kind: Kind | None = None,
        rng: np.random.Generator | None = None,
    ) -> Iterator[PathPiece]:
        """Filter from the beginning of the segment in which the window begins."""
        data, n_posts = self._data, len(self._path.loadings)
        first = int(data.starts[np.searchsorted(data.starts, window.start, side="right") - 1])
        belief = prior_belief(self._factors)
        earlier = range(first, window.start, _BINS)
        for low, high in pairwise(
            [*earlier, *range(window.start, window.stop, _BINS), window.stop]
        ):
            some, size = slice(low, high), high - low if low >= window.start else 0
            psi = np.ascontiguousarray(activations(data, self._drawn, some).T)
            before = np.empty((2, size if kind == "before" else 0, n_posts))
            turn = np.zeros((2, size if kind == "turn" else 0, n_posts))
            normals = np.empty((0, belief.mean.size))
            if kind == "drawn" and rng is not None:
                normals = rng.standard_normal((size, belief.mean.size))
            drawn = np.empty((len(normals), n_posts))
            counts = np.ascontiguousarray(data.counts[some].T)
            filter_path(
                self._factors, belief, self._likelihood(counts), psi, self._place[some],
                self._seen[some], group[some], self._rule, out, before, turn, normals, drawn,
            )  # fmt: skip
            if low >= window.start:
                centre, spread = turn if kind == "turn" else before
                yield PathPiece(some, centre, spread, drawn)

    def _expected(
        self, centre: Floats, spread: Floats, posts: NDArray[np.intp]
    ) -> tuple[Floats, Floats]:
        """Return mean and variance of counts whose activations are normal, (time, post)."""
        mean, variance = np.zeros(centre.shape), np.zeros(centre.shape)
        likelihood = self._likelihood(np.zeros((len(self._drawn.bias), 0)))
        likelihood = likelihood._replace(dispersion=likelihood.dispersion[posts])
        if likelihood.family != CUSTOM:
            expected_counts(likelihood, centre, spread, self._rule, mean, variance)
            return mean, variance
        observation, parameter = self._data.observation, self.parameter
        parameter = parameter[posts] if np.ndim(parameter) else parameter
        square, root = np.zeros(centre.shape), np.sqrt(spread)
        for node, weight in zip(self._rule.few, self._rule.few_weights, strict=True):
            expected = observation.mean_counts(centre + node * root, parameter)
            mean += weight * expected
            square += weight * expected**2
            variance += weight * observation.variances(expected, parameter)
        return mean, variance + square - mean**2


def draw_filter(tree: xr.DataTree, data: ObservedData, chain: int, draw: int) -> DrawFilter:
    """Return the predictions of one draw of a posterior.

    Parameters
    ----------
    tree : DataTree
        Of a model with shared input.
    data : ObservedData
    chain, draw : int
        Indices, counted from 0.

    Raises
    ------
    TypeError, ValueError
        See `variable`.
    """
    path = path_of_draw(tree, chain, draw)
    if path is None:
        raise ValueError("tree: the model has no shared input; use the activations of the draw.")
    at = np.array([chain]), np.array([draw])
    each = [post_draws(tree, data.observation, n, *at)._asdict() for n in range(len(data.neurons))]
    fields: dict[str, Any] = {
        name: np.concatenate([one[name] for one in each]) if isinstance(value, np.ndarray) else None
        for name, value in each[0].items()
    }
    return DrawFilter(data, PostDraws(**fields), path)
