"use strict";
// The way between two digits.

const STRIP_CELLS = 9;

function makeStrip(explorer, queue) {
  const { state } = explorer;
  const [canvas, strip, slider] = [byId("strip-canvas"), byId("strip"), byId("share")];
  [canvas.width, canvas.height] = [STRIP_CELLS * SIDE, SIDE];
  let ends = [explorer.rowOf(0n, 0n), explorer.rowOf(0n, 1n)];
  let drawn = "";
  const at = (share) => ({
    hand: between(ends[0].base.hand, ends[1].base.hand, share),
    mix: share === 0 || share === 1 ? ends[share].mix : [...blend(ends[0].mix, ends[1].mix, share)],
  });
  const show = (share) => {
    const { hand, mix } = at(share);
    const isEnd = share === 0 || share === 1;
    const text = `${Math.round(100 * share)} % of the way from ${ends[0].base.text} to ${ends[1].base.text}`;
    explorer.change({ base: isEnd ? ends[share].base : { hand, text }, mix, shifts: explorer.noShifts() });
  };
  const redraw = () => {
    byId("ends").textContent = ends.map(({ base }) => base.text).join(" \u2192 ");
    drawn = state.truncation;
    const jobs = Array.from({ length: STRIP_CELLS }, (_, i) => () => {
      const { hand, mix } = at(i / (STRIP_CELLS - 1));
      paint(canvas, explorer.draw(moved(hand, [], [], state.truncation), mix), i * SIDE, 0);
    });
    queue.replace("strip", jobs);
  };
  const setEnd = (place) => {
    ends[place] = state.shifts.some(Boolean) ? explorer.asBase() : { base: state.base, mix: state.mix };
    slider.value = place;
    redraw();
  };
  const follow = (event) => {
    const box = canvas.getBoundingClientRect();
    const cell = box.width / STRIP_CELLS;
    const share = (event.clientX - box.left - cell / 2) / (box.width - cell);
    slider.value = Math.min(1, Math.max(0, share));
    show(Number(slider.value));
  };
  slider.oninput = () => show(Number(slider.value));
  strip.onpointerdown = (event) => {
    strip.setPointerCapture(event.pointerId);
    follow(event);
  };
  strip.onpointermove = (event) => strip.hasPointerCapture(event.pointerId) && follow(event);
  byId("set-start").onclick = () => setEnd(0);
  byId("set-end").onclick = () => setEnd(1);
  explorer.listen(() => drawn !== state.truncation && redraw());
}
