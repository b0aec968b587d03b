// Singular values: of a matrix, of products of layers, and the law of the latter, as in course_lib's
// jacobian and spectra (LayerProductLaw, where the equations stand).
//
// `core` is what makeCore returns; matrices are as there.
function makeSpectra(core) {
  // ---------------------------------------------------------------- of a matrix
  // Reflections from both sides leave a diagonal and one beside it (Golub & Kahan, 1965). They stand
  // in turns in what is returned, (2n - 1,). Works on a copy, along its rows alone.
  function bidiagonal(matrix, n) {
    const a = Float64Array.from(matrix), v = new Float64Array(n), w = new Float64Array(n);
    const band = new Float64Array(2 * n - 1);

    // v becomes the reflection that leaves v[from] alone, of which the new value is returned.
    function reflection(from) {
      let square = 0;
      for (let i = from; i < n; i++) square += v[i] * v[i];
      const length = Math.sqrt(square);
      if (length === 0) return 0;
      const end = v[from] > 0 ? -length : length;
      v[from] -= end;
      const scale = 1 / Math.sqrt(length * (length + Math.abs(v[from] + end))); // v v^T, no factor 2
      for (let i = from; i < n; i++) v[i] *= scale;
      return end;
    }

    for (let k = 0; k < n; k++) {
      for (let i = k; i < n; i++) v[i] = a[i * n + k];
      band[2 * k] = reflection(k);
      if (band[2 * k] !== 0) {
        w.fill(0);
        for (let i = k; i < n; i++) for (let j = k + 1; j < n; j++) w[j] += v[i] * a[i * n + j];
        for (let i = k; i < n; i++) for (let j = k + 1; j < n; j++) a[i * n + j] -= v[i] * w[j];
      }
      if (k + 1 === n) break;
      for (let j = k + 1; j < n; j++) v[j] = a[k * n + j];
      band[2 * k + 1] = reflection(k + 1);
      if (band[2 * k + 1] === 0) continue;
      for (let i = k + 1; i < n; i++) {
        let sum = 0;
        for (let j = k + 1; j < n; j++) sum += a[i * n + j] * v[j];
        for (let j = k + 1; j < n; j++) a[i * n + j] -= sum * v[j];
      }
    }
    return band;
  }

  // The singular values of a square matrix, descending; those under some 1e-15 of the largest are
  // rounding. With the band of `bidiagonal` beside a diagonal of zeros, they are, with both signs,
  // the eigenvalues of a symmetric matrix: the QL method with shifts.
  function singularValues(matrix, n) {
    const e = new Float64Array(2 * n), d = new Float64Array(2 * n);
    e.set(bidiagonal(matrix, n));
    const least = 2 ** -54 * e.reduce((top, v) => Math.max(top, Math.abs(v)), 0);
    const splits = (m) => Math.abs(e[m]) <= least || Math.abs(e[m]) <= 2 ** -53 * (Math.abs(d[m]) + Math.abs(d[m + 1]));
    for (let l = 0; l < 2 * n; l++) {
      for (let turn = 0; turn < 200; turn++) {
        let m = l;
        while (m + 1 < 2 * n && !splits(m)) m++;
        if (m === l) break;
        let g = (d[l + 1] - d[l]) / (2 * e[l]);
        const r = Math.sqrt(g * g + 1);
        g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
        sweep(d, e, l, m, g);
      }
    }
    return d.map(Math.abs).sort().reverse().filter((_, i) => i % 2 === 0); // each stands there twice
  }

  // One sweep of QL over the rows l .. m, with the shift in g.
  function sweep(d, e, l, m, g) {
    let s = 1, c = 1, p = 0;
    for (let i = m - 1; i >= l; i--) {
      const f = s * e[i], b = c * e[i], length = Math.sqrt(f * f + g * g);
      e[i + 1] = length;
      if (length === 0) {
        d[i + 1] -= p;
        e[m] = 0;
        return;
      }
      s = f / length;
      c = g / length;
      g = d[i + 1] - p;
      const turned = (d[i] - g) * s + 2 * c * b;
      p = s * turned;
      d[i + 1] = g + p;
      g = c * turned - b;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
  }

  // ---------------------------------------------------------------- of a network
  // A network of layers of one width at one input, and dz^k/dz^0 for k = 1, 2, ..: W^0 D^0 W^1 D^1 ..
  // with slopes D. It grows layer by layer, with the weights of models.MLP at that seed.
  class Layers {
    constructor({ activation, scheme, gain, width, seed }, x) {
      Object.assign(this, { width, activation, z: x });
      this.variance = core.weightVariance(scheme, width, width, gain);
      this.generator = new core.MersenneTwister(seed);
      this.products = [];
      this.found = [];
      this.sizes = []; // mean squares of s^0, s^1, ..
      this.ranks = []; // how many units had a slope in the narrowest layer so far
    }

    grow(depth) {
      while (this.products.length < depth) this.#add();
    }

    #add() {
      const n = this.width, { f, slope } = core.activations[this.activation];
      const a = Math.sqrt(3 * this.variance), weight = new Float64Array(n * n);
      for (let k = 0; k < weight.length; k++) weight[k] = this.generator.uniform() * (2 * a) - a;
      const s = core.multiply(this.z, weight, 1, n, n, new Float64Array(n));
      this.z = s.map(f);
      const slopes = this.z.map(slope), before = this.products.at(-1);
      const product = before ? core.multiply(before, weight, n, n, n, new Float64Array(n * n)) : weight;
      for (let k = 0; k < product.length; k++) product[k] *= slopes[k % n];
      this.products.push(product);
      this.sizes.push(core.meanSquare(s));
      this.ranks.push(Math.min(this.ranks.at(-1) ?? n, slopes.filter((v) => v > 0).length));
    }

    known(depth) {
      return this.found[depth - 1] !== undefined;
    }

    // The singular values of the first `depth` layers, descending.
    values(depth) {
      this.grow(depth);
      return (this.found[depth - 1] ||= singularValues(this.products[depth - 1], this.width));
    }
  }

  // ---------------------------------------------------------------- their law
  // The squared slopes of s ~ N(0, variance) and how often they occur; those of -s and s in one.
  function slopeSquares(activation, variance) {
    const { f, slope } = core.activations[activation], scale = Math.sqrt(variance);
    const pairs = Array.from(core.nodes, (g, k) => [slope(f(scale * g)) ** 2, core.shares[k]])
      .filter(([tau]) => tau > 0).sort((a, b) => a[0] - b[0]);
    const tau = [], share = [];
    for (const [value, own] of pairs) {
      const last = tau.length - 1;
      if (last >= 0 && value - tau[last] <= 1e-13 * value) share[last] += own;
      else {
        tau.push(value);
        share.push(own);
      }
    }
    return { tau: Float64Array.from(tau), share: Float64Array.from(share), whole: core.sum(share) };
  }

  // E tau/(r - tau), and minus its derivative by log |r|, at a real r.
  function realSum({ tau, share }, r) {
    let value = 0, slope = 0;
    for (let k = 0; k < tau.length; k++) {
      const far = 1 / (r - tau[k]), own = share[k] * tau[k] * far;
      value += own;
      slope += own * far;
    }
    return [value, r * slope];
  }

  // log |r| where E tau/(r - tau) is z, for z above 0 or in -whole .. 0: Newton on the logarithms,
  // kept between bounds.
  function realLog(layer, z, guess) {
    const { tau, share, whole } = layer, last = tau.length - 1;
    const far = Math.log(tau[last] * Math.abs(1 + whole / z)), sign = Math.sign(z);
    let high = far, low = Math.log(z < 0 ? tau[0] * -(1 + whole / z) : tau[last] * (1 + share[last] / z));
    if (high - low < 1e-15) return high;
    let b = guess > low && guess < high ? guess : (low + high) / 2;
    for (let turn = 0; turn < 200; turn++) {
      const [value, slope] = realSum(layer, sign * Math.exp(b));
      if (Math.abs(value) > Math.abs(z)) low = b;
      else high = b;
      let next = b + (value / slope) * Math.log(value / z);
      if (!(next > low && next < high)) next = (low + high) / 2;
      if (Math.abs(next - b) < 1e-14) return next;
      b = next;
    }
    return b;
  }

  const { x: legendreX, weight: legendreWeight } = core.legendre(60);

  // The law of the singular values of the first k layers, k = 1 .. d: of `products` of sigma_l W_l D_l
  // with `sigmaSquare` (d,) and what `slopeSquares` returns for each layer.
  class Law {
    constructor(sigmaSquare, layers) {
      this.layers = layers;
      this.depth = layers.length;
      this.logSigma = sigmaSquare.map(Math.log);
      this.rank = Math.min(...layers.map((layer) => layer.whole));
      this.zeros = this.rank > 1 - 1e-12 ? 0 : 1 - this.rank;
      this.rms = Math.sqrt(layers.reduce((all, { tau, share }, l) =>
        all * sigmaSquare[l] * tau.reduce((sum, t, k) => sum + t * share[k], 0), 1));
      const dead = new Array(this.depth).fill(0); // where a layer has no slope but 0
      this.means = this.rank > 0 ? this.#means() : dead;
      this.edges = this.rank > 0 ? this.#edges() : dead;
      this.mean = this.means.at(-1);
      this.edge = this.edges.at(-1);
    }

    // E sqrt(lambda) = (2/pi) int u d(p), w = -u^2, p = rank sin^2: for 1, 2, .. layers at once.
    #means() {
      const means = new Array(this.depth).fill(0);
      for (let i = 0; i < legendreX.length; i++) {
        const angle = (Math.PI / 4) * (legendreX[i] + 1), p = this.rank * Math.sin(angle) ** 2;
        let log = Math.log(1 - p) - Math.log(p);
        for (let l = 0; l < this.depth; l++) {
          log += Math.log(p) + this.logSigma[l] + realLog(this.layers[l], -p);
          means[l] += (legendreWeight[i] / 2) * Math.exp(log / 2) * this.rank * Math.sin(2 * angle);
        }
      }
      return means;
    }

    // Where w turns: d log w/d log z = z/(1 + z) - 1 + sum (1 - z/slope) is 0, by bisection.
    #edges() {
      const edges = [], guess = new Array(this.depth);
      for (let depth = 1; depth <= this.depth; depth++) {
        let low = -20, high = 20, log = 0;
        for (let turn = 0; turn < 45; turn++) {
          const z = Math.exp((low + high) / 2);
          let rise = z / (1 + z) - 1;
          log = Math.log(1 + z) - Math.log(z);
          for (let l = 0; l < depth; l++) {
            guess[l] = realLog(this.layers[l], z, guess[l]);
            rise += 1 - z / realSum(this.layers[l], Math.exp(guess[l]))[1];
            log += Math.log(z) + this.logSigma[l] + guess[l];
          }
          if (rise > 0) high = Math.log(z);
          else low = Math.log(z);
        }
        edges.push(Math.exp(log / 2));
      }
      return edges;
    }

    // Density and share below at each x, ascending: {density, share}.
    at(x) {
      const density = new Float64Array(x.length), share = new Float64Array(x.length);
      let state = null, place = 0;
      x.forEach((own, i) => {
        if (own <= 0) share[i] = own < 0 ? 0 : this.zeros;
        else if (own >= this.edge) share[i] = 1;
        else {
          const target = 2 * Math.log(own);
          // One layer of ReLUs has a gap, which no walk leads through.
          if (!state || this.depth === 1) state = this.#turned(target);
          else this.#walk(state, place, target);
          place = target;
          density[i] = Math.max(0, ((2 / Math.PI) * state.z[1]) / own);
          share[i] = this.#share(state);
        }
      });
      return { density, share };
    }

    // Starts at w = -x^2, where all is real, and turns w to x^2 - i0.
    #turned(target) {
      let low = -40, high = 40; // of log p/(rank - p): w falls with it
      const logs = new Array(this.depth), real = (odds) => this.rank / (1 + Math.exp(-odds));
      for (let turn = 0; turn < 60; turn++) {
        const odds = (low + high) / 2, p = real(odds);
        let log = Math.log(1 - p) - Math.log(p);
        for (let l = 0; l < this.depth; l++) {
          logs[l] = realLog(this.layers[l], -p, logs[l]);
          log += Math.log(p) + this.logSigma[l] + logs[l];
        }
        if (log > target) low = odds;
        else high = odds;
      }
      const state = { z: [-real(low), 0], b: logs.map((log) => [log, -Math.PI]) };
      for (let step = 0; step < 12; step++) this.#newton(state, target, Math.PI + (step / 11) * (0.25 - Math.PI), 1e-4);
      for (let step = 0; step < 13; step++) this.#newton(state, target, 0.1 * 1e-9 ** (step / 13), 1e-4);
      this.#newton(state, target, ANGLE, 1e-12);
      return state;
    }

    // Follows the solution from one x to the next, in steps that stay short of the edge.
    #walk(state, from, to) {
      const end = 2 * Math.log(this.edge);
      let at = from;
      while (at < to) {
        at = Math.min(to, at + Math.max(1e-12, Math.min(0.2, 0.4 * (end - at))));
        this.#newton(state, at, ANGLE, 1e-12);
      }
    }

    // Newton's method on z and all b = log r, at log w = target - i angle.
    #newton(state, target, angle, enough) {
      const { z, b } = state, d = this.depth;
      for (let turn = 0; turn < 12; turn++) {
        const [above, logAbove] = [invert(1 + z[0], z[1]), upperLog(1 + z[0], z[1])];
        const own = invert(z[0], z[1]), logZ = upperLog(z[0], z[1]);
        let offRe = logAbove[0] + (d - 1) * logZ[0] - target;
        let offIm = logAbove[1] + (d - 1) * logZ[1] + angle;
        let steepRe = above[0] + (d - 1) * own[0], steepIm = above[1] + (d - 1) * own[1];
        const lacks = [];
        for (let l = 0; l < d; l++) {
          const [sumRe, sumIm, slopeRe, slopeIm] = complexSum(this.layers[l], b[l]);
          const [iRe, iIm] = invert(slopeRe, slopeIm), lackRe = sumRe - z[0], lackIm = sumIm - z[1];
          offRe += this.logSigma[l] + b[l][0] - (lackRe * iRe - lackIm * iIm);
          offIm += b[l][1] - (lackRe * iIm + lackIm * iRe);
          steepRe += iRe;
          steepIm += iIm;
          lacks.push([lackRe, lackIm, iRe, iIm]);
        }
        const [iRe, iIm] = invert(steepRe, steepIm);
        const stepRe = -(offRe * iRe - offIm * iIm), stepIm = -(offRe * iIm + offIm * iRe);
        z[0] += stepRe;
        z[1] += stepIm;
        lacks.forEach(([lackRe, lackIm, sRe, sIm], l) => {
          const re = stepRe - lackRe, im = stepIm - lackIm;
          b[l][0] += re * sRe - im * sIm;
          b[l][1] += re * sIm + im * sRe;
        });
        if (Math.hypot(stepRe, stepIm) < enough) return;
      }
    }

    // 1 + Im E log(w - lambda)/pi: depth z - log(1 + z) + sum E log(1 - tau/r).
    #share({ z, b }) {
      let im = this.depth * z[1] - Math.atan2(z[1], 1 + z[0]);
      for (let l = 0; l < this.depth; l++) {
        const { tau, share } = this.layers[l], size = Math.exp(-b[l][0]);
        const re = size * Math.cos(b[l][1]), own = -size * Math.sin(b[l][1]); // 1/r
        for (let k = 0; k < tau.length; k++) im += share[k] * Math.atan2(-tau[k] * own, 1 - tau[k] * re);
      }
      return Math.min(1, Math.max(0, 1 + im / Math.PI));
    }
  }

  const ANGLE = 1e-10;

  function invert(re, im) {
    const square = re * re + im * im;
    return [re / square, -im / square];
  }

  // In the upper half plane, where rounding must not make i pi into -i pi.
  const upperLog = (re, im) => [Math.log(re * re + im * im) / 2, Math.atan2(-re, im) + Math.PI / 2];

  // E tau/(r - tau) and its derivative by b = log r.
  function complexSum({ tau, share }, b) {
    const size = Math.exp(b[0]), rRe = size * Math.cos(b[1]), rIm = size * Math.sin(b[1]);
    let re = 0, im = 0, slopeRe = 0, slopeIm = 0;
    for (let k = 0; k < tau.length; k++) {
      const dRe = rRe - tau[k], square = dRe * dRe + rIm * rIm;
      const fRe = dRe / square, fIm = -rIm / square, own = share[k] * tau[k];
      re += own * fRe;
      im += own * fIm;
      slopeRe += own * (fRe * fRe - fIm * fIm);
      slopeIm += own * 2 * fRe * fIm;
    }
    return [re, im, -(rRe * slopeRe - rIm * slopeIm), -(rRe * slopeIm + rIm * slopeRe)];
  }

  return { singularValues, Layers, Law, slopeSquares };
}
