"use strict";
// Hands: latent vectors, and the ways between them. See ganmodel/hands.py.

const norm = (vector) => Math.hypot(...vector);
const blend = (a, b, share) => Float32Array.from(a, (value, i) => (1 - share) * value + share * b[i]);

// Spherical in direction, linear in length.
function between(a, b, share) {
  const [lengthA, lengthB] = [norm(a), norm(b)];
  if (!lengthA || !lengthB) return blend(a, b, share);
  const cosine = a.reduce((sum, value, i) => sum + value * b[i], 0) / (lengthA * lengthB);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-6) return blend(a, b, share);
  const length = (1 - share) * lengthA + share * lengthB;
  const weightA = (Math.sin((1 - share) * angle) / Math.sin(angle) / lengthA) * length;
  const weightB = (Math.sin(share * angle) / Math.sin(angle) / lengthB) * length;
  return Float32Array.from(a, (value, i) => weightA * value + weightB * b[i]);
}

// The hand that lies `shifts` along the directions from another, times the truncation.
function moved(hand, directions, shifts, truncation) {
  const found = Float64Array.from(hand);
  directions.forEach((direction, k) => {
    if (shifts[k]) for (let i = 0; i < found.length; i++) found[i] += shifts[k] * direction[i];
  });
  return Float32Array.from(found, (value) => Math.fround(value) * Math.fround(truncation));
}

function oneLabel(label, classes) {
  return Array.from({ length: classes }, (_, k) => (k === label ? 1 : 0));
}
