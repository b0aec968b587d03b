// Signal explorer: a random network is drawn and pushed through, forward and backward.

const EXAMPLES = 50;
const PICTURES_SEED = 2010;
const NOISE_SEED = 10000;
const CLASSES = 9;
const BINS = 40;

const core = makeCore();
let pictures = null; // the same for every network: drawn once

function examples(state) {
  if (state.inputs === "pictures") {
    pictures ||= makeShapeset(core).sample(EXAMPLES, PICTURES_SEED);
    return { x: pictures.images, labels: pictures.labels, n: 1024 };
  }
  const generator = new core.MersenneTwister(NOISE_SEED + state.seed);
  const labels = Array.from({ length: EXAMPLES }, (_, b) => b % CLASSES);
  return { x: core.normals(generator, EXAMPLES * state.width), labels, n: state.width };
}

const squares = (values) => Array.from({ length: EXAMPLES }, (_, b) => {
  const n = values.length / EXAMPLES;
  return core.meanSquare(values.subarray(b * n, (b + 1) * n));
});
const roots = (values) => values.map(Math.sqrt);

// The numbers of one state, as SignalExplorer.measure has them.
function measure(state) {
  const { x, labels, n } = examples(state);
  const sizes = [n, ...Array(state.depth).fill(state.width), CLASSES];
  const net = core.network(sizes, state.activation, state.scheme, state.seed, state.gain);
  const trace = core.forward(net, x, EXAMPLES);
  const deltas = core.backward(net, trace, labels);
  const below = trace.z.map(squares), gradient = deltas.map(squares);
  const variances = sizes.slice(1).map((m, i) => core.weightVariance(state.scheme, sizes[i], m, state.gain));
  const theory = core.propagate(sizes, variances, state.activation, below[0], gradient[state.depth]);
  const hidden = trace.z.slice(1);
  const numbers = {
    activation: hidden.map(core.std),
    gradient: roots(gradient.map(core.mean)),
    weight_gradient: roots(gradient.map((own, i) => core.mean(own.map((g, b) => g * below[i][b])))),
    saturated: hidden.map((z) => core.mean(z.map((v) => (net.activation.saturated(v) ? 1 : 0)))),
    activation_theory: roots(theory.activation.map((own, l) => core.mean(own) - core.mean(theory.activationMean[l]) ** 2)),
    gradient_theory: roots(theory.gradient.map(core.mean)),
    weight_gradient_theory: roots(theory.weightGradient.map(core.mean)),
  };
  return { numbers, hidden, deltas: deltas.slice(0, -1) };
}

// Up to five layers to show the histograms of: the first, the last and some between.
function chosen(depth) {
  const wanted = [0, 0.25, 0.5, 0.75, 1].map((share) => 1 + Math.round(share * (depth - 1)));
  return [...new Set(wanted)];
}

function spread(values) {
  const [first, last] = [values[0], values[values.length - 1]];
  return `${stage.number(first)} to ${stage.number(last)}`;
}

function schemeText(state) {
  return state.scheme === "gain" ? `weights of gain ${stage.number(state.gain)}` : `${state.scheme} weights`;
}

function draw(view, state, seen) {
  const { numbers, hidden, deltas } = seen;
  const colour = stage.COLOURS[state.activation];
  const panels = [
    [view.forward, "activation", 1, "Standard deviation of the activations"],
    [view.backward, "gradient", 0, "Size (rms) of the gradients at the pre-activations"],
    [view.weights, "weight_gradient", 0, "Size (rms) of the gradients of the weights"],
  ];
  for (const [chart, key, first, what] of panels) {
    const layer = numbers[key].map((_, i) => first + i);
    chart.draw({
      label: `${what}, from layer ${first} to ${layer[layer.length - 1]}: ${spread(numbers[key])}; theory ${spread(numbers[`${key}_theory`])}.`,
      marks: [
        { kind: "line", x: layer, y: numbers[`${key}_theory`], colour, name: "theory" },
        { kind: "points", x: layer, y: numbers[key], colour, name: "measured" },
      ],
    });
  }
  const layers = chosen(state.depth);
  const reach = { sigmoid: [0, 1], tanh: [-1, 1], softsign: [-1, 1] }[state.activation];
  histograms(view.z, layers.map((l) => hidden[l - 1]), layers, reach, "Activations");
  histograms(view.delta, layers.map((l) => deltas[l - 1]), layers, null, "Gradients at the pre-activations");
}

// One outline a layer; without a range of its own, to three standard deviations of the widest layer.
function histograms(chart, values, layers, range, what) {
  const widest = Math.max(...values.map((own) => Math.sqrt(core.meanSquare(own)))) || 1;
  const [low, high] = range || [-3 * widest, 3 * widest];
  const edges = Array.from({ length: BINS + 1 }, (_, i) => low + ((high - low) * i) / BINS);
  const shares = values.map((own) => core.histogram(own, low, high, BINS));
  const dashes = ["", "7 3", "2 3", "10 3 2 3", "4 2"];
  chart.draw({
    label: `${what}: ` + layers.map((l, i) => `layer ${l} has ${stage.percent(Math.max(...shares[i]))} of its values in the fullest of ${BINS} bins`).join(", ") + ".",
    x: { domain: [low, high] },
    y: { domain: [0, 100 * Math.min(1, 1.05 * Math.max(...shares.map((own) => Math.max(...own))))] },
    marks: shares.map((own, i) => ({
      kind: "steps", edges, heights: Array.from(own, (s) => 100 * s), colour: stage.LAYERS[i], dash: dashes[i],
      name: `layer ${layers[i]}`,
    })),
  });
}

function describe(state, numbers) {
  const d = state.depth, units = `${d} hidden ${d === 1 ? "layer" : "layers"} of ${state.width} ${stage.LABELS[state.activation]} units`;
  const what = state.inputs === "pictures" ? "pictures" : "inputs of noise";
  const last = numbers.activation[d - 1], expected = numbers.activation_theory[d - 1];
  const factor = d > 1 ? (numbers.gradient[0] / numbers.gradient[d - 1]) ** (1 / (d - 1)) : 1;
  return `${EXAMPLES} ${what} go through ${units} with ${schemeText(state)}. ` +
    `Forward: the activations' standard deviation goes from ${stage.number(numbers.activation[0])} in layer 1 to ` +
    `${stage.number(last)} in layer ${d} (theory: ${stage.number(expected)}); ${stage.percent(numbers.saturated[d - 1])} of layer ${d} are saturated. ` +
    `Backward: the gradients' size goes from ${stage.number(numbers.gradient[d - 1])} at the last hidden layer to ` +
    `${stage.number(numbers.gradient[0])} at the first (theory: ${stage.number(numbers.gradient_theory[0])})` +
    (d > 1 ? `, a factor of ${stage.number(factor)} a layer.` : ".");
}

function compare(before, now) {
  const ends = (numbers) => [numbers.activation[numbers.activation.length - 1], numbers.gradient[0]];
  const [z, delta] = ends(now);
  const text = (value, old) => (old === undefined ? stage.number(value) : `${stage.number(value)}, before ${stage.number(old)}`);
  const [oldZ, oldDelta] = before ? ends(before) : [];
  return `Last layer's standard deviation: ${text(z, oldZ)}. First layer's gradient: ${text(delta, oldDelta)}.`;
}

function table(state, numbers) {
  const rows = numbers.gradient.map((_, i) => [
    i, i ? numbers.activation[i - 1] : "", i ? numbers.activation_theory[i - 1] : "", i ? numbers.saturated[i - 1] : "",
    numbers.gradient[i], numbers.gradient_theory[i], numbers.weight_gradient[i], numbers.weight_gradient_theory[i],
  ]);
  return {
    caption: "By layer: standard deviation of z, share saturated, size of dC/ds and of dC/dw, with the theory's values",
    columns: ["layer i", "z", "theory", "saturated", "dC/ds", "theory", "dC/dw", "theory"],
    rows,
  };
}

function render({ model, el }) {
  let before = null;
  return stage.open({
    model, el, title: "Signal explorer", python: "widgets.SignalExplorer",
    controls: [
      { key: "activation", label: "Activation", kind: "choice", options: Object.entries(stage.LABELS) },
      { key: "scheme", label: "Weights", kind: "choice", options: [["standard", "standard"], ["normalized", "normalized"], ["gain", "free gain"]] },
      { key: "gain", label: "Gain", kind: "number", min: 0.1, max: 3, step: 0.05, enabled: (state) => state.scheme === "gain", say: (v) => stage.number(v) },
      { key: "depth", label: "Depth", kind: "number", min: 1, max: 50, step: 1, say: (v) => `${v} hidden ${v === 1 ? "layer" : "layers"}` },
      { key: "width", label: "Width", kind: "number", values: [20, 50, 100, 200], say: (v) => `${v} units` },
      { key: "inputs", label: "Inputs", kind: "choice", options: [["pictures", "Shapeset pictures"], ["noise", "Gaussian noise"]] },
      { key: "seed", label: "Seed", kind: "number", min: 0, max: 99, step: 1 },
      { label: "Draw another network", kind: "button", action: (view) => view.set({ seed: (view.state().seed + 1) % 100 }) },
    ],
    build(view) {
      const top = view.row(), bottom = view.row();
      top.classList.add("three");
      const layer = { label: "layer" }, sizes = { scale: "log" };
      view.forward = view.chart({ title: "Forward: standard deviation of z", x: layer, y: sizes, height: 210 }, top);
      view.backward = view.chart({ title: "Backward: size of dC/ds", x: layer, y: sizes, height: 210 }, top);
      view.weights = view.chart({ title: "Weights: size of dC/dw", x: layer, y: sizes, height: 210 }, top);
      view.z = view.chart({ title: "Activations z", x: { label: "activation" }, y: { label: "share (%)" }, height: 210 }, bottom);
      view.delta = view.chart({ title: "Gradients dC/ds", x: { label: "gradient" }, y: { label: "share (%)" }, height: 210 }, bottom);
    },
    update(view, state) {
      const seen = measure(state);
      draw(view, state, seen);
      const consequence = compare(before, seen.numbers);
      before = seen.numbers;
      return { description: describe(state, seen.numbers), consequence, table: table(state, seen.numbers), readings: seen.numbers };
    },
  });
}

export default { render };
