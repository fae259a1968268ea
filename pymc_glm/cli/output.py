"""The folder of results: files appear in it only when complete, and survive later errors."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["RESULT_FILES", "OutputFolder"]

RESULT_FILES = (
    "posterior.nc",
    "summary.csv",
    "edges.csv",
    "blocks.csv",
    "positions.csv",
    "signs.csv",
    "report.txt",
    "network.png",
    "weights.png",
    "filters.png",
    "rates.png",
    "raster.png",
    "blocks.png",
    "positions.png",
    "shared_input.png",
)


class OutputFolder:
    """A folder whose files are written to a hidden folder, `staging`, and moved when complete.

    This is a context manager: on exit it removes files that `commit` has not moved. An error after
    a `commit` gets a note that lists the files written and those missing.

    Parameters
    ----------
    path : Path
        The folder, which may exist. Files with other names in it are left alone.
    overwrite : bool
        Whether results of an earlier run may be replaced.
    expected : sequence of str
        Names of the files that a run without errors writes, out of `files`.
    files : sequence of str
        Names of all possible results of the command; those of earlier runs are replaced.

    Raises
    ------
    NotADirectoryError, FileExistsError, PermissionError
        On entry, if the path is a file, holds results already, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        overwrite: bool = False,
        expected: Sequence[str] = RESULT_FILES,
        files: Sequence[str] = RESULT_FILES,
    ):
        self.path = Path(path).expanduser()
        self.overwrite = overwrite
        self.expected = expected
        self.files = files
        self._made: list[Path] = []
        self._written: set[str] = set()
        self._stuck = False  # keep files in staging that cannot be moved

    def __enter__(self) -> Self:
        """Check that the results can be written; make the staging folder."""
        self._check()
        # Within the folder if it exists: it may be a mount point, across which no file is renamed.
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
        if not self._stuck:
            shutil.rmtree(self.staging, ignore_errors=True)
            self._remove_parents()
        if error is not None and self._written:
            there = [name for name in self.files if name in self._written]
            missing = [name for name in self.expected if name not in self._written]
            lack = f"; missing: {', '.join(missing)}" if missing else ""
            error.add_note(f"{self.path} holds {', '.join(there)}{lack}.")

    def commit(self) -> list[Path]:
        """Move the files written since the last call to the folder.

        The first call removes all other results of an earlier run.

        Returns
        -------
        list of Path
            All files moved so far, in the order of `files`.

        Raises
        ------
        OSError
            If a file cannot be moved; the message says where it is kept.
        """
        first = not self._written
        for name in self.files:
            if (self.staging / name).exists():
                self._move(name)
        if first:
            for name in set(self.files) - self._written:
                (self.path / name).unlink(missing_ok=True)
        return [self.path / name for name in self.files if name in self._written]

    def _move(self, name: str) -> None:
        try:
            if not self.path.is_dir():
                self.path.mkdir()
                self._made.append(self.path)
            os.replace(self.staging / name, self.path / name)
        except OSError as error:
            self._stuck = True
            raise type(error)(
                f"{name} cannot be moved to {self.path} ({error.strerror}); it is kept in "
                f"{self.staging}."
            ) from error
        self._written.add(name)

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"--output: {self.path} is a file; name a folder.")
        earlier = [name for name in self.files if (self.path / name).exists()]
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
        """Remove the parents that were made, if they are still empty."""
        with contextlib.suppress(OSError):
            while self._made:
                self._made.pop().rmdir()
