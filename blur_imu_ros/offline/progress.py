"""A progress bar over frames, on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

Progress = Callable[[Iterable[T]], Iterable[T]]
"""What frames, or their numbers, are iterated through while somebody watches."""


def frame_bar(what: str, total: int | None = None) -> Progress[T]:
    """What to iterate frames through, so that the user sees how far it is; `total` where they do not say how many they are."""

    def show(frames: Iterable[T]) -> Iterable[T]:
        quiet = not sys.stderr.isatty()
        shown: Iterable[T] = tqdm(frames, desc=what, total=total, unit="frame", leave=False, disable=quiet)
        return shown

    return show
