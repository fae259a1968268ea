"""Counts of several sessions: told apart by name, or laid end to end."""

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

__all__ = ["Joined", "alike_covariates", "join_sessions", "naming", "of_session", "sessions_of"]


def sessions_of(counts: Any) -> dict[str, Any] | None:
    """Return counts by the name of their session, None if they are of one only.

    Parameters
    ----------
    counts : dict of names to counts, list of counts, or counts
        The sessions of a list are named "0", "1", ...

    Raises
    ------
    ValueError
        A dict or list without sessions, a name that is no text or that has "::" in it.
    """
    if isinstance(counts, list | tuple):
        if counts and getattr(counts[0], "ndim", np.ndim(counts[0])) < 2:
            return None  # an array as nested lists
        counts = {str(i): session for i, session in enumerate(counts)}
    if not isinstance(counts, dict):
        return None
    if not counts:
        raise ValueError("counts: got no session; give at least one.")
    for name in counts:
        if not isinstance(name, str) or not name or SEPARATOR in name:
            raise ValueError(
                f"counts: got the session {name!r}; names are texts without {SEPARATOR!r}."
            )
    return dict(counts)


def of_session(value: Any, name: str, argument: str, sessions: Mapping[str, Any]) -> Any:
    """Return what an argument says of a session: its own, if there is one for each, or that of all.

    Raises
    ------
    ValueError
        A dict or list of values that does not go with the sessions.
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
                f"{argument}: got {len(value)} values for {len(sessions)} sessions; give one for "
                "each."
            )
        return value[list(sessions).index(name)]
    return value


@contextmanager
def naming(session: str) -> Iterator[None]:
    """Name the session in the message of what is wrong with it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"session {session!r}: {error}") from error


def alike_covariates(covariates: Any, sessions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the covariates of every session by its name, in the same order in all of them.

    Raises
    ------
    ValueError
        Sessions have other covariates, or some cannot be used.
    """
    given = {name: of_session(covariates, name, "covariates", sessions) for name in sessions}
    known: list[str] | None = None
    for name, own in given.items():
        if own is None:
            continue
        with naming(name):
            columns = as_columns(own, "covariates")
            if known is None:
                known = columns["covariate"].values.tolist()
            given[name] = in_order(columns, "covariate", known, "covariates")
    return given


class Joined(NamedTuple):
    """Sessions of the same neurons, one after the other."""

    counts: xr.DataArray  # (time, neuron), with the coordinate segment
    covariates: xr.DataArray | None  # (time, covariate)
    exclude: Any  # (time,) or None


def join_sessions(
    sessions: Mapping[str, Any], covariates: Any, exclude: Any, basis: Any, observation: Observation
) -> Joined:
    """Lay sessions of the same neurons end to end.

    Parameters
    ----------
    sessions : mapping of names to counts
    covariates, exclude
        As for `pymc_glm.build_glm`, one for each session.
    basis : DataArray or array
        Whose bin width goes for counts that do not say theirs.
    law : Observation
        Of the counts.

    Raises
    ------
    ValueError
        Sessions have other neurons or covariates or bins of other widths, or an argument cannot be
        used.
    """
    width = getattr(basis, "attrs", {}).get("bin_width")
    made: list[xr.DataArray] = []
    regressors, gone, seen = [], [], 0
    columns = alike_covariates(covariates, sessions)
    for name, given in sessions.items():
        masked = intervals_from_package(of_session(exclude, name, "exclude", sessions))
        with naming(name):
            counts = check_counts(given, width, observation.whole)
        if made:
            counts = _alike(counts, made[0], name, next(iter(sessions)))
        with naming(name):
            starts = segment_starts(counts)
            bins = data_bins(counts, starts, 0, masked)
            if covariates is not None:
                if columns[name] is None:
                    raise ValueError("covariates: got None, other sessions have some; give all.")
                own = covariate_columns(columns[name], counts)
                regressors.append(own.drop_vars(set(own.coords) - {"covariate"}))
            gone.append(np.zeros(counts.sizes["time"], bool))
            if bins is not None:
                gone[-1][np.setdiff1d(np.arange(counts.sizes["time"]), bins)] = True
            if observation.whole:  # here, where bins are those of the session
                values = np.where(gone[-1][:, None], 0, counts.values)
                observation.check(
                    values, counts["neuron"].values.tolist(), counts.attrs["bin_width"]
                )
        labels = seen + np.searchsorted(starts, np.arange(counts.sizes["time"]), side="right") - 1
        seen = int(labels[-1]) + 1
        plain = counts.drop_vars(["segment", "trial", "trial_time"], errors="ignore")
        made.append(plain.assign_coords(segment=("time", labels)))
    excluded = np.concatenate(gone)
    return Joined(
        xr.concat(made, dim="time", combine_attrs="override", coords="minimal", compat="override"),
        xr.concat(regressors, dim="time") if regressors else None,
        excluded if excluded.any() else None,
    )


def _alike(counts: xr.DataArray, first: xr.DataArray, name: str, first_name: str) -> xr.DataArray:
    """Return counts with the neurons in the order of the first session."""
    own, wanted = counts["neuron"].values.tolist(), first["neuron"].values.tolist()
    if sorted(own) != sorted(wanted):
        odd = sorted(set(own) ^ set(wanted))[:5]
        raise ValueError(
            f"counts: the sessions {first_name!r} and {name!r} have other neurons ({odd} are in "
            "one only), and share='weights' is for the same neurons; give those that both have, or "
            "share='hyperparameters'."
        )
    widths = counts.attrs["bin_width"], first.attrs["bin_width"]
    if not np.isclose(*widths, rtol=1e-6, atol=0.0):
        raise ValueError(
            f"counts: the session {name!r} has bins of {widths[0]:g} s and {first_name!r} of "
            f"{widths[1]:g} s; bin all with the same bin_width."
        )
    return counts.sel(neuron=wanted)
