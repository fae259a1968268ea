"""The report that is printed at the end of a run and written to report.txt."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pymc_glm.cli.results import TrueNetwork
from pymc_glm.cli.run import Posterior, Recording
from pymc_glm.cli.structure import Structure, factor_lines, structure_lines
from pymc_glm.criticism.network.edges import MIN_EFFECT
from pymc_glm.criticism.wording import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["convergence", "edges_with_truth", "fit_report", "truth_report", "write_report"]

_MOST_EDGES = 20
_WIDTH = 100
_PRESENT = 0.5


def write_report(report: RenderableType, path: Path) -> None:
    """Write a report as plain text."""
    with path.open("w", encoding="utf-8") as file:
        Console(file=file, width=_WIDTH, highlight=False).print(report)


def fit_report(
    recording: Recording,
    posterior: Posterior,
    edges: "pd.DataFrame",
    structure: Structure | None = None,
    *,
    min_effect: float = MIN_EFFECT,
    free_run: str = "",
) -> RenderableType:
    """Report on a fit: recording, edges, structure, factors, free simulation and convergence."""
    lines = [] if structure is None else structure_lines(structure)
    lines += factor_lines(posterior.tree)
    lines += [free_run] if free_run else []
    return Group(
        _facts(recording, posterior),
        Text(),
        _edge_table(edges, min_effect),
        Text("\n".join([_self_edges(edges), *lines])),
        Text(),
        convergence(posterior, edges),
    )


def _facts(recording: Recording, posterior: Posterior) -> Text:
    counts = recording.counts
    n_bins, n_neurons = counts.shape
    rates = counts.mean("time").values / recording.bin_width
    start = float(counts["time"].values[0])
    lines = [
        f"{recording.name}: {counted(n_neurons, 'neuron')}, "
        f"{counted(counts.values.sum(), 'spike')}, {counted(n_bins, 'bin')} of "
        f"{1e3 * recording.bin_width:g} ms from {start:g} to "
        f"{start + n_bins * recording.bin_width:g} s",
        f"rates {rates.min():.2g} to {rates.max():.2g} Hz, mean {rates.mean():.2g} Hz",
    ]
    if recording.dropped:
        lines.append(
            f"neurons left out, below {recording.min_rate:g} Hz: {', '.join(recording.dropped)}"
        )
    if recording.n_merged:
        lines.append(
            "spikes not counted, in a bin with an earlier spike of the same neuron: "
            f"{recording.n_merged}"
        )
    lines.append(f"sampling took {posterior.seconds:.0f} s")
    if posterior.interrupted:
        lines.append("sampling was interrupted; results are from the draws until then")
    return Text("\n".join(lines))


def _effect(row: "pd.Series") -> tuple[str, str]:
    """Return the effect and its interval as text; empty for an edge that is never present."""
    if row["peak_mean"] != row["peak_mean"]:
        return "", ""
    return f"{row['peak_mean']:+.2f}", f"{row['peak_lower']:+.2f} to {row['peak_upper']:+.2f}"


def _columns(table: Table, *names: str) -> None:
    for name in names:
        left = name in ("pre", "post", "status", "true edge")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)


def _edge_table(edges: "pd.DataFrame", min_effect: float) -> Table:
    between = edges[edges["pre"] != edges["post"]]
    shown = between.head(_MOST_EDGES)
    meaning = "inclusion probability"
    if min_effect:
        meaning = f"probability of an edge whose effect is above {min_effect:g}"
    table = Table(
        title=f"The {len(shown)} most probable of {len(between)} edges between different neurons",
        caption=f"P: {meaning}, MCSE: its Monte Carlo standard error; effect: change in "
        "log-odds at the peak of the filter, given that the edge is present",
        title_justify="left",
        caption_justify="left",
        title_style="bold",
    )
    _columns(table, "pre", "post", "P", "MCSE", "effect", "94% interval", "status")
    for _, row in shown.iterrows():
        table.add_row(
            row["pre"],
            row["post"],
            f"{row['p_effect']:.2f}",
            f"{row['mcse']:.3f}",
            *_effect(row),
            row["status"],
        )
    return table


def _self_edges(edges: "pd.DataFrame") -> str:
    between, of_self = (edges[(edges["pre"] == edges["post"]) == same] for same in (False, True))
    found = (between["p_effect"] > _PRESENT).sum()
    text = f"P is above {_PRESENT} for {found} of {len(between)} edges between neurons"
    if not len(of_self):  # self filters take their place
        return f"{text}."
    return f"{text} and {(of_self['p_effect'] > _PRESENT).sum()} of {len(of_self)} self-edges."


def convergence(posterior: Posterior, edges: "pd.DataFrame") -> Text:
    """Return the convergence report of a fit under a heading."""
    import pymc_glm as pg

    return Text("Convergence\n" + pg.convergence_report(posterior.tree, edges).text)


def edges_with_truth(
    edges: "pd.DataFrame", truth: TrueNetwork, neurons: list[str]
) -> "pd.DataFrame":
    """Add to a table of edges whether each exists and the true peak of its filter."""
    index = {label: i for i, label in enumerate(neurons)}
    where = edges["post"].map(index).to_numpy(), edges["pre"].map(index).to_numpy()
    return edges.assign(true_edge=truth.adjacency[where] != 0, true_peak=truth.peaks[where])


def truth_report(posterior: Posterior, edges: "pd.DataFrame", title: str) -> RenderableType:
    """Compare the edges that exist or were found with the truth, and report convergence.

    Parameters
    ----------
    posterior : Posterior
    edges : DataFrame
        From `edges_with_truth`.
    title : str
    """
    found = edges["probability"] > _PRESENT
    table = Table(
        title=title,
        caption="Edges that exist or were found (P > 0.5). Inferred and true: change in log-odds "
        "at the peak of the filter; the inference is given that the edge is present",
        title_justify="left",
        caption_justify="left",
        title_style="bold",
    )
    _columns(table, "pre", "post", "true edge", "P", "MCSE", "inferred", "94% interval", "true")
    rows = edges[edges["true_edge"] | found].copy()
    rows["self_edge"] = rows["pre"] == rows["post"]
    order = rows.sort_values(["self_edge", "probability"], ascending=[True, False])
    for _, row in order.iterrows():
        missed, alarm = row["probability"] <= _PRESENT, not row["true_edge"]
        table.add_row(
            row["pre"],
            row["post"],
            "no: false alarm" if alarm else "yes, missed" if missed else "yes",
            f"{row['probability']:.2f}",
            f"{row['mcse']:.3f}",
            *_effect(row),
            f"{row['true_peak']:+.2f}",
            style="yellow" if alarm or missed else None,
        )
    lines = [_hits(edges, self_edges=self_edges) for self_edges in (False, True)]
    seconds = f"Sampling took {posterior.seconds:.0f} s."
    return Group(table, Text("\n".join([*lines, seconds])), Text(), convergence(posterior, edges))


def _hits(edges: "pd.DataFrame", *, self_edges: bool) -> str:
    part = edges[(edges["pre"] == edges["post"]) == self_edges]
    found, true = part["probability"] > _PRESENT, part["true_edge"]
    what = "Self-edges" if self_edges else "Edges between neurons"
    text = f"{what}: {(found & true).sum()} of {true.sum()} found, {(~found & true).sum()} missed"
    if true.all():
        return f"{text}."
    alarms = counted((found & ~true).sum(), "false alarm")
    without = counted((~true).sum(), "neuron" if self_edges else "pair")
    return f"{text}, {alarms} among {without} without one."
