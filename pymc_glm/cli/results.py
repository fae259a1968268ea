"""The files of a run: posterior, tables, pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pymc_glm.cli.output import RESULT_FILES
from pymc_glm.cli.session import Session

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["TrueNetwork", "result_files", "write_pictures", "write_posterior", "write_summary"]

_DPI = 150


def result_files(*, pictures: bool, dense: bool) -> list[str]:
    """Names of the files of a run; a dense model has no picture of probabilities."""
    return [
        name
        for name in RESULT_FILES
        if (pictures or not name.endswith(".png")) and not (dense and name == "weights.png")
    ]


class TrueNetwork(NamedTuple):
    """What a network that was simulated is like."""

    adjacency: "NDArray"  # (post, pre)
    filters: "NDArray"  # (post, pre, lag), log-odds

    @property
    def peaks(self) -> "NDArray":
        """Each filter where it is largest in absolute value, (post, pre)."""
        import numpy as np

        at = np.abs(self.filters).argmax(axis=2)[..., None]
        return np.take_along_axis(self.filters, at, axis=2)[..., 0]


def write_posterior(tree: "xr.DataTree", path: Path) -> None:
    """Write a DataTree as netCDF-4, compressed; xarray.open_datatree and ArviZ read it."""
    encoding: dict[str, Any] = {}
    for group in tree.subtree:
        arrays = {name: array for name, array in group.data_vars.items() if array.ndim}
        encoding[group.path] = {name: {"zlib": True, "complevel": 4} for name in arrays}
    tree.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def write_summary(tree: "xr.DataTree", path: Path) -> "pd.DataFrame":
    """Write `arviz.summary` of biases and hyperparameters."""
    import arviz as az
    import numpy as np

    names = [name for name in tree["posterior"].data_vars if name not in ("adjacency", "weights")]
    with np.errstate(divide="ignore", invalid="ignore"):  # constants: a correlation of 1, say
        table = az.summary(tree, var_names=names, round_to="none")
    table.to_csv(path, index_label="variable")
    return table


def write_pictures(
    tree: "xr.DataTree", folder: Path, session: Session, truth: TrueNetwork | None = None
) -> None:
    """Draw network, weights, filters, rates and raster, with the truth beside where known."""
    import matplotlib

    matplotlib.use("agg")  # files only, also where there is no display
    from pymc_glm.plots import plot_filters, plot_network, plot_raster, plot_rates

    dense = "adjacency" not in tree["posterior"]
    adjacency, peaks, filters = (
        (None, None, None) if truth is None else (truth.adjacency, truth.peaks, truth.filters)
    )
    with session.step("Drawing the pictures"):
        if not dense:
            _save(plot_network(tree, truth=adjacency), folder / "network.png")
        weights = plot_network(tree, quantity="weight", truth=peaks)
        _save(weights, folder / ("network.png" if dense else "weights.png"))
        _save(plot_filters(tree, truth=filters), folder / "filters.png")
        _save(plot_rates(tree), folder / "rates.png")
        _save(plot_raster(tree), folder / "raster.png")


def _save(axes: Any, path: Path) -> None:
    """Write the figure of some axes and let it go."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure = np.asarray(axes, dtype=object).ravel()[0].figure
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
