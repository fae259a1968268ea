"""Several sessions or animals in one model, with shared hyperparameters."""

from collections.abc import Iterator, Mapping
from typing import Any

import pymc as pm
import xarray as xr
from pytensor.tensor.variable import TensorVariable

from pymc_glm.session_prefix import in_session, session_of, sessions_with

__all__ = ["SessionModel", "session", "session_names"]

# Dims that differ between sessions; variables without any of them are shared.
_SESSION_DIMS = frozenset({"time", "observed_time", "segment", "post", "pre", "grid"})


class _PlainNames(Mapping):
    """Coordinates or lengths of a model's dims, with one session's dims under their plain names."""

    def __init__(self, by_dim: dict, session: str):
        self._by_dim, self._session = by_dim, session

    def _name(self, dim: str) -> str:
        return in_session(self._session, dim) if dim in _SESSION_DIMS else dim

    def __getitem__(self, dim: str) -> Any:
        return self._by_dim[self._name(dim)]

    def __iter__(self) -> Iterator[str]:
        plain = (dim for dim in _SESSION_DIMS if self._name(dim) in self._by_dim)
        return iter({*self._by_dim, *plain})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, dim: object) -> bool:
        return isinstance(dim, str) and self._name(dim) in self._by_dim


class SessionModel(pm.Model):
    """The model of one session, nested in the model of all sessions.

    Data, and variables with a dim of the session (time, neurons), carry its name:
    ``session::weights`` with the dims ``session::post`` and so on. All other variables, the
    hyperparameters of the network prior, belong to the outer model: the first session registers
    them, and later sessions reuse them.

    Parameters
    ----------
    name : str
        The session's name.
    """

    @property
    def coords(self) -> Any:
        """Coordinate values, with the session's dims under their plain names."""
        return _PlainNames(self._coords, self.name)

    @property
    def dim_lengths(self) -> Any:
        """Lengths of dims, with the session's dims under their plain names."""
        return _PlainNames(self._dim_lengths, self.name)

    def _dim(self, dim: str | None) -> str | None:
        return in_session(self.name, dim) if dim in _SESSION_DIMS else dim

    def add_coord(self, name: str, values: Any = None, *, length: Any = None) -> None:
        """Register a dim, with the session's name in front if it differs between sessions."""
        self.root.add_coord(str(self._dim(name)), values, length=length)

    def register_rv(self, rv_var: Any, name: str, **kwargs: Any) -> TensorVariable:
        """Register a variable with the session, or with all if it has no dim of the session."""
        dims = kwargs.pop("dims", None)
        shared = dims is None or not _SESSION_DIMS.intersection(dims)
        if shared and kwargs.get("observed") is None:
            if name in self.root.named_vars:
                return self.root.named_vars[name]
            return self.root.register_rv(rv_var, name, dims=dims, **kwargs)
        dims = None if dims is None else tuple(self._dim(dim) for dim in dims)
        return super().register_rv(rv_var, name, dims=dims, **kwargs)

    def add_named_variable(self, var: Any, dims: Any = None) -> None:
        """Register a named variable or data container, with the session's dims."""
        plain = (dims,) if isinstance(dims, str) else dims
        session_dims = None if plain is None else tuple(self._dim(dim) for dim in plain)
        super().add_named_variable(var, session_dims)


def session_names(tree: xr.DataTree) -> list[str]:
    """Return the names of the sessions of a posterior, an empty list for a single session."""
    return sessions_with("weights", tree["posterior"].data_vars)


def session(tree: xr.DataTree, name: str) -> xr.DataTree:
    """Extract one session from a posterior of several, in the form of a single-session posterior.

    The result can be given to everything that takes a DataTree, such as `edge_summary` and the
    plots.

    Parameters
    ----------
    tree : DataTree
        From sampling a model of several sessions, see `build_glm`.
    name : str
        Name of the session: its key in the dict of counts, or "0", "1", ... for a list.

    Returns
    -------
    DataTree
        The session's variables and dims under their plain names, and the shared variables.

    Raises
    ------
    ValueError
        There is no such session.

    Examples
    --------
    >>> import pymc_glm as pg
    >>> both = pg.build_glm({"monday": counts, "tuesday": later_counts}, basis, **parts)
    >>> tree = pg.sample(model=both, random_seed=1, **options)
    >>> pg.edge_summary(pg.session(tree, "tuesday")).shape[0]
    9
    """
    start = in_session(name, "")
    known = session_names(tree)
    if name not in known:
        raise ValueError(
            f"name: got {name!r}, the sessions in the tree are {known}."
            if known
            else "tree: it holds a single session; use it as it is."
        )
    groups = {}
    for key, group in tree.children.items():
        data = group.dataset
        foreign = [v for v in data.variables if session_of(v) not in ("", name)]
        data = data.drop_vars(foreign)
        names = [n for n in {*data.variables, *data.dims} if str(n).startswith(start)]
        groups[key] = data.rename({n: str(n).removeprefix(start) for n in names})
    return xr.DataTree.from_dict(groups)
