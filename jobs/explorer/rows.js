"use strict";
// The rows of a data set: what NumPy's Generator(Philox(key=[seed, block])) draws, number by number, so that
// a row of this page is the row of `gangen generate`. See ganmodel/latents.py and ganmodel/labels.py.

const BLOCK_ROWS = 1000;
const MASK_64 = (1n << 64n) - 1n;

// Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
const PHILOX_FACTORS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const PHILOX_STEPS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

function philox(counter, seed, block) {
  let [a, b, c, d] = [counter, 0n, 0n, 0n];
  let [key0, key1] = [seed, block];
  for (let round = 0; round < 10; round++) {
    const first = PHILOX_FACTORS[0] * a;
    const second = PHILOX_FACTORS[1] * c;
    [a, b, c, d] = [(second >> 64n) ^ b ^ key0, second & MASK_64, (first >> 64n) ^ d ^ key1, first & MASK_64];
    key0 = (key0 + PHILOX_STEPS[0]) & MASK_64;
    key1 = (key1 + PHILOX_STEPS[1]) & MASK_64;
  }
  return [a, b, c, d];
}

// A function that returns the next 32 random bits; of each 64 the low half comes first.
function bits32(seed, block) {
  const buffer = new Uint32Array(8);
  let [counter, place] = [0n, 8];
  return () => {
    if (place === 8) {
      counter += 1n;
      philox(counter, seed, block).forEach((word, i) => {
        buffer[2 * i] = Number(word & 0xffffffffn);
        buffer[2 * i + 1] = Number(word >> 32n);
      });
      place = 0;
    }
    return buffer[place++];
  };
}

// The ziggurat of 256 layers for N(0, 1) in float32 (Marsaglia and Tsang 2000, doi:10.18637/jss.v005.i08).
const TAIL = Math.fround(3.654152885361009);
const INVERSE_TAIL = Math.fround(1 / 3.654152885361009);
const LAYER_AREA = 0.00492867323399;
const ZIGGURAT = (() => {
  const within = new Uint32Array(256);
  const width = new Float32Array(256);
  const height = new Float32Array(256);
  const density = (x) => Math.exp(-0.5 * x * x);
  const steps = 2 ** 23;
  let edge = 3.654152885361009;
  width[255] = edge / steps;
  height[255] = density(edge);
  within[0] = Math.round(((edge * density(edge)) / LAYER_AREA) * steps);
  width[0] = LAYER_AREA / density(edge) / steps;
  height[0] = 1;
  for (let i = 254; i > 0; i--) {
    const next = Math.sqrt(-2 * Math.log(LAYER_AREA / edge + density(edge)));
    within[i + 1] = Math.round((next / edge) * steps);
    width[i] = next / steps;
    height[i] = density(next);
    edge = next;
  }
  within[1] = 0;
  return { within, width, height };
})();

// NumPy's arithmetic, in float32 but for the exponential: a proposal that is taken here and not there shifts all that
// follows in the block. Its log1p is the C library's, so that in the tail the two may differ by an ulp.
function normal(next) {
  const uniform = () => (next() >>> 8) / 2 ** 24;
  for (;;) {
    const bits = next();
    const layer = bits & 0xff;
    const size = bits >>> 9;
    const x = Math.fround(size * ZIGGURAT.width[layer]) * (bits & 0x100 ? -1 : 1);
    if (size < ZIGGURAT.within[layer]) return x;
    if (layer > 0) {
      const [above, below] = [ZIGGURAT.height[layer - 1], ZIGGURAT.height[layer]];
      const level = Math.fround(Math.fround(Math.fround(above - below) * uniform()) + below);
      if (level < Math.exp(-0.5 * x * x)) return x;
      continue;
    }
    for (;;) {
      const beyond = Math.fround(INVERSE_TAIL * -Math.fround(Math.log1p(-uniform())));
      const level = -Math.fround(Math.log1p(-uniform()));
      const x = Math.fround(TAIL + beyond);
      if (2 * level > Math.fround(beyond * beyond)) return (size >>> 8) & 1 ? -x : x;
    }
  }
}

// A whole number in [0, most]: random bits under the smallest mask that covers it, until they fit.
function bounded(next, most) {
  const mask = 2 ** (32 - Math.clz32(most)) - 1;
  for (;;) {
    const value = next() & mask;
    if (value <= most) return value;
  }
}

function shuffle(next, list, first, count) {
  for (let i = count - 1; i > 0; i--) {
    const k = bounded(next, i);
    [list[first + i], list[first + k]] = [list[first + k], list[first + i]];
  }
}

// The balanced labels of a block: row mod classes, shuffled in groups of as many rows as there are classes.
function balancedLabels(next, block, classes) {
  const first = Number((block * BigInt(BLOCK_ROWS)) % BigInt(classes));
  const labels = Array.from({ length: BLOCK_ROWS }, (_, i) => (first + i) % classes);
  const lead = Math.min((classes - first) % classes, BLOCK_ROWS);
  let group = lead;
  for (; group + classes <= BLOCK_ROWS; group += classes) shuffle(next, labels, group, classes);
  shuffle(next, labels, 0, lead);
  shuffle(next, labels, group, BLOCK_ROWS - group);
  return labels;
}

// Hand and label of a row (BigInt) of the balanced data set of a seed (BigInt). The last blocks are kept.
function rowReader(latentDim, classes) {
  const kept = new Map();
  return (seed, row) => {
    const block = row / BigInt(BLOCK_ROWS);
    const name = `${seed}/${block}`;
    if (!kept.has(name)) {
      const next = bits32(seed, block);
      const latents = Float32Array.from({ length: BLOCK_ROWS * latentDim }, () => normal(next));
      kept.set(name, { latents, labels: balancedLabels(next, block, classes) });
      if (kept.size > 8) kept.delete(kept.keys().next().value);
    }
    const { latents, labels } = kept.get(name);
    const place = Number(row % BigInt(BLOCK_ROWS));
    return { hand: latents.slice(place * latentDim, (place + 1) * latentDim), label: labels[place] };
  };
}
