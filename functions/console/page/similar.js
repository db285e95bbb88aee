/** Stores with demand of the same shape, to lay over the chart or to look at. */

import { make } from "./dom.js";

/**
 * @param {HTMLElement} host
 * @param {{items: {series_id: string, distance: number, shared: string}[], chosen: string[], missing: string[],
 *   lay: (id: string, on: boolean) => void, open: (id: string) => void}} options `missing` are those of `chosen` whose
 *   sales did not come
 */
export function similarStores(host, { items, chosen, missing, lay, open }) {
  if (!items.length) {
    host.replaceChildren(make("p", {}, "There is no other store to compare with yet."));
    return;
  }
  const laid = chosen.filter((id) => !missing.includes(id));
  const furthest = Math.max(...items.map((item) => item.distance), 1e-9);
  const row = ({ series_id: id, distance, shared }) => {
    const place = laid.indexOf(id);
    const box = make("input", {
      type: "checkbox", checked: chosen.includes(id), onchange: (event) => lay(id, event.target.checked),
    });
    return make(
      "li", {},
      make("label", {}, box, id, place < 0 ? null : make("i", { class: `swatch overlay-${place}` })),
      make("span", { class: "facts" }, `${closeness(distance, furthest)}; most alike in ${shared}`),
      make("button", { type: "button", class: "quiet", "aria-label": `Open ${id}`, onclick: () => open(id) }, "Open"),
    );
  };
  host.replaceChildren(
    make("p", {}, "Tick a store to lay it over the chart, brought to this store's level."),
    make("ul", { class: "stores" }, ...items.map(row)),
    missing.length ? make("p", { class: "wrong", role: "alert" }, `Not laid over: the sales of ${missing.join(", ")} did not come.`) : "",
  );
}

function closeness(distance, furthest) {
  if (distance < 0.1) return "nearly the same shape";
  return distance < furthest * 0.75 ? "closer than the others" : "similar shape";
}
