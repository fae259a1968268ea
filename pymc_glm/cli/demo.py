"""``pymc-glm demo``: fit two simulated networks and compare them with the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymc_glm.cli import options
from pymc_glm.cli.fit import run_fit
from pymc_glm.cli.networks import DemoNetwork, four_neurons, twelve_neurons
from pymc_glm.cli.output import OutputFolder
from pymc_glm.cli.report import edges_with_truth, truth_report, write_report
from pymc_glm.cli.results import (
    TrueNetwork,
    result_files,
    write_pictures,
    write_posterior,
    write_summary,
)
from pymc_glm.cli.run import Posterior, build_model, sample_model
from pymc_glm.cli.session import INTERRUPTED, Session, hold_interrupts, open_session
from pymc_glm.cli.settings import FitSettings, PriorSettings, SampleSettings
from pymc_glm.criticism.network.edges import edge_table

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["demo"]


def demo(
    output: options.Folder = Path("demo-output"),
    recording: Annotated[
        Path | None, typer.Option(help="Fit this file instead of the simulated networks.")
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="Use fewer bins and draws: faster, but less precise.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 1,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Simulate two networks, fit them and compare the results with the truth.

    The simulated networks have no shared input, and the models of them neither; a recording is
    fitted with it. Results of an earlier demo in the output folder are overwritten.
    """
    with open_session(quiet=quiet, debug=debug) as session:
        if recording is not None:
            sampling = SampleSettings(50, 50) if short else SampleSettings()
            settings = FitSettings(recording, sampling=sampling._replace(random_seed=seed))
            run_fit(settings, output / recording.stem, session, overwrite=True)
            return
        for network in (four_neurons(short), twelve_neurons(short)):
            _run(network, output / network.name, seed, session)


def _run(network: DemoNetwork, path: Path, seed: int, session: Session) -> None:
    """Simulate and fit one network; write and print how the fit compares with the truth."""
    import pymc_glm as pg

    prior = PriorSettings(shared_input=False)
    with OutputFolder(path, overwrite=True, expected=result_files(prior)) as folder:
        with session.step(f"{network.title}: simulating {network.n_bins} bins"):
            counts = pg.simulate(
                network.parameters,
                network.n_bins,
                random_seed=network.seed,
                neurons=network.neurons,
            )
        rates = counts.mean("time").values / counts.attrs["bin_width"]
        session.say(f"  {counts.values.sum()} spikes, {rates.min():.1f} to {rates.max():.1f} Hz")
        session.accept_input()
        model = build_model(counts, network.parameters.basis, prior, session)
        sampling = network.sampling._replace(random_seed=seed)
        posterior = sample_model(model, sampling, session)
        truth = TrueNetwork(network.parameters.adjacency, network.parameters.filters)
        with session.step("Writing the posterior"), hold_interrupts():
            write_posterior(posterior.tree, folder.staging / "posterior.nc")
            folder.commit()
        report = _write(network, truth, posterior, folder.staging, session)
        folder.commit()
        write_pictures(posterior.tree, folder.staging, session, truth=truth)
        files = folder.commit()
    session.results.print()
    session.results.print(report)
    session.results.print(f"\nWritten to {path}: {', '.join(file.name for file in files)}\n")
    if posterior.interrupted:
        raise typer.Exit(INTERRUPTED)


def _write(
    network: DemoNetwork,
    truth: TrueNetwork,
    posterior: Posterior,
    folder: Path,
    session: Session,
) -> "RenderableType":
    """Write the tables and the report; return the report."""
    with session.step("Summarising"):
        write_summary(posterior.tree, folder / "summary.csv")
        edges = edges_with_truth(edge_table(posterior.tree), truth, network.neurons)
        edges.to_csv(folder / "edges.csv", index=False)
        report = truth_report(posterior, edges, network.title)
        write_report(report, folder / "report.txt")
    return report
