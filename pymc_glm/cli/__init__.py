"""The command line: ``pymc-glm fit``, ``pymc-glm compare`` and ``pymc-glm demo``.

Packages that are slow to import (PyMC, ArviZ, matplotlib) are imported inside the commands.
"""

from importlib import metadata
from typing import Annotated

import typer

from pymc_glm.cli import compare, demo, fit

__all__ = ["app", "main"]

app = typer.Typer(
    name="pymc-glm",
    help="Fit Bayesian network GLMs to spike trains: which neurons influence which, "
    "and how certain that is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(fit.fit)
app.command()(compare.compare)
app.command()(demo.demo)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        version = metadata.version("pymc_glm")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        version = "unknown"
    typer.echo(f"pymc-glm {version}")
    raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Define the options that come before a command."""


def main() -> None:
    """Run the command line, as the script ``pymc-glm`` does."""
    app()
