"""Tables and report of blocks, latent positions, signs and shared input, where models have them."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from pymc_glm.criticism import AlignedPositions, BlockSummary

__all__ = [
    "Structure",
    "block_table",
    "factor_lines",
    "find_structure",
    "position_table",
    "structure_lines",
]

_SUPERFLUOUS = 0.1  # standard deviation of loadings below which a factor changes next to nothing


class Structure(NamedTuple):
    """Blocks, positions and signs; None if the model does not learn them."""

    blocks: "BlockSummary | None" = None
    positions: "AlignedPositions | None" = None
    signs: "pd.DataFrame | None" = None  # from `sign_summary`


def find_structure(tree: "xr.DataTree") -> Structure:
    """Summarise blocks, signs, and positions, aligned with the electrodes if all are known."""
    import pymc_glm as pg

    learned = tree["posterior"].data_vars
    return Structure(
        pg.block_summary(tree) if "block_labels" in learned else None,
        pg.align_positions(tree, "position" if _electrodes_known(tree) else None)
        if "latent_positions" in learned
        else None,
        pg.sign_summary(tree) if "signs" in learned else None,
    )


def _electrodes_known(tree: "xr.DataTree") -> bool:
    import numpy as np

    if "constant_data" not in tree.children or "position" not in tree["constant_data"]:
        return False
    place = np.asarray(tree["constant_data"].to_dataset()["position"])
    return bool(np.isfinite(place).all() and np.ptp(place, axis=0).any())


def block_table(blocks: "BlockSummary") -> "pd.DataFrame":
    """Return each neuron's most probable block and its probability, by block, largest first."""
    import pandas as pd

    names = blocks.label_probability["block"].values[blocks.labels.values]
    table = pd.DataFrame(
        {
            "neuron": blocks.labels["post"].values,
            "block": names,
            "probability": blocks.label_probability.max("block").values,
        }
    )
    order = blocks.labels.values.argsort(kind="stable")
    return table.iloc[order].reset_index(drop=True)


def position_table(positions: "AlignedPositions") -> "pd.DataFrame":
    """Return mean positions and standard deviations, and those on the electrode map if known."""
    import numpy as np
    import pandas as pd

    mean = positions.mean
    deviation = np.sqrt(np.diagonal(positions.covariance.values, axis1=1, axis2=2))
    columns = {"neuron": mean["post"].values}
    for d in range(mean.sizes["latent_dim"]):
        columns |= {f"latent_{d + 1}": mean.values[:, d], f"sd_{d + 1}": deviation[:, d]}
    if positions.reference is not None and positions.reference_mean is not None:
        for axis in positions.reference["space"].values:
            columns[f"inferred_{axis}"] = positions.reference_mean.sel(space=axis).values
            columns[f"electrode_{axis}"] = positions.reference.sel(space=axis).values
    return pd.DataFrame(columns)


def structure_lines(structure: Structure) -> list[str]:
    """Return one line each on the number of blocks in use, latent distances and signs."""
    import numpy as np

    lines = []
    if structure.blocks is not None:
        used = structure.blocks.n_used_probability
        shares = [
            f"{int(n)} in {float(p):.0%} of the draws"
            for n, p in zip(used["n_used"], used, strict=True)
            if p >= 0.005
        ]
        sizes = np.bincount(structure.blocks.labels.values)
        lines.append(
            f"Number of blocks in use: {', '.join(shares)}. Neurons per block, each in its most "
            f"probable one: {', '.join(str(size) for size in sizes if size)} (blocks.csv)."
        )
    if structure.positions is not None:
        found = structure.positions.distance_correlation
        if found is None:
            lines.append(
                "Latent positions are in positions.csv; the recording has no electrode positions "
                "to compare with."
            )
        else:
            low, middle, high = np.quantile(found, [0.05, 0.5, 0.95])
            lines.append(
                "Rank correlation between latent and electrode distances: "
                f"{middle:.2f}, 90% of draws from {low:.2f} to {high:.2f} (positions.csv)."
            )
    if structure.signs is not None:
        declared = structure.signs["sign"].value_counts()
        kinds = [f"{declared.get(sign, 0)} {sign}" for sign in ("excitatory", "inhibitory", "open")]
        lines.append(f"Signs of neurons, at a false discovery rate of 5%: {', '.join(kinds)} "
                     "(signs.csv).")  # fmt: skip
    return lines


def factor_lines(tree: "xr.DataTree") -> list[str]:
    """Return a line for each factor of shared input: its timescale, its loadings, and its use.

    Factors are brought into the same order in all draws. Loadings are summarised by the root of
    their mean square over neurons, which does not depend on the sign of a factor.
    """
    import numpy as np
    import xarray as xr

    import pymc_glm as pg

    if "loadings" not in tree["posterior"]:
        return []
    names = ["loadings", "factor_timescale", "smoothness"]  # paths are not needed
    parts = {}
    for group in ("posterior", "constant_data"):
        data = tree[group].to_dataset()
        parts[group] = data[[name for name in names if name in data]]
    found = pg.align_factors(xr.DataTree.from_dict(parts), method="order")
    lines = []
    for k in found["factor"].values:
        loadings = found["loadings"].sel(factor=k).values
        size = np.sqrt((loadings**2).mean(axis=-1))
        timescale = 1e3 * found["factor_timescale"].sel(factor=k).values
        text = f"Shared input, factor {k}: timescale {_quantiles(timescale)} ms, loadings of size "
        text += _quantiles(size)
        if np.median(size) < _SUPERFLUOUS:
            text += "; superfluous, since it changes log-odds by next to nothing"
        lines.append(f"{text}.")
    return lines + _delay_lines(tree)


def _delay_lines(tree: "xr.DataTree") -> list[str]:
    """Return a line on the delays of shared input, from their median over neurons; or none."""
    import numpy as np

    from pymc_glm.trees import variable

    if "input_delay" not in tree["posterior"]:
        return []
    drawn = tree["posterior"]["input_delay"].transpose("chain", "draw", "post")
    relative = drawn.values - np.median(drawn.values, axis=2, keepdims=True)
    delay = 1e3 * float(variable(tree, "constant_data", "bin_width")) * relative.mean(axis=(0, 1))
    first, last = int(delay.argmin()), int(delay.argmax())
    neurons = drawn["post"].values
    return [
        f"Shared input reaches the neurons from {-delay[first]:.3g} ms before ({neurons[first]}) "
        f"to {delay[last]:.3g} ms after ({neurons[last]}) the median one, by the mean of the draws."
    ]


def _quantiles(values: "NDArray") -> str:
    """Return the median with an interval that holds 90% of the draws."""
    import numpy as np

    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.3g}" + (f" (90% {low:.3g} to {high:.3g})" if high > low else "")
