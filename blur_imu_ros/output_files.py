"""Files that commands write: checked before the work that fills them, and written whole or not at all where that matters."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ConfigurationError


def check_output_file(path: Path | None) -> None:
    """Raise ConfigurationError for a file that could not be written, before anything is measured."""
    if path is None:
        return
    if not path.resolve().parent.is_dir():
        raise ConfigurationError(f"{path}: its folder does not exist; create it first")
    new = not os.path.lexists(path)
    try:
        path.open("ab").close()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file") from error
    if new:
        path.unlink()


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then move it there in one step; on any failure `path` is untouched."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            draft = Path(folder) / path.name
            write(draft)
            os.replace(draft, path)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"{path} cannot be written: {reason}; choose another place") from error


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON document; ValueError for a number that JSON does not have, such as NaN."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
