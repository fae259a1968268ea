"""Variables of a model as functions of a point."""

from pytensor.compile.mode import Mode

__all__ = ["INTERPRETED"]


# Seldom evaluated and small: not worth the seconds that compiling each operation takes.
INTERPRETED = Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")
