// The cost of a 1-1-1 tanh network over its two weights, as course_lib.surfaces computes it.
//
// One function without free variables besides `core`. Where a surface is sampled on cells, [i, j]
// stands at i * cells + j and belongs to w1 = centres[i], w2 = centres[j].
function makeSurfaces(core) {
  const REACH = 8; // both weights run from -8 to 8
  const PLATEAU = 0.05; // of the longest gradient: what is shorter lies on a plateau
  const ARRIVED = 0.05; // of the range: a cost less than that above the lowest has come down
  const COSTS = ["cross_entropy", "quadratic"];

  // The examples of surfaces.draw((1, 1, 1), seed): inputs from N(0, 1), and the toss of a coin for
  // each target; or, learnable, the target 1 where the input is positive.
  function draw(seed, targets = "random", points = 100) {
    const generator = new core.MersenneTwister(seed);
    const inputs = core.normals(generator, points);
    const tosses = inputs.map(() => generator.bits() % 2);
    return { inputs, labels: targets === "learnable" ? inputs.map((x) => Number(x > 0)) : tosses };
  }

  // Cost and gradient in one place, [C, dC/dw1, dC/dw2]: means over the examples. `hidden` may hold
  // the answers tanh(w1 x) of the hidden unit. The logits are 0 and s = w2 tanh(w1 x).
  function at({ inputs, labels }, cost, w1, w2, hidden = inputs.map((x) => Math.tanh(w1 * x))) {
    let value = 0, first = 0, second = 0;
    for (let b = 0; b < inputs.length; b++) {
      const h = hidden[b], s = w2 * h, t = labels[b];
      const e = Math.exp(-Math.abs(s)), near = 1 / (1 + e), far = e / (1 + e);
      const p = s > 0 ? near : far, q = s > 0 ? far : near; // q = 1 - p without the loss of digits
      const error = t ? -q : p; // p - t
      let delta = error;
      if (cost === "quadratic") {
        value += error * error;
        delta = 2 * error * p * q;
      } else value += Math.max(s, 0) + Math.log1p(e) - t * s;
      first += inputs[b] * (1 - h * h) * delta * w2;
      second += h * delta;
    }
    return [value / inputs.length, first / inputs.length, second / inputs.length];
  }

  const centres = (cells) => Float64Array.from({ length: cells }, (_, i) => REACH * ((2 * i + 1) / cells - 1));

  // The surface on cells x cells squares: cost, length of the gradient, and where that is short.
  function surface(examples, cost, cells = 100) {
    const weight = centres(cells);
    const value = new Float64Array(cells * cells), length = new Float64Array(cells * cells);
    for (let i = 0; i < cells; i++) {
      const hidden = examples.inputs.map((x) => Math.tanh(weight[i] * x));
      for (let j = 0; j < cells; j++) {
        const [c, first, second] = at(examples, cost, weight[i], weight[j], hidden);
        value[i * cells + j] = c;
        length[i * cells + j] = Math.hypot(first, second);
      }
    }
    const longest = length.reduce((a, b) => Math.max(a, b));
    const flat = Uint8Array.from(length, (l) => l < PLATEAU * longest);
    const low = value.reduce((a, b) => Math.min(a, b)), high = value.reduce((a, b) => Math.max(a, b));
    return { cost, cells, value, length, flat, low, high, longest, share: core.mean(flat) };
  }

  // Gradient descent: the weights, costs and lengths of the gradient before and after each step.
  function descend(examples, cost, w1, w2, rate, steps) {
    const way = { w1: [], w2: [], cost: [], length: [] };
    for (let step = 0; step <= steps; step++) {
      const [c, first, second] = at(examples, cost, w1, w2);
      way.w1.push(w1);
      way.w2.push(w2);
      way.cost.push(c);
      way.length.push(Math.hypot(first, second));
      w1 -= rate * first;
      w2 -= rate * second;
    }
    return way;
  }

  // What has become of the ball after `step` of its `steps`: the same as CostSurface.story in Python.
  function story(land, way, step) {
    const range = land.high - land.low, steps = way.cost.length - 1;
    const seen = way.cost.slice(0, step + 1);
    const arrived = seen.findIndex((c) => c < land.low + ARRIVED * range);
    const short = way.length.slice(0, step + 1).map((l) => l < PLATEAU * land.longest);
    // Steps taken from a place with a short gradient. At the bottom that is as it should be, and no
    // plateau.
    const plateau = short.slice(0, arrived < 0 ? step : arrived).filter(Boolean).length;
    const rises = seen.filter((c, k) => k && c > seen[k - 1] + 1e-6 * range).length;
    let outcome = plateau ? "crossed" : "rolled";
    if (arrived < 0) outcome = !short[step] ? "moving" : step === steps ? "stuck" : "plateau";
    return {
      flat_share: land.share, low: land.low, high: land.high, longest: land.longest,
      step, w1: way.w1[step], w2: way.w2[step], cost: seen[step], gradient: way.length[step],
      start_cost: seen[0], plateau, arrived: arrived < 0 ? null : arrived, rises, outcome,
    };
  }

  return { REACH, PLATEAU, COSTS, draw, at, centres, surface, descend, story };
}
