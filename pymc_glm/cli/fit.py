"""``pymc-glm fit``: from a recording to a folder with the posterior of its network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymc_glm.arguments import as_number
from pymc_glm.cli.output import OutputFolder
from pymc_glm.cli.report import fit_report, write_report
from pymc_glm.cli.results import result_files, write_pictures, write_posterior, write_summary
from pymc_glm.cli.run import (
    Posterior,
    Recording,
    build_model,
    keep_held_out,
    make_basis,
    make_priors,
    read_recording,
    sample_model,
)
from pymc_glm.cli.session import INTERRUPTED, Session, hold_interrupts, open_session
from pymc_glm.cli.settings import (
    BasisKind,
    EdgePrior,
    FitSettings,
    PriorSettings,
    SampleSettings,
    WeightPrior,
)
from pymc_glm.cli.structure import Structure, block_table, find_structure, position_table
from pymc_glm.criticism.network.edges import edge_table

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["fit", "run_fit"]

_FIT = FitSettings(Path())
_SAMPLE = SampleSettings()


def fit(
    file: Annotated[Path, typer.Argument(help="Spike times: MEA HDF5, NWB, npz or CSV.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the results.", show_default="name of the file with -glm"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            help="Format of the file: nwb, mea_hdf5, npz or csv.", show_default="detected"
        ),
    ] = None,
    bin_width: Annotated[float, typer.Option(help="Width of a bin, s.")] = _FIT.bin_width,
    shared_input: Annotated[
        bool,
        typer.Option(
            help="Input that no recorded neuron carries, and self filters (pymc_glm.recording_glm);"
            " or neither (pymc_glm.build_glm).",
        ),
    ] = _FIT.prior.shared_input,
    window: Annotated[
        float | None,
        typer.Option(
            help="Length of the coupling filters, s.",
            show_default="0.02, or 4 bins; 0.1 without shared input",
        ),
    ] = _FIT.window,
    basis: Annotated[BasisKind, typer.Option(help="Basis of the filters.")] = _FIT.basis,
    n_basis: Annotated[
        int | None,
        typer.Option(help="Number of basis functions.", show_default="3; 4 for bspline"),
    ] = _FIT.n_basis,
    min_rate: Annotated[
        float, typer.Option(help="Leave out neurons with a lower firing rate, Hz.")
    ] = _FIT.min_rate,
    max_merged: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Largest fraction of spikes that may be lost by counting those in a bin as one.",
        ),
    ] = _FIT.max_merged,
    start: Annotated[float | None, typer.Option(help="Start of the window to fit, s.")] = None,
    stop: Annotated[float | None, typer.Option(help="End of the window, s.")] = None,
    duration: Annotated[
        float | None, typer.Option(help="Length of the window, s; replaces --stop.")
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(help="Time to hold out at the end for `pymc-glm compare`, s."),
    ] = None,
    neurons: Annotated[
        str | None, typer.Option(help="Labels of the neurons to fit, separated by commas.")
    ] = None,
    edges: Annotated[EdgePrior, typer.Option(help="Prior of the edges.")] = _FIT.prior.edges,
    weights: Annotated[
        WeightPrior, typer.Option(help="Prior of the weights.")
    ] = _FIT.prior.weights,
    n_blocks: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of blocks, for the prior block."),
    ] = None,
    n_dims: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Dimensions of the latent space, for the priors distance and eigen.",
            show_default="2",
        ),
    ] = None,
    chains: Annotated[int, typer.Option(min=1, help="Number of chains.")] = _SAMPLE.chains,
    draws: Annotated[int, typer.Option(min=1, help="Draws per chain.")] = _SAMPLE.draws,
    tune: Annotated[int, typer.Option(min=0, help="Tuning draws before these.")] = _SAMPLE.tune,
    seed: Annotated[
        int | None, typer.Option(min=0, help="The same seed gives the same draws.")
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, help="Chains to run at a time.", show_default="all cores")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads per chain.", show_default="spare cores")
    ] = None,
    min_effect: Annotated[
        float,
        typer.Option(
            help="Smallest effect of one spike, in log-odds, for an edge to be called; columns "
            "p_effect, discovered and sign of edges.csv.",
        ),
    ] = _FIT.min_effect,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Write no pictures.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Fit a network to the spike times in FILE: the model that is recommended for recordings.

    Writes posterior.nc, summary.csv (biases and hyperparameters), edges.csv (every pair of
    neurons), blocks.csv, positions.csv and signs.csv if the model has them, report.txt and
    pictures. The posterior is written first, so a later error cannot lose it. To continue in
    Python, pymc_glm.load("posterior.nc") returns the posterior and its model. Exit codes: 2 for
    bad input, 130 after Ctrl-C, 1 for other errors.
    """
    with open_session(quiet=quiet, debug=debug) as session:
        settings = FitSettings(
            path=file,
            format=format,
            bin_width=bin_width,
            window=window,
            basis=basis,
            n_basis=n_basis,
            min_rate=min_rate,
            max_merged=max_merged,
            start=start,
            stop=stop,
            duration=duration,
            hold_out=hold_out,
            neurons=None if neurons is None else tuple(map(str.strip, neurons.split(","))),
            prior=PriorSettings(edges, weights, n_blocks, n_dims, shared_input),
            sampling=SampleSettings(draws, tune, chains, cores, threads, seed),
            min_effect=min_effect,
        )
        folder = Path(f"{file.stem}-glm") if output is None else output
        run_fit(settings, folder, session, overwrite=overwrite, pictures=not no_pictures)


def run_fit(
    settings: FitSettings,
    path: Path,
    session: Session,
    *,
    overwrite: bool = False,
    pictures: bool = True,
) -> None:
    """Fit a recording; write the posterior, then tables and report, then pictures.

    Files are written whole, and those already written survive a later error.

    Raises
    ------
    ValueError, TypeError, OSError, ImportError
        If the input cannot be used, or the folder cannot be written.
    typer.Exit
        With code 130 if sampling was interrupted; the draws until then are written.
    """
    make_priors(settings.prior)  # report contradictory settings before reading anything
    as_number(settings.min_effect, "min_effect", at_least=0)
    expected = result_files(settings.prior, pictures=pictures)
    with OutputFolder(path, overwrite=overwrite, expected=expected) as folder:
        recording = read_recording(settings, session)
        model = build_model(recording.counts, make_basis(settings), settings.prior, session)
        session.accept_input()
        posterior = sample_model(model, settings.sampling, session)
        keep_held_out(posterior.tree, recording)
        with session.step("Writing the posterior"), hold_interrupts():
            write_posterior(posterior.tree, folder.staging / "posterior.nc")
            folder.commit()
        report, structure = _write(
            recording, posterior, settings.min_effect, folder.staging, session
        )
        files = folder.commit()
        if pictures:
            write_pictures(
                posterior.tree, folder.staging, session, structure, min_effect=settings.min_effect
            )
            files = folder.commit()
    session.results.print(report)
    session.results.print(f"\nWritten to {path}: {', '.join(file.name for file in files)}")
    if posterior.interrupted:
        raise typer.Exit(INTERRUPTED)


def _write(
    recording: Recording,
    posterior: Posterior,
    min_effect: float,
    folder: Path,
    session: Session,
) -> tuple["RenderableType", Structure]:
    """Write the tables and the report; return the report, and blocks and positions."""
    with session.step("Summarising"):
        structure = find_structure(posterior.tree)
        write_summary(posterior.tree, folder / "summary.csv", structure)
        edges = edge_table(posterior.tree, min_effect=min_effect)
        edges.to_csv(folder / "edges.csv", index=False)
        if structure.blocks is not None:
            block_table(structure.blocks).to_csv(folder / "blocks.csv", index=False)
        if structure.positions is not None:
            position_table(structure.positions).to_csv(folder / "positions.csv", index=False)
        if structure.signs is not None:
            structure.signs.to_csv(folder / "signs.csv", index=False)
        report = fit_report(recording, posterior, edges, structure, min_effect=min_effect)
        write_report(report, folder / "report.txt")
    return report, structure
