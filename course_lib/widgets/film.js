// Training film: scrub and play through recorded trainings. FILMS comes from course_lib.widgets.film.

const SPEEDS = { slow: 1000, normal: 500, fast: 200 }; // ms a frame
const CALM = 2000; // the same, where the reader wants little motion
const CHANCE = 5 / 6; // the error of always the same answer
const WEAKEST = 1e-4; // the least share that logarithmic heights show
const SCHEMES = ["standard", "normalized"];
const QUANTITIES = {
  saturated: { name: "saturated share", title: "Saturated activations (%)", factor: 100, axis: { domain: [0, 103] } },
  std: { name: "standard deviation", title: "Std of the activations", factor: 1, axis: {} },
  gradient: { name: "gradient dC/ds", title: "Std of dC/ds", factor: 1, axis: { scale: "log" } },
  weight_gradient: { name: "gradient dC/dW", title: "Std of dC/dW", factor: 1, axis: { scale: "log" } },
};
// Where the slope is 19 % of the steepest.
const BOUNDS = { sigmoid: [0.05, 0.95], tanh: [-0.9, 0.9], softsign: [-0.5641, 0.5641] };
const LAST = FILMS.frames.length - 1;

// ---------------------------------------------------------------- the record
let opened = null;

async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Three tables of whole numbers, as film.py packed them; each is read by (k, n, t).
async function unpack() {
  const bytes = await inflated(FILMS.packed);
  const times = FILMS.frames.length;
  const layers = FILMS.films.reduce((total, [, depth]) => total + depth, 0);
  let place = 0;
  const table = (kinds, rows) => {
    const count = kinds * rows * times;
    const values = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const code = bytes[place + i] | (bytes[place + count + i] << 8);
      const before = i % (times * kinds) < kinds ? 0 : values[i - kinds];
      values[i] = before + ((code >>> 1) ^ -(code & 1));
    }
    place += 2 * count;
    return (k, n, t) => values[(n * times + t) * kinds + k];
  };
  const bins = table(FILMS.edges.length - 1, layers);
  return { bins, columns: table(9, layers), ends: table(2, FILMS.films.length) };
}

const isFilm = (state, scheme) => ([activation, depth, own, seed]) =>
  activation === state.activation && depth === state.depth && own === scheme && seed === state.seed;

// One network's film: a list of frames, each with the numbers that films.Film has for it.
function filmOf(state, scheme) {
  const number = FILMS.films.findIndex(isFilm(state, scheme));
  const first = FILMS.films.slice(0, number).reduce((total, [, depth]) => total + depth, 0);
  const below = state.activation === "sigmoid" ? (FILMS.edges.length - 1) / 2 : 0; // bins it cannot reach
  const edges = FILMS.edges.slice(below);
  const rows = Array.from({ length: state.depth }, (_, layer) => first + layer);
  const frames = FILMS.frames.map((update, t) => {
    const column = (k, read) => rows.map((n) => read(opened.columns(k, n, t)));
    const thousandths = (v) => v / 1000, power = (v) => 10 ** (v / 200);
    return {
      update,
      mean: column(0, thousandths),
      std: column(1, thousandths),
      percentiles: rows.map((n) => [2, 3, 4].map((k) => opened.columns(k, n, t) / 1000)),
      saturated: column(5, thousandths),
      gradient: column(6, power),
      weight_gradient: column(7, power),
      histogram: rows.map((n) => edges.slice(1).map((_, bin) =>
        (opened.columns(8, n, t) / 10000) * (opened.bins(below + bin, n, t) / FILMS.roots) ** 2)),
      error: opened.ends(0, number, t) / 10000,
      cost: opened.ends(1, number, t) / 1000,
    };
  });
  const [, , , , rate, source] = FILMS.films[number];
  return { ...state, scheme, rate, source, edges, frames };
}

// ---------------------------------------------------------------- in words
const listed = (values, format) => {
  const texts = values.map(format);
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} and ${texts[texts.length - 1]}`;
};
const share = (value) => stage.percent(value, value < 0.995 && value > 0.00949 ? 2 : 3);
const layerNames = (depth) => (depth === 1 ? "the hidden layer" : `layers 1 to ${depth}`);

// Where a layer's saturated activations lie.
function ends(film, frame, layer) {
  const [low, high] = BOUNDS[film.activation];
  let below = 0, above = 0;
  frame.histogram[layer].forEach((value, bin) => {
    const centre = (film.edges[bin] + film.edges[bin + 1]) / 2;
    if (centre < low) below += value;
    if (centre > high) above += value;
  });
  if (below > 4 * above) return film.activation === "sigmoid" ? "near 0" : "near \u22121";
  return above > 4 * below ? "near 1" : "at both ends";
}

function saturation(film, frame) {
  const top = film.depth - 1;
  const where = frame.saturated[top] > 0.05 ? `, ${ends(film, frame, top)}` : "";
  const last = `${share(frame.saturated[top])} of its activations saturated${where}`;
  if (top === 0) return `the one hidden layer has ${last}`;
  const others = listed(frame.saturated.slice(0, top), share);
  const names = top === 1 ? "layer 1 has" : `layers 1 to ${top} have`;
  return `the last of ${film.depth} hidden layers has ${last}; ${names} ${others}`;
}

function sizes(film, frame) {
  const spreads = listed(frame.std, (v) => stage.number(v, 2));
  const spread = `The standard deviation is ${spreads} in ${layerNames(film.depth)}`;
  if (film.depth === 1) return `${spread}.`;
  const ratio = (values) => stage.number(values[0] / values[film.depth - 1], 2);
  return `${spread}; in layer 1 the gradient dC/ds is ${ratio(frame.gradient)} times, dC/dW ` +
    `${ratio(frame.weight_gradient)} times as large as in layer ${film.depth}.`;
}

const verdict = (frame) =>
  `The test error is ${stage.percent(frame.error)} (always the same answer: ${stage.percent(CHANCE)}), ` +
  `the cost ${stage.number(frame.cost)} nats.`;

function describe(shown, t) {
  return shown.map((film, i) => {
    const frame = film.frames[t];
    const weights = `ith ${film.scheme} weights`;
    const when = i ? `W${weights}` : `At update ${stage.number(frame.update)}, w${weights}`;
    return `${when} (rate ${stage.number(film.rate)}, ${film.source}), ${saturation(film, frame)}. ` +
      `${sizes(film, frame)} ${verdict(frame)}`;
  }).join(" ");
}

function consequence(shown, t, before) {
  const frame = shown[0].frames[t];
  const old = before === null || before === frame.error ? "" : `, before ${stage.percent(before)}`;
  return `Saturated: ${listed(frame.saturated, share)} in ${layerNames(shown[0].depth)}; ` +
    `test error ${stage.percent(frame.error)}${old}.`;
}

function table(shown, t) {
  const rows = shown.flatMap((film) => {
    const frame = film.frames[t];
    return frame.mean.map((mean, layer) => [
      shown.length > 1 ? `${film.scheme}, layer ${layer + 1}` : `layer ${layer + 1}`,
      mean, frame.std[layer], ...frame.percentiles[layer], stage.percent(frame.saturated[layer]),
      frame.gradient[layer], frame.weight_gradient[layer],
    ]);
  });
  return {
    caption: `Update ${stage.number(FILMS.frames[t])}: activations of 300 test pictures, gradients of the cost`,
    columns: [
      "layer", "mean", "std", "2nd percentile", "median", "98th percentile", "saturated",
      "std of dC/ds", "std of dC/dW",
    ],
    rows,
  };
}

// ---------------------------------------------------------------- figures
// One film: the histograms of its layers, and one quantity of them over the whole training.
function screen(view, films, curves) {
  const heading = stage.make("p", { class: "chart-title" });
  const grid = stage.make("div", { class: "film-layers" });
  const element = stage.make("div", {}, heading, grid);
  films.append(element);
  const layers = Array.from({ length: 5 }, () => view.chart({ height: 128 }, grid));
  return { element, heading, grid, layers, curve: view.chart({ height: 210 }, curves) };
}

// Updates lie as far apart as frames do: dense at first, even later.
const places = FILMS.frames.map((_, t) => t);
const marked = [0, 10, 100, 1000, 10000, 50000, 100000].map((k) => FILMS.frames.indexOf(k)).filter((t) => t >= 0);
const shortly = (t) => {
  const update = FILMS.frames[t];
  return update < 1000 ? `${update}` : `${update / 1000}k`;
};
const filmAxis = { label: "update, a step a frame", domain: [0, LAST + 1], ticks: marked, format: shortly };

function drawLayers(own, film, t, logarithmic) {
  const reach = [film.edges[0], 1];
  own.grid.style.maxWidth = `${210 * film.depth}px`;
  own.layers.forEach((chart, layer) => {
    chart.element.hidden = layer >= film.depth;
    if (layer >= film.depth) return;
    const frame = film.frames[t];
    const most = 118 * Math.max(...frame.histogram[layer]); // leaves room for the bar across
    const domain = logarithmic ? [100 * WEAKEST, 100] : [0, most];
    const at = (part) => (logarithmic ? domain[0] * (domain[1] / domain[0]) ** part : part * most);
    const [floor, ceiling] = domain;
    const grey = (from, to) =>
      ({ kind: "area", x: [from, to], low: [floor, floor], high: [ceiling, ceiling], colour: "#808080" });
    const [low, high] = BOUNDS[film.activation];
    const { mean, std, percentiles, saturated, histogram } = frame;
    const [bottom, , top] = percentiles[layer];
    const spread = [mean[layer] - std[layer], mean[layer] + std[layer]];
    chart.draw({
      title: `Layer ${layer + 1}: ${share(saturated[layer])} saturated`,
      label: `Layer ${layer + 1}: mean ${stage.number(mean[layer], 2)}, ` +
        `standard deviation ${stage.number(std[layer], 2)}, 2nd and 98th percentile ${stage.number(bottom, 2)} and ` +
        `${stage.number(top, 2)}, ${share(saturated[layer])} saturated.`,
      x: { domain: reach, ticks: [reach[0], (reach[0] + 1) / 2, 1] },
      y: { domain, scale: logarithmic ? "log" : "linear" },
      marks: [
        grey(reach[0], low), grey(high, 1),
        { kind: "bars", edges: film.edges, heights: histogram[layer].map((v) => 100 * v), colour: stage.LAYERS[layer] },
        { kind: "rule", x: mean[layer] },
        { kind: "line", x: spread, y: [at(0.94), at(0.94)], width: 3 },
        { kind: "points", x: [bottom, top], y: [at(0.05), at(0.05)], marker: "^" },
      ],
    });
  });
}

// The range of a quantity, the same for all films that are shown.
function reachOf(shown, quantity) {
  const { factor, axis } = QUANTITIES[quantity];
  if (axis.domain) return axis.domain;
  const values = shown.flatMap((film) => film.frames.flatMap((frame) => frame[quantity]));
  const low = Math.min(...values), high = Math.max(...values);
  return axis.scale === "log" ? [(factor * low) / 1.2, factor * high * 1.2] : [0, 1.05 * factor * high];
}

function drawCurve(own, film, t, quantity, domain) {
  const { title, factor, axis } = QUANTITIES[quantity];
  const now = film.frames[t][quantity].map((v) => stage.number(factor * v, 2));
  const marks = film.frames[0][quantity].flatMap((_, layer) => {
    const y = film.frames.map((frame) => factor * frame[quantity][layer]);
    const some = places.filter((place) => (place - layer) % 5 === 0);
    const colour = stage.LAYERS[layer], marker = stage.MARKERS[layer], name = `layer ${layer + 1}`;
    return [
      { kind: "line", x: places, y, colour },
      { kind: "points", x: some, y: some.map((place) => y[place]), marker, colour, name },
    ];
  });
  own.curve.draw({
    title: `${title}, ${film.scheme} weights`,
    label: `${title} over the training, ${film.scheme} weights; at update ${stage.number(film.frames[t].update)} ` +
      `${listed(now, String)} in ${layerNames(film.depth)}.`,
    x: filmAxis, y: { ...axis, domain }, marks: [...marks, { kind: "rule", x: t }],
  });
}

function drawError(chart, shown, t) {
  const now = shown.map((film) => `${stage.percent(film.frames[t].error)} with ${film.scheme} weights`);
  chart.draw({
    label: `Test error over the training; at update ${stage.number(FILMS.frames[t])} ${listed(now, String)}.`,
    x: filmAxis,
    y: { domain: [Math.min(...shown.map((film) => 100 * film.frames[LAST].error)) - 8, 97] },
    marks: [
      ...shown.flatMap((film) => {
        const y = film.frames.map((frame) => 100 * frame.error), colour = stage.COLOURS[film.activation];
        return [
          { kind: "line", x: places, y, colour, dash: stage.DASHES[film.scheme], name: `${film.scheme} weights` },
          { kind: "points", x: [t], y: [y[t]], colour },
        ];
      }),
      { kind: "rule", y: 100 * CHANCE, name: "always the same answer" },
      { kind: "rule", x: t },
    ],
  });
}

// ---------------------------------------------------------------- playing
function player(view) {
  let timer = null;
  const now = () => FILMS.frames.indexOf(view.state().update);
  const go = (t) => view.set({ update: FILMS.frames[Math.max(0, Math.min(LAST, t))] });
  const name = (text) => view.control("Play").name(text);
  function stop() {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    name("Play");
    view.refresh(["update"]); // says where it stands
  }
  function tick() {
    if (now() >= LAST) return stop();
    go(now() + 1);
    timer = setTimeout(tick, view.calm ? CALM : SPEEDS[view.state().speed]);
  }
  function start() {
    if (now() >= LAST) go(0);
    name("Pause");
    timer = setTimeout(tick, view.calm ? CALM : SPEEDS[view.state().speed]);
  }
  const step = (by) => {
    stop();
    go(now() + by);
  };
  return { stop, step, toggle: () => (timer === null ? start() : stop()), playing: () => timer !== null };
}

const options = (names) => names.map((name) => [name, name]);
const layersText = (v) => `${v} ${v === 1 ? "layer" : "layers"}`;
const quantities = Object.entries(QUANTITIES).map(([key, own]) => [key, own.name]);
const film = "Film", moment = "Moment", figure = "Figures";

const controls = [
  { key: "activation", label: "Activation", kind: "choice", options: options(Object.keys(BOUNDS)), group: film },
  { key: "depth", label: "Depth", kind: "number", min: 1, max: 5, step: 1, say: layersText, group: film },
  { key: "scheme", label: "Weights", kind: "choice", options: options(SCHEMES), group: film },
  { key: "seed", label: "Seed", kind: "number", min: 0, max: 2, step: 1, group: film },
  { key: "update", label: "Update", kind: "number", values: FILMS.frames, group: moment },
  { label: "Play", kind: "button", action: (view) => view.player.toggle(), group: moment },
  { label: "Back", kind: "button", action: (view) => view.player.step(-1), group: moment },
  { label: "Forward", kind: "button", action: (view) => view.player.step(1), group: moment },
  { key: "speed", label: "Speed", kind: "choice", options: options(Object.keys(SPEEDS)), group: moment },
  { key: "quantity", label: "Over the training", kind: "choice", options: quantities, group: figure },
  { key: "compare", label: "The other weights beside it", kind: "switch", group: figure },
  { key: "logarithmic", label: "Logarithmic heights", kind: "switch", group: figure },
];

function build(view) {
  const films = view.row();
  const key = "Heights: share of the activations in each bin, in %; linear ones to each layer's own scale. " +
    "Grey: saturated. Dotted line: mean; bar across: one standard deviation to either side; " +
    "triangles: 2nd and 98th percentile.";
  view.panels.append(stage.make("p", { class: "chart-legend" }, key));
  const curves = view.row();
  view.screens = SCHEMES.map(() => screen(view, films, curves));
  view.error = view.chart({ title: "Test error (%)", height: 210 }, curves);
  view.player = player(view);
  view.onclose(() => view.player.stop());
}

async function render({ model, el }) {
  opened ||= await unpack();
  let before = null;
  return stage.open({
    model, el, title: "Training film", python: "widgets.TrainingFilm", controls, build,
    reset: (view) => view.player.stop(),
    update(view, state) {
      const t = Math.max(0, FILMS.frames.indexOf(state.update));
      const other = SCHEMES.find((scheme) => scheme !== state.scheme);
      const shown = (state.compare ? [state.scheme, other] : [state.scheme]).map((scheme) => filmOf(state, scheme));
      view.screens.forEach((own, i) => {
        own.element.hidden = own.curve.element.hidden = i >= shown.length;
        if (i >= shown.length) return;
        const { activation, scheme } = shown[i];
        own.heading.textContent = `${activation}, ${scheme} weights, update ${stage.number(FILMS.frames[t])}`;
        drawLayers(own, shown[i], t, state.logarithmic);
        drawCurve(own, shown[i], t, state.quantity, reachOf(shown, state.quantity));
      });
      drawError(view.error, shown, t);
      const said = view.player.playing() ? "" : consequence(shown, t, before);
      if (said) before = shown[0].frames[t].error;
      const readings = { update: FILMS.frames[t] };
      for (const own of shown) {
        const { update, ...numbers } = own.frames[t];
        readings[own.scheme] = { ...numbers, rate: own.rate };
      }
      return { description: describe(shown, t), consequence: said, table: table(shown, t), readings };
    },
  });
}

export default { render };
