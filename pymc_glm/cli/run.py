"""The steps from a file to a posterior, with progress messages."""

from typing import TYPE_CHECKING, NamedTuple

from pymc_glm.cli.session import Session
from pymc_glm.cli.settings import (
    BasisKind,
    EdgePrior,
    FitSettings,
    PriorSettings,
    SampleSettings,
    WeightPrior,
)
from pymc_glm.criticism.wording import counted

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

    from pymc_glm.priors.edges import Edges
    from pymc_glm.priors.weights import Weights

__all__ = [
    "Posterior",
    "Recording",
    "build_model",
    "keep_held_out",
    "make_basis",
    "make_priors",
    "read_recording",
    "sample_model",
]


_SHORTEST_PAUSE = 1.0  # s
_WINDOW = 0.1  # s, of filters that also have to hold a neuron's own past
_HISTORY = 1.0  # s, kept before the part held out; no self filter is longer


class Recording(NamedTuple):
    """A recording in bins."""

    name: str
    counts: "xr.DataArray"  # (time, neuron)
    dropped: tuple[str, ...]  # neurons below the minimum rate
    min_rate: float  # Hz
    n_merged: int  # spikes not counted, in a bin with an earlier spike of the neuron
    held_out: "xr.DataArray | None" = None  # (time, neuron), with the history before them
    held_out_start: float = float("nan")  # s

    @property
    def bin_width(self) -> float:
        """Seconds."""
        return float(self.counts.attrs["bin_width"])


class Posterior(NamedTuple):
    """The result of sampling."""

    tree: "xr.DataTree"
    interrupted: bool
    seconds: float  # sampling alone, without compiling


def read_recording(settings: FitSettings, session: Session) -> Recording:
    """Read a file and count spikes in bins, without neurons below the minimum rate."""
    import pymc_glm as pg

    with session.step(f"Reading {settings.path}"):
        trains = pg.read_spikes(settings.path, settings.format)
    session.say(f"  {trains!r}")
    with session.step(f"Counting spikes in bins of {1e3 * settings.bin_width:g} ms"):
        part = trains.select(
            settings.neurons,
            start=settings.start,
            stop=settings.stop,
            duration=settings.duration,
        )
        counts = pg.bin_spikes(part, settings.bin_width, min_rate=settings.min_rate)
    dropped = tuple(counts.attrs.get("dropped_neurons", ()))
    if dropped:
        session.say(
            f"  left out {len(dropped)} of {len(part)} neurons, below {settings.min_rate:g} Hz: "
            f"{', '.join(dropped)}"
        )
    _warn_of_pauses(counts, session)
    counts, n_merged = _merge_spikes(counts, settings.max_merged, session)
    recording = Recording(trains.name, counts, dropped, settings.min_rate, n_merged)
    return recording if settings.hold_out is None else _hold_out(recording, settings)


def _hold_out(recording: Recording, settings: FitSettings) -> Recording:
    """Hold out the end of the recording.

    Raises
    ------
    ValueError
        If the part held out or the rest is not longer than the window of the filters.
    """
    import pymc_glm as pg

    counts, width = recording.counts, recording.bin_width
    first = len(counts) - round((settings.hold_out or 0.0) / width)
    known = counts.isel(time=slice(0, first)) if first > 0 else counts
    window = _window(settings, known)
    if settings.prior.shared_input:  # the self filter may be longer
        window = max(window, float(pg.basis.self_history(known).attrs["window"]))
    if min(first, len(counts) - first) <= round(window / width):
        raise ValueError(
            f"--hold-out: got {settings.hold_out:g} of {len(counts) * width:g} s; the part held "
            f"out and the rest must both be longer than the window of {window:g} s."
        )
    before = round(max(window, _HISTORY) / width)  # the same for models that are compared
    return recording._replace(
        counts=counts.isel(time=slice(0, first)),
        held_out=counts.isel(time=slice(max(first - before, 0), None)),
        held_out_start=float(counts["time"].values[first]),
    )


def keep_held_out(tree: "xr.DataTree", recording: Recording) -> None:
    """Add the held-out counts to a posterior as the group ``held_out``."""
    import xarray as xr

    if recording.held_out is not None:
        counts = recording.held_out.drop_vars(
            [name for name in recording.held_out.coords if name not in ("time", "neuron")]
        )
        tree["held_out"] = xr.Dataset({"counts": counts}, attrs={"start": recording.held_out_start})


def _warn_of_pauses(counts: "xr.DataArray", session: Session) -> None:
    """Warn if all neurons are silent for so long that the recording may have been paused."""
    import numpy as np

    width = counts.attrs["bin_width"]
    fired = np.flatnonzero(counts.values.any(axis=1))
    # The probability that independent neurons are all silent for this long is exp(-40).
    longest = max(_SHORTEST_PAUSE, 40 * len(counts) * width / counts.values.sum())
    lengths = (np.diff(fired) - 1) * width
    pauses = np.flatnonzero(lengths > longest)
    if not pauses.size:
        return
    begin = float(counts["time"].values[0]) + width * (fired[pauses] + 1)
    shown = ", ".join(
        f"{first:.4g} to {first + length:.4g} s"
        for first, length in zip(begin[:3], lengths[pauses][:3], strict=True)
    )
    session.warn(
        "Warning",
        f"{counted(pauses.size, 'pause')} longer than {longest:.3g} s in which no neuron fires, "
        f"{lengths[pauses].sum():.4g} s in all ({shown}{', ...' if pauses.size > 3 else ''}). If "
        "the recording was paused there, fit a part without pauses (--start, --stop): shared "
        "silence looks like coupling between all neurons.",
    )


def _merge_spikes(
    counts: "xr.DataArray", max_merged: float, session: Session
) -> tuple["xr.DataArray", int]:
    """Count several spikes in a bin as one, which the Bernoulli model needs, if few are lost.

    Sorted units have some such bins at any width. If they are not rare, the counts stay unchanged
    and the model refuses them.
    """
    extra = (counts - counts.clip(max=1)).sum("time")
    lost, total = int(extra.sum()), int(counts.sum())
    if lost == 0 or lost > max_merged * total:
        return counts, 0
    worst = extra.idxmax().item()
    share = float(extra.max() / counts.sel(neuron=worst).sum())
    session.warn(
        "Warning",
        f"spikes not counted, in a bin with an earlier spike of the same neuron: {lost} of {total} "
        f"({lost / total:.2%}; most of neuron {worst}, {share:.1%} of its spikes). A smaller "
        "--bin-width keeps more of them; --max-merged 0 makes this an error.",
    )
    return counts.clip(max=1, keep_attrs=True), lost


def _window(settings: FitSettings, counts: "xr.DataArray") -> float:
    """Return the length of the coupling filters in seconds."""
    import pymc_glm as pg

    if settings.window is not None:
        return settings.window
    if not settings.prior.shared_input:
        return _WINDOW
    return float(pg.basis.coupling_history(counts).attrs["window"])


def make_basis(settings: FitSettings, counts: "xr.DataArray") -> "xr.DataArray":
    """Make the basis of the coupling filters.

    Raises
    ------
    ValueError
        If the number of functions does not suit the basis.
    """
    import pymc_glm as pg

    n_basis, window = settings.n_basis, _window(settings, counts)
    bin_width = settings.bin_width
    if settings.basis is BasisKind.IDENTITY:
        if n_basis is not None:
            raise ValueError(
                f"--n-basis: got {n_basis} with --basis identity, which has one function for each "
                "bin of the window; leave --n-basis out."
            )
        return pg.basis.identity(window, bin_width)
    if settings.basis is BasisKind.BSPLINE:
        return pg.basis.bspline(4 if n_basis is None else n_basis, window, bin_width)
    if settings.prior.shared_input and settings.window is None:
        return pg.basis.coupling_history(counts, n_basis)
    return pg.basis.raised_cosine(3 if n_basis is None else n_basis, window, bin_width)


def make_priors(settings: PriorSettings) -> tuple["Edges | None", "Weights | None"]:
    """Make the priors of edges and weights, which share blocks or positions if both have them.

    None stands for the default of `pymc_glm.recording_glm`.

    Raises
    ------
    ValueError
        If the number of blocks is missing, or a number is given that no prior uses.
    """
    import pymc_glm as pg

    edges, weights, n_blocks, n_dims, shared = settings
    if settings.has_blocks and n_blocks is None:
        option = "--edges block" if edges is EdgePrior.BLOCK else "--weights block"
        raise ValueError(
            f"--n-blocks: {option} needs the largest number of blocks, such as --n-blocks 4; "
            "unneeded blocks stay empty."
        )
    if not settings.has_blocks and n_blocks is not None:
        raise ValueError(
            f"--n-blocks: got {n_blocks} with --edges {edges} and --weights {weights}, which have "
            "no blocks; leave it out, or add --edges block or --weights block."
        )
    if n_dims is not None and not (settings.has_positions or edges is EdgePrior.EIGEN):
        raise ValueError(
            f"--n-dims: got {n_dims} with --edges {edges} and --weights {weights}, which have no "
            "latent space; leave it out, or add --edges distance, --edges eigen or --weights "
            "distance."
        )
    of_edges = {
        EdgePrior.DENSE: lambda: pg.DenseEdges(),
        EdgePrior.BERNOULLI: lambda: None if shared else pg.BernoulliEdges(),
        EdgePrior.BLOCK: lambda: pg.BlockEdges(n_blocks),
        EdgePrior.DISTANCE: lambda: pg.DistanceEdges(n_dims),
        EdgePrior.UNCOUPLED: lambda: pg.BernoulliEdges(probability=0.0),
        EdgePrior.EIGEN: lambda: pg.EigenEdges() if n_dims is None else pg.EigenEdges(n_dims),
    }
    of_weights = {
        WeightPrior.GAUSSIAN: lambda: None if shared else pg.GaussianWeights(),
        WeightPrior.BLOCK: lambda: pg.BlockWeights(n_blocks),
        WeightPrior.DISTANCE: lambda: pg.DistanceWeights(n_dims),
        WeightPrior.SIGNED: lambda: pg.SignedWeights(),
    }
    return of_edges[edges](), of_weights[weights]()


def build_model(
    counts: "xr.DataArray", basis: "xr.DataArray", settings: PriorSettings, session: Session
) -> "pm.Model":
    """Build the model: that of `pymc_glm.recording_glm`, or without shared input `build_glm`'s.

    Raises
    ------
    ValueError
        If the counts or the number of neurons do not suit it, or settings contradict each other.
    """
    import pymc_glm as pg

    edges, weights = make_priors(settings)
    with session.step("Building the model"):
        try:
            build = pg.recording_glm if settings.shared_input else pg.build_glm
            return build(counts, basis, edges=edges, weights=weights, observation="bernoulli")
        except ValueError as error:
            if "more than one spike" not in str(error):
                raise
            total = int(counts.sum())
            lost = total - int(counts.clip(max=1).sum())
            raise ValueError(
                f"{error} Or raise --max-merged, the largest fraction of spikes that may be lost "
                f"by counting those in a bin as one: here {lost / total:.2%} of them would be lost."
            ) from error


def sample_model(model: "pm.Model", settings: SampleSettings, session: Session) -> Posterior:
    """Sample; Ctrl-C stops and keeps the draws until then.

    Raises
    ------
    KeyboardInterrupt
        If there is no draw to keep.
    """
    import pymc_glm as pg
    from pymc_glm.sampling.estimate import TimeEstimate
    from pymc_glm.sampling.sample import share_cores

    session.say(
        f"Sampling {counted(settings.chains, 'chain')}, {settings.tune} tuning and "
        f"{settings.draws} kept draws each (Ctrl-C stops and keeps the draws until then)"
    )
    cores, _ = share_cores(settings.chains, settings.cores, settings.threads, settings.engine)
    estimate = TimeEstimate(settings.draws + settings.tune, settings.chains, cores, session.say)
    try:
        tree = pg.sample(
            **settings._asdict(),
            model=model,
            progressbar=not session.quiet,
            report=False,
            callback=estimate,
        )
    except ValueError as error:
        if "Not enough samples" not in str(error):  # from PyMC, if interrupted while tuning
            raise
        raise KeyboardInterrupt from error
    sizes = tree["posterior"].sizes
    interrupted = sizes["draw"] < settings.draws or sizes["chain"] < settings.chains
    if interrupted:
        kept = f"{sizes['chain']} of {settings.chains} chains with {sizes['draw']} of "
        session.warn("Interrupted", f"{kept}{settings.draws} draws are kept.")
    seconds = float(tree["posterior"].attrs.get("sampling_time", float("nan")))
    session.say(f"Sampling: {seconds:.1f} s")
    return Posterior(tree, interrupted, seconds)
