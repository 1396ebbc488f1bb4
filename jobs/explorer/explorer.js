"use strict";
// What is shown, and what it follows from: a base (the hand of a row, one between two, or one that was kept), a mix
// of labels, shifts along the directions, a truncation. The parts of the page change it and are told of changes.

const MAX_SEED = 2n ** 63n - 1n;
const MAX_ROW = 2n ** 53n * 1000n - 1n;

function makeExplorer(model, network) {
  const rows = rowReader(model.latentDim, model.classes.length);
  const listeners = [];
  const noShifts = () => model.directions.map(() => 0);
  const state = { base: null, mix: null, shifts: noShifts(), truncation: 1 };
  const explorer = {
    model,
    state,
    listen: (listener) => listeners.push(listener),
    change(patch) {
      Object.assign(state, patch);
      listeners.forEach((listener) => listener(state, patch));
    },
    // The hand with other shifts or another truncation than those of the state.
    hand: (shifts = state.shifts, truncation = state.truncation) =>
      moved(state.base.hand, model.directions, shifts, truncation),
    draw: (hand, mix = state.mix) => network(hand, mix),
    pixels: () => network(explorer.hand(), state.mix),
    // `label` null: the row's own.
    rowOf(seed, row, label = null) {
      const found = rows(seed, row);
      const chosen = label === null ? found.label : label;
      return {
        base: { hand: found.hand, seed, row, text: `row ${grouped(row)} of seed ${seed}` },
        mix: oneLabel(chosen, model.classes.length),
      };
    },
    showRow: (seed, row, label = null) =>
      explorer.change({ ...explorer.rowOf(seed, row, label), shifts: noShifts() }),
    // What is shown now as a base of its own, without truncation.
    asBase: () => ({ base: { hand: explorer.hand(state.shifts, 1), text: caption(explorer) }, mix: state.mix }),
    noShifts,
  };
  return explorer;
}

const grouped = (number) => number.toString().replace(/\B(?=(\d{3})+$)/g, ",");
const signed = (number) => (number < 0 ? "\u2212" : "+") + Math.abs(number).toFixed(1);
const pureLabel = (mix) => (mix.includes(1) ? mix.indexOf(1) : null);

function caption({ model, state }) {
  const parts = [state.base.text];
  const named = state.mix.map((share, k) => (share > 0.005 ? [model.classes[k], share] : null)).filter(Boolean);
  parts.push(
    named.length === 1
      ? `label ${named[0][0]}`
      : `labels ${named.map(([name, share]) => `${name} (${Math.round(100 * share)} %)`).join(", ")}`,
  );
  const steps = state.shifts.map((shift, k) => (shift ? `${signed(shift)} along ${k + 1}` : "")).filter(Boolean);
  if (steps.length) parts.push(`moved ${steps.join(", ")}`);
  if (state.truncation < 1) parts.push(`truncation ${state.truncation}`);
  return parts.join(", ");
}

// The command that draws what is shown, bit for bit; null for what is no row.
function rowCommand({ model, state }) {
  const label = pureLabel(state.mix);
  if (state.base.row === undefined || label === null || state.shifts.some(Boolean)) return null;
  const { row, seed } = state.base;
  const truncation = state.truncation < 1 ? ` --truncation ${state.truncation}` : "";
  return `gangen preview${model.option} --seed ${seed} --rows ${row}:${row + 1n} --labels ${label}${truncation} --out digit.png`;
}

// A number as people write it, BigInt, or null for one that is none or above `most`.
function parseWhole(text, most) {
  const digits = text.trim().replace(/[_,\s]/g, "");
  if (!/^\d{1,20}$/.test(digits)) return null;
  const value = BigInt(digits);
  return value <= most ? value : null;
}

// The state of a row in the address, so that it can be bookmarked and sent: #seed=0&row=17&label=3&...
function toHash({ state }) {
  const label = pureLabel(state.mix);
  if (state.base.row === undefined || label === null) return "";
  const fields = { seed: state.base.seed, row: state.base.row, label };
  if (state.truncation < 1) fields.truncation = state.truncation;
  if (state.shifts.some(Boolean)) fields.shifts = state.shifts.join(",");
  return `#${new URLSearchParams(fields)}`;
}

function showHash(explorer, hash) {
  const fields = new URLSearchParams(hash.slice(1));
  const seed = parseWhole(fields.get("seed") || "0", MAX_SEED) ?? 0n;
  const row = parseWhole(fields.get("row") || "0", MAX_ROW) ?? 0n;
  const label = parseWhole(fields.get("label") || "", BigInt(explorer.model.classes.length - 1));
  const within = (text, low, high) => Math.min(high, Math.max(low, Number(text) || 0));
  const shifts = (fields.get("shifts") || "").split(",");
  explorer.change({
    ...explorer.rowOf(seed, row, label === null ? null : Number(label)),
    shifts: explorer.noShifts().map((_, k) => within(shifts[k], -4, 4)),
    truncation: within(fields.get("truncation") || 1, 0.05, 1),
  });
}
