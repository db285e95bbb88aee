/** A store's id by typing: the combobox pattern with a list, fed by the catalog. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { count, fullDay, modelName } from "./words.js";

const SHOWN = 12;

/**
 * @param {HTMLElement} host where to build it
 * @param {{id: string, find: (q: string, limit: number) => Promise<any>, choose: (item: any) => void,
 *   fail: (error: Error) => void, typed?: (q: string) => void}} options
 */
export function storeSearch(host, { id, find, choose, fail, typed = () => {} }) {
  const kept = new Map();
  let items = [];
  let active = -1;
  let chosen = "";
  let asking = false;

  const input = make("input", {
    id, type: "text", role: "combobox", autocomplete: "off", autocapitalize: "none", spellcheck: "false",
    "data-say-placeholder": "search.type", "aria-autocomplete": "list", "aria-expanded": "false",
    "aria-controls": `${id}-list`, oninput: () => { typed(sought()); look(); }, onkeydown: key, onclick: open,
    onblur: leave,
  });
  const list = make("ul", {
    id: `${id}-list`, role: "listbox", class: "options", "data-say-aria-label": "search.stores", hidden: true,
    onmousedown: (event) => event.preventDefault(), onclick: click,
  });
  const said = make("p", { class: "unseen", role: "status" });
  const note = make("p", { class: "options-note", hidden: true });
  host.classList.add("search");
  host.append(input, make("div", { class: "drop" }, list, note), said);

  /** Show what there is for the text typed; one question is under way at a time, and the newest is the next. */
  async function look() {
    const q = sought();
    const local = known(q);
    if (local) return show(local, q);
    if (asking) return undefined;
    asking = true;
    list.setAttribute("aria-busy", "true");
    try {
      kept.set(q.toLowerCase(), await find(q, SHOWN));
    } catch (error) {
      close();
      fail(error);
      return undefined;
    } finally {
      asking = false;
    }
    return look();
  }

  /** The text typed; all stores when it is still the name of the one chosen. */
  function sought() {
    const q = input.value.trim();
    return q === chosen ? "" : q;
  }

  /** An answer that is already here: the same question, or a narrower one than a question answered in full. */
  function known(q) {
    const lower = q.toLowerCase();
    if (kept.has(lower)) return kept.get(lower);
    for (let end = lower.length - 1; end >= 0; end -= 1) {
      const page = kept.get(lower.slice(0, end));
      if (page && !page.next_cursor) {
        return { items: page.items.filter((item) => item.series_id.toLowerCase().includes(lower)), next_cursor: null };
      }
    }
    return null;
  }

  function show(page, q) {
    if (document.activeElement !== input) return;
    items = page.items;
    list.replaceChildren(...items.map((item, i) => option(item, i, q)));
    list.hidden = !items.length;
    list.removeAttribute("aria-busy");
    note.hidden = items.length > 0 && !page.next_cursor;
    note.textContent = items.length ? say("search.more") : say("search.none", { q });
    said.textContent = items.length ? say(page.next_cursor ? "search.many" : "search.all", { n: items.length }) : note.textContent;
    input.setAttribute("aria-expanded", String(items.length > 0));
    activate(items.length && q ? 0 : -1);
  }

  function option(item, i, q) {
    const from = q ? item.series_id.toLowerCase().indexOf(q.toLowerCase()) : -1;
    const name = from < 0 ? [item.series_id] : [
      item.series_id.slice(0, from),
      make("mark", {}, item.series_id.slice(from, from + q.length)),
      item.series_id.slice(from + q.length),
    ];
    const until = item.last_ds && fullDay(item.last_ds);
    const facts = until ? say("search.until", { periods: count(item.observations, item.frequency), day: until }) : say("search.no-sales");
    const model = item.model ? modelName(item.model.kind, item.frequency) : say("search.no-model");
    return make(
      "li", { id: `${id}-${i}`, role: "option", "aria-selected": "false", "data-index": i },
      make("span", { class: "name" }, ...name), make("span", { class: "facts" }, `${facts}, ${model}`),
    );
  }

  function activate(index) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const element = list.children[active];
    element?.setAttribute("aria-selected", "true");
    element?.scrollIntoView({ block: "nearest" });
    if (element) input.setAttribute("aria-activedescendant", element.id);
    else input.removeAttribute("aria-activedescendant");
  }

  function pick(index) {
    const item = items[index];
    if (!item) return;
    set(item.series_id);
    close();
    choose(item);
  }

  function key(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in moves) {
      event.preventDefault();
      if (list.hidden) open();
      else activate((active + moves[event.key] + items.length) % items.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!list.hidden && active >= 0) pick(active);
      else look();
    } else if (event.key === "Escape") {
      if (list.hidden) input.value = "";
      close();
    }
  }

  function click(event) {
    const element = event.target.closest("li");
    if (element) pick(Number(element.dataset.index));
  }

  function open() {
    if (!list.hidden) return;
    input.select();
    kept.clear();
    look();
  }

  function close() {
    list.hidden = true;
    note.hidden = true;
    input.setAttribute("aria-expanded", "false");
    activate(-1);
  }

  function leave() {
    close();
    if (!input.value.trim()) input.value = chosen;
  }

  function set(value) {
    chosen = value;
    input.value = value;
  }

  // What stands in the field is what is meant, picked or not.
  return { set, value: () => input.value.trim(), focus: () => input.focus() };
}
