"""One weighted linearisation of the sign-free residual r = q - Q(A p): all that an iteration of the solve needs.

Flows are complex (see motion_points.py) and in units of sigma. Turned into the frame of its predicted flow (real part
along it, imaginary part across it), Q has the diagonal derivative (1, 2), and a symmetric 2x2 matrix acts on a flow z as
m0 z + m2 conj(z), with m0 real.
"""

from dataclasses import dataclass

import numpy as np

from ..motion_field import Array
from .flow_noise import expected_sign, sign_free_information
from .motion_points import ComplexArray, MotionPoints

_TINY = 1e-12
_NEAR = 3.0


@dataclass(frozen=True)
class Linearisation:
    """Per hypothesis and point, at motions p [H, 6]; each [H, N].

    distance2: squared residual in units of its covariance; determinant: of that covariance; surprise: what an unknown sign
    adds to minus two log likelihood; isotropic, directed: m0 and m2 of the weight on the point's flow; pull: the weighted
    residual carried to the flow; length: predicted |A p|, in sigmas.
    """

    distance2: Array
    determinant: Array
    surprise: Array | float
    isotropic: Array
    directed: ComplexArray
    pull: ComplexArray
    length: Array

    def information(self, rows: ComplexArray, robust: Array) -> Array:
        """Gauss-Newton's matrix sum w A^T W A, [H, 6, 6], with robust weights [H, N]; rows [6, N]."""
        weighted = (robust * self.isotropic)[:, None] * rows
        weighted += (robust * self.directed)[:, None] * rows.conj()
        return weighted.view(np.float64) @ rows.view(np.float64).T

    def gradient(self, rows: ComplexArray, robust: Array) -> Array:
        """Right-hand side sum w A^T W r of the normal equations, [H, 6]."""
        return (robust * self.pull).view(np.float64) @ rows.view(np.float64).T


def linearise(
    points: MotionPoints, motion: Array, noise_scale: Array | float = 1.0, *, marginal: bool = False
) -> Linearisation:
    """Linearise around `motion` [H, 6] (rad, m).

    noise_scale [H, 1] multiplies sigma where a signed flow's sign has to be guessed; marginal leaves out of the weight
    the information that giving up that sign costs (for the covariance; the iteration converges with either).
    The covariance of a residual is the noise on q plus g g^T, g the effect of the depth's uncertainty: a wrong depth
    moves the predicted flow along the translational flow only, so across it the point still measures rotation exactly.
    """
    length, turn, g = _seen_along(points, motion)
    unexplained: Array | float = 0.0
    surprise: Array | float = 0.0
    along: Array | float = 1.0
    across: Array | float = 1.0
    if points.noise_on_flow:
        turned = points.flow * turn
        near = squared(np.abs(turned.real) - length + 1j * turned.imag) < (_NEAR * noise_scale) ** 2
        sign, surprise = expected_sign(turned.real * length / np.square(noise_scale), near)
        unexplained = (1 - sign * sign) * squared(turned)
        residual = sign * turned - length
        if marginal:
            kept = sign_free_information(length / noise_scale)
            along, across = (np.sqrt(np.maximum(share, sign * sign == 1)) for share in kept)
    else:
        across = 2.0
        residual = points.q * turn * turn - length
        g.imag *= 2

    # (I + g g^T)^-1 by Sherman and Morrison.
    determinant = 1 + squared(g)
    share = (g.conj() * residual).real / determinant
    distance2 = squared(residual) - share * share * determinant + unexplained
    pull = residual - share * g
    if not points.noise_on_flow:
        pull.imag *= 2
        g.imag *= 2
    elif marginal:
        g = along * g.real + 1j * (across * g.imag)
    back, half = turn.conj(), 0.5 / determinant
    return Linearisation(
        distance2=distance2,
        determinant=determinant,
        surprise=surprise,
        isotropic=(along * along + across * across) / 2 - squared(g) * half,
        directed=((along * along - across * across) / 2 - g * g * half) * back * back,
        pull=pull * back,
        length=length,
    )


def whitened(points: MotionPoints, motion: Array) -> tuple[ComplexArray, ComplexArray]:
    """Derivative [6, N] and residual [N] of double-angle flow about a motion [6], each in the frame of its predicted flow and in
    units of its standard deviation, depth's part included."""
    length, turn, g = _seen_along(points, motion)
    rows, residual = points.rows * turn, points.q * turn * turn - length
    rows.imag *= 2
    g.imag *= 2
    # (I + g g^T)^-1/2.
    size2 = np.maximum(squared(g), _TINY)
    less = (1 - 1 / np.sqrt(1 + size2)) / size2 * g
    return rows - (g.conj() * rows).real * less, residual - (g.conj() * residual).real * less


def _seen_along(points: MotionPoints, motion: Array) -> tuple[Array, ComplexArray, ComplexArray]:
    """Length [..., N] of the flow of motions [..., 6], the turn into its frame, and there the effect g of depth's error."""
    flow = predicted_flow(motion, points.rows)
    length = np.abs(flow)
    turn = flow.conj() / np.maximum(length, _TINY)
    return length, turn, predicted_flow(motion, points.depth_rows) * turn


def predicted_flow(motion: Array, rows: ComplexArray) -> ComplexArray:
    """Flow [..., N] of motions [..., K] with rows [K, N]."""
    return (motion @ rows.view(np.float64)).view(np.complex128)


def squared(flow: ComplexArray) -> Array:
    """|f|^2; NumPy's absolute value is vectorised, products of real and imaginary parts walk in strides."""
    return np.square(np.abs(flow))
