"use strict";
// Digits that are kept: as a sheet, and as hands that `gangen preview --hands` draws again.

const handsCommand = (model) => `gangen preview${model.option} --hands hands.json --out sheet.png`;

function handsFile(model, kept) {
  const digits = kept.map(({ hand, mix, text }) => ({ hand: [...hand], mix: [...mix], text }));
  return JSON.stringify({ format: "gangen hands", format_version: 1, model_digest: model.digest, digits }, null, 1);
}

function makeSheet(explorer) {
  const { model, state } = explorer;
  let kept = [];
  const render = () => {
    byId("sheet").replaceChildren(...kept.map(cell));
    byId("sheet-actions").hidden = byId("sheet-command").hidden = !kept.length;
    byId("sheet-note").textContent = kept.length
      ? `${kept.length} kept. Press one to go back to it.`
      : "Nothing yet: press Keep, or K.";
  };
  const cell = (digit) => {
    const [item, shown, drop, canvas] = ["li", "button", "button"].map((tag) => document.createElement(tag)).concat(newDigit());
    paint(canvas, digit.pixels);
    shown.type = drop.type = "button";
    [shown.className, shown.title] = ["shown", digit.text];
    shown.setAttribute("aria-label", `Go back to ${digit.text}`);
    shown.append(canvas);
    shown.onclick = () => explorer.change(digit.state);
    [drop.className, drop.textContent] = ["drop", "\u00d7"];
    drop.setAttribute("aria-label", `Drop ${digit.text}`);
    drop.onclick = () => {
      kept = kept.filter((other) => other !== digit);
      render();
    };
    item.append(shown, drop);
    return item;
  };
  byId("keep").onclick = () => {
    const hand = explorer.hand();
    const digit = { hand, mix: state.mix, text: caption(explorer), pixels: explorer.draw(hand), state: { ...state } };
    kept.push(digit);
    render();
  };
  byId("sheet-save").onclick = () =>
    downloadPicture(sheetCanvas(kept.map(({ pixels }) => pixels), Math.min(10, kept.length), 3), "sheet.png");
  byId("sheet-hands").onclick = () =>
    download(new Blob([handsFile(model, kept)], { type: "application/json" }), "hands.json");
  byId("sheet-clear").onclick = () => {
    kept = [];
    render();
  };
  byId("hands-command").textContent = handsCommand(model);
  return { handsFile: () => handsFile(model, kept) };
}
