// The numbers behind the widgets: the random numbers of PyTorch, activation functions, dense
// networks and the theory of their variances, as in course_lib's models, backprop and theory.
//
// One function without free variables, so that a worker can start from its own text. A matrix is a
// Float64Array, row by row; a weight has shape (fan_in, fan_out), as in s = z W + b.
function makeCore() {
  // The stream of torch.Generator().manual_seed(seed) on the CPU (Matsumoto & Nishimura, 1998).
  class MersenneTwister {
    constructor(seed) {
      this.words = new Uint32Array(624);
      this.words[0] = seed;
      for (let i = 1; i < 624; i++) {
        const before = this.words[i - 1] ^ (this.words[i - 1] >>> 30);
        this.words[i] = Math.imul(1812433253, before) + i;
      }
      this.place = 624;
    }

    bits() {
      if (this.place === 624) this.#turn();
      let y = this.words[this.place++];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      return (y ^ (y >>> 18)) >>> 0;
    }

    // torch.rand in float64: the lower 53 of 64 bits.
    uniform() {
      const high = this.bits() & 0x1fffff;
      return (high * 4294967296 + this.bits()) * 2 ** -53;
    }

    #turn() {
      const w = this.words;
      for (let i = 0; i < 624; i++) {
        const y = (w[i] & 0x80000000) | (w[(i + 1) % 624] & 0x7fffffff);
        w[i] = w[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.place = 0;
    }
  }

  // torch.randn in float64 of at least 16 numbers: Box & Muller, in blocks of 8 pairs.
  function normals(generator, count) {
    if (count < 16) throw new Error(`normals needs a count of at least 16, not ${count}`);
    const values = Float64Array.from({ length: count }, () => generator.uniform());
    const turn = (start) => {
      for (let j = start; j < start + 8; j++) {
        const radius = Math.sqrt(-2 * Math.log1p(-values[j]));
        const angle = 2 * Math.PI * values[j + 8];
        values[j] = radius * Math.cos(angle);
        values[j + 8] = radius * Math.sin(angle);
      }
    };
    for (let start = 0; start + 16 <= count; start += 16) turn(start);
    if (count % 16) {
      for (let i = count - 16; i < count; i++) values[i] = generator.uniform();
      turn(count - 16);
    }
    return values;
  }

  // ---------------------------------------------------------------- activations
  // `slope` is f'(s) as a function of z = f(s). A unit is saturated where its slope is under 19 %
  // of the steepest.
  const activations = {
    sigmoid: { f: (s) => 1 / (1 + Math.exp(-s)), slope: (z) => z * (1 - z), steepest: 0.25 },
    tanh: { f: Math.tanh, slope: (z) => 1 - z * z, steepest: 1 },
    softsign: { f: (s) => s / (1 + Math.abs(s)), slope: (z) => (1 - Math.abs(z)) ** 2, steepest: 1 },
    relu: { f: (s) => (s > 0 ? s : 0), slope: (z) => (z > 0 ? 1 : 0), steepest: 1 },
    linear: { f: (s) => s, slope: () => 1, steepest: 1 },
  };
  for (const entry of Object.values(activations)) {
    entry.saturated = (z) => entry.slope(z) < 0.19 * entry.steepest;
  }

  // ---------------------------------------------------------------- initialisation
  // Var[W] of a scheme: Glorot & Bengio (2010), Eqs. (1) and (16); a gain g gives g^2 / fan_in.
  function weightVariance(scheme, fanIn, fanOut, gain = 1) {
    if (scheme === "standard") return 1 / (3 * fanIn);
    if (scheme === "normalized") return 2 / (fanIn + fanOut);
    if (scheme === "gain") return (gain * gain) / fanIn;
    throw new Error(`unknown scheme ${scheme}`);
  }

  const bound = (...matrix) => Math.sqrt(3 * weightVariance(...matrix));

  // The network of models.MLP(sizes, activation, scheme=scheme, seed=seed), in float64: its weights
  // U[-a, a], its biases 0.
  function network(sizes, activation, scheme, seed, gain = 1) {
    const generator = new MersenneTwister(seed);
    const weights = [];
    for (let i = 0; i + 1 < sizes.length; i++) {
      const a = bound(scheme, sizes[i], sizes[i + 1], gain);
      const weight = new Float64Array(sizes[i] * sizes[i + 1]);
      for (let k = 0; k < weight.length; k++) weight[k] = generator.uniform() * (2 * a) - a;
      weights.push(weight);
    }
    const biases = sizes.slice(1).map((n) => new Float64Array(n));
    return { sizes, activation: activations[activation], weights, biases };
  }

  // ---------------------------------------------------------------- forward and backward
  // A network's time is all in three products. Each is done in blocks: some numbers are loaded once and
  // used for ten sums that stay in registers, twice as fast as row by row. A last block that does not
  // fit is moved back, so that it computes a few results a second time.
  const FEW = 5; // rows of a batch in a block

  // out (count, m) = x (count, n) W (n, m).
  function multiply(x, weight, count, n, m, out) {
    if (count < FEW || m < 2) return multiplyPlainly(x, weight, count, n, m, out);
    for (let start = 0; start < count; start += FEW) {
      const b = Math.min(start, count - FEW);
      const x0 = b * n, x1 = x0 + n, x2 = x1 + n, x3 = x2 + n, x4 = x3 + n;
      for (let column = 0; column < m; column += 2) {
        const j = Math.min(column, m - 2);
        let p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, q0 = 0, q1 = 0, q2 = 0, q3 = 0, q4 = 0;
        for (let i = 0, k = j; i < n; i++, k += m) {
          const v = weight[k], w = weight[k + 1];
          const a0 = x[x0 + i], a1 = x[x1 + i], a2 = x[x2 + i], a3 = x[x3 + i], a4 = x[x4 + i];
          p0 += a0 * v; p1 += a1 * v; p2 += a2 * v; p3 += a3 * v; p4 += a4 * v;
          q0 += a0 * w; q1 += a1 * w; q2 += a2 * w; q3 += a3 * w; q4 += a4 * w;
        }
        let to = b * m + j;
        out[to] = p0; out[to + 1] = q0; to += m;
        out[to] = p1; out[to + 1] = q1; to += m;
        out[to] = p2; out[to + 1] = q2; to += m;
        out[to] = p3; out[to + 1] = q3; to += m;
        out[to] = p4; out[to + 1] = q4;
      }
    }
    return out;
  }

  function multiplyPlainly(x, weight, count, n, m, out) {
    out.fill(0, 0, count * m);
    for (let b = 0; b < count; b++) {
      for (let i = 0; i < n; i++) {
        const own = x[b * n + i];
        for (let j = 0; j < m; j++) out[b * m + j] += own * weight[i * m + j];
      }
    }
    return out;
  }

  // out (count, n) = y (count, m) W^T.
  function multiplyTransposed(y, weight, count, n, m, out) {
    if (count < FEW || n < 2) return multiplyTransposedPlainly(y, weight, count, n, m, out);
    for (let start = 0; start < count; start += FEW) {
      const b = Math.min(start, count - FEW);
      const y0 = b * m, y1 = y0 + m, y2 = y1 + m, y3 = y2 + m, y4 = y3 + m;
      for (let row = 0; row < n; row += 2) {
        const i = Math.min(row, n - 2), w0 = i * m, w1 = w0 + m;
        let p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, q0 = 0, q1 = 0, q2 = 0, q3 = 0, q4 = 0;
        for (let j = 0; j < m; j++) {
          const v = weight[w0 + j], w = weight[w1 + j];
          const a0 = y[y0 + j], a1 = y[y1 + j], a2 = y[y2 + j], a3 = y[y3 + j], a4 = y[y4 + j];
          p0 += a0 * v; p1 += a1 * v; p2 += a2 * v; p3 += a3 * v; p4 += a4 * v;
          q0 += a0 * w; q1 += a1 * w; q2 += a2 * w; q3 += a3 * w; q4 += a4 * w;
        }
        let to = b * n + i;
        out[to] = p0; out[to + 1] = q0; to += n;
        out[to] = p1; out[to + 1] = q1; to += n;
        out[to] = p2; out[to + 1] = q2; to += n;
        out[to] = p3; out[to + 1] = q3; to += n;
        out[to] = p4; out[to + 1] = q4;
      }
    }
    return out;
  }

  function multiplyTransposedPlainly(y, weight, count, n, m, out) {
    for (let b = 0; b < count; b++) {
      for (let i = 0; i < n; i++) {
        let sum = 0;
        for (let j = 0; j < m; j++) sum += y[b * m + j] * weight[i * m + j];
        out[b * n + i] = sum;
      }
    }
    return out;
  }

  // W (n, m) += x^T d, with x (count, n) and d (count, m). Nothing may be added twice, so what no block
  // takes is added plainly.
  function addProduct(x, d, count, n, m, weight) {
    const blocked = count - (count % FEW), paired = n - (n % 2);
    for (let b = 0; b < blocked; b += FEW) {
      const d0 = b * m, d1 = d0 + m, d2 = d1 + m, d3 = d2 + m, d4 = d3 + m;
      for (let i = 0; i < paired; i += 2) {
        let from = b * n + i;
        const p0 = x[from], q0 = x[from + 1]; from += n;
        const p1 = x[from], q1 = x[from + 1]; from += n;
        const p2 = x[from], q2 = x[from + 1]; from += n;
        const p3 = x[from], q3 = x[from + 1]; from += n;
        const p4 = x[from], q4 = x[from + 1];
        const w0 = i * m, w1 = w0 + m;
        for (let j = 0; j < m; j++) {
          const a0 = d[d0 + j], a1 = d[d1 + j], a2 = d[d2 + j], a3 = d[d3 + j], a4 = d[d4 + j];
          weight[w0 + j] += p0 * a0 + p1 * a1 + p2 * a2 + p3 * a3 + p4 * a4;
          weight[w1 + j] += q0 * a0 + q1 * a1 + q2 * a2 + q3 * a3 + q4 * a4;
        }
      }
    }
    for (let b = 0; b < count; b++) {
      for (let i = b < blocked ? paired : 0; i < n; i++) {
        for (let j = 0; j < m; j++) weight[i * m + j] += x[b * n + i] * d[b * m + j];
      }
    }
  }

  // What forward and backward write for `count` inputs; a training keeps one and uses it again.
  function blankTrace(net, count) {
    const layers = () => net.sizes.slice(1).map((n) => new Float64Array(count * n));
    return { count, s: layers(), z: [null, ...layers().slice(0, -1)], deltas: layers() };
  }

  // s^0 .. s^d and z^0 .. z^d of `count` inputs; the last s holds the logits.
  function forward(net, x, count, trace = blankTrace(net, count)) {
    const { sizes, weights, biases, activation: { f } } = net;
    const { s, z } = trace;
    z[0] = x;
    for (let i = 0; i < weights.length; i++) {
      const m = sizes[i + 1], own = multiply(z[i], weights[i], count, sizes[i], m, s[i]), bias = biases[i];
      for (let b = 0, k = 0; b < count; b++) for (let j = 0; j < m; j++, k++) own[k] += bias[j];
      if (i + 1 === weights.length) break;
      const out = z[i + 1];
      for (let k = 0; k < own.length; k++) out[k] = f(own[k]);
    }
    return trace;
  }

  // The softmax of each row, (count, classes).
  function softmax(logits, classes, out = new Float64Array(logits.length)) {
    for (let start = 0; start < logits.length; start += classes) {
      let top = -Infinity, sum = 0;
      for (let k = start; k < start + classes; k++) top = Math.max(top, logits[k]);
      for (let k = start; k < start + classes; k++) sum += out[k] = Math.exp(logits[k] - top);
      for (let k = start; k < start + classes; k++) out[k] /= sum;
    }
    return out;
  }

  // dC/ds^d of each example's own cross-entropy: the softmax minus the target.
  function outputGradient(logits, labels, classes, delta = new Float64Array(logits.length)) {
    softmax(logits, classes, delta);
    for (let b = 0; b * classes < logits.length; b++) delta[b * classes + labels[b]] -= 1;
    return delta;
  }

  // dC/ds^0 .. dC/ds^d of each example's own cost, Eq. (2).
  function backward(net, trace, labels) {
    const { sizes, weights, activation: { slope } } = net;
    const { s, z, deltas, count } = trace;
    const last = weights.length - 1;
    outputGradient(s[last], labels, sizes[last + 1], deltas[last]);
    for (let i = last - 1; i >= 0; i--) {
      const own = multiplyTransposed(deltas[i + 1], weights[i + 1], count, sizes[i + 1], sizes[i + 2], deltas[i]);
      const out = z[i + 1];
      for (let k = 0; k < own.length; k++) own[k] *= slope(out[k]);
    }
    return deltas;
  }

  // One update by gradient descent on the mean cross-entropy of a mini-batch, Eqs. (2) and (3), as
  // training.train takes it. `trace` is a blankTrace of the batch's size; returns the cost before the update.
  function step(net, x, labels, rate, trace) {
    const { sizes, weights, biases } = net;
    const { count, z, s } = forward(net, x, trace.count, trace);
    const deltas = backward(net, trace, labels);
    const last = weights.length - 1, classes = sizes[last + 1];
    let cost = 0;
    for (let b = 0; b < count; b++) {
      const own = b * classes + labels[b];
      // The gradient is p - 1: where p is next to nothing, the logarithm needs the logits themselves.
      cost -= logSoftmax(s[last], b * classes, classes, own) / count;
    }
    for (let i = 0; i <= last; i++) {
      const m = sizes[i + 1], delta = deltas[i], bias = biases[i];
      for (let k = 0; k < delta.length; k++) delta[k] *= -rate / count;
      addProduct(z[i], delta, count, sizes[i], m, weights[i]);
      for (let b = 0, k = 0; b < count; b++) for (let j = 0; j < m; j++, k++) bias[j] += delta[k];
    }
    return cost;
  }

  function logSoftmax(logits, start, classes, own) {
    let top = -Infinity, sum = 0;
    for (let k = start; k < start + classes; k++) top = Math.max(top, logits[k]);
    for (let k = start; k < start + classes; k++) sum += Math.exp(logits[k] - top);
    return logits[own] - top - Math.log(sum);
  }

  // ---------------------------------------------------------------- statistics
  const sum = (values) => values.reduce((total, v) => total + v, 0);
  const mean = (values) => sum(values) / values.length;
  const meanSquare = (values) => values.reduce((total, v) => total + v * v, 0) / values.length;

  function std(values) {
    const centre = mean(values);
    return Math.sqrt(values.reduce((total, v) => total + (v - centre) ** 2, 0) / values.length);
  }

  // The share of the values in each of `bins` equal parts of [low, high]; what lies outside counts
  // in the first and the last.
  function histogram(values, low, high, bins) {
    const shares = new Float64Array(bins);
    for (const v of values) {
      const bin = Math.floor(((v - low) / (high - low)) * bins);
      shares[Math.max(0, Math.min(bins - 1, bin))] += 1 / values.length;
    }
    return shares;
  }

  // ---------------------------------------------------------------- theory, wide layers
  // Nodes and weights of Gauss & Legendre on [-1, 1] (Newton on the Legendre polynomials).
  function legendre(count) {
    const x = new Float64Array(count), weight = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      let node = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5)), slope = 1;
      for (let turn = 0; turn < 100; turn++) {
        let p = 1, before = 0;
        for (let k = 1; k <= count; k++) [p, before] = [((2 * k - 1) * node * p - (k - 1) * before) / k, p];
        slope = (count * (node * p - before)) / (node * node - 1);
        const step = p / slope;
        node -= step;
        if (Math.abs(step) < 1e-15) break;
      }
      x[i] = node;
      weight[i] = 2 / ((1 - node * node) * slope * slope);
    }
    return { x, weight };
  }

  // Nodes g and weights of E h(g), g ~ N(0, 1): each half line on its own, since a slope may have a
  // kink at 0.
  const { nodes, shares } = (() => {
    const { x, weight } = legendre(100);
    const end = 9, nodes = new Float64Array(200), shares = new Float64Array(200);
    for (let i = 0; i < 100; i++) {
      const u = (x[i] + 1) / 2, g = end * u * u;
      nodes[i] = -g;
      nodes[100 + i] = g;
      shares[i] = shares[100 + i] = (weight[i] * end * u * Math.exp((-g * g) / 2)) / Math.sqrt(2 * Math.PI);
    }
    return { nodes, shares };
  })();

  // E h(s) for s ~ N(0, variance).
  function gaussianMean(h, variance) {
    const scale = Math.sqrt(variance);
    let total = 0;
    for (let k = 0; k < nodes.length; k++) total += shares[k] * h(scale * nodes[k]);
    return total;
  }

  // What theory.propagate expects of each of B inputs of mean square `inputs` (B,), given the mean
  // square `top` (B,) of its dC/ds^d. Arrays over layers of arrays (B,): mean squares of s^i, z^l,
  // dC/ds^i and dC/dw^i, and means of z^l.
  function propagate(sizes, variances, activation, inputs, top) {
    const { f, slope } = activations[activation];
    const q = [Array.from(inputs)], t = [], means = [];
    const last = variances.length - 1;
    for (let i = 0; i <= last; i++) {
      t.push(q[i].map((value) => sizes[i] * variances[i] * value));
      if (i === last) break;
      q.push(t[i].map((v) => gaussianMean((s) => f(s) ** 2, v)));
      means.push(t[i].map((v) => gaussianMean(f, v)));
    }
    const gradient = new Array(last + 1);
    gradient[last] = Array.from(top);
    for (let i = last - 1; i >= 0; i--) {
      const factor = sizes[i + 2] * variances[i + 1];
      gradient[i] = t[i].map((v, b) => gaussianMean((s) => slope(f(s)) ** 2, v) * factor * gradient[i + 1][b]);
    }
    const weightGradient = gradient.map((row, i) => row.map((value, b) => value * q[i][b]));
    return { preActivation: t, activation: q.slice(1), activationMean: means, gradient, weightGradient };
  }

  return {
    MersenneTwister, normals, activations, weightVariance, bound, network, multiply, multiplyTransposed,
    forward, outputGradient, backward, step, blankTrace, softmax, sum, mean, meanSquare, std, histogram, legendre,
    nodes, shares, gaussianMean, propagate,
  };
}
