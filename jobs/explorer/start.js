"use strict";
// The model out of the page, and the parts put together. `page` is what a test holds on to.

const page = (() => {
  const model = JSON.parse(byId("model").textContent);
  const bytes = Uint8Array.from(atob(byId("weights").textContent.trim()), (sign) => sign.charCodeAt(0));
  const explorer = makeExplorer(model, makeNetwork(model, decodeHalves(bytes)));
  const queue = makeQueue(12);
  byId("about").textContent =
    `The generator ${model.name} (${model.digest.slice(0, 12)}) draws in this page. A digit follows from a hand, ` +
    `${model.latentDim} numbers, and a label; every row of every seed has its own.`;
  makeStage(explorer);
  makeMap(explorer, queue);
  makeSliders(explorer, queue);
  makeStrip(explorer, queue);
  const sheet = makeSheet(explorer);
  showHash(explorer, location.hash);
  // Browsers refuse an address that changes with every step of a drag.
  let timer = 0;
  explorer.listen(() => {
    clearTimeout(timer);
    timer = setTimeout(() => history.replaceState(null, "", toHash(explorer) || "#"), 250);
  });
  window.addEventListener("hashchange", () => showHash(explorer, location.hash));
  return { explorer, queue, sheet };
})();
