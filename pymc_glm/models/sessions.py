"""Several sessions or animals in one model: what is shared between them and what is not."""

from collections.abc import Iterator, Mapping
from typing import Any

import pymc as pm
import xarray as xr
from pytensor.tensor.variable import TensorVariable

from pymc_glm.session_prefix import SEPARATOR

__all__ = ["SessionModel", "session", "session_names"]

# Dimensions that every session has of its own; variables without any of them are shared.
_OWN = frozenset({"time", "observed_time", "segment", "post", "pre"})


class _OwnFirst(Mapping):
    """What the model knows of dimensions, a session's own under their plain names."""

    def __init__(self, known: dict, prefix: str):
        self._known, self._prefix = known, prefix

    def _name(self, dim: str) -> str:
        return f"{self._prefix}{SEPARATOR}{dim}" if dim in _OWN else dim

    def __getitem__(self, dim: str) -> Any:
        return self._known[self._name(dim)]

    def __iter__(self) -> Iterator[str]:
        return iter({*self._known, *(dim for dim in _OWN if self._name(dim) in self._known)})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, dim: object) -> bool:
        return isinstance(dim, str) and self._name(dim) in self._known


class SessionModel(pm.Model):
    """A model within a model, of one session.

    Variables with a dimension of the session's own (time, neurons) and data belong to it and carry
    its name, ``session::weights`` with dims ``session::post`` and so on. Others, hyperparameters of
    the network prior, belong to the model around it: the first session registers them, further
    sessions get what is there.

    Parameters
    ----------
    name : str
        Of the session.
    """

    @property
    def coords(self) -> Any:
        """Coordinate values, the session's own under plain names."""
        return _OwnFirst(self._coords, self.name)

    @property
    def dim_lengths(self) -> Any:
        """Lengths of dimensions, the session's own under plain names."""
        return _OwnFirst(self._dim_lengths, self.name)

    def _dim(self, dim: str | None) -> str | None:
        return f"{self.name}{SEPARATOR}{dim}" if dim in _OWN else dim

    def add_coord(self, name: str, values: Any = None, *, length: Any = None) -> None:
        """Register a dimension, under the session's name if it is its own."""
        self.root.add_coord(str(self._dim(name)), values, length=length)

    def register_rv(self, rv_var: Any, name: str, **kwargs: Any) -> TensorVariable:
        """Register a variable with the session or, if no dimension is its own, with all of them."""
        dims = kwargs.pop("dims", None)
        own = [self._dim(dim) for dim in dims] if dims is not None else None
        if kwargs.get("observed") is None and (dims is None or not _OWN.intersection(dims)):
            if name in self.root.named_vars:
                return self.root.named_vars[name]
            return self.root.register_rv(rv_var, name, dims=dims, **kwargs)
        dims = None if own is None else tuple(own)
        variable = super().register_rv(rv_var, name, dims=dims, **kwargs)
        return variable

    def add_named_variable(self, var: Any, dims: Any = None) -> None:
        """Register what has a name."""
        given = (dims,) if isinstance(dims, str) else dims
        own = None if given is None else tuple(self._dim(dim) for dim in given)
        super().add_named_variable(var, own)


def session_names(tree: xr.DataTree) -> list[str]:
    """Return the names of the sessions of a posterior, none if it is of one only."""
    data = tree["posterior"].data_vars
    return [str(v).partition(SEPARATOR)[0] for v in data if str(v).endswith(f"{SEPARATOR}weights")]


def session(tree: xr.DataTree, name: str) -> xr.DataTree:
    """Return what a posterior of several sessions says of one, as if it had been sampled alone.

    Everything that takes a DataTree, such as `edge_summary` and the plots, takes the result.

    Parameters
    ----------
    tree : DataTree
        What sampling a model of several sessions returned, see `build_glm`.
    name : str
        Of the session: the key in a dict of counts, or "0", "1", ... in a list.

    Returns
    -------
    DataTree
        The session's variables and dims without its name; shared ones as they are.

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
    start = f"{name}{SEPARATOR}"
    known = session_names(tree)
    if name not in known:
        raise ValueError(
            f"session: got {name!r}, the tree has {known}."
            if known
            else "session: the tree is of one session only; take it as it is."
        )
    groups = {}
    for key, group in tree.children.items():
        data = group.dataset
        foreign = [
            v for v in data.variables if SEPARATOR in str(v) and not str(v).startswith(start)
        ]
        data = data.drop_vars(foreign)
        names = [n for n in {*data.variables, *data.dims} if str(n).startswith(start)]
        groups[key] = data.rename({n: str(n).removeprefix(start) for n in names})
    return xr.DataTree.from_dict(groups)
