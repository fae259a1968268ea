"""``pymc-glm compare``: from the folders of several fits to a table and a picture."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymc_glm.cli import options
from pymc_glm.cli.output import OutputFolder
from pymc_glm.cli.results import write_comparison
from pymc_glm.cli.session import Session, open_session

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from rich.table import Table

__all__ = ["compare"]

_FILES = ("comparison.csv", "comparison.png")


class Unit(StrEnum):
    """What LOO leaves out at a time."""

    BIN = "bin"
    BLOCK = "block"
    TRIAL = "trial"


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Two or more folders written by `pymc-glm fit` for one recording."),
    ],
    output: options.Folder = Path("comparison"),
    overwrite: options.Overwrite = False,
    unit: Annotated[Unit, typer.Option(help="What LOO leaves out at a time.")] = Unit.BIN,
    block_width: Annotated[
        float, typer.Option(help="Length of a block in s, for --unit block.")
    ] = 1.0,
    draws: Annotated[int, typer.Option(min=1, help="Posterior draws for time rescaling.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same table.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Number of threads.", show_default="all cores")
    ] = None,
    no_pictures: options.NoPictures = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare the models in FOLDERS: LOO, stacking weights, held-out bits per spike, KS tests.

    Bits per spike are given if all fits held out the same counts (pymc-glm fit --hold-out). There
    is no LOO of a fit with shared input; then all are compared by held-out counts. Writes
    comparison.csv and comparison.png. Exit codes: 2 for bad input, 1 for other errors.
    """
    with open_session(quiet=quiet, debug=debug) as session:
        files = _FILES[:1] if no_pictures else _FILES
        with OutputFolder(output, overwrite=overwrite, expected=files, files=_FILES) as folder:
            trees = _read(folders, session)
            held_out = _held_out(trees, session)
            table = _table(trees, held_out, session, unit.value, block_width, draws, seed, threads)
            write_comparison(table, folder.staging, session, pictures=not no_pictures)
            written = folder.commit()
        session.results.print(_shown(table))
        session.results.print(f"\nWritten to {output}: {', '.join(file.name for file in written)}")


def _read(folders: list[Path], session: Session) -> dict[str, "xr.DataTree"]:
    """Read the posteriors into a dict with the names of their folders as keys.

    Raises
    ------
    ValueError, FileNotFoundError
        If there are fewer than two folders, names repeat, or one has no posterior.
    """
    import xarray as xr

    names = [folder.resolve().name for folder in folders]
    if len(folders) < 2 or len(set(names)) < len(names):
        raise ValueError(
            f"FOLDERS: got {', '.join(map(str, folders))}; give two or more with different names."
        )
    trees = {}
    with session.step(f"Reading {len(folders)} posteriors"):
        for name, folder in zip(names, folders, strict=True):
            path = folder / "posterior.nc"
            if not path.exists():
                raise FileNotFoundError(
                    f"FOLDERS: there is no file {path}; give folders written by `pymc-glm fit`."
                )
            with xr.open_datatree(path, engine="h5netcdf") as tree:
                trees[name] = tree.load()
    return trees


def _held_out(trees: dict[str, "xr.DataTree"], session: Session) -> "xr.Dataset | None":
    """Return the counts that all fits held out, or None if there are none.

    Raises
    ------
    ValueError
        If the fits held out different counts.
    """
    every = {
        name: tree["held_out"].to_dataset() if "held_out" in tree.children else None
        for name, tree in trees.items()
    }
    (first, counts), *others = every.items()
    for name, other in others:
        same = other is counts if other is None or counts is None else other.identical(counts)
        if not same:
            raise ValueError(
                f"FOLDERS: {first} and {name} held out different counts; fit both with the same "
                "recording and --hold-out."
            )
    if counts is None:
        session.say("  no counts were held out; `pymc-glm fit --hold-out 30` holds out 30 s")
    return counts


def _table(
    trees: dict[str, "xr.DataTree"],
    held_out: "xr.Dataset | None",
    session: Session,
    unit: str,
    block_width: float,
    draws: int,
    seed: int,
    threads: int | None,
) -> "pd.DataFrame":
    import pymc_glm as pg

    counts = start = None
    if held_out is not None:
        counts, start = held_out["counts"], held_out.attrs["start"]
        width = float(next(iter(trees.values()))["constant_data"]["bin_width"])
        counts = counts.assign_attrs(bin_width=width)
    with session.step("Comparing"):
        return pg.compare_models(
            trees, counts, start=start, unit=unit, block_width=block_width, draws=draws,
            random_seed=seed, threads=threads,
        )  # fmt: skip


def _shown(table: "pd.DataFrame") -> "Table":
    """Return the table for a terminal, with standard errors of differences only."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, collapse_padding=True)
    shown.add_column("model")
    has_loo = "elpd" in table  # not if a model has shared input
    of_loo = ("elpd (LOO)", "below best", "weight", "high k")
    for name in of_loo if has_loo else ("elpd (held out)", "below best"):
        shown.add_column(name, justify="right")
    held_out, tested = "bits_per_spike" in table, "ks_passes" in table
    held_out = held_out and bool(table["bits_per_spike"].notna().any())  # traces have none
    if held_out:
        shown.add_column("bits/spike", justify="right")
        shown.add_column("below best", justify="right")
    if tested:
        shown.add_column("KS passes", justify="right")
    for model, row in table.iterrows():
        cells = [str(model), *(_loo_cells(row, table["elpd"].max()) if has_loo else _elpd(row))]
        if held_out:
            cells.append(f"{row['bits_per_spike']:.3f}")
            cells.append(_below(-row["bits_per_spike_diff"], row["bits_per_spike_dse"], 4))
        if tested:
            cells.append(f"{row['ks_passes']} of {row['ks_tested']}")
        shown.add_row(*cells)
    return shown


def _loo_cells(row: "pd.Series", best: float) -> list[str]:
    return [
        f"{row['elpd']:.1f}",
        _below(best - row["elpd"], row["dse"], 1),
        f"{row['weight']:.2f}",
        str(row["n_high_k"]),
    ]


def _elpd(row: "pd.Series") -> list[str]:
    return [
        f"{row['heldout_elpd']:.1f}",
        _below(-row["heldout_elpd_diff"], row["heldout_dse"], 1),
    ]


def _below(difference: float, error: float, digits: int) -> str:
    """Return the difference to the best model with its standard error; "" for the best itself."""
    return "" if difference == 0 else f"{difference:.{digits}f} ± {error:.{digits}f}"
