"""Rows of the CSV files of a sequence, checked: SequenceError names what is wrong in them by file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import SequenceError


def read_rows(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file, line n", row) of a CSV file whose header and field counts have been checked."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise SequenceError(f"{path}: not UTF-8 text (byte {error.start}); save it as plain CSV") from error
    reader = csv.reader(lines)
    header = [field.strip() for field in next(reader, [])]
    expected = ",".join(required) + "".join(f"[,{name}]" for name in optional)
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name not in required + optional]
    if missing or unknown or len(set(header)) != len(header):
        raise SequenceError(f"{path}, line 1: header is {','.join(header)!r}; write {expected}")
    for fields in _whole(reader, path):
        where = f"{path}, line {reader.line_num}"
        if not fields:
            continue
        if len(fields) != len(header):
            raise SequenceError(
                f"{where}: {len(fields)} fields where the header has {len(header)}; write {expected}"
            )
        yield where, dict(zip(header, (field.strip() for field in fields), strict=True))


def _whole(reader: Any, path: Path) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise SequenceError(
            f"{path}, line {reader.line_num}: {error}; is a quotation mark left open before?"
        ) from error


def nanoseconds(text: str) -> int:
    """Seconds as text, exactly in nanoseconds (a float64 of a Unix time is only good to 0.2 us). Raises ValueError."""
    try:
        stamp_ns = int((Decimal(text) * 10**9).to_integral_value())
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{text!r} is no time; write seconds such as 12.345678901") from error
    if abs(stamp_ns) >= 2**63:
        raise ValueError(f"{text!r} is no time in seconds; is it in nanoseconds? write seconds")
    return stamp_ns


def seconds(stamp_ns: int) -> str:
    """Nanoseconds as text in seconds, exactly; what `nanoseconds` reads."""
    whole, part = divmod(abs(stamp_ns), 10**9)
    return f"{'-' if stamp_ns < 0 else ''}{whole}.{part:09d}"


def parse_stamp_ns(text: str, where: str, previous: int | None) -> int:
    """Parse seconds and check that time increases."""
    try:
        stamp_ns = nanoseconds(text)
    except ValueError as error:
        raise SequenceError(f"{where}: stamp_s {error}") from error
    if stamp_ns < 0:
        raise SequenceError(f"{where}: stamp_s {text} is negative; count from zero")
    if previous is not None and stamp_ns <= previous:
        raise SequenceError(
            f"{where}: stamp_s {text} is not later than the line before; sort the rows by time"
        )
    return stamp_ns


def parse_number(text: str, where: str, column: str) -> float:
    """Parse a finite number."""
    try:
        value = float(text)
    except ValueError as error:
        raise SequenceError(
            f"{where}: {column} is {text!r}; write a number, or nothing if unknown"
        ) from error
    if not math.isfinite(value):
        raise SequenceError(f"{where}: {column} is {text}; write a finite number, or nothing if unknown")
    return value
