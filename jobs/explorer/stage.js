"use strict";
// The digit, its label, its row and its truncation.

const byId = (id) => document.getElementById(id);

function makeStage(explorer) {
  const { model, state } = explorer;
  const buttons = model.classes.map((name, label) => {
    const button = document.createElement("button");
    [button.type, button.textContent] = ["button", name];
    button.onclick = () => explorer.change({ mix: oneLabel(label, model.classes.length) });
    byId("labels").append(button);
    return button;
  });
  const go = (seed, row) => explorer.showRow(seed, row < 0n ? 0n : row > MAX_ROW ? MAX_ROW : row);
  const read = (id, most) => {
    const value = parseWhole(byId(id).value, most);
    byId(id).setAttribute("aria-invalid", value === null);
    return value;
  };
  const typed = (next = (row) => row) => {
    const [seed, row] = [read("seed", MAX_SEED), read("row", MAX_ROW)];
    if (seed !== null && row !== null) go(seed, next(row));
  };
  const step = (by) => typed((row) => row + by);
  const anyRow = () => typed(() => BigInt(Math.floor(Math.random() * 1e9)));
  byId("seed").onchange = byId("row").onchange = () => typed();
  byId("previous").onclick = () => step(-1n);
  byId("next").onclick = () => step(1n);
  byId("random").onclick = anyRow;
  byId("truncation").oninput = (event) => explorer.change({ truncation: Number(event.target.value) });
  byId("save").onclick = () => {
    const small = newDigit();
    paint(small, explorer.pixels());
    downloadPicture(enlarged(small, 10), "digit.png");
  };
  byId("copy").onclick = () => {
    const said = (text) => {
      byId("copy").textContent = text;
      setTimeout(() => (byId("copy").textContent = "Copy"), 1500);
    };
    const select = () => getSelection().selectAllChildren(byId("command"));
    navigator.clipboard.writeText(byId("command").textContent).then(() => said("Copied"), select);
  };
  listenToKeys({ step, anyRow, label: (k) => buttons[k]?.click() });
  explorer.listen(() => {
    paint(byId("digit"), explorer.pixels());
    const text = caption(explorer);
    const command = rowCommand(explorer);
    byId("digit").setAttribute("aria-label", text);
    byId("caption").textContent = text;
    byId("command").textContent = command ?? `keep it, download the hands, then ${handsCommand(model)}`;
    byId("copy").hidden = command === null || !navigator.clipboard; // there is none on a page of plain http
    byId("truncation").value = state.truncation;
    byId("truncation-value").textContent = state.truncation;
    for (const id of ["seed", "row"]) {
      if (state.base[id] !== undefined) byId(id).value = state.base[id];
      byId(id).removeAttribute("aria-invalid");
    }
    const label = pureLabel(state.mix);
    buttons.forEach((button, k) => button.setAttribute("aria-pressed", k === label));
  });
}

// Keys of the whole page; those that a field, a slider or the map has a use for stay theirs.
function listenToKeys({ step, anyRow, label }) {
  document.addEventListener("keydown", (event) => {
    const isTaken = event.target.closest("input:not([type=range]), select, textarea");
    const takesArrows = event.target.closest("input, select, [role=application]");
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken) return;
    if (event.key === "ArrowLeft" && !takesArrows) step(-1n);
    else if (event.key === "ArrowRight" && !takesArrows) step(1n);
    else if (/^[0-9]$/.test(event.key)) label(Number(event.key));
    else if (event.key.toLowerCase() === "r") anyRow();
    else if (event.key.toLowerCase() === "k") byId("keep").click();
    else return;
    event.preventDefault();
  });
}
