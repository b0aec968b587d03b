// The widget: the two surfaces and maps, the ball, the charts and the words.
const costSurface = (() => {
  const { make, number, percent } = stage;
  const surfaces = makeSurfaces(makeCore());
  const NAMES = { cross_entropy: "Cross-entropy", quadratic: "Quadratic cost" };
  const LINE = {
    cross_entropy: { name: NAMES.cross_entropy, colour: stage.LAYERS[0] },
    quadratic: { name: NAMES.quadratic, colour: stage.LAYERS[4], dash: "6 4" },
  };
  const RATES = [0.1, 0.3, 1, 3, 10, 30];
  const STEPS = [10, 30, 100, 300, 1000];
  const PACES = [1, 3, 10, 30, 100];
  const FRAME = 80; // ms between two pictures, at least
  const VIEW = new Set(["azimuth", "elevation"]);
  const PATH = new Set(["targets", "seed", "w1", "w2", "rate_cross_entropy", "rate_quadratic", "steps", "cost"]);

  const shown = (state) => surfaces.COSTS.filter((cost) => state.cost === "both" || state.cost === cost);
  const rateOf = (state, cost) => state[`rate_${cost}`];
  const degrees = (v) => `${number(v)}\u00b0`;
  const stepOf = (state) => Math.min(state.step, state.steps);

  // ---- playing
  const playing = (view) => view.timer !== null;

  function pause(view) {
    clearTimeout(view.timer);
    view.timer = null;
    view.refresh();
  }

  function play(view) {
    const { steps, pace } = view.state();
    const wait = Math.max(1000 / pace, FRAME);
    view.timer = setTimeout(() => {
      const step = Math.min(steps, stepOf(view.state()) + Math.max(1, Math.round((wait * pace) / 1000)));
      view.set({ step });
      if (step < view.state().steps) play(view);
      else pause(view);
    }, wait);
  }

  // Without motion the whole way is there at once.
  function drop(view) {
    pause(view);
    if (view.calm) return view.set({ step: view.state().steps });
    view.set({ step: 0 });
    play(view);
    view.refresh();
  }

  function goOn(view) {
    if (playing(view)) return pause(view);
    const { steps } = view.state();
    if (stepOf(view.state()) >= steps) return drop(view);
    if (view.calm) return view.set({ step: Math.min(steps, stepOf(view.state()) + Math.max(1, steps / 10)) });
    play(view);
    view.refresh();
  }

  const controls = [
    {
      key: "cost", label: "Cost", kind: "choice",
      options: [["both", "both costs"], ["cross_entropy", "cross-entropy"], ["quadratic", "quadratic cost"]],
    },
    {
      key: "targets", label: "Targets", kind: "choice",
      options: [["random", "random"], ["learnable", "learnable: x > 0"]],
    },
    { key: "seed", label: "Seed", kind: "number", min: 0, max: 99 },
    { key: "azimuth", label: "Turn", kind: "number", min: -180, max: 180, say: degrees, group: "View" },
    { key: "elevation", label: "Tilt", kind: "number", min: 5, max: 90, say: degrees, group: "View" },
    { key: "w1", label: "Start, w\u2081", kind: "number", min: -8, max: 8, step: 0.1, group: "Ball" },
    { key: "w2", label: "Start, w\u2082", kind: "number", min: -8, max: 8, step: 0.1, group: "Ball" },
    ...surfaces.COSTS.map((cost) => ({
      key: `rate_${cost}`, label: `Rate, ${NAMES[cost].toLowerCase()}`, kind: "number", values: RATES, group: "Ball",
      enabled: (state) => shown(state).includes(cost),
    })),
    { key: "steps", label: "Steps", kind: "number", values: STEPS, group: "Ball" },
    { key: "pace", label: "Pace", kind: "number", values: PACES, say: (v) => `${v} steps/s`, group: "Ball" },
    { key: "step", label: "After step", kind: "number", min: 0, max: 1000, group: "Ball" },
    { label: "Drop the ball", kind: "button", action: drop, group: "Ball" },
    { label: "Go on", kind: "button", action: goOn, group: "Ball" },
  ];

  // ---- the place for each cost: its surface, and its map
  function build(view) {
    view.timer = null;
    view.onclose(() => clearTimeout(view.timer));
    const row = view.row();
    view.places = {};
    for (const cost of surfaces.COSTS) {
      const column = make("div", { class: "row" });
      row.append(column);
      const panel = (title) => {
        const parent = make("div", {}, make("p", { class: "chart-title" }, title));
        column.append(parent);
        return parent;
      };
      const place = {
        column,
        surface: view.canvas({ width: 400, height: 372 }, panel(NAMES[cost])),
        map: view.canvas({ width: 340, height: 300 }, panel("From above: click where the ball starts")),
      };
      turnable(view, place.surface.element);
      placeable(view, place.map);
      view.places[cost] = place;
    }
    const charts = view.row();
    const chart = (title, y) => view.chart({ title, x: { label: "step" }, y, height: 190 }, charts);
    view.height = chart("Cost above the lowest, in % of its range", {});
    view.length = chart("Gradient, in % of the longest", { scale: "log" });
  }

  function turn(view, right, up) {
    const { azimuth, elevation } = view.state();
    view.set({
      azimuth: ((((azimuth - right + 180) % 360) + 360) % 360) - 180,
      elevation: Math.min(90, Math.max(5, elevation + up)),
    });
  }

  // What is dragged to the right turns to the right; dragged down, it shows more of its top. A finger
  // turns it sideways and scrolls the page up and down.
  function turnable(view, canvas) {
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "surface to turn with the arrow keys");
    canvas.classList.add("turnable");
    const keys = { ArrowRight: [5, 0], ArrowLeft: [-5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5] };
    canvas.addEventListener("keydown", (event) => {
      const way = keys[event.key];
      if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      turn(view, ...way);
    });
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      from = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const way = [event.clientX - from[0], event.clientY - from[1]].map((d) => Math.trunc(d / 2));
      if (!way[0] && !way[1]) return;
      from = [from[0] + 2 * way[0], from[1] + 2 * way[1]];
      turn(view, ...way);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { from = null; });
  }

  function placeable(view, map) {
    map.element.classList.add("placeable");
    map.element.addEventListener("click", (event) => {
      const box = map.element.getBoundingClientRect();
      const weights = relief.plan(...map.size()).weights(event.clientX - box.left, event.clientY - box.top);
      const [w1, w2] = weights.map((w) => Math.round(10 * w) / 10);
      view.set({ w1, w2 });
    });
  }

  // ---- words
  const place = (s) => `w = (${number(s.w1)}, ${number(s.w2)})`;

  function fate(s, steps) {
    const taken = `in ${s.plateau} of ${s.step} step${s.step === 1 ? "" : "s"}`;
    if (s.arrived === 0) return "the ball lies at the bottom from the start";
    if (s.outcome === "rolled") return `the ball came to the bottom at step ${s.arrived} and met no plateau`;
    if (s.outcome === "crossed") {
      return `the ball crossed a plateau, with a gradient below 5 % of the longest in ${s.plateau} of the ` +
        `${s.arrived} steps to the bottom`;
    }
    if (s.outcome === "moving") {
      const met = s.plateau ? `after a plateau ${taken}` : "and has met no plateau";
      return `the ball is ${s.step === steps && steps ? "still " : ""}on a slope ${met}`;
    }
    if (!s.step) return "the ball lies on a plateau, where the gradient is below 5 % of the longest";
    const stays = s.outcome === "stuck" ? "sticks on a plateau" : "is on a plateau";
    return `the ball ${stays}: the gradient was below 5 % of the longest ${taken}, and still is`;
  }

  function sentence(cost, s, state) {
    const gradient = `with ${percent(s.gradient / s.longest)} of the longest gradient`;
    const from = s.step ? `after ${number(s.start_cost)}` : `between ${number(s.low)} and ${number(s.high)}`;
    const when = s.step ? `After step ${s.step} at rate ${number(rateOf(state, cost))} it is` : "It starts";
    const outside = Math.max(Math.abs(s.w1), Math.abs(s.w2)) > surfaces.REACH ? ", outside the picture" : "";
    const rises = s.rises ? `; the cost rose in ${s.rises} steps, so the rate is too large here` : "";
    return `${NAMES[cost]}, flat on ${percent(s.flat_share)} of the square: ${fate(s, state.steps)}. ` +
      `${when} at ${place(s)}, at a cost of ${number(s.cost)} ${from}, ${gradient}${outside}${rises}.`;
  }

  function table(stories, ways, step) {
    const costs = Object.keys(stories);
    const row = (name, of) => [name, ...costs.map((cost) => of(stories[cost], cost))];
    const marks = [0, 1, 3, 10, 30, 100, 300, 1000].filter((k) => k < step).concat(step);
    return {
      caption: "Flat: a gradient below 5 % of the longest. " +
        "The bottom: a cost above the lowest by less than 5 % of the range.",
      columns: ["", ...costs.map((cost) => NAMES[cost])],
      rows: [
        row("flat share of the square", (s) => percent(s.flat_share)),
        row("lowest cost", (s) => s.low),
        row("highest cost", (s) => s.high),
        row("longest gradient", (s) => s.longest),
        row("steps on a plateau", (s) => s.plateau),
        row("at the bottom from step", (s) => s.arrived ?? "not yet"),
        ...marks.flatMap((k) => [
          row(`cost after step ${k}`, (_, cost) => ways[cost].cost[k]),
          row(`gradient after step ${k}`, (s, cost) => percent(ways[cost].length[k] / s.longest)),
        ]),
      ],
    };
  }

  // ---- what is seen
  // The surfaces of a draw take a tenth of a second, the ways nothing: each is kept until it changes.
  function compute(view, state, changed) {
    if (!view.lands || changed.has("seed") || changed.has("targets")) {
      view.examples = surfaces.draw(state.seed, state.targets);
      view.lands = {};
    }
    for (const cost of shown(state)) {
      view.lands[cost] ??= relief.shape(surfaces.surface(view.examples, cost),
        (w1, w2) => surfaces.at(view.examples, cost, w1, w2)[0]);
    }
    if (!view.ways || [...changed].some((key) => PATH.has(key))) {
      view.ways = Object.fromEntries(shown(state).map((cost) =>
        [cost, surfaces.descend(view.examples, cost, state.w1, state.w2, rateOf(state, cost), state.steps)]));
    }
  }

  function draw(view, onlyTurned = false) {
    const state = view.state(), step = stepOf(state);
    const look = {
      ink: view.colour("--w-ink"), quiet: view.colour("--w-quiet"), tint: view.colour("--w-tint"),
      font: view.colour("--w-sans") || "sans-serif",
    };
    look.dark = bright(look.ink) > 0.5;
    for (const cost of surfaces.COSTS) {
      const { column, surface, map } = view.places[cost];
      column.hidden = !shown(state).includes(cost);
      if (column.hidden) continue;
      const form = view.lands[cost], points = relief.trail(view.ways[cost], step), s = view.stories[cost];
      const range = `from ${number(s.low)} to ${number(s.high)}`;
      surface.draw(
        `${NAMES[cost]} over both weights, ${range}, ball at ${place(s)} and cost ${number(s.cost)}; seen from ` +
          `azimuth ${degrees(state.azimuth)}, elevation ${degrees(state.elevation)}`,
        (g, width, height) => relief.surface(g, width, height, form, points, state, look),
      );
      if (onlyTurned) continue;
      map.draw(
        `${NAMES[cost]} from above, ${range}, hatched where it is flat, ${percent(s.flat_share)} of the square; ` +
          `ball at ${place(s)}`,
        (g, width, height) => relief.map(g, width, height, form, points, look),
      );
    }
  }

  // How bright a colour of the page is, from 0 to 1; the page may write it in any way.
  function bright(colour) {
    const g = make("canvas", { width: 1, height: 1 }).getContext("2d");
    g.fillStyle = colour;
    g.fillRect(0, 0, 1, 1);
    const [r, green, b] = g.getImageData(0, 0, 1, 1).data;
    return (0.3 * r + 0.6 * green + 0.1 * b) / 255;
  }

  function drawCharts(view, state, step) {
    const { ways, stories } = view, x = { domain: [0, state.steps] };
    const steps = Array.from({ length: step + 1 }, (_, k) => k);
    const show = (chart, what, share, rule, [low, high]) => {
      const lines = shown(state).map((cost) => (
        { kind: "line", x: steps, y: steps.map((k) => share(ways[cost], stories[cost], k)), ...LINE[cost] }
      ));
      const ends = lines.map((m, k) => (
        { kind: "points", x: [step], y: [m.y[step]], colour: m.colour, marker: "os"[k] }
      ));
      const said = lines.map(({ name, y }) => (
        `${name} ${number(y[0])} % at the start, ${number(y[step])} % after step ${step}`
      ));
      const top = lines.flatMap((m) => m.y).reduce((a, b) => Math.max(a, 1.05 * b), high);
      const marks = [...lines, ...ends, { kind: "rule", y: 5, name: rule }];
      chart.draw({ marks, x, y: { domain: [low, top] }, label: `${what}: ${said.join("; ")}` });
    };
    const height = (way, s, k) => (100 * (way.cost[k] - s.low)) / (s.high - s.low);
    const length = (way, s, k) => (100 * way.length[k]) / s.longest;
    show(view.height, "Height of the ball against steps", height, "bottom below 5 %", [0, 100]);
    show(view.length, "Length of the gradient against steps", length, "flat below 5 %", [0.01, 200]);
  }

  function update(view, state, changed) {
    compute(view, state, changed);
    const step = stepOf(state), costs = shown(state);
    view.control("step").bounds(0, state.steps);
    view.control("step").show(step);
    view.control("Go on").name(playing(view) ? "Pause" : "Go on");
    const story = (cost) => surfaces.story(view.lands[cost].land, view.ways[cost], step);
    view.stories = Object.fromEntries(costs.map((cost) => [cost, story(cost)]));
    const onlyTurned = changed.size > 0 && [...changed].every((key) => VIEW.has(key));
    draw(view, onlyTurned);
    if (!onlyTurned) drawCharts(view, state, step);
    return {
      description: costs.map((cost) => sentence(cost, view.stories[cost], state)).join(" "),
      consequence: costs.map((cost) => `${NAMES[cost]}: ${fate(view.stories[cost], state.steps)}.`).join(" "),
      table: table(view.stories, view.ways, step),
      readings: view.stories,
    };
  }

  function render({ model, el }) {
    return stage.open({
      model, el, title: "Cost surface", python: "widgets.CostSurface", controls, build, update,
      theme: (view) => draw(view), reset: pause,
    });
  }

  return { render };
})();

export default costSurface;
