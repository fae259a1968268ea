"""The folder of results: written whole or not at all."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RESULT_FILES", "OutputFolder"]

RESULT_FILES = (
    "posterior.nc",
    "summary.csv",
    "edges.csv",
    "report.txt",
    "network.png",
    "weights.png",
    "filters.png",
    "rates.png",
    "raster.png",
)


class OutputFolder:
    """Files are written to `staging`, a hidden folder beside their place, and moved at the end.

    A context manager: unless `commit` was called, leaving it removes all that was written.

    Parameters
    ----------
    path : Path
        Where the results go; the folder may exist. Files of other names in it are left alone.
    overwrite : bool
        Whether results of an earlier run may be replaced.

    Raises
    ------
    NotADirectoryError, FileExistsError, PermissionError
        On entry: the path is a file, holds results already, or cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool = False):
        self.path = Path(path).expanduser()
        self.overwrite = overwrite
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Check that the results can be written; make the staging folder."""
        self._check()
        # Inside a folder that exists: it may be a mount point, and no file is renamed across one.
        home = self.path if self.path.is_dir() else self.path.parent
        try:
            self._make_parents(home)
            self.staging = home / f".{self.path.name}.{secrets.token_hex(4)}.unfinished"
            self.staging.mkdir()
        except OSError as error:
            self._remove_parents()
            raise type(error)(
                f"--output: {self.path} cannot be written ({error.strerror}); name another folder."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what was not committed."""
        if self.staging.exists():
            shutil.rmtree(self.staging, ignore_errors=True)
            self._remove_parents()

    def commit(self) -> list[Path]:
        """Move the files to their place, replacing those of an earlier run.

        Returns
        -------
        list of Path
            The files, in the order of `RESULT_FILES`.
        """
        names = [name for name in RESULT_FILES if (self.staging / name).exists()]
        if self.path.is_dir():
            for name in RESULT_FILES:
                if name not in names:
                    (self.path / name).unlink(missing_ok=True)
            for name in names:
                os.replace(self.staging / name, self.path / name)
            self.staging.rmdir()
        else:
            os.rename(self.staging, self.path)
        return [self.path / name for name in names]

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"--output: {self.path} is a file; name a folder.")
        earlier = [name for name in RESULT_FILES if (self.path / name).exists()]
        if earlier and not self.overwrite:
            raise FileExistsError(
                f"--output: {self.path} holds the results of an earlier run ({', '.join(earlier)})"
                "; name another folder, or pass --overwrite to replace these files."
            )

    def _make_parents(self, home: Path) -> None:
        missing = [folder for folder in (home, *home.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir()
            self._made.append(folder)

    def _remove_parents(self) -> None:
        """Remove the parents that were made, as far as nobody put something there."""
        with contextlib.suppress(OSError):
            while self._made:
                self._made.pop().rmdir()
