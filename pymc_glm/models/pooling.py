"""Counts of several sessions: by name, or joined end to end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from pymc_glm.covariates import as_columns, covariate_columns, in_order
from pymc_glm.design import check_counts
from pymc_glm.observations import Observation
from pymc_glm.segments import data_bins, segment_starts
from pymc_glm.session_prefix import SEPARATOR
from pymc_glm.spikes import intervals_from_package

__all__ = [
    "JoinedSessions",
    "aligned_covariates",
    "for_session",
    "join_sessions",
    "naming",
    "sessions_of",
]


def sessions_of(counts: Any) -> dict[str, Any] | None:
    """Return the counts of each session by name, None for a single session.

    Parameters
    ----------
    counts : dict of names to counts, list of counts, or counts
        The sessions of a list are named "0", "1", ...

    Raises
    ------
    ValueError
        A dict or list without sessions, or a name that is no text, empty or contains "::".
    """
    if isinstance(counts, list | tuple):
        if counts and getattr(counts[0], "ndim", np.ndim(counts[0])) < 2:
            return None  # an array as nested lists
        counts = {str(i): session for i, session in enumerate(counts)}
    if not isinstance(counts, dict):
        return None
    if not counts:
        raise ValueError("counts: got no sessions; give at least one.")
    for name in counts:
        if not isinstance(name, str) or not name or SEPARATOR in name:
            raise ValueError(
                f"counts: got the session name {name!r}, allowed is text without {SEPARATOR!r}."
            )
    return dict(counts)


def for_session(value: Any, name: str, argument: str, sessions: Mapping[str, Any]) -> Any:
    """Return the value of an argument for one session, where one value may serve all sessions.

    Raises
    ------
    ValueError
        A dict or list of values does not match the sessions.
    """
    if isinstance(value, dict):
        if set(value) != set(sessions):
            raise ValueError(
                f"{argument}: got values for {sorted(map(str, value))}, the sessions are "
                f"{sorted(sessions)}; give one for each."
            )
        return value[name]
    several = isinstance(value, list | tuple) and value and argument in ("covariates", "exclude")
    if several and (value[0] is None or getattr(value[0], "ndim", np.ndim(value[0])) >= 1):
        if len(value) != len(sessions):
            raise ValueError(
                f"{argument}: got a list of length {len(value)} for {len(sessions)} sessions; give "
                "one value for each session."
            )
        return value[list(sessions).index(name)]
    return value


@contextmanager
def naming(session: str) -> Iterator[None]:
    """Put the session's name in front of the message of an error."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"session {session!r}: {error}") from error


def aligned_covariates(covariates: Any, sessions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the covariates of each session by name, all in the order of the first.

    Raises
    ------
    ValueError
        The sessions have different covariates, or some cannot be used.
    """
    aligned = {name: for_session(covariates, name, "covariates", sessions) for name in sessions}
    labels: list[str] | None = None
    for name, given in aligned.items():
        if given is None:
            continue
        with naming(name):
            columns = as_columns(given, "covariates")
            if labels is None:
                labels = columns["covariate"].values.tolist()
            aligned[name] = in_order(columns, "covariate", labels, "covariates")
    return aligned


class JoinedSessions(NamedTuple):
    """Sessions of the same neurons, one after the other."""

    counts: xr.DataArray  # (time, neuron), with the coordinate segment
    covariates: xr.DataArray | None  # (time, covariate)
    exclude: Any  # (time,) or None


def join_sessions(
    sessions: Mapping[str, Any], covariates: Any, exclude: Any, basis: Any, observation: Observation
) -> JoinedSessions:
    """Join sessions of the same neurons end to end.

    Parameters
    ----------
    sessions : mapping of names to counts
    covariates, exclude
        As for `pymc_glm.build_glm`, one for each session.
    basis : DataArray or array
        Its bin width is used for counts without one.
    observation : Observation

    Raises
    ------
    ValueError
        The sessions have different neurons, covariates or bin widths, or an argument cannot be
        used.
    """
    width = getattr(basis, "attrs", {}).get("bin_width")
    joined: list[xr.DataArray] = []
    regressors, excluded, n_segments = [], [], 0
    columns = aligned_covariates(covariates, sessions)
    for name, given in sessions.items():
        masked = intervals_from_package(for_session(exclude, name, "exclude", sessions))
        with naming(name):
            counts = check_counts(given, width, observation.whole)
        if joined:
            counts = _with_same_neurons(counts, joined[0], name, next(iter(sessions)))
        with naming(name):
            starts = segment_starts(counts)
            bins = data_bins(counts, starts, 0, masked)
            if covariates is not None:
                if columns[name] is None:
                    raise ValueError(
                        "covariates: got None, but other sessions have covariates; give them for "
                        "all sessions."
                    )
                of_session = covariate_columns(columns[name], counts)
                regressors.append(of_session.drop_vars(set(of_session.coords) - {"covariate"}))
            excluded.append(np.zeros(counts.sizes["time"], bool))
            if bins is not None:
                excluded[-1][np.setdiff1d(np.arange(counts.sizes["time"]), bins)] = True
            if observation.whole:  # checked here, where messages can count bins by session
                values = np.where(excluded[-1][:, None], 0, counts.values)
                observation.check(
                    values, counts["neuron"].values.tolist(), counts.attrs["bin_width"]
                )
        segment_in_session = np.searchsorted(starts, np.arange(counts.sizes["time"]), side="right")
        segment = n_segments + segment_in_session - 1
        n_segments = int(segment[-1]) + 1
        plain = counts.drop_vars(["segment", "trial", "trial_time"], errors="ignore")
        joined.append(plain.assign_coords(segment=("time", segment)))
    mask = np.concatenate(excluded)
    return JoinedSessions(
        xr.concat(
            joined, dim="time", combine_attrs="override", coords="minimal", compat="override"
        ),
        xr.concat(regressors, dim="time") if regressors else None,
        mask if mask.any() else None,
    )


def _with_same_neurons(
    counts: xr.DataArray, first: xr.DataArray, name: str, first_name: str
) -> xr.DataArray:
    """Return counts with the neurons in the order of the first session."""
    neurons, wanted = counts["neuron"].values.tolist(), first["neuron"].values.tolist()
    if sorted(neurons) != sorted(wanted):
        odd = sorted(set(neurons) ^ set(wanted))[:5]
        raise ValueError(
            f"counts: the sessions {first_name!r} and {name!r} have different neurons ({odd} are "
            "in only one of the two), but share='weights' needs the same neurons; give those that "
            "both have, or share='hyperparameters'."
        )
    widths = counts.attrs["bin_width"], first.attrs["bin_width"]
    if not np.isclose(*widths, rtol=1e-6, atol=0.0):
        raise ValueError(
            f"counts: the session {name!r} has bins of {widths[0]:g} s and {first_name!r} of "
            f"{widths[1]:g} s; use the same bin_width for all."
        )
    return counts.sel(neuron=wanted)
