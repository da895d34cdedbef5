"""The sign of signed flow: trusted where the whole field agrees on it, given up point by point where it does not.

A signed network emits f with noise on f, and its sign means nothing by itself. If the field is coherent, one common sign
is right for every point, and a still camera's noise averages out as in any least squares. If patches of the field flip,
each point's likelihood is an even mixture of f and -f, and the expected sign given a prediction is a hyperbolic tangent.
It is never a hard choice by the estimate, which would rectify noise at rest into motion.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..motion_field import Array

_STEP = 1 / 16
_LIMIT = 6.0
_CLEAR = 4.0


def expected_sign(agreement: Array, inlier: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Sign of each point given a prediction, and the surprise of not knowing it.

    agreement: [H, N] f . (A p) / sigma^2, half the log-odds of + over -; inlier: [H, N]. Returns sign [H, N] in -1..1 and
    [H, N] what giving up the sign adds to minus two log likelihood. Per hypothesis the likelier of the two models is used.
    """
    size = np.abs(agreement)
    log_cosh = size + np.log1p(np.exp(-2 * size)) - np.log(2)
    # A point votes with bounded weight: one huge flow must not decide for the field.
    vote = np.where(inlier, np.clip(agreement, -_CLEAR, _CLEAR), 0.0)
    total = vote.sum(axis=1, keepdims=True)
    coherent = np.abs(total) >= np.sum(
        np.where(inlier, np.minimum(log_cosh, _CLEAR), 0.0), axis=1, keepdims=True
    )
    single = np.tanh(agreement)
    common = np.where(total < 0, -1.0, 1.0)
    return np.where(coherent, common, single), np.where(coherent, 0.0, 2 * (agreement * single - log_cosh))


@lru_cache(maxsize=1)
def _table() -> Array:
    """[3, K]: |f| / sigma, and the share of a point's information kept along and across the flow (Louis 1982)."""
    s = np.arange(0.0, _LIMIT + _STEP, _STEP)
    noise = np.linspace(-6.0, 6.0, 241)
    density = np.exp(-noise * noise / 2)
    density /= density.sum()
    seen = s[:, None] + noise
    doubt = density / np.cosh(np.minimum(np.abs(seen * s[:, None]), 300.0)) ** 2
    along = 1 - np.sum(doubt * seen * seen, axis=1)
    return np.array([s, np.maximum(along, 0.0), np.maximum(1 - doubt.sum(axis=1), 0.0)])


def sign_free_information(s: Array) -> tuple[Array, Array]:
    """Share of the information (0..1) left along and across a flow of length s sigmas [any shape] of unknown sign."""
    lengths, along, across = _table()
    return np.interp(s, lengths, along), np.interp(s, lengths, across)
