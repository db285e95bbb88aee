/** Making elements without markup strings, so that data never becomes code. */

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * An element with attributes, properties (`on…` are listeners) and children; null children are left out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|null)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The same of a picture: an element of SVG. */
export function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A section of a room: its title, with what stands beside it, and what it holds; null is left out. */
export function card(title, ...children) {
  const [words, ...beside] = [title].flat();
  const id = `card-${(cards += 1)}`;
  return make("section", { class: "card", "aria-labelledby": id }, make("div", { class: "heading" }, make("h2", { id }, words), ...beside), ...children);
}
let cards = 0;

/** A table whose first column names the row. @param {(Node|string)[][]} rows */
export function listing(label, heads, rows) {
  const cells = ([name, ...values]) => [make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, value))];
  return make(
    "div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells(row))))),
  );
}

/** Calls `action` once, `wait` ms after the last of a burst of calls. */
export function settle(action, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(action, wait, ...values);
  };
}
