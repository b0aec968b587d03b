// Jacobian spectrum: the singular values of a product of layers, and their law on top.

const INPUT_SEED = 10000;
const RESOLVED = 1e-13; // of the largest singular value: what is smaller is rounding
const TENTH = 0.1;
const BUSY = 30; // ms of a frame that the shallower products may take
const INPUTS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10];
const SCHEMES = [["standard", "standard"], ["normalized", "normalized"], ["gain", "free gain"]];
const LAWS = [["expected", "the input alone"], ["measured", "this network"]];

const core = makeCore();
const spectra = makeSpectra(core);
const { number, percent } = stage;

// ---------------------------------------------------------------- numbers
// One result is kept: most changes are of the depth, or of the picture alone.
const kept = {};

function keep(what, key, make) {
  if (kept[what]?.key !== key) kept[what] = { key, value: make() };
  return kept[what].value;
}

function gaussian(state) {
  const scale = Math.sqrt(state.input_variance);
  return core.normals(new core.MersenneTwister(INPUT_SEED + state.seed), state.width).map((v) => scale * v);
}

function network(state) {
  const gain = state.scheme === "gain" ? state.gain : 1;
  const key = [state.activation, state.scheme, gain, state.width, state.seed, state.input_variance].join();
  const layers = keep("layers", key, () => new spectra.Layers({ ...state, gain }, gaussian(state)));
  return { key, layers };
}

// Mean squares of s^0, s^1, .. that the law's slopes are for.
function preActivations(state, layers) {
  if (state.law === "measured") return layers.sizes.slice(0, state.depth);
  const sizes = [...Array(state.depth + 1).fill(state.width), 1];
  const variances = sizes.slice(1).map(() => layers.variance);
  return core.propagate(sizes, variances, state.activation, [core.meanSquare(gaussian(state))], [1])
    .preActivation.slice(0, -1).map(([own]) => own);
}

// The numbers of one state, as JacobianSpectrum.measure has them; `means` and `largests` are empty
// until the products of fewer layers are known.
function measure(state) {
  const { key, layers } = network(state);
  const { depth, width } = state;
  const s = layers.values(depth);
  const sizes = preActivations(state, layers);
  const law = keep("law", `${key} ${depth} ${state.law}`, () => new spectra.Law(
    sizes.map(() => width * layers.variance), sizes.map((t) => spectra.slopeSquares(state.activation, t))));
  const end = performance.now() + BUSY;
  for (let k = 1; k < depth && performance.now() < end; k++) layers.values(k);
  const shallower = Array.from({ length: depth }, (_, k) => k + 1);
  const complete = shallower.every((k) => layers.known(k));
  const zeros = 1 - layers.ranks[depth - 1] / width, last = s[width - 1];
  const smallest = zeros > 0 ? 0 : last > RESOLVED * s[0] ? last : null;
  const numbers = {
    mean: core.mean(s),
    rms: Math.sqrt(core.meanSquare(s)),
    largest: s[0],
    smallest,
    condition: smallest ? s[0] / smallest : null,
    below_tenth: s.filter((v) => v < TENTH).length / width,
    zeros,
    law_mean: law.mean,
    law_rms: law.rms,
    law_largest: law.edge,
    law_below_tenth: law.at([TENTH]).share[0],
    law_zeros: law.zeros,
    means: complete ? shallower.map((k) => core.mean(layers.values(k))) : [],
    largests: complete ? shallower.map((k) => layers.values(k)[0]) : [],
    law_means: law.means,
    law_largests: law.edges,
    pre_activation: sizes,
  };
  return { numbers, law, values: s.slice(0, layers.ranks[depth - 1]), complete };
}

// ---------------------------------------------------------------- figures
const grid = (count, place) => Array.from({ length: count + 1 }, (_, i) => place(i / count));

// Bins, and places of the law's curve, which ends in a root. All may be 0.
function axis(state, values, law) {
  const bins = Math.round(2 * Math.sqrt(state.width));
  const high = 1.05 * Math.max(values[0] ?? 0, law.edge) || 1;
  if (state.axis === "linear") {
    return {
      low: 0, edges: grid(bins, (t) => t * high), per: () => 1,
      x: grid(150, (t) => law.edge * Math.sin((t * Math.PI) / 2) ** 2).slice(1),
    };
  }
  const quantile = values[Math.floor(0.98 * (values.length - 1))] ?? high;
  const low = 10 ** Math.floor(Math.log10(Math.max(quantile, 1e-10 * high)));
  return {
    low, edges: grid(bins, (t) => low * (high / low) ** t), per: (x) => x * Math.LN10,
    x: grid(150, (t) => low * (law.edge / low) ** Math.sin((t * Math.PI) / 2)),
  };
}

function drawSpectrum(view, state, { numbers, law, values }) {
  const { low, edges, per, x } = axis(state, values, law), log = state.axis === "log";
  const bins = edges.length - 1, high = edges[bins], counts = new Array(bins).fill(0);
  const place = (v) => (log ? Math.log(v / low) / Math.log(high / low) : v / high);
  let left = 0;
  for (const v of values) {
    if (v < low) left += 1;
    else counts[Math.min(bins - 1, Math.floor(bins * place(v)))] += 1;
  }
  const width = log ? Math.log10(edges[1] / edges[0]) : edges[1];
  const heights = counts.map((own) => (100 * own) / state.width / width);
  const curve = Array.from(law.at(x).density, (p, i) => 100 * p * per(x[i]));
  const top = 1.2 * Math.max(...heights) || 1;
  const zeros = numbers.zeros > 0 ? `; ${percent(numbers.zeros)} are 0` : "";
  const beside = left ? `; ${percent(left / state.width)} lie left of the axis` : "";
  view.spectrum.draw({
    title: `Singular values of ${state.depth === 1 ? "1 layer" : `the product of ${state.depth} layers`}${zeros}`,
    label: `Histogram of the singular values from ${number(values.at(-1) ?? 0)} to ${number(values[0] ?? 0)}` +
      `, and the law's curve up to ${number(law.edge)}${beside}.`,
    x: { scale: state.axis, domain: [low, high] },
    y: { label: log ? "share (%) per factor of 10" : "share (%) per unit", domain: [0, top] },
    marks: [
      { kind: "bars", edges, heights, colour: stage.COLOURS[state.activation], name: "measured" },
      { kind: "line", x, y: curve, name: "law of wide layers" },
      ...(TENTH > low && TENTH < high ? [{ kind: "rule", x: TENTH, name: "a tenth" }] : []),
    ],
  });
}

function drawGrowth(view, state, { numbers }) {
  const colour = stage.COLOURS[state.activation], every = Math.ceil(state.depth / 10);
  const x = numbers.law_means.map((_, k) => k + 1);
  // The law of one layer is a short line as well.
  const line = (y) => (state.depth === 1 ? { x: [0.9, 1.1], y: [y[0], y[0]] } : { x, y });
  view.growth.draw({
    label: `Mean and largest singular value of products of 1 to ${state.depth} layers: mean ` +
      `${ends(numbers.means)} (law ${ends(numbers.law_means)}), largest ` +
      `${ends(numbers.largests)} (law ${ends(numbers.law_largests)}).`,
    x: { domain: [0.5, state.depth + 0.5], ticks: x.filter((k) => (k - 1) % every === 0) },
    marks: [
      { kind: "line", ...line(numbers.law_largests), dash: "6 4", name: "largest, law" },
      { kind: "points", x, y: numbers.largests, colour, marker: "^", name: "largest" },
      { kind: "line", ...line(numbers.law_means), name: "mean, law" },
      { kind: "points", x, y: numbers.means, colour, name: "mean" },
    ],
  });
}

// ---------------------------------------------------------------- words
const layersText = (depth) => (depth === 1 ? "1 layer" : `${depth} layers`);
const ends = (values) => (values.length ? `${number(values[0])} to ${number(values.at(-1))}` : "still being computed");

function schemeText(state) {
  return state.scheme === "gain" ? `weights of gain ${number(state.gain)}` : `${state.scheme} weights`;
}

function smallestText({ smallest, condition }) {
  if (condition !== null) return `The smallest is ${number(smallest)}, the condition number ${number(condition)}.`;
  if (smallest === 0) return "As some are 0, the condition number is infinite.";
  return `The smallest is below ${number(RESOLVED, 1)} of the largest, where rounding hides it: ` +
    `a condition number above ${number(1 / RESOLVED, 1)}.`;
}

function describe(state, numbers) {
  const of = state.depth === 1 ? "The Jacobian of 1" : `The product of the Jacobians of ${state.depth}`;
  const zeros = `${percent(numbers.zeros)} of the singular values are exactly 0 ` +
    `(law: ${percent(numbers.law_zeros)}) and not drawn. `;
  return `${of} ${stage.LABELS[state.activation]} ${state.depth === 1 ? "layer" : "layers"} of ${state.width} units, ` +
    `${schemeText(state)}, at one input of variance ${number(state.input_variance)}. ` +
    (numbers.zeros > 0 ? zeros : "") +
    `Mean singular value ${number(numbers.mean)} (law: ${number(numbers.law_mean)}), ` +
    `root mean square ${number(numbers.rms)} (${number(numbers.law_rms)}), ` +
    `largest ${number(numbers.largest)} (${number(numbers.law_largest)}). ` +
    `${percent(numbers.below_tenth)} are below a tenth (law: ${percent(numbers.law_below_tenth)}). ` +
    smallestText(numbers);
}

function compare(before, now) {
  const change = (key, format) => {
    const text = format(now[key]), old = before ? format(before[key]) : text;
    return `${text}${old === text ? "" : `, before ${old}`} (law: ${format(now[`law_${key}`])})`;
  };
  return `Mean ${change("mean", number)}; largest ${change("largest", number)}; ` +
    `below a tenth ${change("below_tenth", percent)}.`;
}

function table(numbers) {
  const rows = numbers.law_means.map((mean, k) => [
    k + 1, numbers.means[k] ?? "\u2026", mean, numbers.largests[k] ?? "\u2026", numbers.law_largests[k],
    numbers.pre_activation[k],
  ]);
  return {
    caption: "By layers in the product: mean and largest singular value; the variance of the last layer's " +
      "pre-activations, which the law starts from",
    columns: ["layers", "mean", "law", "largest", "law", "variance of s"],
    rows,
  };
}

// ---------------------------------------------------------------- the widget
function render({ model, el }) {
  let shown = null, consequence = ""; // of the state before this one
  return stage.open({
    model, el, title: "Jacobian spectrum", python: "widgets.JacobianSpectrum",
    controls: [
      { key: "activation", label: "Activation", kind: "choice", options: Object.entries(stage.LABELS) },
      { key: "scheme", label: "Weights", kind: "choice", options: SCHEMES },
      {
        key: "gain", label: "Gain", kind: "number", min: 0.1, max: 3, step: 0.05, say: (v) => number(v),
        enabled: (state) => state.scheme === "gain",
      },
      { key: "depth", label: "Depth", kind: "number", min: 1, max: 20, step: 1, say: layersText },
      { key: "width", label: "Width", kind: "number", values: [20, 50, 100, 200], say: (v) => `${v} units` },
      { key: "input_variance", label: "Input", kind: "number", values: INPUTS, say: (v) => `variance ${number(v)}` },
      { key: "axis", label: "Axis", kind: "choice", options: [["linear", "linear"], ["log", "logarithmic"]] },
      { key: "law", label: "Law from", kind: "choice", options: LAWS },
      { key: "seed", label: "Seed", kind: "number", min: 0, max: 99, step: 1 },
      { label: "Draw another", kind: "button", action: (view) => view.set({ seed: (view.state().seed + 1) % 100 }) },
    ],
    build(view) {
      const row = view.row();
      view.spectrum = view.chart({ x: { label: "singular value" }, height: 250 }, row);
      view.growth = view.chart({
        title: "As layers are added", height: 250,
        x: { label: "layers in the product" }, y: { scale: "log", label: "singular value" },
      }, row);
    },
    update(view, state, changed) {
      const seen = measure(state);
      drawSpectrum(view, state, seen);
      drawGrowth(view, state, seen);
      if (changed.size || !shown) consequence = compare(shown, seen.numbers);
      shown = seen.numbers;
      if (!seen.complete) view.refresh(); // the shallower products: some more in the next frame
      return {
        description: describe(state, seen.numbers), consequence, table: table(seen.numbers), readings: seen.numbers,
      };
    },
  });
}

export default { render };
