// What the widgets share besides numbers: controls, charts, the description in words, the table of
// numbers, the link to a state, light and dark. LOOK comes from course_lib.plots.
const stage = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const QUIET = 700; // ms without a change before it is announced

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const escaped = (text) =>
    String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  // A number as the prose writes it: three digits, thousands apart, a true minus.
  function number(x, digits = 3) {
    if (x === null || x === undefined || Number.isNaN(x)) return "none";
    if (!Number.isFinite(x)) return x > 0 ? "infinite" : "minus infinite";
    if (x === 0) return "0";
    const size = Math.abs(x);
    let text;
    if (Number.isInteger(x) && size < 1e7) text = size.toLocaleString("en-US");
    else if (size >= 1e6 || size < 1e-4) {
      const [digitsPart, power] = size.toExponential(digits - 1).split("e");
      const factor = Number(digitsPart);
      text = `${factor === 1 ? "" : `${factor}\u00d7`}10${superscript(Number(power))}`;
    } else text = Number(size.toPrecision(digits)).toLocaleString("en-US", { maximumFractionDigits: 10 });
    return x < 0 ? `\u2212${text}` : text;
  }

  const superscript = (n) => String(n).replace(/[-\d]/g, (c) => (c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c]));
  const percent = (share, digits = 3) => `${number(100 * share, digits)} %`;

  // ---------------------------------------------------------------- charts
  function linearTicks(low, high, wanted) {
    const raw = (high - low) / Math.max(wanted, 1);
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = size * ([1, 2, 5, 10].find((k) => k * size >= raw * 0.999) || 10);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
    return ticks;
  }

  function logTicks(low, high, wanted) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first + 1) / Math.max(wanted, 1)));
    const ticks = [];
    for (let k = first; k <= last; k += every) ticks.push(10 ** k);
    if (ticks.length >= 2) return ticks;
    const fine = [];
    for (let k = first - 1; k <= last; k++) for (const m of [1, 2, 5]) fine.push(m * 10 ** k);
    const found = fine.filter((t) => t >= low * 0.999 && t <= high * 1.001);
    return found.length >= 2 ? found : linearTicks(low, high, wanted);
  }

  // Where the data lie, if no domain is given.
  function extent(marks, axis, log) {
    let low = Infinity, high = -Infinity;
    const names = axis === "x" ? ["x", "edges"] : ["y", "heights", "low", "high"];
    for (const mark of marks) {
      for (const name of names) {
        for (const v of [mark[name] ?? []].flat()) {
          for (const value of typeof v === "number" ? [v] : v) {
            if (!Number.isFinite(value) || (log && value <= 0)) continue;
            if (value < low) low = value;
            if (value > high) high = value;
          }
        }
      }
      if (axis === "y" && mark.heights && !log) low = Math.min(low, 0);
    }
    if (low > high) return log ? [0.1, 1] : [0, 1];
    if (low === high) return log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    const pad = log ? (high / low) ** 0.04 : (high - low) * 0.04;
    return log ? [low / pad, high * pad] : [low < 0 || low > pad ? low - pad : low, high + pad];
  }

  const shapes = {
    o: (x, y) => `<circle cx="${x}" cy="${y}" r="3.4"/>`,
    s: (x, y) => `<rect x="${x - 3.1}" y="${y - 3.1}" width="6.2" height="6.2"/>`,
    "^": (x, y) => `<path d="M${x},${y - 4}l4,7h-8z"/>`,
    v: (x, y) => `<path d="M${x},${y + 4}l4,-7h-8z"/>`,
    D: (x, y) => `<path d="M${x},${y - 4.4}l4.4,4.4l-4.4,4.4l-4.4,-4.4z"/>`,
    x: (x, y, colour) => `<path d="M${x - 3.5},${y - 3.5}l7,7m0,-7l-7,7" fill="none" stroke="${colour}" stroke-width="2"/>`,
  };
  const round = (v) => Math.round(v * 100) / 100;

  function path(xs, ys, px, py) {
    let text = "", pen = false;
    for (let i = 0; i < xs.length; i++) {
      const x = px(xs[i]), y = py(ys[i]);
      if (!Number.isFinite(x) || !Number.isFinite(y)) pen = false;
      else {
        text += `${pen ? "L" : "M"}${round(x)},${round(y)}`;
        pen = true;
      }
    }
    return text;
  }

  function drawMark(mark, px, py, box) {
    const colour = mark.colour || "currentColor";
    const stroke = `fill="none" stroke="${colour}" stroke-width="${mark.width || 2}"` +
      (mark.dash ? ` stroke-dasharray="${mark.dash}"` : "");
    const floor = Math.min(Math.max(py(mark.base ?? 0), box.top), box.bottom);
    const base = Number.isFinite(floor) ? floor : box.bottom;
    if (mark.kind === "line") return `<path d="${path(mark.x, mark.y, px, py)}" ${stroke}/>`;
    if (mark.kind === "points") {
      const shape = shapes[mark.marker || "o"];
      return `<g fill="${colour}">` + Array.from(mark.x, (x, i) => [px(x), py(mark.y[i])])
        .filter((p) => p.every(Number.isFinite)).map(([x, y]) => shape(round(x), round(y), colour)).join("") + "</g>";
    }
    if (mark.kind === "area") {
      const back = [...mark.x].reverse();
      const outline = path(mark.x, mark.high, px, py) + path(back, [...mark.low].reverse(), px, py).replace("M", "L");
      return `<path d="${outline}Z" fill="${colour}" fill-opacity="0.22"/>`;
    }
    if (mark.kind === "bars") {
      const bars = Array.from(mark.heights, (h, i) => {
        const left = px(mark.edges[i]), right = px(mark.edges[i + 1]), y = py(h);
        if (![left, right, y].every(Number.isFinite)) return "";
        return `<rect x="${round(left)}" y="${round(Math.min(y, base))}" width="${round(Math.max(right - left - 0.6, 0.6))}" ` +
          `height="${round(Math.abs(base - y))}"/>`;
      });
      return `<g fill="${colour}" fill-opacity="${mark.opacity ?? 0.75}">${bars.join("")}</g>`;
    }
    if (mark.kind === "steps") {
      let outline = `M${round(px(mark.edges[0]))},${round(base)}`;
      mark.heights.forEach((h, i) => {
        const y = Number.isFinite(py(h)) ? py(h) : base;
        outline += `L${round(px(mark.edges[i]))},${round(y)}L${round(px(mark.edges[i + 1]))},${round(y)}`;
      });
      outline += `L${round(px(mark.edges[mark.heights.length]))},${round(base)}`;
      return (mark.fill ? `<path d="${outline}Z" fill="${colour}" fill-opacity="0.22"/>` : "") + `<path d="${outline}" ${stroke}/>`;
    }
    if (mark.kind === "rule") {
      const at = mark.x === undefined ? { y: py(mark.y) } : { x: px(mark.x) };
      const ends = at.x === undefined
        ? `x1="${box.left}" x2="${box.right}" y1="${at.y}" y2="${at.y}"`
        : `x1="${at.x}" x2="${at.x}" y1="${box.top}" y2="${box.bottom}"`;
      return `<line ${ends} stroke="${colour}" stroke-width="${mark.width || 1.5}" stroke-dasharray="${mark.dash ?? "2 3"}"/>`;
    }
    throw new Error(`unknown mark ${mark.kind}`);
  }

  function swatch(mark) {
    const colour = mark.colour || "currentColor";
    const line = { kind: "line", x: [2, 22], y: [6, 6] }, point = { kind: "points", x: [12], y: [6] };
    const block = { kind: "bars", edges: [4, 20], heights: [0], base: 12 };
    const drawn = { points: point, bars: block, area: block }[mark.kind] || line;
    const own = drawMark({ ...mark, ...drawn, colour, dash: mark.dash ?? (mark.kind === "rule" ? "2 3" : undefined) },
      (x) => x, (y) => y, { top: 0, bottom: 12, left: 2, right: 22 });
    return `<svg width="24" height="12" viewBox="0 0 24 12" aria-hidden="true">${own}</svg>`;
  }

  // Several widgets, each with this text of its own, may stand in one page.
  const own = Math.random().toString(36).slice(2);
  let ids = 0;
  const newId = () => `stage-${own}-${ids++}`;

  // A chart in its own place: `spec` has title, height and the axes x and y; `draw` shows marks.
  function chart(spec) {
    const title = make("p", { class: "chart-title" }, spec.title || "");
    const legend = make("p", { class: "chart-legend" });
    const plot = make("div", { class: "chart-plot" });
    const element = make("div", { class: "chart" }, title, legend, plot);
    const clip = newId();
    let shown = null, width = 0;

    function paint() {
      if (!shown || plot.clientWidth < 40) return;
      width = plot.clientWidth;
      const height = shown.height || spec.height || 220;
      const axes = { x: { ...spec.x, ...shown.x }, y: { ...spec.y, ...shown.y } };
      const scale = {};
      for (const name of ["x", "y"]) {
        const log = axes[name].scale === "log";
        const domain = axes[name].domain || extent(shown.marks, name, log);
        const [low, high] = log ? domain.map(Math.log10) : domain;
        scale[name] = { log, domain, share: (v) => ((log ? (v > 0 ? Math.log10(v) : -Infinity) : v) - low) / (high - low) };
      }
      const format = (axis) => axis.format || ((v) => number(v));
      const yTicks = axes.y.ticks || (scale.y.log ? logTicks : linearTicks)(...scale.y.domain, height / 42);
      const yTexts = yTicks.map(format(axes.y));
      const left = 10 + 6.7 * Math.max(...yTexts.map((t) => t.length), 1);
      const box = { left, right: width - 16, top: axes.y.label ? 22 : 8, bottom: height - (axes.x.label ? 38 : 22) };
      const xTicks = axes.x.ticks || (scale.x.log ? logTicks : linearTicks)(...scale.x.domain, (box.right - box.left) / 62);
      const px = (v) => box.left + scale.x.share(v) * (box.right - box.left);
      const py = (v) => box.bottom - Math.max(Math.min(scale.y.share(v), 9), -9) * (box.bottom - box.top);
      let text = `<svg xmlns="${SVG}" role="img" aria-label="${escaped(shown.label)}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`;
      text += `<clipPath id="${clip}"><rect x="${box.left - 5}" y="${box.top - 5}" width="${box.right - box.left + 10}" height="${box.bottom - box.top + 10}"/></clipPath>`;
      text += '<g class="grid">';
      for (const t of yTicks) text += `<line x1="${box.left}" x2="${box.right}" y1="${round(py(t))}" y2="${round(py(t))}"/>`;
      for (const t of xTicks) text += `<line x1="${round(px(t))}" x2="${round(px(t))}" y1="${box.top}" y2="${box.bottom}"/>`;
      text += `</g><path class="frame" d="M${box.left},${box.top}V${box.bottom}H${box.right}"/><g class="ticks" aria-hidden="true">`;
      yTicks.forEach((t, i) => { text += `<text x="${box.left - 6}" y="${round(py(t) + 4)}" text-anchor="end">${escaped(yTexts[i])}</text>`; });
      for (const t of xTicks) text += `<text x="${round(px(t))}" y="${box.bottom + 16}" text-anchor="middle">${escaped(format(axes.x)(t))}</text>`;
      if (axes.y.label) text += `<text class="axis" x="2" y="12">${escaped(axes.y.label)}</text>`;
      if (axes.x.label) text += `<text class="axis" x="${(box.left + box.right) / 2}" y="${height - 5}" text-anchor="middle">${escaped(axes.x.label)}</text>`;
      text += `</g><g clip-path="url(#${clip})">`;
      for (const mark of shown.marks) text += drawMark(mark, px, py, box);
      plot.innerHTML = `${text}</g></svg>`;
      const named = shown.marks.filter((mark) => mark.name);
      const entries = named.map((mark) => `<span>${swatch(mark)} ${escaped(mark.name)}</span>`).join(" ");
      if (legend.innerHTML !== entries) legend.innerHTML = entries;
      legend.hidden = named.length === 0;
    }

    const observer = new ResizeObserver(() => { if (plot.clientWidth !== width) paint(); });
    observer.observe(plot);
    return {
      element,
      draw(what) {
        shown = what;
        if (what.title !== undefined) title.textContent = what.title;
        paint();
      },
      close: () => observer.disconnect(),
    };
  }

  // ---------------------------------------------------------------- controls
  // Each builder returns the element, and how to show a value, a text and whether it is in use.

  function choice(spec, set) {
    const id = newId();
    const field = make("select", { id, onchange: () => set(spec.options[field.selectedIndex][0]) },
      ...spec.options.map(([value, text]) => make("option", { value }, text)));
    const element = make("div", { class: "control" }, make("label", { for: id }, spec.label), field);
    return { element, field, show: (value) => { field.selectedIndex = spec.options.findIndex(([own]) => own === value); } };
  }

  function slider(spec, set) {
    const id = newId();
    const [min, max, step] = spec.values ? [0, spec.values.length - 1, 1] : [spec.min, spec.max, spec.step || 1];
    // The slider says its value itself; an <output> would be announced at every step.
    const output = make("span", { class: "value", "aria-hidden": "true" });
    const value = () => (spec.values ? spec.values[Number(field.value)] : Number(field.value));
    const field = make("input", { id, type: "range", min, max, step, oninput: () => set(value()) });
    const element = make("div", { class: "control" },
      make("span", { class: "control-head" }, make("label", { for: id }, spec.label), output), field);
    return {
      element,
      field,
      show(own) {
        field.value = spec.values ? nearest(spec.values, own) : own;
        output.textContent = spokenValue(spec, own);
        field.setAttribute("aria-valuetext", spokenValue(spec, own));
      },
      bounds: (low, high) => { field.min = low; field.max = high; },
    };
  }

  function toggle(spec, set) {
    const id = newId();
    const field = make("input", { id, type: "checkbox", onchange: () => set(field.checked) });
    const element = make("div", { class: "control switch" }, field, make("label", { for: id }, spec.label));
    return { element, field, show: (value) => { field.checked = value; } };
  }

  function push(spec, set, view) {
    const field = make("button", { type: "button", onclick: () => spec.action(view) }, spec.label);
    return { element: make("div", { class: "control push" }, field), field, show() {}, name: (text) => { field.textContent = text; } };
  }

  const builders = { choice, number: slider, switch: toggle, button: push };

  const nearest = (values, wanted) =>
    values.reduce((best, v, i) => (Math.abs(v - wanted) < Math.abs(values[best] - wanted) ? i : best), 0);

  function spokenValue(spec, value) {
    if (spec.say) return spec.say(value);
    if (spec.kind === "choice") return (spec.options.find(([own]) => own === value) || [0, value])[1];
    if (spec.kind === "switch") return value ? "on" : "off";
    return number(value);
  }

  // A value that the control can hold, or undefined: links may say anything.
  function allowed(spec, value) {
    if (spec.kind === "choice") return spec.options.some(([own]) => own === value) ? value : undefined;
    if (spec.kind === "switch") return typeof value === "boolean" ? value : undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
    if (spec.values) return spec.values[nearest(spec.values, value)];
    const near = Number.isInteger(spec.step || 1) ? Math.round(value) : value;
    return Math.min(spec.max, Math.max(spec.min, near));
  }

  // ---------------------------------------------------------------- the table of numbers
  function table() {
    const place = make("div", { class: "numbers", role: "group", tabindex: "0", "aria-label": "The numbers, scrolls sideways" });
    const element = make("details", {}, make("summary", {}, "The numbers as a table"), place);
    let shown = null;
    const cell = (value) => (typeof value === "number" ? number(value) : String(value));
    function fill() {
      if (!element.open || !shown) return;
      const head = make("tr", {}, ...shown.columns.map((name) => make("th", { scope: "col" }, name)));
      const rows = shown.rows.map((row) =>
        make("tr", {}, ...row.map((value, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }, cell(value)))));
      place.replaceChildren(make("table", {}, make("caption", {}, shown.caption), make("thead", {}, head), make("tbody", {}, ...rows)));
    }
    element.addEventListener("toggle", fill);
    return { element, show(what) { shown = what; element.hidden = !what; fill(); } };
  }

  // ---------------------------------------------------------------- a widget on its stage
  const pythonValue = (value) =>
    typeof value === "string" ? `"${value}"` : typeof value === "boolean" ? (value ? "True" : "False") : String(value);

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false; // the field beside the button holds the text
    }
  }

  // Builds the widget that `spec` describes (title, controls, build, update, theme) into `el`; returns
  // the function that takes it away again.
  function open(spec) {
    const { model, el } = spec;
    const live = !model.permalink; // the model of a page without a kernel makes links
    const keyed = spec.controls.filter((control) => control.key);
    const calmQuery = matchMedia("(prefers-reduced-motion: reduce)");
    const observers = [], charts = [], listeners = [];
    let pending = null, changes = new Set(), announcing = null, closed = false;

    const status = make("p", { class: "status", role: "status", "aria-live": "polite" });
    const what = make("p", { class: "what" });
    const numbers = table();
    const view = {
      panels: make("div", { class: "panels" }),
      live,
      get calm() { return calmQuery.matches; },
      state: () => Object.fromEntries([...keyed.map((c) => c.key), ...(spec.keys || [])].map((key) => [key, model.get(key)])),
      set(values) {
        for (const [key, value] of Object.entries(values)) model.set(key, value);
        model.save_changes();
      },
      refresh(keys = []) {
        for (const key of keys) changes.add(key);
        if (pending === null) pending = requestAnimationFrame(run);
      },
      say(text) {
        clearTimeout(announcing);
        announcing = setTimeout(() => { status.textContent = text; }, 50);
      },
      row(...children) {
        const element = make("div", { class: "row" }, ...children);
        view.panels.append(element);
        return element;
      },
      chart(chartSpec, parent = view.panels) {
        const made = chart(chartSpec);
        charts.push(made);
        parent.append(made.element);
        return made;
      },
      canvas: (options, parent = view.panels) => canvas(options, parent, observers, view),
      control: (key) => parts.get(key),
      colour: (name) => getComputedStyle(root).getPropertyValue(name).trim(),
      onclose: (listener) => listeners.push(listener),
    };

    const parts = new Map();
    const strips = {};
    const bar = make("div", { class: "controls", role: "group", "aria-label": `Controls: ${spec.title}` });
    for (const control of spec.controls) {
      const part = builders[control.kind](control, (value) => view.set({ [control.key]: value }), view);
      parts.set(control.key || control.label, part);
      part.spec = control;
      // Controls with a `group` stand together under its name.
      if (control.group && !strips[control.group]) {
        strips[control.group] = make("fieldset", { class: "controls" }, make("legend", {}, control.group));
        bar.append(strips[control.group]);
      }
      (strips[control.group] || bar).append(part.element);
    }
    const first = Object.fromEntries(keyed.map((control) => [control.key, model.first?.[control.key] ?? model.get(control.key)]));
    const field = make("input", { class: "link", readonly: true, hidden: true, "aria-label": live ? "This state as Python" : "The link to this state" });
    const linkButton = make("button", {
      type: "button",
      async onclick() {
        const state = view.state();
        const inside = keyed.map((c) => `${c.key}=${pythonValue(state[c.key])}`).join(", ");
        field.value = live ? `${spec.python}(${inside})` : model.permalink(state);
        field.hidden = false;
        const copied = await copy(field.value);
        if (!copied) field.select();
        view.say(copied ? "Copied." : "Here it is, ready to copy.");
      },
    }, live ? "Copy as Python" : "Copy a link to this state");
    const resetButton = make("button", { type: "button", onclick: () => { view.set(first); spec.reset?.(view); } }, "As at the start");
    const root = make("section", { class: "stage", "aria-label": spec.title },
      make("p", { class: "title" }, spec.title), bar, status, view.panels, what, numbers.element,
      make("div", { class: "foot" }, linkButton, resetButton, field));
    // JupyterLab would take arrow keys for its own, to move from cell to cell.
    root.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", ""));

    function show() {
      const state = view.state();
      for (const part of parts.values()) {
        if (part.spec.key) part.show(state[part.spec.key]);
        if (part.spec.enabled) part.field.disabled = !part.spec.enabled(state);
      }
    }

    // What changed, in words, and what came of it: said when the reader has come to rest.
    function announce(changed, consequence) {
      const said = keyed.filter((c) => changed.has(c.key))
        .map((c) => `${c.label}: ${spokenValue(c, model.get(c.key))}.`);
      if (!said.length) return;
      clearTimeout(announcing);
      announcing = setTimeout(() => { status.textContent = [...said, consequence].join(" "); }, QUIET);
    }

    let unsaid = new Set();
    function run() {
      pending = null;
      if (closed) return;
      const changed = changes;
      changes = new Set();
      mend();
      show();
      const seen = spec.update(view, view.state(), changed);
      if (!seen) return;
      if (seen.description !== undefined) what.textContent = seen.description;
      numbers.show(seen.table);
      if (seen.readings) {
        model.set("readings", seen.readings);
        model.save_changes();
      }
      for (const key of changed) unsaid.add(key);
      if (seen.consequence) {
        announce(unsaid, seen.consequence);
        setTimeout(() => { unsaid = new Set(); }, QUIET);
      }
    }

    // A link may have brought values that no control can hold.
    function mend() {
      const mended = {};
      for (const control of keyed) {
        const value = allowed(control, model.get(control.key));
        if (value !== model.get(control.key)) mended[control.key] = value ?? first[control.key];
      }
      if (!live && Object.keys(mended).length) view.set(mended);
    }

    const follow = [...keyed.map((c) => c.key), ...(spec.keys || [])].map((key) => [`change:${key}`, () => view.refresh([key])]);
    for (const [event, listener] of follow) model.on(event, listener);
    el.classList.add("course-stage");
    el.replaceChildren(root);
    spec.build?.(view);
    const repaint = () => { spec.theme?.(view); };
    const themed = new MutationObserver(repaint);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    themed.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", repaint);
    observers.push(themed);
    if (!root.isConnected) { // Jupyter puts a widget into its page later: its colours are known then
      const put = new ResizeObserver(() => { put.disconnect(); repaint(); });
      put.observe(root);
      observers.push(put);
    }
    show();
    run();

    return () => {
      closed = true;
      cancelAnimationFrame(pending);
      clearTimeout(announcing);
      dark.removeEventListener("change", repaint);
      for (const [event, listener] of follow) model.off(event, listener);
      for (const observer of observers) observer.disconnect();
      for (const made of charts) made.close();
      for (const listener of listeners) listener();
      el.replaceChildren();
    };
  }

  // A canvas in device pixels, drawn by `paint(context, width, height)` in CSS pixels.
  function canvas(options, parent, observers, view) {
    const element = make("canvas", { role: "img", "aria-label": options.label || "", class: options.class || "" });
    const holder = make("div", { class: "canvas-holder" }, element);
    let paint = null, width = 0, height = 0;
    parent.append(holder);
    function fit() {
      width = Math.min(holder.clientWidth || options.width, options.width);
      height = Math.round((options.height * width) / options.width);
      const ratio = Math.min(devicePixelRatio || 1, 2);
      element.width = Math.round(width * ratio);
      element.height = Math.round(height * ratio);
      element.style.width = `${width}px`;
      element.style.height = `${height}px`;
      element.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    function draw() {
      if (!paint) return;
      const context = element.getContext("2d");
      context.clearRect(0, 0, width, height);
      paint(context, width, height, view);
    }
    const observer = new ResizeObserver(() => {
      if (Math.min(holder.clientWidth, options.width) !== width) { fit(); draw(); }
    });
    fit();
    observer.observe(holder);
    observers.push(observer);
    return {
      element,
      draw(label, how = paint) {
        paint = how;
        element.setAttribute("aria-label", label);
        draw();
      },
      size: () => [width, height],
    };
  }

  return {
    open, chart, make, escaped, number, percent,
    COLOURS: LOOK.colours, LAYERS: LOOK.layers, DASHES: LOOK.dashes, MARKERS: LOOK.markers, LABELS: LOOK.labels,
  };
})();
