/** Every store with what comes against what is usual for it; the service sorts, and hands over page by page. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { RHYTHM } from "./periods.js";
import { file, save } from "./table.js";
import { amount, count, fullDay, peakName, signedPercent } from "./words.js";

const SHOWN = 25;
const AT_ONCE = 500; // the most that the service hands over
const UNKNOWN = "–";
/** Key of the heading, the order that its button asks for (none where the service has none), that order in words, and the cell. */
const COLUMNS = [
  ["overview.store", "series_id", "ascending"],
  ["overview.peak", "-peak_against_usual", "descending", ({ outlook, frequency }) => {
    const share = ratio(outlook?.peak_against_usual);
    return share && [...share, peakName(frequency, outlook.peak_start)];
  }],
  ["overview.usual", "", "", ({ outlook }) => ratio(outlook?.against_usual)],
  ["overview.next", "", "", ({ outlook, frequency }) => outlook && [amount(outlook.total), count(RHYTHM[frequency].ahead, frequency)]],
  ["overview.skill", "skill", "ascending", ({ model }) => (typeof model?.skill === "number" ? [signedPercent(model.skill)] : null)],
  ["overview.last", "-staleness", "descending", ({ last_ds: ds }) => ds && [fullDay(ds)]],
];
const ratio = (value) => (typeof value === "number" ? [signedPercent(Math.round((value - 1) * 100) / 100)] : null);

/** Columns of the file: name, and the value of an item. */
const FILE = [
  ...["series_id", "frequency", "first_ds", "last_ds", "observations"].map((name) => [name, (item) => item[name]]),
  ...["kind", "skill"].map((name) => [name, ({ model }) => model?.[name]]),
  ...["total", "against_usual", "peak_start", "peak_against_usual"].map((name) => [name, ({ outlook }) => outlook?.[name]]),
];

/** What comes of the stores of a frequency together, in words. */
function together({ frequency, series, total, against_usual: share }) {
  const usual = ratio(share);
  const coming = say("overview.total", { n: series, total: amount(total), periods: count(RHYTHM[frequency].ahead, frequency) });
  return usual ? `${coming}, ${say("overview.total.usual", { share: usual[0] })}` : coming;
}

/**
 * @param {{find: (q: string, sort: string, limit: number, cursor: string) => Promise<any>, open: (item: any) => void,
 *   fail: (error: Error, again: () => void) => void}} options
 */
export function overview({ find, open, fail }) {
  let [q, sort, cursor, asked] = ["", "-peak_against_usual", "", 0];
  const body = make("tbody");
  const more = make("button", { type: "button", onclick: () => load(cursor) }, say("more"));
  const sum = make("p", { class: "sum" });
  const keep = make("button", { type: "button", onclick: download }, say("download"));
  const note = make("p", { role: "status", class: "facts" });
  const heads = COLUMNS.map(([name, order]) => make("th", { scope: "col" }, order
    ? make("button", { type: "button", class: "quiet", onclick: () => { sort = order; load(); } }, say(name))
    : say(name)));
  const element = make("div", { class: "overview" },
    make("div", { class: "more" }, sum, keep),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": say("overview.label") },
      make("table", {},
        make("thead", {}, make("tr", {}, ...heads)), body)),
    make("div", { class: "more" }, note, more));

  /** The first page, or the one behind `after`; an answer that is not the newest is dropped. */
  async function load(after = "") {
    const number = (asked += 1);
    element.setAttribute("aria-busy", "true");
    heads.forEach((head, i) => {
      if (COLUMNS[i][1] === sort) head.setAttribute("aria-sort", COLUMNS[i][2]);
      else head.removeAttribute("aria-sort");
    });
    try {
      const page = await find(q, sort, SHOWN, after);
      if (number !== asked) return null;
      if (!after) body.replaceChildren();
      body.append(...page.items.map(row));
      cursor = page.next_cursor;
      more.hidden = !cursor;
      keep.hidden = !body.children.length;
      sum.textContent = (page.totals ?? []).map(together).join("; "); // none of a service from before, during a deployment
      note.textContent = body.children.length ? say("overview.shown", { n: body.children.length }) : say("search.none", { q });
      return page;
    } catch (error) {
      if (number === asked) fail(error, () => load(after));
      return null;
    } finally {
      if (number === asked) element.removeAttribute("aria-busy");
    }
  }

  /** Every store that is asked for, in the order of the list. */
  async function download() {
    keep.disabled = true;
    try {
      const items = [];
      for (let after = ""; after !== null;) {
        const page = await find(q, sort, AT_ONCE, after);
        items.push(...page.items);
        after = page.next_cursor;
      }
      save(say("overview.file"), file([FILE.map(([name]) => name), ...items.map((item) => FILE.map(([, value]) => value(item)))]));
    } catch (error) {
      fail(error, download);
    } finally {
      keep.disabled = false;
    }
  }

  function row(item) {
    const cells = COLUMNS.slice(1).map(([, , , value]) => {
      const [text, small] = value(item) || [UNKNOWN];
      return make("td", {}, text, small ? make("span", { class: "facts" }, ` ${small}`) : null);
    });
    const name = make("button", { type: "button", class: "link", onclick: () => open(item) }, item.series_id);
    return make("tr", {}, make("th", { scope: "row" }, name), ...cells);
  }

  return { element, load, filter: (text) => { q = text; return load(); } };
}
