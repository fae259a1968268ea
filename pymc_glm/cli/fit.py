"""``pymc-glm fit``: from a recording to a folder with the posterior of its network."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pymc_glm.arguments import as_number
from pymc_glm.cli import options
from pymc_glm.cli.free_runs import free_run_line
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
from pymc_glm.cli.settings import FitSettings, PriorSettings, SampleSettings
from pymc_glm.cli.structure import Structure, block_table, find_structure, position_table
from pymc_glm.criticism.network.edges import edge_table, smallest_effect

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["fit", "run_fit"]

_FIT = FitSettings(Path())
_SAMPLE = SampleSettings()


def fit(
    file: options.SpikeFile,
    output: options.FitFolder = None,
    overwrite: options.Overwrite = False,
    format: options.FileFormat = None,
    bin_width: options.BinWidth = _FIT.bin_width,
    shared_input: options.SharedInput = _FIT.prior.shared_input,
    window: options.Window = _FIT.window,
    basis: options.Basis = _FIT.basis,
    n_basis: options.NBasis = _FIT.n_basis,
    min_rate: options.MinRate = _FIT.min_rate,
    max_merged: options.MaxMerged = _FIT.max_merged,
    start: options.Start = None,
    stop: options.Stop = None,
    duration: options.Duration = None,
    hold_out: options.HoldOut = None,
    neurons: options.Neurons = None,
    edges: options.Edges = _FIT.prior.edges,
    weights: options.Weights = _FIT.prior.weights,
    n_blocks: options.NBlocks = None,
    n_dims: options.NDims = None,
    chains: options.Chains = _SAMPLE.chains,
    draws: options.Draws = _SAMPLE.draws,
    tune: options.Tune = _SAMPLE.tune,
    seed: options.Seed = None,
    cores: options.Cores = None,
    threads: options.Threads = None,
    engine: options.Engine = _SAMPLE.engine,
    min_effect: options.MinEffect = _FIT.min_effect,
    no_pictures: options.NoPictures = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fit a network to the spike times in FILE: the model that is recommended for recordings.

    Writes posterior.nc, summary.csv (biases and hyperparameters), edges.csv (every pair of
    neurons), blocks.csv, positions.csv and signs.csv if the model has them, report.txt and
    pictures. The posterior is written first, so a later error cannot lose it. To continue in
    Python, pymc_glm.load("posterior.nc") returns the posterior and its model. Exit codes: 2 for
    bad input, 130 after Ctrl-C, 1 for other errors.
    """
    settings = FitSettings(
        path=file, format=format, bin_width=bin_width, window=window, basis=basis, n_basis=n_basis,
        min_rate=min_rate, max_merged=max_merged, start=start, stop=stop, duration=duration,
        hold_out=hold_out, neurons=_labels(neurons), min_effect=min_effect,
        prior=PriorSettings(edges, weights, n_blocks, n_dims, shared_input),
        sampling=SampleSettings(draws, tune, chains, cores, threads, seed, engine),
    )  # fmt: skip
    folder = Path(f"{file.stem}-glm") if output is None else output
    with open_session(quiet=quiet, debug=debug) as session:
        run_fit(settings, folder, session, overwrite=overwrite, pictures=not no_pictures)


def _labels(text: str | None) -> tuple[str, ...] | None:
    """Return labels that are separated by commas."""
    return None if text is None else tuple(map(str.strip, text.split(",")))


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
    if settings.min_effect is not None:
        as_number(settings.min_effect, "min_effect", at_least=0)
    expected = result_files(settings.prior, pictures=pictures)
    with OutputFolder(path, overwrite=overwrite, expected=expected) as folder:
        recording = read_recording(settings, session)
        counts = recording.counts
        model = build_model(counts, make_basis(settings, counts), settings.prior, session)
        session.accept_input()
        posterior = sample_model(model, settings.sampling, session)
        keep_held_out(posterior.tree, recording)
        with session.step("Writing the posterior"), hold_interrupts():
            write_posterior(posterior.tree, folder.staging / "posterior.nc")
            folder.commit()
        min_effect = smallest_effect(posterior.tree, settings.min_effect)
        seed = settings.sampling.random_seed
        report, structure = _write(recording, posterior, min_effect, seed, folder.staging, session)
        files = folder.commit()
        if pictures:
            write_pictures(
                posterior.tree, folder.staging, session, structure, min_effect=min_effect
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
    random_seed: int | None,
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
    with session.step("Simulating networks drawn from the posterior"):
        free_run = free_run_line(posterior.tree, random_seed)
    report = fit_report(
        recording, posterior, edges, structure, min_effect=min_effect, free_run=free_run
    )
    write_report(report, folder / "report.txt")
    return report, structure
