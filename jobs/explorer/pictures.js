"use strict";
// Digits on canvases, a few at a time, and pictures to keep.

const SIDE = 28;

function newDigit() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.className = "digit";
  return canvas;
}

// White on black, the very grey levels; the style sheet turns them for a light page.
function paint(canvas, pixels, left = 0, top = 0) {
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((grey, i) => image.data.set([grey, grey, grey, 255], 4 * i));
  canvas.getContext("2d").putImageData(image, left, top);
}

// Runs jobs in order, as many as fit into a part of each frame, so that the page answers meanwhile.
// `replace(name, jobs)` drops what is left of the older jobs of that name.
function makeQueue(budgetMs) {
  const waiting = new Map();
  let isRunning = false;
  const step = () => {
    const end = performance.now() + budgetMs;
    while (waiting.size && performance.now() < end) {
      const [name, jobs] = waiting.entries().next().value;
      if (jobs.length) jobs.shift()();
      else waiting.delete(name);
    }
    isRunning = waiting.size > 0;
    if (isRunning) requestAnimationFrame(step);
  };
  return {
    replace(name, jobs) {
      waiting.set(name, jobs);
      if (!isRunning) requestAnimationFrame(step);
      isRunning = true;
    },
    get isIdle() {
      return !isRunning;
    },
  };
}

// A sheet as `gangen preview --out` writes it: a frame of two pixels around each digit, enlarged.
function sheetCanvas(digits, columns, scale) {
  const lines = Math.ceil(digits.length / columns);
  const small = document.createElement("canvas");
  [small.width, small.height] = [columns * 30 + 2, lines * 30 + 2];
  small.getContext("2d").fillRect(0, 0, small.width, small.height);
  digits.forEach((pixels, i) => paint(small, pixels, 2 + 30 * (i % columns), 2 + 30 * Math.floor(i / columns)));
  return enlarged(small, scale);
}

function enlarged(small, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [small.width * scale, small.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const downloadPicture = (canvas, name) => canvas.toBlob((blob) => download(blob, name));
