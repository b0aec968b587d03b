// How a cost over two weights is drawn: as a surface, and as a map. A surface stands in a box: weights
// -8 to 8 become -1 to 1, the range of the cost 0 to 1. It is seen in parallel projection, with azimuth
// and elevation as in matplotlib.
const relief = (() => {
  const PATCHES = 50; // a side
  const REACH = 8;
  const FLOOR = -0.5; // where the contour lines lie
  const CORNERS = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  const LIGHT = [0.36, -0.48, 0.8];

  // From dark blue to light yellow, in Oklab (Ottosson, 2020): the lightness rises evenly, so that
  // the order survives grey print, and red and green never meet.
  function colour(t, light = 1) {
    const L = (0.32 + 0.61 * t) * light, b = -0.1 + 0.23 * t;
    const [l, m, s] = [L + 0.2158 * b, L - 0.0639 * b, L - 1.2915 * b].map((v) => v ** 3);
    const linear = [
      4.0767 * l - 3.3077 * m + 0.231 * s, -1.2684 * l + 2.6098 * m - 0.3413 * s, -0.0042 * l - 0.7034 * m + 1.7076 * s,
    ];
    return linear.map((v) => {
      const c = Math.min(1, Math.max(0, v));
      return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055));
    });
  }
  const css = (t, light) => `rgb(${colour(Math.min(1, Math.max(0, t)), light)})`;

  // What is drawn of a surface, of which cost(w1, w2) gives more: heights at the corners of the
  // patches, which patches are flat, and the contour lines.
  function shape(land, cost) {
    const n = PATCHES + 1, height = new Float64Array(n * n), flat = new Uint8Array(PATCHES * PATCHES);
    const range = land.high - land.low, per = land.cells / PATCHES;
    const places = Array.from({ length: n }, (_, i) => REACH * ((2 * i) / PATCHES - 1));
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) height[i * n + j] = (cost(places[i], places[j]) - land.low) / range;
    }
    for (let i = 0; i < PATCHES; i++) {
      for (let j = 0; j < PATCHES; j++) {
        let count = 0;
        for (let k = 0; k < per * per; k++) {
          count += land.flat[(i * per + Math.floor(k / per)) * land.cells + j * per + (k % per)];
        }
        flat[i * PATCHES + j] = Number(2 * count >= per * per);
      }
    }
    const levels = Array.from({ length: 9 }, (_, k) => (k + 1) / 10);
    return { land, height, flat, contours: levels.map((level) => [level, contour(height, level)]) };
  }

  // The contour line at one level, as pieces [x, y, x, y] in the box: marching squares.
  function contour(height, level) {
    const n = PATCHES + 1, pieces = [];
    const box = (i) => (2 * i) / PATCHES - 1;
    for (let i = 0; i < PATCHES; i++) {
      for (let j = 0; j < PATCHES; j++) {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
        const crossings = [];
        corners.forEach(([a, b], k) => {
          const [c, d] = corners[(k + 1) % 4];
          const from = height[a * n + b], to = height[c * n + d];
          if (from < level === to < level) return;
          const share = (level - from) / (to - from);
          crossings.push([box(a + share * (c - a)), box(b + share * (d - b))]);
        });
        for (let k = 0; k + 1 < crossings.length; k += 2) pieces.push([...crossings[k], ...crossings[k + 1]]);
      }
    }
    return pieces;
  }

  // The height in the box over (x, y), between the corners of its patch.
  function over({ height }, x, y) {
    const n = PATCHES + 1;
    const [u, v] = [x, y].map((c) => Math.min(PATCHES - 1e-9, Math.max(0, ((c + 1) / 2) * PATCHES)));
    const i = Math.floor(u), j = Math.floor(v), a = u - i, b = v - j, k = i * n + j;
    return (1 - a) * ((1 - b) * height[k] + b * height[k + 1]) + a * ((1 - b) * height[k + n] + b * height[k + n + 1]);
  }

  // The way of the ball in the box, {x, y, step}, so fine that it follows the surface. A place outside
  // the square breaks it.
  function trail(way, step) {
    const points = [];
    for (let k = 0; k <= step; k++) {
      const x = way.w1[k] / REACH, y = way.w2[k] / REACH;
      const before = k ? [way.w1[k - 1] / REACH, way.w2[k - 1] / REACH] : [x, y];
      const pieces = Math.min(100, Math.ceil(Math.hypot(x - before[0], y - before[1]) / 0.02)) || 1;
      for (let m = 1; m <= pieces; m++) {
        const share = m / pieces;
        const place = [before[0] + share * (x - before[0]), before[1] + share * (y - before[1])];
        const inside = place.every((c) => Math.abs(c) <= 1);
        points.push(inside ? { x: place[0], y: place[1], step: m === pieces ? k : null } : null);
      }
    }
    return points;
  }

  function camera(azimuth, elevation, width, height) {
    const [a, e] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
    const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
    const scale = Math.min(width / 3.65, (height - 14) / 3.3); // everything is seen from everywhere
    const middle = 0.5 * (1 + FLOOR) - 0.02;
    return {
      eye: [ca * ce, sa * ce, se], ca, sa,
      at: (x, y, z) => [
        width / 2 + scale * (y * ca - x * sa), height / 2 - scale * ((z - middle) * ce - (x * ca + y * sa) * se),
      ],
    };
  }

  // Whether nothing of the surface lies between a place on it and the eye.
  function visible(form, eye, x, y) {
    const start = over(form, x, y) + 0.015;
    for (let t = 0.03; t < 3; t += 0.03) {
      const [px, py, pz] = [x + t * eye[0], y + t * eye[1], start + t * eye[2]];
      if (pz > 1.1 || Math.abs(px) > 1 || Math.abs(py) > 1) return true;
      if (over(form, px, py) > pz) return false;
    }
    return true;
  }

  function line(g, points, close = false) {
    g.beginPath();
    points.forEach(([x, y], k) => (k ? g.lineTo(x, y) : g.moveTo(x, y)));
    if (close) g.closePath();
  }

  function stroke(g, points, style, width, dash = []) {
    line(g, points);
    g.strokeStyle = style;
    g.lineWidth = width;
    g.setLineDash(dash);
    g.stroke();
    g.setLineDash([]);
  }

  // Dark on white: it stands out on every colour of the scale.
  function way(g, points) {
    g.lineJoin = g.lineCap = "round";
    stroke(g, points, "#ffffff", 4.5);
    stroke(g, points, "#b3123f", 2);
  }

  function disc(g, [x, y], radius, fill, edge, width) {
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    g.fillStyle = fill;
    g.fill();
    g.strokeStyle = edge;
    g.lineWidth = width;
    g.stroke();
  }

  const ball = (g, place) => {
    disc(g, place, 7, "#ffffff", "#111111", 2.5);
    disc(g, place, 2.5, "#b3123f", "#b3123f", 0);
  };

  function ticks(low, high, wanted) {
    const raw = (high - low) / wanted, size = 10 ** Math.floor(Math.log10(raw));
    const step = size * [1, 2, 5, 10].find((k) => k * size >= raw * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(Number((k * step).toPrecision(6)));
    return found;
  }

  const minus = (v) => String(v).replace("-", "\u2212");

  function write(g, text, [x, y], look, align = "center", bold = false) {
    g.font = `${bold ? "600 13px" : "12px"} ${look.font}`;
    g.fillStyle = look.ink;
    g.textAlign = align;
    g.textBaseline = "middle";
    g.fillText(text, x, y);
  }

  // The floor with its contour lines and two axes.
  function frame(g, form, eye, look) {
    line(g, CORNERS.map(([x, y]) => eye.at(x, y, FLOOR)), true);
    g.fillStyle = look.tint;
    g.fill();
    g.strokeStyle = look.quiet;
    g.lineWidth = 1;
    g.stroke();
    for (const [level, pieces] of form.contours) {
      g.beginPath();
      for (const [a, b, c, d] of pieces) {
        g.moveTo(...eye.at(a, b, FLOOR));
        g.lineTo(...eye.at(c, d, FLOOR));
      }
      g.strokeStyle = css(look.dark ? 0.35 + 0.65 * level : 0.75 * level);
      g.lineWidth = 1.2;
      g.stroke();
    }
    // Numbers stand along the two edges of the floor that are nearer to the eye, but for the corner
    // between them.
    const near = { x: eye.sa > 0 ? 1 : -1, y: eye.ca > 0 ? 1 : -1 };
    for (const w of [-8, -4, 0, 4, 8]) {
      if (w !== REACH * near.y) write(g, minus(w), eye.at(w / REACH, near.x * 1.13, FLOOR), look);
      if (w !== REACH * near.x) write(g, minus(w), eye.at(near.y * 1.13, w / REACH, FLOOR), look);
    }
    write(g, "w\u2081", eye.at(0, near.x * 1.33, FLOOR), look, "center", true);
    write(g, "w\u2082", eye.at(near.y * 1.33, 0, FLOOR), look, "center", true);
  }

  // The cost is read at the corner that stands furthest to the left.
  function upright(g, form, eye, look) {
    const [x, y] = CORNERS.reduce((a, b) => (eye.at(...b, 0)[0] < eye.at(...a, 0)[0] ? b : a));
    stroke(g, [eye.at(x, y, FLOOR), eye.at(x, y, 1)], look.quiet, 1);
    const { low, high } = form.land;
    for (const value of ticks(low, high, 5)) {
      const [px, py] = eye.at(x, y, (value - low) / (high - low));
      stroke(g, [[px - 4, py], [px, py]], look.quiet, 1);
      write(g, minus(value), [px - 7, py], look, "right");
    }
    const top = eye.at(x, y, 1);
    write(g, "cost", [top[0] - 4, top[1] - 10], look, "right", true);
  }

  // The patches, those further away first.
  function patches(g, form, eye) {
    const n = PATCHES + 1, corner = [];
    for (let k = 0; k < n * n; k++) {
      const x = (2 * Math.floor(k / n)) / PATCHES - 1, y = (2 * (k % n)) / PATCHES - 1;
      corner.push(eye.at(x, y, form.height[k]));
    }
    const order = (forward) => Array.from({ length: PATCHES }, (_, k) => (forward ? k : PATCHES - 1 - k));
    const columns = order(eye.sa > 0);
    g.lineJoin = "round";
    for (const i of order(eye.ca > 0)) {
      for (const j of columns) {
        const k = i * n + j, own = [k, k + n, k + n + 1, k + 1];
        const [h, hx, hxy, hy] = own.map((c) => form.height[c]);
        const slope = [((hx + hxy - h - hy) * PATCHES) / 4, ((hy + hxy - h - hx) * PATCHES) / 4];
        const size = Math.hypot(...slope, 1);
        const lit = Math.max(0, (LIGHT[2] - LIGHT[0] * slope[0] - LIGHT[1] * slope[1]) / size);
        const t = (h + hx + hxy + hy) / 4;
        line(g, own.map((c) => corner[c]), true);
        g.fillStyle = css(t, 0.78 + 0.26 * lit);
        g.fill();
        g.strokeStyle = t < 0.5 ? "rgba(255, 255, 255, 0.22)" : "rgba(0, 0, 0, 0.28)";
        g.lineWidth = 0.6;
        g.stroke();
        if (form.flat[i * PATCHES + j] && (i - j + 60) % 3 === 0) {
          stroke(g, [corner[k], corner[k + n + 1]], t < 0.5 ? "#ffffff" : "#111111", 1.1);
        }
      }
    }
  }

  // A surface with the way of the ball; what is hidden of it shows through as dots.
  function surface(g, width, height, form, points, view, look) {
    const eye = camera(view.azimuth, view.elevation, width, height);
    frame(g, form, eye, look);
    patches(g, form, eye);
    upright(g, form, eye, look);
    let run = [], hidden = null;
    const flush = () => {
      if (run.length > 1 && hidden) stroke(g, run, "#ffffff", 1.5, [1, 4]);
      else if (run.length > 1) way(g, run);
      run = run.slice(-1);
    };
    for (const point of points) {
      if (!point) {
        flush();
        run = [];
        continue;
      }
      const behind = !visible(form, eye.eye, point.x, point.y);
      if (behind !== hidden) flush();
      hidden = behind;
      run.push(eye.at(point.x, point.y, over(form, point.x, point.y) + 0.01));
    }
    flush();
    const last = points.at(-1);
    if (!last) return;
    const place = eye.at(last.x, last.y, over(form, last.x, last.y) + 0.02);
    g.globalAlpha = visible(form, eye.eye, last.x, last.y) ? 1 : 0.6;
    ball(g, place);
    g.globalAlpha = 1;
  }

  // ---------------------------------------------------------------- the map
  // Where the square of the map lies on its canvas, and the weights under a place of the canvas.
  function plan(width, height) {
    const left = 40, top = 6, side = Math.min(width - left - 62, height - top - 38);
    const within = (share) => 2 * REACH * Math.min(1, Math.max(0, share)) - REACH;
    return {
      left, top, side,
      at: (x, y) => [left + (side * (x + 1)) / 2, top + (side * (1 - y)) / 2],
      weights: (px, py) => [within((px - left) / side), within(1 - (py - top) / side)],
    };
  }

  function heat({ land }) {
    const n = land.cells, canvas = document.createElement("canvas");
    canvas.width = canvas.height = n;
    const picture = new ImageData(n, n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const t = (land.value[i * n + j] - land.low) / (land.high - land.low);
        picture.data.set([...colour(t), 255], 4 * ((n - 1 - j) * n + i));
      }
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }

  // Slanted lines where the surface is flat, dark beside white: they show on every colour.
  function hatch(g, { land }, own) {
    const cell = own.side / land.cells;
    g.save();
    g.beginPath();
    for (let i = 0; i < land.cells; i++) {
      for (let j = 0; j < land.cells; j++) {
        const from = j;
        while (j < land.cells && land.flat[i * land.cells + j]) j++;
        if (j > from) g.rect(own.left + i * cell, own.top + own.side - j * cell, cell, (j - from) * cell);
      }
    }
    g.clip();
    for (const [shift, style] of [[0, "rgba(0, 0, 0, 0.75)"], [1.2, "rgba(255, 255, 255, 0.75)"]]) {
      g.beginPath();
      for (let x = -own.side; x < own.side; x += 8) {
        g.moveTo(own.left + x + shift, own.top + own.side);
        g.lineTo(own.left + x + own.side + shift, own.top);
      }
      g.strokeStyle = style;
      g.lineWidth = 1;
      g.stroke();
    }
    g.restore();
  }

  function scale(g, { land }, own, look) {
    const left = own.left + own.side + 12;
    for (let k = 0; k < own.side; k++) {
      g.fillStyle = css(1 - k / own.side);
      g.fillRect(left, own.top + k, 12, 1.5);
    }
    for (const value of ticks(land.low, land.high, 5)) {
      const y = own.top + own.side * (1 - (value - land.low) / (land.high - land.low));
      write(g, minus(value), [left + 17, y], look, "left");
    }
    write(g, "cost", [left + 12, own.top + own.side + 15], look, "center", true);
  }

  function map(g, width, height, form, points, look) {
    const own = plan(width, height);
    g.imageSmoothingEnabled = false;
    form.heat ??= heat(form);
    g.drawImage(form.heat, own.left, own.top, own.side, own.side);
    for (const [level, pieces] of form.contours) {
      g.beginPath();
      for (const [a, b, c, d] of pieces) {
        g.moveTo(...own.at(a, b));
        g.lineTo(...own.at(c, d));
      }
      g.strokeStyle = level < 0.5 ? "rgba(255, 255, 255, 0.7)" : "rgba(0, 0, 0, 0.6)";
      g.lineWidth = 0.9;
      g.stroke();
    }
    hatch(g, form, own);
    g.strokeStyle = look.quiet;
    g.lineWidth = 1;
    g.strokeRect(own.left, own.top, own.side, own.side);
    for (const w of [-8, -4, 0, 4, 8]) {
      const [x, y] = own.at(w / REACH, w / REACH);
      write(g, minus(w), [x, own.top + own.side + 12], look);
      write(g, minus(w), [own.left - 6, y], look, "right");
    }
    write(g, "w\u2081", [own.left + own.side / 2, own.top + own.side + 28], look, "center", true);
    write(g, "w\u2082", [9, own.top + own.side / 2], look, "center", true);
    scale(g, form, own, look);
    const pieces = [[]];
    for (const point of points) {
      if (point) pieces.at(-1).push(own.at(point.x, point.y));
      else pieces.push([]);
    }
    for (const piece of pieces) if (piece.length > 1) way(g, piece);
    // A dot for each step: where they crowd, the ball is slow.
    for (const point of points) {
      if (point && point.step !== null) disc(g, own.at(point.x, point.y), 1.8, "#b3123f", "#ffffff", 0.7);
    }
    const last = points.at(-1);
    if (last) ball(g, own.at(last.x, last.y));
  }

  return { shape, trail, surface, map, plan };
})();
