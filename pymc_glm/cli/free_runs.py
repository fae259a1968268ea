"""What the report says of networks that run freely."""

from typing import TYPE_CHECKING

from pymc_glm.trees import variable

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["free_run_line"]

_NETWORKS = 20
_SECONDS = 60.0  # of each simulation, at most
_RANGE = (0.05, 0.95)  # quantiles of the simulated rates
_ADVICE = (
    "Each bin is predicted from the recorded spikes before it; left to itself, the network excites "
    "itself. See docs/does-not-fit.md, Simulated networks run away, for what to try"
)


def free_run_line(tree: "xr.DataTree", random_seed: int | None = None) -> str:
    """Simulate networks drawn from the posterior; say how many run away and how fast they fire.

    Parameters
    ----------
    tree : DataTree
        Posterior with its constant data.
    random_seed : int, optional
    """
    import numpy as np

    import pymc_glm as pg

    width = float(variable(tree, "constant_data", "bin_width"))
    n_bins = min(tree["constant_data"].sizes["time"], max(round(_SECONDS / width), 1))
    rates = pg.posterior_rates(tree, draws=_NETWORKS, n_bins=n_bins, random_seed=random_seed)
    n, away = rates.sizes["sample"], rates.attrs["n_run_away"]
    start = f"Free simulation, {n_bins * width:.3g} s of {n} networks drawn from the posterior: "
    if away:
        at = float(rates["run_away_time"].median())
        return (
            f"{start}{away} {'runs' if away == 1 else 'run'} away (a neuron above "
            f"{rates.attrs['max_rate']:g} Hz), half of them within {at:.2g} s. {_ADVICE}."
        )
    low, high = np.quantile(rates["rate"], _RANGE, axis=0)
    recorded = rates["observed"].values
    within = int(((recorded >= low) & (recorded <= high)).sum())
    return (
        f"{start}none runs away; the recorded rates are within the simulated range (5% to 95%) "
        f"for {within} of {recorded.size} neurons."
    )
