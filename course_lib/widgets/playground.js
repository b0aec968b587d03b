// Playground: two networks learn Shapeset-3x2 in the page, side by side, on the same pictures.
//
// Each network trains in a worker of its own; where a page may start none, both train in slices of the
// page's own time. They go in lock step: a stretch of updates each, then both wait for the slower one.
// RACES comes from playground.py.

// What one worker does. A function without free variables: a worker starts from its text.
function makeTrainer(core, shapeset) {
  const BATCH = 10, CLASSES = shapeset.CLASSES.length;
  const HELD_OUT = 1000, HELD_OUT_SEED = 1, WATCHED = 300, PART = 100;
  const held = shapeset.sample(HELD_OUT, HELD_OUT_SEED);
  const heldOut = Float64Array.from(held.images);
  const images = new Float64Array(BATCH * shapeset.PIXELS); // float64 throughout: mixed arrays are slow
  let net, stream, trace, part, rate, update, costs;

  function start(spec) {
    const sizes = [shapeset.PIXELS, ...Array(spec.depth).fill(spec.width), CLASSES];
    net = core.network(sizes, spec.activation, spec.scheme, spec.seed);
    stream = shapeset.stream(BATCH, spec.seed);
    trace = core.blankTrace(net, BATCH);
    part = core.blankTrace(net, PART);
    rate = spec.rate;
    update = 0;
    costs = [];
  }

  // Where there is no worker, all this pauses at a `yield`.
  function* train(count) {
    for (let k = 0; k < count; k++) {
      const batch = stream.batch(update++);
      images.set(batch.images);
      costs.push(core.step(net, images, batch.labels, rate, trace));
      yield;
    }
  }

  function* look() {
    const wrong = new Uint8Array(HELD_OUT), answers = new Uint8Array(HELD_OUT);
    const certain = new Float64Array(HELD_OUT), layers = net.sizes.length - 2;
    const zeros = () => new Float64Array(layers);
    const shut = zeros(), total = zeros(), squares = zeros();
    for (let from = 0; from < HELD_OUT; from += PART) {
      const x = heldOut.subarray(from * shapeset.PIXELS, (from + PART) * shapeset.PIXELS);
      core.forward(net, x, PART, part);
      const p = core.softmax(part.s[layers], CLASSES);
      for (let b = 0; b < PART; b++) {
        let best = 0;
        for (let k = 1; k < CLASSES; k++) if (p[b * CLASSES + k] > p[b * CLASSES + best]) best = k;
        answers[from + b] = best;
        certain[from + b] = p[b * CLASSES + best];
        wrong[from + b] = best === held.labels[from + b] ? 0 : 1;
      }
      if (from < WATCHED) {
        const deltas = core.backward(net, part, held.labels.subarray(from, from + PART));
        for (let i = 0; i < layers; i++) {
          for (const z of part.z[i + 1]) if (net.activation.saturated(z)) shut[i]++;
          for (const delta of deltas[i]) {
            total[i] += delta;
            squares[i] += delta * delta;
          }
        }
      }
      yield;
    }
    const cost = costs.length ? core.mean(costs) : null; // of the mini-batches since the last look
    costs = [];
    const counts = net.sizes.slice(1, -1).map((n) => n * WATCHED);
    return {
      wrong, answers, certain, cost,
      error: wrong.reduce((sum, own) => sum + own, 0) / HELD_OUT,
      saturation: counts.map((n, i) => shut[i] / n),
      gradient: counts.map((n, i) => Math.sqrt(Math.max(squares[i] / n - (total[i] / n) ** 2, 0))),
    };
  }

  // Does what is asked: { spec } begins anew, { count } trains, { look: true } looks at the held-out pictures.
  function* work(task) {
    if (task.spec) start(task.spec);
    if (task.count) yield* train(task.count);
    return { update, seen: task.look ? yield* look() : null };
  }

  return { work };
}

const playground = (() => {
  const { make, number } = stage;
  const RACERS = ["a", "b"];
  const PICTURES = 8; // held-out pictures that are shown with their answers
  const HELD_OUT = 1000, HELD_OUT_SEED = 1;
  const CHANCE = 5 / 6; // the error of always giving the commonest answer
  const LOST = 1e6; // nats: a network of such a cost does not come back
  const SLICE = 12; // ms of the page's own time, where there is no worker
  const STRETCH = 150; // ms that a stretch of updates should take
  const SCHEMES = [["standard", "standard"], ["normalized", "normalized"]];
  const ACTIVATIONS = ["sigmoid", "tanh", "softsign", "relu"].map((name) => [name, stage.LABELS[name]]);
  const RATES = [0.003, 0.01, 0.03, 0.1, 0.3, 1];
  const STOPS = [100, 1000, 3000, 10000, 20000, 50000, 100000, 200000];
  const percent = (share, digits) => `${number(100 * share, digits)} %`;
  const KEYS = ["depth", "width", "activation", "scheme", "rate"];
  const upper = (racer) => racer.toUpperCase();
  const layersOf = (depth) => `${depth} ${depth === 1 ? "layer" : "layers"}`;

  function specOf(state, racer) {
    const own = KEYS.map((key) => [key, state[`${racer}_${key}`]]);
    return { ...Object.fromEntries(own), seed: state.seed };
  }

  function nameOf(spec, racer) {
    const what = [stage.LABELS[spec.activation], spec.scheme, `${layersOf(spec.depth)} of ${spec.width}`];
    return `${upper(racer)}: ${what.join(", ")}, rate ${number(spec.rate)}`;
  }

  // ---------------------------------------------------------------- who trains
  const workerText = () => `${makeCore}\n${makeShapeset}\n${makeTrainer}
    const trainer = makeTrainer(makeCore(), makeShapeset());
    onmessage = ({ data }) => {
      const work = trainer.work(data);
      let step = work.next();
      while (!step.done) step = work.next();
      postMessage(step.value);
    };`;

  // Both kinds take a task and promise its result; each is given one task at a time.
  function inWorker() {
    const address = URL.createObjectURL(new Blob([workerText()], { type: "text/javascript" }));
    const worker = new Worker(address);
    return {
      work: (task) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message || "no worker"));
        worker.postMessage(task);
      }),
      close() {
        worker.terminate();
        URL.revokeObjectURL(address);
      },
    };
  }

  function inPage() {
    const trainer = makeTrainer(makeCore(), makeShapeset());
    let closed = false;
    return {
      async work(task) {
        const work = trainer.work(task);
        for (;;) {
          const until = performance.now() + SLICE;
          while (performance.now() < until) {
            const { done, value } = work.next();
            if (done) return value;
          }
          await new Promise((go) => { setTimeout(go); });
          if (closed) return null;
        }
      },
      close() { closed = true; },
    };
  }

  function hire() {
    try {
      return { trainers: RACERS.map(inWorker), workers: true };
    } catch {
      return { trainers: RACERS.map(inPage), workers: false };
    }
  }

  // ---------------------------------------------------------------- the race
  // Updates after which both networks are looked at: closely at first, where most happens.
  const lookEvery = (update) => (update < 1000 ? 100 : update < 5000 ? 250 : update < 20000 ? 500 : 2000);
  const nextLook = (update) => (Math.floor(update / lookEvery(update)) + 1) * lookEvery(update);

  // Drives both trainers. `onseen` is told after each look, `ontrained` after each stretch.
  function makeRace({ onseen, ontrained, onstop }) {
    let { trainers, workers } = hire();
    let specs = null, fresh = true, busy = false, closed = false, single = false, pausing = false, stretch = 10;
    const race = {
      update: 0, stop: 0, running: false, away: false, seconds: 0, pace: 0, history: [], seen: null,
      begin(wanted, stop) {
        specs = wanted;
        fresh = true;
        race.stop = stop;
        race.seen = null;
        drive();
      },
      run(on) {
        pausing = race.running && !on; // it still looks at where it stands
        race.running = on;
        drive();
      },
      one() {
        single = true;
        race.running = false;
        drive();
      },
      setAway(away) {
        race.away = away;
        if (!away) drive();
      },
      setStop(stop) {
        race.stop = stop;
        if (race.running) drive();
      },
      get workers() { return workers; },
      close() {
        closed = true;
        for (const trainer of trainers) trainer.close();
      },
    };

    const all = (tasks) => Promise.all(trainers.map((trainer, i) => trainer.work(tasks[i])));

    function plan() {
      if (single) return { count: 1, look: true };
      if (race.away) return null;
      if (!race.running) return pausing ? { count: 0, look: true } : null;
      if (race.update >= race.stop) {
        race.running = false;
        onstop();
        return null;
      }
      const until = Math.min(nextLook(race.update), race.stop);
      const count = Math.min(until - race.update, stretch);
      return { count, look: race.update + count === until };
    }

    function note([a, b]) {
      race.update = a.update;
      if (!a.seen) return ontrained();
      race.seen = { a: a.seen, b: b.seen };
      if (race.history.at(-1)?.update === race.update) race.history.pop();
      race.history.push({ update: race.update, a: a.seen.error, b: b.seen.error });
      onseen();
    }

    async function restart() {
      fresh = false;
      const replies = await all(specs.map((spec) => ({ spec, look: true })));
      if (closed || fresh) return;
      Object.assign(race, { seconds: 0, pace: 0, history: [] });
      note(replies);
    }

    async function train(task) {
      single = pausing = false;
      const start = performance.now();
      const replies = await all([task, task]);
      if (closed || fresh) return;
      const seconds = (performance.now() - start) / 1000;
      race.seconds += seconds;
      if (task.count) race.pace = 0.8 * (race.pace || task.count / seconds) + (0.2 * task.count) / seconds;
      if (task.count && !task.look) {
        const fitting = Math.round((task.count * STRETCH) / (1000 * seconds));
        stretch = Math.max(1, Math.min(250, fitting));
      }
      note(replies);
    }

    async function drive() {
      if (busy || closed || !specs) return;
      busy = true;
      try {
        while (!closed) {
          const task = fresh ? null : plan();
          if (!fresh && !task) break;
          await (fresh ? restart() : train(task));
        }
      } catch (error) {
        if (!workers) throw error;
        // No worker starts here: train in the page, from the beginning.
        for (const trainer of trainers) trainer.close();
        trainers = RACERS.map(inPage);
        workers = false;
        fresh = true;
      } finally {
        busy = false;
      }
      if (fresh) drive();
    }
    return race;
  }

  // ---------------------------------------------------------------- what is seen
  // Colours and dashes as in the figures; two networks that would look alike get another dash.
  function looks(specs) {
    const of = (spec) => ({ colour: stage.COLOURS[spec.activation], dash: stage.DASHES[spec.scheme] });
    const [a, b] = specs.map(of);
    if (a.colour === b.colour && a.dash === b.dash) b.dash = "2 3";
    return { a, b };
  }

  function drawErrors(view, race, names, look) {
    const x = race.history.map((h) => h.update), first = race.history[0], last = race.history.at(-1);
    const marks = RACERS.flatMap((r, i) => {
      const y = race.history.map((h) => 100 * h[r]);
      return [
        { kind: "line", x, y, ...look[r], name: names[r] },
        { kind: "points", x: x.slice(-1), y: y.slice(-1), colour: look[r].colour, marker: "os"[i] },
      ];
    });
    const lowest = Math.min(...race.history.flatMap((h) => [h.a, h.b]));
    view.errors.draw({
      marks: [...marks, { kind: "rule", y: 100 * CHANCE, name: "always the same answer" }],
      title: `Error on held-out pictures: ${lead(race.seen).says}`,
      x: { domain: [0, 1.03 * Math.max(last.update, 1000)] },
      y: { domain: [Math.max(0, Math.floor(10 * lowest - 0.5) * 10), 100] },
      label: `Error on ${number(HELD_OUT)} held-out pictures after ${number(last.update)} updates: ` +
        `A ${percent(last.a)}, B ${percent(last.b)}; at the start A ${percent(first.a)}, B ${percent(first.b)}.`,
    });
  }

  // Two bars a layer: A's filled on the left, B's in outline on the right. They stand on `floor`.
  function bars(values, i, floor, colour, name) {
    const edges = [], heights = [];
    values.forEach((value, layer) => {
      const left = layer + 0.6 + 0.4 * i;
      edges.push(left, left + 0.38);
      heights.push(Math.max(value, floor), floor);
    });
    const shape = { edges: [...edges, edges.at(-1) + 0.02], heights, colour, name };
    return i === 0 ? { kind: "bars", ...shape, opacity: 0.9 } : { kind: "steps", ...shape, fill: true, width: 1.5 };
  }

  function drawLayers(chart, look, values, domain, what, say) {
    const depth = Math.max(values.a.length, values.b.length);
    const said = RACERS.map((r) => `${upper(r)}: ${values[r].map(say).join(", ")}.`);
    chart.draw({
      marks: RACERS.map((r, i) => bars(values[r], i, domain[0], look[r].colour, upper(r))),
      x: { domain: [0.5, depth + 0.5], ticks: Array.from({ length: depth }, (_, k) => k + 1) },
      y: { domain },
      label: `${what}, layer by layer. ${said.join(" ")}`,
    });
  }

  // The powers of ten around some values.
  function powers(values) {
    const all = values.filter((v) => v > 0 && Number.isFinite(v)).map(Math.log10);
    if (!all.length) return [1e-4, 1];
    const low = Math.floor(Math.min(...all) - 0.1);
    return [10 ** low, 10 ** Math.max(Math.ceil(Math.max(...all)), low + 1)];
  }

  function drawBars(view, seen, look) {
    const of = (key, scale) => Object.fromEntries(RACERS.map((r) => [r, seen[r][key].map((v) => scale * v)]));
    const shut = of("saturation", 100), gradient = of("gradient", 1);
    drawLayers(view.saturation, look, shut, [0, 100], "Share of saturated units", (v) => `${number(v)} %`);
    const domain = powers([...gradient.a, ...gradient.b]);
    drawLayers(view.gradient, look, gradient, domain, "Standard deviation of dC/ds", (v) => number(v));
  }

  function makeAnswers(view) {
    const list = make("ul", { class: "answers" });
    const { images, labels } = view.pictures, { CLASSES, FRAME, PIXELS } = view.shapeset;
    const cards = Array.from({ length: PICTURES }, (_, i) => {
      const name = `Picture ${i + 1}: ${CLASSES[labels[i]]}`;
      const canvas = make("canvas", { width: FRAME, height: FRAME, role: "img", "aria-label": name });
      const data = new ImageData(FRAME, FRAME);
      for (let p = 0; p < PIXELS; p++) {
        const grey = Math.round(127.5 * (images[i * PIXELS + p] + 1));
        data.data.set([grey, grey, grey, 255], 4 * p);
      }
      canvas.getContext("2d").putImageData(data, 0, 0);
      const lines = RACERS.map(() => make("span", { class: "answer" }));
      list.append(make("li", {}, canvas, make("div", {}, make("b", {}, CLASSES[labels[i]]), ...lines)));
      return lines;
    });
    const title = `What they answer and how sure they are: the first ${PICTURES} held-out pictures`;
    view.panels.append(make("p", { class: "chart-title" }, title), list);
    return (seen) => cards.forEach((lines, i) => RACERS.forEach((r, k) => {
      const { answers, certain, wrong } = seen[r];
      const said = wrong[i] ? `\u2717 ${CLASSES[answers[i]]}` : "\u2713 right";
      lines[k].textContent = `${upper(r)} ${said}, ${number(100 * certain[i], 2)} %`;
      lines[k].classList.toggle("wrong", Boolean(wrong[i]));
    }));
  }

  // ---------------------------------------------------------------- in words
  // The lead, with its standard error over the pictures, which both networks have in common.
  function lead(seen) {
    let sum = 0, squares = 0;
    for (let i = 0; i < HELD_OUT; i++) {
      const difference = seen.a.wrong[i] - seen.b.wrong[i];
      sum += difference;
      squares += difference * difference;
    }
    const mean = sum / HELD_OUT;
    const points = 100 * mean, error = 100 * Math.sqrt((squares / HELD_OUT - mean * mean) / HELD_OUT);
    const ahead = `${points > 0 ? "B" : "A"} is ahead by ${number(Math.abs(points))} points`;
    return { points, error, says: Math.abs(points) > 2 * error ? ahead : "neither is ahead" };
  }

  const times = (gradient) => number(gradient[0] / gradient.at(-1), 2);

  function describeLayers(racer, { saturation, gradient }) {
    const first = percent(saturation[0], 2), last = percent(saturation.at(-1), 2);
    if (saturation.length === 1) return `In ${upper(racer)} ${first} of its hidden layer are saturated.`;
    return `In ${upper(racer)} ${first} of its first hidden layer and ${last} of its last are saturated, ` +
      `and gradients in the first are ${times(gradient)} times those in the last.`;
  }

  function describe(race) {
    const { points, error, says } = lead(race.seen), { update, a, b } = race.history.at(-1);
    const close = `: ${number(Math.abs(points))} points are within twice the standard error, ${number(error, 2)}`;
    const lost = RACERS.filter((r) => !((race.seen[r].cost ?? 0) < LOST)).map(upper);
    return [
      `After ${number(update)} updates ${says}${says === "neither is ahead" ? close : ""}.`,
      `A errs on ${percent(a)} of ${number(HELD_OUT)} held-out pictures, B on ${percent(b)};`,
      `always giving the commonest answer errs on ${percent(CHANCE)}.`,
      ...(lost.length ? [`${lost.join(" and ")} diverged: at this rate the weights have left all bounds.`]
        : RACERS.map((r) => describeLayers(r, race.seen[r]))),
    ].join(" ");
  }

  const short = (race) => {
    const { update, a, b } = race.history.at(-1);
    return `After ${number(update)} updates A errs on ${percent(a)}, B on ${percent(b)}.`;
  };

  function readings(race) {
    const of = (r) => ({
      error: race.seen[r].error, cost: race.seen[r].cost, saturation: race.seen[r].saturation,
      gradient: race.seen[r].gradient,
    });
    return {
      update: race.history.at(-1).update, running: race.running, seconds: race.seconds,
      updates_per_second: race.seconds ? race.update / race.seconds : null,
      workers: race.workers, lead: lead(race.seen), a: of("a"), b: of("b"),
    };
  }

  function table(race, names) {
    return {
      caption: `Error on ${number(HELD_OUT)} held-out pictures (%). ${names.a}. ${names.b}.`,
      columns: ["updates", "A", "B", "A less B"],
      rows: race.history.map((h) => [h.update, 100 * h.a, 100 * h.b, 100 * (h.a - h.b)]),
    };
  }

  // ---------------------------------------------------------------- on the stage
  function count(view) {
    const { race } = view, state = view.state();
    const training = race.away ? "Waiting until it is seen" : `Training, ${number(race.pace, 2)} updates a second each`;
    const standing = race.update >= state.updates ? "The race is over" : race.update ? "Paused" : "Not begun";
    const doing = race.running ? training : standing;
    const { a, b } = race.seen || {};
    const known = a && a.cost !== null;
    const cost = known ? ` Cost of the last mini-batches: A ${number(a.cost)}, B ${number(b.cost)}.` : "";
    view.counter.textContent = `${doing}: ${number(race.update)} of ${number(state.updates)} updates.${cost}`;
    view.control("Run").name(race.running ? "Pause" : "Run");
  }

  function start(view, on) {
    const { race } = view;
    if (on && race.update >= view.state().updates) again(view);
    view.pausing = !on;
    race.run(on);
    count(view);
    if (on) view.say("Running.");
  }

  function again(view) {
    const state = view.state();
    view.specs = RACERS.map((r) => specOf(state, r));
    view.race.begin(view.specs, state.updates);
    view.panels.setAttribute("aria-busy", "true"); // until the new networks have been looked at
  }

  function choose(view, name) {
    const values = {};
    RACES[name].forEach((spec, i) => {
      for (const [key, value] of Object.entries(spec)) values[`${RACERS[i]}_${key}`] = value;
    });
    view.set(values);
    again(view);
    view.race.run(true);
    count(view);
    view.say(`${name}: running.`);
  }

  function build(view) {
    view.shapeset = makeShapeset();
    view.pictures = view.shapeset.sample(HELD_OUT, HELD_OUT_SEED);
    view.counter = make("p", { class: "counter" });
    view.panels.append(view.counter);
    view.errors = view.chart({ x: { label: "updates of 10 pictures" }, y: { label: "error (%)" }, height: 250 });
    const row = view.row(), x = { label: "hidden layer" }, height = 190;
    view.saturation = view.chart({ title: "Saturated units", x, y: { label: "share (%)" }, height }, row);
    const y = { label: "standard deviation", scale: "log" };
    view.gradient = view.chart({ title: "Size of gradients dC/ds", x, y, height }, row);
    view.answers = makeAnswers(view);
    // With reduced motion the picture changes at most once a second.
    let drawn = 0;
    const seen = () => {
      count(view);
      if (view.pausing) view.say(`Paused. ${short(view.race)}`);
      view.pausing = false;
      if (view.calm && view.race.running && performance.now() - drawn < 1000) return;
      drawn = performance.now();
      view.refresh();
    };
    view.race = makeRace({
      onseen: seen,
      ontrained: () => count(view),
      onstop() {
        count(view);
        view.refresh();
        view.say(`The race is over. ${short(view.race)}`);
      },
    });
    watch(view);
    view.onclose(() => view.race.close());
    again(view);
  }

  // Trains only where somebody may look: not in a hidden page, not far above or below what is shown.
  function watch(view) {
    let [near, shown] = [true, !document.hidden];
    const tell = () => {
      view.race.setAway(!near || !shown);
      count(view);
    };
    const visible = () => { shown = !document.hidden; tell(); };
    const moved = (entries) => { near = entries.at(-1).isIntersecting; tell(); };
    const observer = new IntersectionObserver(moved, { rootMargin: "800px" });
    observer.observe(view.panels);
    document.addEventListener("visibilitychange", visible);
    view.onclose(() => {
      observer.disconnect();
      document.removeEventListener("visibilitychange", visible);
    });
  }

  function update(view, state, changed) {
    const { race } = view;
    const other = changedSpecs(view, state);
    if (other) again(view);
    race.setStop(state.updates);
    count(view);
    const longer = changed.has("updates") && race.seen ? short(race) : undefined;
    const consequence = other ? "The race starts again." : longer;
    if (!race.seen) return view.said && { ...view.said, consequence }; // the new numbers are on their way
    view.panels.removeAttribute("aria-busy");
    const names = Object.fromEntries(RACERS.map((r, i) => [r, nameOf(view.specs[i], r)]));
    const look = looks(view.specs);
    drawErrors(view, race, names, look);
    drawBars(view, race.seen, look);
    view.answers(race.seen);
    view.said = { description: describe(race), table: table(race, names), readings: readings(race) };
    view.mounted?.();
    return { ...view.said, consequence };
  }

  const changedSpecs = (view, state) =>
    JSON.stringify(RACERS.map((r) => specOf(state, r))) !== JSON.stringify(view.specs);

  const network = (r) => {
    const R = upper(r), group = `Network ${R}`;
    return [
      { key: `${r}_depth`, group, label: `Depth of ${R}`, kind: "number", min: 1, max: 8, step: 1, say: layersOf },
      { key: `${r}_width`, group, label: `Width of ${R}`, kind: "number", values: [20, 50, 100, 200] },
      { key: `${r}_activation`, group, label: `Activation of ${R}`, kind: "choice", options: ACTIVATIONS },
      { key: `${r}_scheme`, group, label: `First weights of ${R}`, kind: "choice", options: SCHEMES },
      { key: `${r}_rate`, group, label: `Rate of ${R}`, kind: "number", values: RATES },
    ];
  };

  const oneClick = (name) => ({
    group: "A race in one click", label: name, kind: "button", action: (view) => choose(view, name),
  });

  const controls = [
    ...Object.keys(RACES).map(oneClick),
    ...network("a"),
    ...network("b"),
    { key: "seed", label: "Seed of both", kind: "number", min: 0, max: 99, step: 1 },
    { key: "updates", label: "Updates", kind: "number", values: STOPS },
    { label: "Run", kind: "button", action: (view) => start(view, !view.race.running) },
    { label: "One update", kind: "button", action: (view) => view.race.one() },
    { label: "Start again", kind: "button", action: (view) => { view.race.run(false); again(view); } },
  ];

  // Resolves when there is something to see: until then a page keeps its still picture.
  async function render({ model, el }) {
    let close;
    await new Promise((mounted) => {
      close = stage.open({
        model, el, title: "Playground", python: "widgets.Playground", controls, update,
        build(view) {
          view.mounted = mounted;
          build(view);
        },
        reset: (view) => { view.race.run(false); again(view); },
      });
    });
    return close;
  }

  return { render };
})();

export default playground;
