"""Counts of several sessions: told apart by name, or laid end to end."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from pymc_glm.covariates import read_covariates
from pymc_glm.design import check_counts
from pymc_glm.segments import data_bins, segment_starts
from pymc_glm.sessions import SEPARATOR

__all__ = ["Joined", "join_sessions", "of_session", "sessions_of"]


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


class Joined(NamedTuple):
    """Sessions of the same neurons, one after the other."""

    counts: xr.DataArray  # (time, neuron), with the coordinate segment
    covariates: xr.DataArray | None  # (time, covariate)
    exclude: Any  # (time,) or None


def join_sessions(
    sessions: Mapping[str, Any], covariates: Any, exclude: Any, basis: Any, whole: bool
) -> Joined:
    """Lay sessions of the same neurons end to end.

    Parameters
    ----------
    sessions : mapping of names to counts
    covariates, exclude
        As for `pymc_glm.build_glm`, one for each session.
    basis : DataArray or array
        Whose bin width goes for counts that do not say theirs.
    whole : bool
        Whether they are counts.

    Raises
    ------
    ValueError
        Sessions have other neurons, or an argument cannot be used.
    """
    width = getattr(basis, "attrs", {}).get("bin_width")
    made: list[xr.DataArray] = []
    regressors, gone, seen = [], [], 0
    for name, given in sessions.items():
        counts = check_counts(given, width, whole)
        if made:
            counts = _alike(counts, made[0], name, next(iter(sessions)))
        starts = segment_starts(counts)
        labels = seen + np.searchsorted(starts, np.arange(counts.sizes["time"]), side="right") - 1
        seen = int(labels[-1]) + 1
        plain = counts.drop_vars(["segment", "trial", "trial_time"], errors="ignore")
        made.append(plain.assign_coords(segment=("time", labels)))
        own = of_session(covariates, name, "covariates", sessions)
        if covariates is not None:
            regressors.append(
                read_covariates(own, counts).values.drop_vars("time", errors="ignore")
            )
        bins = data_bins(counts, starts, 0, of_session(exclude, name, "exclude", sessions))
        kept = np.arange(counts.sizes["time"]) if bins is None else bins
        gone.append(~np.isin(np.arange(counts.sizes["time"]), kept))
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
    return counts.sel(neuron=wanted)
