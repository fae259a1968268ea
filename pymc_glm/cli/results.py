"""The files of a run: posterior, tables, pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pymc_glm.cli.output import RESULT_FILES
from pymc_glm.cli.session import Session
from pymc_glm.cli.settings import EdgePrior, PriorSettings
from pymc_glm.cli.structure import Structure
from pymc_glm.criticism.network.edges import MIN_EFFECT

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "TrueNetwork",
    "result_files",
    "write_comparison",
    "write_pictures",
    "write_posterior",
    "write_summary",
]

_DPI = 150


# Edges are in edges.csv, signs in signs.csv. Means of the others are meaningless, since draws may
# renumber labels, rotate positions or reorder factors.
_NO_SUMMARY = (
    "adjacency", "weights", "self_weights", "block_labels", "latent_positions", "latent_factors",
    "eigenvalues", "signs", "loadings", "factors",
)  # fmt: skip


def result_files(prior: PriorSettings, *, pictures: bool = True) -> list[str]:
    """Return the names of the files of a run; a dense model has no picture of probabilities."""
    absent: set[str] = set()
    if prior.edges is EdgePrior.DENSE:
        absent.add("weights.png")
    if not prior.has_blocks:
        absent |= {"blocks.csv", "blocks.png"}
    if not prior.has_positions:
        absent |= {"positions.csv", "positions.png"}
    if not prior.has_signs:
        absent.add("signs.csv")
    if not prior.shared_input:
        absent.add("shared_input.png")
    if not pictures:
        absent |= {name for name in RESULT_FILES if name.endswith(".png")}
    return [name for name in RESULT_FILES if name not in absent]


class TrueNetwork(NamedTuple):
    """The true edges and filters of a simulated network."""

    adjacency: "NDArray"  # (post, pre)
    filters: "NDArray"  # (post, pre, lag), log-odds

    @property
    def peaks(self) -> "NDArray":
        """Value of each filter at its largest magnitude, (post, pre)."""
        import numpy as np

        at = np.abs(self.filters).argmax(axis=2)[..., None]
        return np.take_along_axis(self.filters, at, axis=2)[..., 0]


def write_posterior(tree: "xr.DataTree", path: Path) -> None:
    """Write a DataTree as netCDF-4; pymc_glm.load, xarray.open_datatree and ArviZ read it."""
    from pymc_glm.saving import save

    save(tree, path)


def write_summary(
    tree: "xr.DataTree", path: Path, structure: Structure | None = None
) -> "pd.DataFrame":
    """Write `arviz.summary` of biases and hyperparameters; blocks are relabelled first."""
    import arviz as az
    import numpy as np

    posterior = tree["posterior"].to_dataset()
    if structure is not None and structure.blocks is not None:
        posterior = posterior.assign(structure.blocks.posterior)
    posterior = posterior.drop_vars(_NO_SUMMARY, errors="ignore")
    with np.errstate(divide="ignore", invalid="ignore"):  # constants, such as a correlation of 1
        table = az.summary(posterior, round_to="none")
    table.to_csv(path, index_label="variable")
    return table


def write_pictures(
    tree: "xr.DataTree",
    folder: Path,
    session: Session,
    structure: Structure | None = None,
    *,
    truth: TrueNetwork | None = None,
    min_effect: float = MIN_EFFECT,
) -> None:
    """Draw network, weights, filters, rates, raster and what else is learned, with any truth."""
    import matplotlib

    matplotlib.use("agg")  # writes files without a display
    from pymc_glm.plots import (
        plot_blocks,
        plot_filters,
        plot_network,
        plot_positions,
        plot_raster,
        plot_rates,
        plot_shared_input,
    )

    blocks, positions, _ = Structure() if structure is None else structure
    dense = "adjacency" not in tree["posterior"]
    adjacency, peaks, filters = (
        (None, None, None) if truth is None else (truth.adjacency, truth.peaks, truth.filters)
    )
    with session.step("Drawing the pictures"):
        if not dense:
            network = plot_network(tree, truth=adjacency, min_effect=min_effect)
            _save(network, folder / "network.png")
        weights = plot_network(tree, quantity="weight", truth=peaks)
        _save(weights, folder / ("network.png" if dense else "weights.png"))
        _save(plot_filters(tree, truth=filters, min_effect=min_effect), folder / "filters.png")
        _save(plot_rates(tree), folder / "rates.png")
        _save(plot_raster(tree), folder / "raster.png")
        if blocks is not None:
            _save(plot_blocks(blocks), folder / "blocks.png")
        if positions is not None:
            _save(plot_positions(positions), folder / "positions.png")
        if "loadings" in tree["posterior"]:
            _save(plot_shared_input(tree, method="order"), folder / "shared_input.png")


def write_comparison(
    table: "pd.DataFrame", folder: Path, session: Session, *, pictures: bool = True
) -> None:
    """Write the table of `compare_models` and its picture."""
    table.to_csv(folder / "comparison.csv", index_label="model")
    if not pictures:
        return
    import matplotlib

    matplotlib.use("agg")
    from pymc_glm.plots import plot_comparison

    with session.step("Drawing the picture"):
        _save(plot_comparison(table), folder / "comparison.png")


def _save(axes: Any, path: Path) -> None:
    """Write the figure of some axes and close it."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure = np.asarray(axes, dtype=object).ravel()[0].figure
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)
