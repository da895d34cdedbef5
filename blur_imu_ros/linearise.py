"""One weighted linearisation of the sign-free residual: all that an iteration of the solve needs.

Everything is written in the frame of each point's predicted flow (along, across), where the derivative of Q is diagonal:
1 along the flow and 2 across it.
"""

from dataclasses import dataclass

import numpy as np

from .flow_noise import sign_free_information
from .motion_field import Array
from .motion_points import MotionPoints

_TINY_PX = 1e-12


@dataclass(frozen=True)
class Linearisation:
    """Per hypothesis and point, at motions p [H, 6].

    distance2: [H, N] squared residual in units of its covariance; log_det: [H, N] logarithm of that covariance's
    determinant; weight: (m_uu, m_uv, m_vv), each [H, N], the information on the flow of the point, px^-2;
    pull: (b_u, b_v), each [H, N], the weighted residual carried to the flow, px^-1; length: [H, N] predicted |A p|, px.
    """

    distance2: Array
    log_det: Array
    weight: tuple[Array, Array, Array]
    pull: tuple[Array, Array]
    length: Array

    def information(self, matrix: Array, robust: Array) -> Array:
        """Gauss-Newton's matrix sum w A^T W A, [H, 6, 6], with robust weights [H, N]; matrix [2, 6, N]."""
        uu, uv, vv = ((robust * m)[:, None, :] for m in self.weight)
        rows_u, rows_v = matrix
        return (uu * rows_u + uv * rows_v) @ rows_u.T + (uv * rows_u + vv * rows_v) @ rows_v.T

    def gradient(self, matrix: Array, robust: Array) -> Array:
        """Right-hand side sum w A^T W r of the normal equations, [H, 6]."""
        return (robust * self.pull[0]) @ matrix[0].T + (robust * self.pull[1]) @ matrix[1].T


def linearise(points: MotionPoints, motion: Array, noise_scale: Array, *, marginal: bool = False) -> Linearisation:
    """Linearise around `motion` [H, 6] (rad, m).

    noise_scale [H, 1] multiplies sigma where a signed flow's sign has to be guessed; marginal leaves out of the weight the
    information that giving up that sign costs (for the covariance; the iteration converges with either).
    The covariance of a residual is the noise on q plus g g^T, g the effect of the depth's uncertainty: a wrong depth
    moves the predicted flow along the translational flow only, so across it the point still measures rotation exactly.
    """
    flow_u, flow_v = motion @ points.matrix[0], motion @ points.matrix[1]
    length = np.sqrt(flow_u * flow_u + flow_v * flow_v)
    inverse = 1 / np.maximum(length, _TINY_PX)
    cos, sin = flow_u * inverse, flow_v * inverse
    cos2, sin2 = (cos - sin) * (cos + sin), 2 * cos * sin

    variance = points.sigma * points.sigma
    unexplained: Array | float = 0.0
    if points.noise_on_flow:
        slope = 1.0
        along = points.flow[0] * cos + points.flow[1] * sin
        across = points.flow[1] * cos - points.flow[0] * sin
        sign = np.tanh(along * length / (variance * noise_scale * noise_scale))
        unexplained = (1 - sign * sign) * (along * along + across * across) / variance
        along, across = sign * along - length, sign * across
    else:
        slope = 2.0
        along = points.q[0] * cos2 + points.q[1] * sin2 - length
        across = points.q[1] * cos2 - points.q[0] * sin2

    depth_u, depth_v = motion[:, 3:] @ points.depth_slope[0], motion[:, 3:] @ points.depth_slope[1]
    g_along, g_across = cos * depth_u + sin * depth_v, slope * (cos * depth_v - sin * depth_u)
    determinant = variance * (variance + g_along * g_along + g_across * g_across)
    i_along, i_across = (variance + g_across * g_across) / determinant, (variance + g_along * g_along) / determinant
    i_mixed = -g_along * g_across / determinant

    pull_along = i_along * along + i_mixed * across
    pull_across = i_mixed * along + i_across * across
    distance2 = along * pull_along + across * pull_across + unexplained
    pull_across = slope * pull_across

    m_along, m_across, m_mixed = i_along, slope * slope * i_across, slope * i_mixed
    if marginal and points.noise_on_flow:
        share_along, share_across = sign_free_information(length / (points.sigma * noise_scale))
        m_along, m_across = share_along * m_along, share_across * m_across
        m_mixed = np.sqrt(share_along * share_across) * m_mixed
    half_sum, half_difference = (m_along + m_across) / 2, (m_along - m_across) / 2
    turned = half_difference * cos2 - m_mixed * sin2
    weight = (half_sum + turned, half_difference * sin2 + m_mixed * cos2, half_sum - turned)
    pull = (cos * pull_along - sin * pull_across, sin * pull_along + cos * pull_across)
    return Linearisation(distance2, np.log(determinant), weight, pull, length)
