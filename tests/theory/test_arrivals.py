import numpy as np
import pytest
from scipy.integrate import dblquad

from flexrel_sim.theory import mmpp_dispersion


@pytest.mark.parametrize("time_s", [0.1, 2.0, 50.0])
def test_the_dispersion_is_the_integral_of_the_rates_covariance(time_s: float) -> None:
    (low, high), (calm_s, burst_s) = (1.0, 9.0), (4.0, 1.0)
    share = burst_s / (calm_s + burst_s)
    mean = low + share * (high - low)
    variance = share * (1 - share) * (high - low) ** 2
    fading = 1 / calm_s + 1 / burst_s
    # Var N = mean t + the integral of Cov(rate(u), rate(v)) over the square.
    half, _ = dblquad(lambda v, u: variance * np.exp(-fading * (u - v)), 0, time_s, 0, lambda u: u)
    expected = 1 + 2 * half / (mean * time_s)
    assert mmpp_dispersion((low, high), (calm_s, burst_s), time_s) == pytest.approx(expected)


def test_one_rate_is_a_poisson_process() -> None:
    assert mmpp_dispersion((3.0, 3.0), (1.0, 2.0), 7.0) == 1.0
