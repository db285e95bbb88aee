/** Stores with demand of the same shape, to lay over the chart or to look at. */

import { make } from "./dom.js";
import { say } from "./language.js";

/**
 * @param {HTMLElement} host
 * @param {{items: {series_id: string, distance: number, shared: string}[], chosen: string[], missing: string[],
 *   lay: (id: string, on: boolean) => void, open: (id: string) => void}} options `missing` are those of `chosen` whose
 *   sales did not come
 */
export function similarStores(host, { items, chosen, missing, lay, open }) {
  if (!items.length) {
    host.replaceChildren(make("p", {}, say("similar.none")));
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
      make("span", { class: "facts" }, say("similar.shared", { closeness: closeness(distance, furthest), shared })),
      make("button", { type: "button", class: "quiet", "aria-label": say("similar.open.one", { store: id }), onclick: () => open(id) }, say("similar.open")),
    );
  };
  host.replaceChildren(
    make("p", {}, say("similar.tick")),
    make("ul", { class: "stores" }, ...items.map(row)),
    missing.length ? make("p", { class: "wrong", role: "alert" }, say("similar.missing", { stores: missing.join(", ") })) : "",
  );
}

function closeness(distance, furthest) {
  if (distance < 0.1) return say("similar.nearly");
  return say(distance < furthest * 0.75 ? "similar.closer" : "similar.shape");
}
