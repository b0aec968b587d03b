"""The laws of the singular values of wide random matrices, and of a layer's Jacobian W D.

W has independent entries of mean 0, D is a diagonal matrix of slopes f'(s_k). For wide layers the
two are asymptotically free, and the singular values of W D follow a law that depends on the slopes
through the distribution of their squares tau alone (Marchenko & Pastur, 1967; Silverstein, 1995).
With m(w) = E 1/(lambda + w) over the fan_in eigenvalues lambda of W D^2 W^T, it is the solution of

    m [w + fan_out v E(tau / (1 + fan_in v tau m))] = 1.

`theory` hands these on, with `theory.layer_law` and `theory.product_law` for the layers of the
course's networks.
"""

import math

import numpy as np

GRID = 1_001  # points of the table that quantiles are read from


class SingularValueLaw:
    """The law of the min(fan_in, fan_out) singular values of W D, for wide layers.

    With all slopes 1 it is the quarter circle of a square matrix, and the law of Marchenko and
    Pastur for unequal sizes.

    Parameters
    ----------
    fan_in, fan_out : int, the shape of W
    variance : float, of the entries of W
    slope_square : number or array (K,), the values tau of f'^2
    shares : array (K,), how often each occurs; equally often if None

    Attributes
    ----------
    mean, rms, geometric_mean : float
    support : (low, high), an interval that holds them all; its upper end is sharp
    zeros : float, the share of singular values that are exactly 0, as under a ReLU

    Raises
    ------
    ValueError
        If a size or the variance is not positive, or the slopes are not as above.
    """

    def __init__(self, fan_in, fan_out, variance, slope_square=1.0, shares=None):
        tau = np.atleast_1d(np.asarray(slope_square, dtype=float))
        if tau.ndim != 1:
            raise ValueError(f"slope_square needs shape (K,), not {tau.shape}")
        tau, shares = _atoms(fan_in, fan_out, variance, tau, shares)
        self._tau, place = np.unique(tau[shares > 0], return_inverse=True)  # a ReLU has two
        self._shares = np.bincount(place, shares[shares > 0])
        self.fan_in, self.fan_out, self.variance = fan_in, fan_out, variance
        self._size = min(fan_in, fan_out)
        self._cached = None
        rank = min(fan_in, fan_out * self._expect(self._tau > 0))
        self.zeros = 1 - rank / self._size

    def _expect(self, values):
        return values @ self._shares

    @property
    def mean(self):
        tau, shares = self._tau, self._shares
        return float(mean_singular_value(self.fan_in, self.fan_out, self.variance, tau, shares))

    @property
    def rms(self):
        return math.sqrt(
            self.variance * self.fan_in * self.fan_out * self._expect(self._tau) / self._size
        )

    @property
    def geometric_mean(self):
        if self.zeros > 1e-12:
            return 0.0
        n_in, n_out, v = self.fan_in, self.fan_out, self.variance
        if n_out <= n_in:
            # det(D W^T W D) is a product: the slopes', and that of a matrix without slopes.
            own = _mean_log(n_out, n_in, v, np.ones(1), np.ones(1))
            return math.exp((own + self._expect(np.log(self._tau))) / 2)
        return math.exp(_mean_log(n_in, n_out, v, self._tau, self._shares) / 2)

    @property
    def support(self):
        low = 0.0
        if len(self._tau) == 1 and self._tau[0] > 0:
            low = abs(math.sqrt(self.fan_in) - math.sqrt(self.fan_out))
            low *= math.sqrt(self.variance * self._tau[0])
        return low, _upper_edge(self.fan_in, self.fan_out, self.variance, self._tau, self._shares)

    def density(self, x):
        """Return the density of the singular values at x > 0, like x; `zeros` is left out."""
        x = np.asarray(x, dtype=float)
        if self.zeros == 1:  # all of them
            return np.zeros(x.shape)
        if len(self._tau) == 1:
            return self._closed_form(x)
        zeta = np.abs(x).ravel().astype(complex)
        width = self.support[1]
        m = None
        # Newton from far above the real axis, where the root is known, down to it.
        for height in width * np.geomspace(100, 1e-9, 30):
            point = zeta + 1j * height
            w = -(point**2)
            m = 1 / w if m is None else m
            for _ in range(4):
                m = m - self._residual(m, w) / self._slope(m, w)
        atom = 1 - self._size * (1 - self.zeros) / self.fan_in
        found = 2 / np.pi * np.imag(point * (m - atom / w)) * self.fan_in / self._size
        return np.where(x >= 0, np.maximum(found, 0).reshape(x.shape), 0.0)

    def cumulative(self, x):
        """Return the share of singular values that are at most x, like x."""
        s, share = self._table()
        return np.interp(x, s, share, left=0.0, right=1.0)

    def quantile(self, p):
        """Return the singular value that a share p of them does not exceed, like p."""
        s, share = self._table()
        return np.interp(_checked_share(p), share, s)

    def _residual(self, m, w):
        denominator = 1 + self.fan_in * self.variance * self._tau * m[:, None]
        share = self._expect(self._tau / denominator)
        return m * (w + self.fan_out * self.variance * share) - 1

    def _slope(self, m, w):
        denominator = 1 + self.fan_in * self.variance * self._tau * m[:, None]
        return w + self.fan_out * self.variance * self._expect(self._tau / denominator**2)

    def _closed_form(self, x):
        low, high = self.support
        inside = np.maximum((x**2 - low**2) * (high**2 - x**2), 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt(inside) / (np.pi * self.variance * self._tau[0] * x * self._size)
        # Square: the quarter circle, whose height at 0 is finite.
        at_zero = np.where(x == 0, 2 / np.pi / (high / 2) if low == 0 else 0.0, 0.0)
        return np.where(x > 0, found, at_zero)

    def _table(self):
        if self._cached is None and self.zeros == 1:
            self._cached = np.zeros(1), np.ones(1)
        if self._cached is None:
            low, high = self.support
            angle = np.linspace(0, np.pi, GRID)  # dense at both ends, where the density is a root
            s = low + (high - low) * (1 - np.cos(angle)) / 2
            steps = self.density(s) * np.sin(angle)
            self._cached = s, _accumulate(angle, steps, self.zeros)
        return self._cached


class ProductLaw:
    """The law of the singular values of a product of square random matrices: Fuss-Catalan.

    Each of the `depth` factors is n x n with entries of variance 1/n, n large. The k-th moments of
    the squared singular values are the numbers (1/(depth k + 1)) C((depth+1) k, k); the curve for
    their density is that of Penson & Zyczkowski (2011) with an angle as its parameter.

    Attributes
    ----------
    mean, rms, geometric_mean : float;  rms is 1 at every depth
    edge : float, the largest singular value: sqrt((depth+1)^(depth+1) / depth^depth)
    """

    def __init__(self, depth):
        whole = isinstance(depth, (int, np.integer)) and not isinstance(depth, bool)
        if not whole or depth < 1:
            raise ValueError(f"depth must be a whole number of at least 1, not {depth!r}")
        self.depth = d = int(depth)
        self.edge = math.sqrt((d + 1) ** (d + 1) / d**d)
        # The moment of order k = 1/2; and the derivative at k = 0.
        self.mean = math.exp(math.lgamma((d + 3) / 2) - math.lgamma(3 / 2) - math.lgamma(d / 2 + 2))
        self.rms, self.geometric_mean = 1.0, math.exp(-d / 2)

    def cumulative(self, x):
        """Return the share of singular values that are at most x, like x."""
        x = np.asarray(x, dtype=float)
        inside, distance = self._where(x)
        return np.where(inside, self._share(distance), np.where(x > 0, 1.0, 0.0))

    def quantile(self, p):
        """Return the singular value that a share p of them does not exceed, like p."""
        p = _checked_share(p)
        found = np.exp(self._log_value(self._solve(self._share, p)))
        return np.where((p > 0) & (p < 1), found, self.edge * p)

    def density(self, x):
        """Return the density of the singular values at x > 0, like x."""
        x = np.asarray(x, dtype=float)
        inside, distance = self._where(x)
        log_one, log_inner, log_outer = np.log(self._sines(distance))
        log_square_density = 2 * log_one + (self.depth - 1) * log_inner - self.depth * log_outer
        return np.where(inside, 2 * x / np.pi * np.exp(log_square_density), 0.0)

    # The angle runs from 0 at the edge to pi/(depth+1) at 0. Its distance from there is what is
    # used, which small singular values hang on; logarithms, as they are high powers of it.
    def _sines(self, distance):
        """Return sin(angle), sin(depth angle), sin((depth+1) angle)."""
        angle = np.pi / (self.depth + 1) - distance
        return np.sin(angle), np.sin(self.depth * angle), np.sin((self.depth + 1) * distance)

    def _log_value(self, distance):
        log_one, log_inner, log_outer = np.log(self._sines(distance))
        return ((self.depth + 1) * log_outer - log_one - self.depth * log_inner) / 2

    def _share(self, distance):
        """The share below: what the density integrates to."""
        one, inner, outer = self._sines(distance)
        return ((self.depth + 1) * distance + self.depth * one * outer / inner) / np.pi

    def _where(self, x):
        """Say which x lie inside the law's support, and at which distance."""
        inside = (x > 0) & (x < self.edge)
        return inside, self._solve(self._log_value, np.log(np.where(inside, x, 1.0)))

    def _solve(self, rising, target):
        """Return the distance at which a function of it takes the target, by bisection."""
        end = np.pi / (self.depth + 1)
        # At the edge itself 0/0; that far from it, the value is the edge's to all digits.
        low, high = np.zeros(target.shape), np.full(target.shape, end * (1 - 1e-9))
        for _ in range(100):
            middle = (low + high) / 2
            below = rising(middle) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return high


class LayerProductLaw:
    """The law of the singular values of W_1 D_1 .. W_d D_d, a product of wide square layers.

    W_l is n x n with independent entries of variance sigma_l^2/n, D_l is diagonal with squared
    slopes tau; for large n they are free of each other. At depth 1 it is `SingularValueLaw`, with
    slopes 1 it is `ProductLaw`. After Pennington, Schoenholz & Ganguli (2017).

    Parameters
    ----------
    sigma_square : array (d,);  slope_square : d arrays (K,), each layer's values of tau
    shares : array (K,), how often each occurs, in every layer; equally often if None

    Attributes
    ----------
    mean, rms, geometric_mean : float;  edge : float, the largest singular value
    zeros : float, the share of singular values that are exactly 0, as under a ReLU
    """

    def __init__(self, sigma_square, slope_square, shares=None):
        sigma_square = np.asarray(sigma_square, dtype=float)
        if sigma_square.ndim != 1 or not 0 < len(sigma_square) == len(slope_square):
            raise ValueError(
                "sigma_square and slope_square need an entry for each of d layers, not "
                f"{sigma_square.size} and {len(slope_square)}"
            )
        if not (np.isfinite(sigma_square) & (sigma_square > 0)).all():
            raise ValueError(f"sigma_square needs numbers above 0, not {sigma_square}")
        layers = [np.atleast_1d(np.asarray(tau, dtype=float)) for tau in slope_square]
        layers = [_atoms(1, 1, 1.0, tau, shares) for tau in layers]
        self.depth = len(layers)
        self.zeros = max(0.0, 1 - min(float((tau > 0) @ share) for tau, share in layers))
        self.zeros = 0.0 if self.zeros < 1e-12 else self.zeros
        square = [s * (tau @ share) for s, (tau, share) in zip(sigma_square, layers, strict=True)]
        self.mean = self.rms = self.geometric_mean = self.edge = 0.0
        if min(square) > 0:
            self._chain = _Chain(sigma_square, layers)
            self.rms = math.exp(np.log(square).sum() / 2)
            self.mean, self.edge = self._chain.mean(), self._chain.edge()
            self.geometric_mean = 0.0 if self.zeros else math.exp(self._chain.mean_log() / 2)

    def density(self, x):
        """Return the density of the singular values at x > 0, like x; `zeros` is left out."""
        x = np.asarray(x, dtype=float)
        found, inside = np.zeros(x.shape), (x > 0) & (x < self.edge)
        if inside.any():
            found[inside] = self._chain.density(x[inside])
        return found

    def cumulative(self, x):
        """Return the share of singular values that are at most x, like x."""
        x = np.asarray(x, dtype=float)
        inside = (x > 0) & (x < self.edge)
        found = np.where(x < 0, 0.0, np.where(x < self.edge, self.zeros, 1.0))
        if inside.any():
            found[inside] = self._chain.share_below(x[inside])
        return found


class _Chain:
    """The equations of `LayerProductLaw`, for the squares lambda of the singular values.

    S-transforms of free factors multiply (Voiculescu, 1987). With z = E lambda/(w - lambda) and for
    each layer a number r with z = E tau/(r - tau), and products and sums over the layers,

        w = (1 + z)/z  prod (sigma^2 z r),
        E log(w - lambda) = log w - log(1 + z) + sum [z + E log(1 - tau/r)].

    At w = x^2 - i0 their imaginary parts are density and share. For w < 0 all is real, and
    z = -p with p in 0 .. rank; at the largest singular value w turns, as a function of z > 0.
    """

    TURN = (*np.linspace(np.pi, 0.25, 12), *np.geomspace(0.1, 1e-10, 14))

    def __init__(self, sigma_square, layers):
        self.depth = len(layers)
        self.log_sigma_square = np.log(sigma_square).sum()
        found = []
        for tau, share in layers:
            values, place = np.unique(tau[(tau > 0) & (share > 0)], return_inverse=True)
            found.append((values, np.bincount(place, share[(tau > 0) & (share > 0)])))
        widest = max(len(tau) for tau, _ in found)  # the others are padded with shares of 0
        self.tau = np.array([np.pad(tau, (0, widest - len(tau)), "edge") for tau, _ in found])
        self.share = np.array([np.pad(share, (0, widest - len(share))) for _, share in found])
        self.rank = self.share.sum(1).min()

    def mean(self, nodes=60):
        # E sqrt(lambda) = (2/pi) int u d(p) with w = -u^2; p = rank sin^2 takes away both roots.
        x, weight = np.polynomial.legendre.leggauss(nodes)
        angle = np.pi / 4 * (x + 1)
        p = self.rank * np.sin(angle) ** 2
        u = np.exp(self._log_w(-p, self._log_r(-p)) / 2)
        return float((weight * u * self.rank * np.sin(2 * angle)).sum() / 2)

    def mean_log(self):
        """E log lambda, where none is 0: the factors' own add up."""
        return self.log_sigma_square - self.depth + float((np.log(self.tau) * self.share).sum())

    def edge(self):
        low, high = -20.0, 20.0  # of log z
        for _ in range(6):
            z = np.exp(np.linspace(low, high, 41))
            turn = np.clip(self._log_w(z, self._log_r(z)).argmin(), 1, 39)
            low, high = np.log(z[turn - 1]), np.log(z[turn + 1])
        return math.exp(float(self._log_w(z, self._log_r(z)).min()) / 2)

    def density(self, x):
        z, _ = self._solve(x)
        return np.maximum(2 / np.pi * z.imag / x, 0)

    def share_below(self, x):
        z, log_r = self._solve(x)
        ratio = self.tau / np.exp(log_r)[..., None]
        logs = (self.share * np.log(1 - ratio)).sum((-2, -1))
        return np.clip(1 + np.imag(self.depth * z - np.log(1 + z) + logs) / np.pi, 0, 1)

    def _log_w(self, z, log_r):
        scale = np.log(np.abs(1 + z)) + (self.depth - 1) * np.log(np.abs(z))
        return scale + self.log_sigma_square + log_r.sum(-1)

    def _log_r(self, z):
        """log |r| of each layer, (P, d), at real z (P,), above 0 or in -rank .. 0.

        By Newton's method on the logarithms, kept between bounds; a larger |r| has a smaller sum.
        """
        z, low, high = z[:, None], self.tau[:, 0], self.tau[:, -1]
        whole, top = self.share.sum(1), (self.share * (self.tau == high[:, None])).sum(1)
        low = np.log(np.where(z < 0, low * -(1 + whole / z), high * (1 + top / z)))
        high = np.log(high * np.abs(1 + whole / z))
        found = (low + high) / 2
        for _ in range(100):
            value, slope = self._sum(np.sign(z) * np.exp(found))
            above = np.abs(value) > np.abs(z)
            low, high = np.where(above, found, low), np.where(above, high, found)
            last, found = found, found - value / slope * np.log(value / z)
            found = np.where((found >= low) & (found <= high), found, (low + high) / 2)
            if np.abs(found - last).max() < 1e-14:
                break
        return found

    def _sum(self, r):
        """E tau/(r - tau), and its derivative by log r: arrays like r, (P, d)."""
        far = 1 / (r[..., None] - self.tau)
        weighed = self.share * self.tau * far
        return weighed.sum(-1), -r * (weighed * far).sum(-1)

    def _solve(self, x):
        """z and log r at w = x^2 - i0, (P,) and (P, d): Newton, as w turns there from -x^2."""
        log_x = np.log(x)
        odds = np.linspace(-32, 32, 161)
        p = self.rank / (1 + np.exp(-odds))
        table = self._log_r(-p)
        log_u = self._log_w(-p, table) / 2  # falls with p
        start = np.interp(log_x, log_u[::-1], odds[::-1])
        z = -self.rank / (1 + np.exp(-start)) + 0j
        log_r = np.stack([np.interp(start, odds, column) for column in table.T], -1) - np.pi * 1j
        for angle in self.TURN:
            for _ in range(12):
                own, slope = self._sum(np.exp(log_r))
                lack = own - z[:, None]
                off = _log(1 + z) + (self.depth - 1) * _log(z) + self.log_sigma_square
                off = off + log_r.sum(-1) - (2 * log_x - 1j * angle)
                step = -(off - (lack / slope).sum(-1))
                step /= 1 / (1 + z) + (self.depth - 1) / z + (1 / slope).sum(-1)
                z, log_r = z + step, log_r + (step[:, None] - lack) / slope
                if np.abs(step).max() < (1e-12 if angle == self.TURN[-1] else 1e-4):
                    break
        return z, log_r


def _log(z):
    """log z in the upper half plane, where rounding must not make i pi into -i pi."""
    return np.log(z / 1j) + np.pi / 2 * 1j


def quarter_circle_mean(sigma):
    """Return 8 sigma/(3 pi): the mean for a square matrix with entries of variance sigma^2/n."""
    return 8 * sigma / (3 * math.pi)


def mean_singular_value(fan_in, fan_out, variance, slope_square, shares=None, nodes=40):
    """Return the mean singular value of W D for each row of squared slopes.

    (2/pi) int E[lambda/(lambda + u^2)] du = E sqrt(lambda): an integral over u of the law's m.

    Parameters
    ----------
    fan_in, fan_out, variance : as in `SingularValueLaw`
    slope_square : array (..., K), for example the measured f'(s_k)^2 of each example
    shares : array (K,), how often each occurs; equally often if None

    Returns
    -------
    array (...), over the min(fan_in, fan_out) singular values; relative error about 1e-6, up to
    2e-3 where most slopes are 10,000 times smaller than the rest
    """
    tau = np.asarray(slope_square, dtype=float)
    tau, shares = _atoms(fan_in, fan_out, variance, tau, shares)
    x, weight = np.polynomial.legendre.leggauss(nodes)
    x = (x + 1) / 2
    scale = np.sqrt(variance * max(fan_in, fan_out) * (tau @ shares))  # about the largest values
    scale = np.where(scale > 0, scale, 1)  # all slopes 0: so is the integrand
    total = np.zeros(tau.shape[:-1])
    for node, share in zip(x, weight / 2, strict=True):
        u2 = (scale * node / (1 - node)) ** 2
        m = _root(fan_in, fan_out, variance, tau, shares, u2)
        total += share / (1 - node) ** 2 * (1 - u2 * m)
    return fan_in / min(fan_in, fan_out) * 2 / np.pi * scale * np.maximum(total, 0)


def _root(fan_in, fan_out, v, tau, shares, w):
    """The m > 0 of the law at each w > 0: Newton on an increasing concave function, from below."""
    a = fan_in * v * tau.max(-1)  # with every slope as large as the largest, m would be smaller
    b = w + (fan_out - fan_in) * v * tau.max(-1)
    root = np.sqrt(b * b + 4 * a * w)
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.where(b > 0, 2 / (b + root), (root - b) / (2 * a * w))
    m = np.where(a > 0, m, 1 / np.where(w > 0, w, 1))
    for _ in range(30):
        d = 1 + fan_in * v * tau * m[..., None]
        residual = m * (w + fan_out * v * ((tau / d) @ shares)) - 1
        step = residual / (w + fan_out * v * ((tau / d**2) @ shares))
        m = m - step
        if np.all(np.abs(step) <= 1e-10 * m):
            break
    return m


def _mean_log(short, long, v, tau, shares):
    """E log of the eigenvalues of a short x short matrix X D^2 X^T, X of shape short x long."""
    if short == long:
        return math.log(short * v) + np.log(tau) @ shares - 1
    m = float(_root(short, long, v, tau, shares, np.zeros(())))
    d = 1 + short * v * tau * m
    return -math.log(m) + long / short * (np.log(d) @ shares) - long * v * m * ((tau / d) @ shares)


def _upper_edge(fan_in, fan_out, v, tau, shares):
    """The largest singular value: where w(m) turns, for m < 0 nearest to 0."""
    if tau.max() == 0:
        return 0.0
    low, high = 0.0, 1 / (fan_in * v * tau.max())  # of -m
    for _ in range(200):
        middle = (low + high) / 2
        d = 1 - fan_in * v * tau * middle
        inside = fan_in * fan_out * v**2 * ((tau * middle / d) ** 2 @ shares) < 1
        low, high = (middle, high) if inside else (low, middle)
    d = 1 - fan_in * v * tau * low
    return math.sqrt(1 / low + fan_out * v * ((tau / d) @ shares))


def _accumulate(x, steps, start):
    """Cumulative trapezoid from `start`, scaled to end at 1 (the density's own error is 1e-6)."""
    share = np.cumsum(np.append(0.0, np.diff(x) * (steps[1:] + steps[:-1]) / 2))
    return start + (1 - start) * share / share[-1]


def _checked_share(p):
    p = np.asarray(p, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must lie in 0 to 1, not {p}")
    return p


def _atoms(fan_in, fan_out, variance, tau, shares):
    for what, value in (("fan_in", fan_in), ("fan_out", fan_out), ("variance", variance)):
        if not value > 0:
            raise ValueError(f"{what} must be above 0, not {value!r}")
    if tau.ndim < 1 or tau.shape[-1] == 0:
        raise ValueError(f"slope_square needs shape (..., K), K at least 1, not {tau.shape}")
    if not (np.isfinite(tau) & (tau >= 0)).all():
        raise ValueError("slope_square needs finite values of at least 0")
    count = tau.shape[-1]
    shares = np.full(count, 1 / count) if shares is None else np.asarray(shares, dtype=float)
    if shares.shape != (count,) or not (shares >= 0).all() or not np.isclose(shares.sum(), 1):
        raise ValueError(f"shares needs {count} values of at least 0 that add up to 1")
    return tau, shares
