"use strict";
// The generator's forward pass: a dozen operations on small arrays. See ganmodel/recipe.py.

// float16 to float32, by a table of all 65,536.
function decodeHalves(bytes) {
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  const table = Float32Array.from({ length: 65536 }, (_, half) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14;
    return half & 0x8000 ? -size : size;
  });
  return Float32Array.from(halves, (half) => table[half]);
}

// out[to + o] += sum over i of x[from + i] * kernel[k + i * width + o]; four i at once, for half the time.
function accumulate(x, from, inputs, kernel, k, out, to, width) {
  let i = 0;
  for (; i + 4 <= inputs; i += 4, k += 4 * width) {
    const [a, b, c, d] = [x[from + i], x[from + i + 1], x[from + i + 2], x[from + i + 3]];
    const [kb, kc, kd] = [k + width, k + 2 * width, k + 3 * width];
    for (let o = 0; o < width; o++) {
      out[to + o] += a * kernel[k + o] + b * kernel[kb + o] + c * kernel[kc + o] + d * kernel[kd + o];
    }
  }
  for (; i < inputs; i++, k += width) {
    for (let o = 0; o < width; o++) out[to + o] += x[from + i] * kernel[k + o];
  }
}

function dense(x, kernel, bias) {
  const out = Float64Array.from(bias);
  accumulate(x, 0, x.length, kernel, 0, out, 0, out.length);
  return out;
}

// Adds, for every pixel and every place of the kernel, input times weights to one pixel of the output. `kernel` is
// [side, side, in, out]; the output's pixel is (pixel * up + place - before) or, going down, (pixel - place + before).
function convolve(x, size, operation, up) {
  const { side, kernel, bias } = operation;
  const [inputs, outputs, wide] = [x.length / size ** 2, bias.length, size * (up || 1)];
  const before = up ? (side - up) >> 1 : side >> 1;
  const target = (pixel, place) => (up ? pixel * up + place - before : pixel - place + before);
  const out = new Float64Array(wide * wide * outputs);
  for (let i = 0; i < out.length; i++) out[i] = bias[i % outputs];
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const from = (row * size + column) * inputs;
      for (let place = 0; place < side * side; place++) {
        const y = target(row, (place / side) | 0);
        const z = target(column, place % side);
        if (y < 0 || z < 0 || y >= wide || z >= wide) continue;
        accumulate(x, from, inputs, kernel, place * inputs * outputs, out, (y * wide + z) * outputs, outputs);
      }
    }
  }
  return out;
}

function depthToSpace(x, size) {
  const depth = x.length / size ** 2;
  const channels = depth / 4;
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const [pixel, rest] = [(i / depth) | 0, i % depth];
    const [part, channel] = [(rest / channels) | 0, rest % channels];
    const row = 2 * ((pixel / size) | 0) + (part >> 1);
    const column = 2 * (pixel % size) + (part & 1);
    out[(row * 2 * size + column) * channels + channel] = x[i];
  }
  return out;
}

function leaky(x, slope) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] *= slope;
  return x;
}

// A function from a hand and a mix of labels (the share of each label's vector) to a digit, 784 grey levels.
function makeNetwork(model, weights) {
  let place = 0;
  const take = (count) => weights.subarray(place, (place += count));
  const embeddings = take(model.classes.length * model.labelDim);
  const operations = model.operations.map((operation) => {
    const { kernel: shape, outputs } = operation;
    if (!shape) return operation;
    return { ...operation, side: shape[0], kernel: take(shape.reduce((a, b) => a * b)), bias: take(outputs) };
  });
  return (hand, mix) => {
    let x = new Float64Array(model.latentDim + model.labelDim);
    x.set(hand);
    mix.forEach((share, label) => {
      for (let i = 0; share && i < model.labelDim; i++) {
        x[model.latentDim + i] += share * embeddings[label * model.labelDim + i];
      }
    });
    let [size, copy] = [0, null];
    for (const operation of operations) {
      const { kind } = operation;
      if (kind === "dense") x = dense(x, operation.kernel, operation.bias);
      else if (kind === "leaky") x = leaky(x, operation.slope);
      else if (kind === "image") size = 7;
      else if (kind === "conv") x = convolve(x, size, operation, 0);
      else if (kind === "transposed") [x, size] = [convolve(x, size, operation, operation.stride), size * operation.stride];
      else if (kind === "depth_to_space") [x, size] = [depthToSpace(x, size), size * 2];
      else if (kind === "remember") copy = x.slice();
      else x = x.map((value, i) => value + copy[i]);
    }
    return Uint8ClampedArray.from(x, (value) => Math.round(Math.tanh(value) * 127.5 + 127.5));
  };
}
