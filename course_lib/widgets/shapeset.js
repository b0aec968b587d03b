// Shapeset-3x2 in the page: for a seed the images of course_lib/shapeset.py. All that is random about an
// image comes from NumPy's generator, which is repeated here to the last bit.
function makeShapeset() {
  // -- NumPy's SeedSequence: a seed of any size, mixed into the 256 bits that PCG64 starts from --------------
  const POOL = 4;

  function words(number) {
    const found = [];
    for (let rest = number; rest > 0; rest = Math.floor(rest / 2 ** 32)) found.push(rest >>> 0);
    return found.length ? found : [0];
  }

  function hasher(constant, multiplier) {
    return (value) => {
      value ^= constant;
      constant = Math.imul(constant, multiplier);
      value = Math.imul(value, constant);
      return value ^ (value >>> 16);
    };
  }

  function mix(x, y) {
    const value = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return value ^ (value >>> 16);
  }

  // Eight words of 32 bits. The key tells the blocks of one seed apart (NumPy's spawn_key).
  function seedWords(seed, key) {
    const entropy = words(seed);
    if (key.length) while (entropy.length < POOL) entropy.push(0);
    entropy.push(...key.flatMap(words));
    const hash = hasher(0x43b0d7e5, 0x931e8875);
    const pool = Array.from({ length: POOL }, (_, i) => hash(entropy[i] ?? 0));
    for (let from = 0; from < POOL; from++) {
      for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
    }
    for (const word of entropy.slice(POOL)) {
      for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(word));
    }
    const last = hasher(0x8b51f9dd, 0x58f38ded);
    return Array.from({ length: 2 * POOL }, (_, i) => last(pool[i % POOL]) >>> 0);
  }

  // -- PCG64: a linear congruential generator of 128 bits, here eight limbs of 16 bits, the lowest first -----
  const LIMBS = 8;
  const M0 = 0xf645, M1 = 0x9fcc, M2 = 0xdf64, M3 = 0x4385, M4 = 0x5da4, M5 = 0x1fc6, M6 = 0xed05, M7 = 0x2360;
  const limbs = (low, ...more) => [low & 0xffff, low >>> 16, ...(more.length ? limbs(...more) : [])];

  class Generator {
    constructor(seed, key = []) {
      const [s0, s1, s2, s3, i0, i1, i2, i3] = seedWords(seed, key);
      const increment = limbs(i2, i3, i0, i1);
      const doubled = increment.map((limb, i) => ((limb << 1) | (i ? increment[i - 1] >>> 15 : 1)) & 0xffff);
      this.increment = Float64Array.from(doubled);
      this.state = new Float64Array(LIMBS);
      this.high = this.low = 0; // the 64 bits drawn last
      this.kept = -1; // the upper half of a draw whose lower half alone was used
      this.advance();
      let carry = 0;
      limbs(s2, s3, s0, s1).forEach((limb, i) => {
        carry += this.state[i] + limb;
        this.state[i] = carry % 65536;
        carry = Math.floor(carry / 65536);
      });
      this.advance();
    }

    // state = state * multiplier + increment, as one multiplies by hand; all sums are exact in a float64.
    advance() {
      const { state, increment } = this;
      const a = state[0], b = state[1], c = state[2], d = state[3];
      const e = state[4], f = state[5], g = state[6], h = state[7];
      let k = 0, carry = 0;
      const digit = (sum) => {
        const all = sum + carry + increment[k];
        carry = Math.floor(all * 2 ** -16);
        state[k++] = all - carry * 65536;
      };
      digit(a * M0);
      digit(a * M1 + b * M0);
      digit(a * M2 + b * M1 + c * M0);
      digit(a * M3 + b * M2 + c * M1 + d * M0);
      digit(a * M4 + b * M3 + c * M2 + d * M1 + e * M0);
      digit(a * M5 + b * M4 + c * M3 + d * M2 + e * M1 + f * M0);
      digit(a * M6 + b * M5 + c * M4 + d * M3 + e * M2 + f * M1 + g * M0);
      digit(a * M7 + b * M6 + c * M5 + d * M4 + e * M3 + f * M2 + g * M1 + h * M0);
    }

    // The two halves of the state, xor-ed and turned by its top six bits.
    draw() {
      this.advance();
      const s = this.state;
      const low = ((s[1] ^ s[5]) << 16) | (s[0] ^ s[4]);
      const high = ((s[3] ^ s[7]) << 16) | (s[2] ^ s[6]);
      const turn = s[7] >>> 10;
      const a = turn < 32 ? high : low;
      const b = turn < 32 ? low : high;
      const by = turn & 31;
      this.high = (by ? (a >>> by) | (b << (32 - by)) : a) >>> 0;
      this.low = (by ? (b >>> by) | (a << (32 - by)) : b) >>> 0;
    }

    // random(): a float64 in [0, 1) from the upper 53 bits.
    random() {
      this.draw();
      return (this.high * 2 ** 21 + (this.low >>> 11)) * 2 ** -53;
    }

    word() {
      let word = this.kept;
      this.kept = -1;
      if (word < 0) {
        this.draw();
        word = this.low;
        this.kept = this.high;
      }
      return word;
    }

    // integers(least, end): without bias by Lemire's method, as NumPy has it for ranges below 2^32.
    integer(least, end) {
      const range = end - least;
      let product = this.word() * range; // exact: ranges here have 8 bits
      const threshold = 2 ** 32 % range;
      while (product % 2 ** 32 < threshold) product = this.word() * range;
      return least + Math.floor(product / 2 ** 32);
    }

    randoms(count) {
      const values = new Float64Array(count);
      for (let i = 0; i < count; i++) values[i] = this.random();
      return values;
    }

    integers(least, end, count) {
      const values = new Int32Array(count);
      for (let i = 0; i < count; i++) values[i] = this.integer(least, end);
      return values;
    }
  }

  // -- what determines an image ---------------------------------------------------------------------------
  const KINDS = ["triangle", "parallelogram", "ellipse"];
  const CORNERS = [3, 4, 20]; // the ellipse is a polygon too
  const MOST = 20; // corners an object has room for
  const CLASSES = [
    ...KINDS,
    "triangle + parallelogram",
    "parallelogram + ellipse",
    "triangle + ellipse",
    "two triangles",
    "two parallelograms",
    "two ellipses",
  ];
  const LABEL_OF_PAIR = [[6, 3, 5], [3, 7, 4], [5, 4, 8]];
  const FRAME = 32;
  const PIXELS = FRAME * FRAME;
  const MARGIN = 1;
  const SCALES = [0.2 * FRAME, 0.8 * FRAME];
  const ANGLES = 255;
  const ROUNDS = [1, 6, 43]; // proposals for the place of a second object; then it is dropped
  const BLOCK = 1000; // images that a stream draws at once
  const TURN = (2 * Math.PI) / ANGLES;
  // torch keeps this small table in float32, and so what it decides.
  const AREA_OF_UNIT = CORNERS.map((n) => Math.fround((n / 8) * Math.sin((2 * Math.PI) / n)));
  const REGULAR = CORNERS.map((n) => {
    const angles = Array.from({ length: MOST }, (_, i) => 2 * Math.PI * ((Math.min(i, n - 1) + 0.5) / n + 0.25));
    return {
      x: Float64Array.from(angles, (a) => 0.5 * Math.cos(a)),
      y: Float64Array.from(angles, (a) => 0.5 * Math.sin(a)),
    };
  });

  // One object from four uniform numbers u[at ..]: its axes, its centre, and its corners around the centre.
  function place(object, kind, tilt, turn, u, at) {
    const [low, high] = SCALES;
    const one = low + (high - low) * u[at], other = low + (high - low) * u[at + 1];
    const long = Math.max(one, other), short = Math.min(one, other);
    // Tilted, stretched along x and y, and turned back so that its base is horizontal, a regular polygon has
    // become `width` times as wide and `height` times as high, and sheared.
    let cos = Math.cos(tilt), sin = Math.sin(tilt);
    const width = Math.hypot(long * cos, short * sin);
    const height = (long * short) / width;
    const shear = ((short ** 2 - long ** 2) * cos * sin) / width;
    cos = Math.cos(turn);
    sin = Math.sin(turn);
    object.kind = kind;
    object.long = long;
    object.short = short;
    object.x = span(object.xs, REGULAR[kind], width * cos, shear * cos - height * sin, CORNERS[kind], u[at + 2]);
    object.y = span(object.ys, REGULAR[kind], width * sin, shear * sin + height * cos, CORNERS[kind], u[at + 3]);
  }

  // One coordinate of the corners around the centre; returns that of the centre.
  function span(points, regular, base, side, count, uniform) {
    let least = Infinity, most = -Infinity;
    for (let i = 0; i < count; i++) {
      const point = base * regular.x[i] + side * regular.y[i];
      points[i] = point;
      if (point < least) least = point;
      if (point > most) most = point;
    }
    const lowest = MARGIN - least;
    const room = FRAME - MARGIN - most - lowest;
    return lowest + room * uniform;
  }

  const emptyObject = () => ({
    kind: 0, long: 0, short: 0, x: 0, y: 0, xs: new Float64Array(MOST), ys: new Float64Array(MOST),
  });

  // The authors' estimate of whether the second object hides too much of the first.
  function hides(first, second) {
    const dx = second.x - first.x, dy = second.y - first.y;
    let most = -Infinity, least = Infinity;
    for (let i = 0; i < CORNERS[first.kind]; i++) most = Math.max(most, first.xs[i] * dx + first.ys[i] * dy);
    for (let i = 0; i < CORNERS[second.kind]; i++) least = Math.min(least, second.xs[i] * dx + second.ys[i] * dy);
    const excess = (most - least) / (dx * dx + dy * dy) - 1;
    const areas = (second.long * second.short) / (first.long * first.short);
    const ratio = areas * (AREA_OF_UNIT[second.kind] / AREA_OF_UNIT[first.kind]);
    return excess >= 0 && ratio * (1 - 2 ** -excess) > 0.5;
  }

  // As Parameters in Python, flattened: kinds (n, 2), labels (n), greys (n, 3), corners (n, 2, 20, 2),
  // centres, scales and turns (n, 2 ...). An object that an image lacks is of kind -1.
  function parametersOf(n, generator) {
    const drawn = {
      n,
      kinds: new Int8Array(2 * n),
      labels: new Uint8Array(n),
      greys: new Uint8Array(3 * n),
      corners: new Float32Array(4 * MOST * n),
      centres: new Float64Array(4 * n),
      scales: new Float64Array(4 * n),
      turns: new Float64Array(2 * n),
    };
    const store = (i, j, object) => {
      const at = 4 * i + 2 * j;
      drawn.centres[at] = object.x;
      drawn.centres[at + 1] = object.y;
      drawn.scales[at] = object.long;
      drawn.scales[at + 1] = object.short;
      for (let c = 0; c < MOST; c++) {
        const corner = Math.min(c, CORNERS[object.kind] - 1);
        drawn.corners[MOST * at + 2 * c] = object.xs[corner] + object.x;
        drawn.corners[MOST * at + 2 * c + 1] = object.ys[corner] + object.y;
      }
    };
    // The order of these draws is Python's: everything of one sort for all images, then the next sort.
    const two = generator.randoms(n).map((u) => (u < 0.5 ? 1 : 0));
    drawn.kinds.set(generator.integers(0, 3, 2 * n));
    const tilts = generator.randoms(2 * n).map((u, i) => {
      const steps = Math.floor(ANGLES / CORNERS[drawn.kinds[i]]);
      return (Math.floor(u * steps) - Math.floor(steps / 2)) * TURN;
    });
    drawn.turns.set(generator.integers(0, ANGLES - 1, 2 * n));
    drawn.turns.forEach((turn, i) => { drawn.turns[i] = turn * TURN; });
    const uniform = generator.randoms(4 * n);
    const firsts = Array.from({ length: n }, emptyObject);
    firsts.forEach((first, i) => {
      place(first, drawn.kinds[2 * i], tilts[2 * i], drawn.turns[2 * i], uniform, 4 * i);
      store(i, 0, first);
    });
    const second = emptyObject();
    let pending = [...two.keys()].filter((i) => two[i]);
    for (const tries of ROUNDS) {
      const proposals = generator.randoms(4 * tries * pending.length);
      pending = pending.filter((i, row) => {
        for (let t = 0; t < tries; t++) {
          const at = 4 * (row * tries + t);
          place(second, drawn.kinds[2 * i + 1], tilts[2 * i + 1], drawn.turns[2 * i + 1], proposals, at);
          if (hides(firsts[i], second)) continue;
          store(i, 1, second);
          return false;
        }
        return true;
      });
    }
    for (const i of pending) two[i] = 0;
    const dark = generator.integers(0, 115, 3 * n);
    const light = generator.integers(140, 256, 3 * n);
    for (let i = 0; i < n; i++) {
      const objectsAreLight = generator.random() < 0.5;
      for (let k = 3 * i; k < 3 * i + 3; k++) {
        const isLight = k === 3 * i ? !objectsAreLight : objectsAreLight;
        drawn.greys[k] = isLight ? light[k] : dark[k];
      }
      const [a, b] = [drawn.kinds[2 * i], drawn.kinds[2 * i + 1]];
      drawn.labels[i] = two[i] ? LABEL_OF_PAIR[a][b] : a;
      if (!two[i]) drawn.kinds[2 * i + 1] = -1;
    }
    return drawn;
  }

  const parameters = (n, seed) => parametersOf(n, new Generator(seed));

  // -- pixels ---------------------------------------------------------------------------------------------
  // Grey level to what a network is shown, rounded to float32 where torch rounds.
  const LEVELS = Float32Array.from({ length: 256 }, (_, v) => (v - 127.5) * Math.fround(1 / 127.5));
  const whole = new Int32Array(2 * MOST);
  const firstRow = new Int32Array(FRAME);
  const lastRow = new Int32Array(FRAME);

  // The rows that a convex polygon covers in each column: a column that no edge meets is left empty.
  function columnSpans(count) {
    firstRow.fill(FRAME - 1);
    lastRow.fill(0);
    for (let c = 0; c < count; c++) {
      const next = c + 1 < count ? c + 1 : 0;
      // The authors' library divides integers: y is rounded towards that of the edge's left end.
      const left = whole[2 * c] <= whole[2 * next] ? c : next;
      const right = left === c ? next : c;
      const from = whole[2 * left], to = whole[2 * right];
      const start = whole[2 * left + 1], rise = whole[2 * right + 1] - start;
      const width = Math.max(to - from, 1);
      for (let x = from; x <= to; x++) {
        const y = start + ((((x - from) * rise) / width) | 0);
        if (y < firstRow[x]) firstRow[x] = y;
        if (y > lastRow[x]) lastRow[x] = y;
      }
    }
  }

  // Image i, rows from top to bottom, in [-1, 1], written to out[at ..].
  function render(drawn, i, out = new Float32Array(PIXELS), at = 0) {
    out.fill(LEVELS[drawn.greys[3 * i]], at, at + PIXELS);
    for (let j = 0; j < 2; j++) {
      const kind = drawn.kinds[2 * i + j];
      if (kind < 0) continue;
      const corners = 2 * MOST * (2 * i + j);
      for (let c = 0; c < 2 * CORNERS[kind]; c++) whole[c] = Math.floor(drawn.corners[corners + c]);
      columnSpans(CORNERS[kind]);
      const level = LEVELS[drawn.greys[3 * i + 1 + j]];
      for (let x = 0; x < FRAME; x++) {
        for (let y = firstRow[x]; y <= lastRow[x]; y++) out[at + FRAME * y + x] = level;
      }
    }
    return out;
  }

  function sample(n, seed) {
    const drawn = parameters(n, seed);
    const images = new Float32Array(PIXELS * n);
    for (let i = 0; i < n; i++) render(drawn, i, images, PIXELS * i);
    return { images, labels: drawn.labels };
  }

  // Endless batches, each a function of the seed and its number alone. `images` of an answer is used again
  // by the next one.
  function stream(batchSize, seed) {
    const images = new Float32Array(PIXELS * batchSize);
    const labels = new Uint8Array(batchSize);
    let [kept, drawn] = [-1, null];
    return {
      batch(k) {
        for (let row = 0; row < batchSize; row++) {
          const number = k * batchSize + row;
          const block = Math.floor(number / BLOCK);
          if (block !== kept) {
            drawn = parametersOf(BLOCK, new Generator(seed, [block]));
            kept = block;
          }
          render(drawn, number - BLOCK * block, images, PIXELS * row);
          labels[row] = drawn.labels[number - BLOCK * block];
        }
        return { images, labels };
      },
    };
  }

  return { CLASSES, KINDS, FRAME, PIXELS, Generator, parameters, render, sample, stream };
}
