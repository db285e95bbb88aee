/** The rows as a table and as a CSV file. */

import { make } from "./dom.js";
import { say } from "./language.js";
import { amount, capital, change, count, longTime } from "./words.js";

/** More rows than this are for the file. */
const MOST = 2000;

/** The columns that these rows have: heading for people, name in the file, value of row i. */
function columns(rows) {
  const columns = [
    { heading: say(rows.estimated ? "line.estimated" : "line.sales"), name: "sales", value: (i) => rows.sales[i] },
    ...(rows.planned ? [{ heading: say("overrides.line"), name: "forecast", value: (i) => rows.planned[i] }] : []),
    { heading: say("line.forecast"), name: rows.planned ? "model" : "forecast", value: (i) => rows.yhat[i] },
    { heading: say("line.low"), name: "lower", value: (i) => rows.lower[i] },
    { heading: say("line.high"), name: "upper", value: (i) => rows.upper[i] },
  ];
  if (rows.whatIf) {
    const difference = (i) => (rows.whatIf[i] === null ? null : round(rows.whatIf[i] - (rows.planned ?? rows.yhat)[i]));
    columns.push(
      { heading: say("line.what-if"), name: "what_if", value: (i) => rows.whatIf[i] },
      { heading: say("line.difference"), name: "difference", value: difference, shown: change },
    );
  }
  for (const { id, factor, values } of rows.overlays) {
    const scaled = (i) => (values[i] === null ? null : round(values[i]));
    columns.push({ heading: `${id} × ${amount(factor)}`, name: `${id} scaled`, value: scaled });
  }
  return columns;
}

const round = (value) => Math.round(value * 1e4) / 1e4;

/**
 * @param {import("./rows.js").Rows} rows
 * @param {number} from number of the first period shown
 * @param {number} to of the last
 */
export function table(rows, from, to) {
  const shown = columns(rows);
  const body = make("tbody");
  const end = Math.min(to - rows.first, rows.numbers.length - 1);
  const begin = Math.max(0, from - rows.first, end - MOST + 1);
  for (let i = begin; i <= end; i += 1) {
    const cells = shown.map(({ value, shown: words = amount }) => make("td", {}, value(i) === null ? "" : words(value(i))));
    const kind = rows.numbers[i] < rows.start ? "past" : "future";
    body.append(make("tr", { class: kind }, make("th", { scope: "row" }, longTime(rows.frequency, rows.labels[i])), ...cells));
  }
  const heads = [capital(say(`period.${rows.frequency}`)), ...shown.map((one) => one.heading)].map((text) => make("th", { scope: "col" }, text));
  const cut = begin > from - rows.first;
  const words = say(cut ? "table.last" : "table.all", { name: rows.name, periods: cut ? count(MOST, rows.frequency) : say(`periods.${rows.frequency}`) });
  const caption = make("caption", {}, words);
  return make("table", {}, caption, make("thead", {}, make("tr", {}, ...heads)), body);
}

/** Every period of the rows. */
export function csv(rows) {
  const shown = columns(rows);
  const kind = (i) => (rows.numbers[i] >= rows.start ? "forecast" : rows.estimated ? "estimate" : "history");
  return file([
    ["series_id", "ds", "kind", ...shown.map((c) => c.name)],
    ...rows.labels.map((ds, i) => [rows.name, ds, kind(i), ...shown.map((c) => c.value(i))]),
  ]);
}

/** Rows of cells as a CSV file, RFC 4180. Numbers are plain; text that a spreadsheet would run as a formula is defused. */
export function file(rows) {
  const cell = (value) => (typeof value === "number" ? String(value) : field(String(value ?? "")));
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

function field(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {import("./rows.js").Rows} rows */
export function download(rows) {
  save(`${rows.name}-${rows.labels[rows.start - rows.first]}`, csv(rows));
}

/** Hand the reader a CSV file. */
export function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: url, download: `${name.replaceAll(/[^\p{L}\p{N}._-]+/gu, "_")}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
