"""Arguments and options of the commands, as their help shows them; `settings` has the defaults."""

from pathlib import Path
from typing import Annotated

import typer

from pymc_glm.cli.settings import BasisKind, EdgePrior, WeightPrior
from pymc_glm.cli.settings import Engine as EngineKind

__all__ = [
    "Basis",
    "BinWidth",
    "Chains",
    "Cores",
    "Debug",
    "Draws",
    "Duration",
    "Edges",
    "Engine",
    "FileFormat",
    "FitFolder",
    "Folder",
    "HoldOut",
    "MaxMerged",
    "MinEffect",
    "MinRate",
    "NBasis",
    "NBlocks",
    "NDims",
    "Neurons",
    "NoPictures",
    "Overwrite",
    "Quiet",
    "Seed",
    "SharedInput",
    "SpikeFile",
    "Start",
    "Stop",
    "Threads",
    "Tune",
    "Weights",
    "Window",
]

# Of several commands
Folder = Annotated[Path, typer.Option(help="Folder for the results.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results of an earlier run.")
]
NoPictures = Annotated[bool, typer.Option("--no-pictures", help="Write no pictures.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print only warnings and errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

# The recording
SpikeFile = Annotated[Path, typer.Argument(help="Spike times: MEA HDF5, NWB, npz or CSV.")]
FitFolder = Annotated[
    Path | None,
    typer.Option(help="Folder for the results.", show_default="name of the file with -glm"),
]
FileFormat = Annotated[
    str | None,
    typer.Option(help="Format of the file: nwb, mea_hdf5, npz or csv.", show_default="detected"),
]
BinWidth = Annotated[float, typer.Option(help="Width of a bin, s.")]
MinRate = Annotated[float, typer.Option(help="Leave out neurons with a lower firing rate, Hz.")]
MaxMerged = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Largest fraction of spikes that may be lost by counting those in a bin as one.",
    ),
]
Start = Annotated[float | None, typer.Option(help="Start of the window to fit, s.")]
Stop = Annotated[float | None, typer.Option(help="End of the window, s.")]
Duration = Annotated[float | None, typer.Option(help="Length of the window, s; replaces --stop.")]
HoldOut = Annotated[
    float | None, typer.Option(help="Time to hold out at the end for `pymc-glm compare`, s.")
]
Neurons = Annotated[
    str | None, typer.Option(help="Labels of the neurons to fit, separated by commas.")
]

# The model
SharedInput = Annotated[
    bool,
    typer.Option(
        help="Input that no recorded neuron carries, and self filters (pymc_glm.recording_glm);"
        " or neither (pymc_glm.build_glm).",
    ),
]
Window = Annotated[
    float | None,
    typer.Option(
        help="Length of the coupling filters, s.",
        show_default="0.02, or 4 bins, longer for clocks; 0.1 without shared input",
    ),
]
Basis = Annotated[BasisKind, typer.Option(help="Basis of the filters.")]
NBasis = Annotated[
    int | None,
    typer.Option(help="Number of basis functions.", show_default="3; 4 for bspline"),
]
Edges = Annotated[EdgePrior, typer.Option(help="Prior of the edges.")]
Weights = Annotated[WeightPrior, typer.Option(help="Prior of the weights.")]
NBlocks = Annotated[
    int | None, typer.Option(min=1, help="Largest number of blocks, for the prior block.")
]
NDims = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Dimensions of the latent space, for the priors distance and eigen.",
        show_default="2",
    ),
]

# Sampling and decisions
Chains = Annotated[int, typer.Option(min=1, help="Number of chains.")]
Draws = Annotated[int, typer.Option(min=1, help="Draws per chain.")]
Tune = Annotated[int, typer.Option(min=0, help="Tuning draws before these.")]
Seed = Annotated[int | None, typer.Option(min=0, help="The same seed gives the same draws.")]
Cores = Annotated[
    int | None, typer.Option(min=1, help="Chains to run at a time.", show_default="all cores")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads per chain.", show_default="spare cores")
]
Engine = Annotated[
    EngineKind,
    typer.Option(help="Sample on threads of the processor, or by JAX, on a GPU if there is one."),
]
MinEffect = Annotated[
    float | None,
    typer.Option(
        help="Smallest effect of one spike, in log-odds, for an edge to be called; columns "
        "p_effect, discovered and sign of edges.csv.",
        show_default="0.5; 0 if all edges are present",
    ),
]
