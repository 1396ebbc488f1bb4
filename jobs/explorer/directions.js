"use strict";
// Sliders along the strongest directions, with the digits at their ends, and the map of two of them.

const REACH = 4;
const ENDS = 3;
const MAP_CELLS = 9;
const MAP_REACH = 3.375; // so that cells are 0.75 apart

function makeSliders(explorer, queue) {
  const { model, state } = explorer;
  const sliders = model.directions.map((_, k) => {
    const box = document.createElement("div");
    const input = document.createElement("input");
    const [low, high, line, value] = [newDigit(), newDigit(), document.createElement("span"), document.createElement("output")];
    Object.assign(input, { type: "range", min: -REACH, max: REACH, step: 0.1, value: 0 });
    input.setAttribute("aria-label", `Direction ${k + 1}`);
    input.oninput = () => explorer.change({ shifts: state.shifts.with(k, Number(input.value)) });
    line.append(`${k + 1} \u00b7 ${(100 * model.shares[k]).toFixed(0)} %`, value);
    const middle = document.createElement("div");
    middle.append(line, input);
    box.className = "direction";
    box.append(low, middle, high);
    byId("directions").append(box);
    return { input, value, ends: [[low, -ENDS], [high, ENDS]] };
  });
  byId("reset").onclick = () => explorer.change({ shifts: explorer.noShifts() });
  explorer.listen(() => {
    sliders.forEach(({ input, value }, k) => {
      input.value = state.shifts[k];
      value.textContent = signed(state.shifts[k]);
    });
    const jobs = sliders.flatMap(({ ends }, k) =>
      ends.map(([canvas, end]) => () => paint(canvas, explorer.draw(explorer.hand(state.shifts.with(k, end))))),
    );
    queue.replace("ends", jobs);
  });
}

function makeMap(explorer, queue) {
  const { model, state } = explorer;
  const [canvas, map, marker] = [byId("map-canvas"), byId("map"), byId("marker")];
  canvas.width = canvas.height = MAP_CELLS * SIDE;
  const axes = ["across", "up"].map((id, start) => {
    model.directions.forEach((_, k) => byId(id).append(new Option(k + 1, k, k === start, k === start)));
    byId(id).onchange = () => explorer.change({});
    return () => Number(byId(id).value);
  });
  const place = (x, y) => {
    const within = (value) => Math.min(MAP_REACH, Math.max(-MAP_REACH, Number(value.toFixed(2))));
    explorer.change({ shifts: state.shifts.with(axes[0](), within(x)).with(axes[1](), within(y)) });
  };
  const follow = (event) => {
    const box = canvas.getBoundingClientRect();
    const at = (offset, length) => (2 * offset / length - 1) * MAP_REACH;
    place(at(event.clientX - box.left, box.width), -at(event.clientY - box.top, box.height));
  };
  map.onpointerdown = (event) => {
    map.setPointerCapture(event.pointerId);
    follow(event);
  };
  map.onpointermove = (event) => map.hasPointerCapture(event.pointerId) && follow(event);
  map.onkeydown = (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    event.preventDefault();
    place(state.shifts[axes[0]()] + by[0] / 4, state.shifts[axes[1]()] + by[1] / 4);
  };
  let drawn = "";
  explorer.listen(() => {
    const [across, up] = axes.map((axis) => axis());
    marker.style.left = `${50 + (50 * state.shifts[across]) / MAP_REACH}%`;
    marker.style.top = `${50 - (50 * state.shifts[up]) / MAP_REACH}%`;
    // Wandering moves the marker alone.
    const rest = state.shifts.with(across, 0).with(up, 0);
    const now = JSON.stringify([across, up, rest, state.truncation, state.mix, [...state.base.hand]]);
    if (now !== drawn) queue.replace("map", mapJobs(explorer, canvas, across, up, rest));
    drawn = now;
  });
}

// One job a cell, from the middle outwards.
function mapJobs(explorer, canvas, across, up, rest) {
  const middle = (MAP_CELLS - 1) / 2;
  const cells = Array.from({ length: MAP_CELLS ** 2 }, (_, i) => [(i % MAP_CELLS) - middle, Math.floor(i / MAP_CELLS) - middle]);
  cells.sort((a, b) => Math.hypot(...a) - Math.hypot(...b));
  const apart = (2 * MAP_REACH) / MAP_CELLS;
  return cells.map(([x, y]) => () => {
    const hand = explorer.hand(rest.with(across, x * apart).with(up, -y * apart));
    paint(canvas, explorer.draw(hand), (x + middle) * SIDE, (y + middle) * SIDE);
  });
}
