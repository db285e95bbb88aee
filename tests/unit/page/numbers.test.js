import assert from "node:assert/strict";
import { test } from "node:test";
import { future, lanes } from "../../../functions/console/page/plan.js";
import { step } from "../../../functions/console/page/periods.js";
import { assemble, figures, near } from "../../../functions/console/page/rows.js";
import { pooled } from "../../../functions/console/page/segments.js";
import { csv } from "../../../functions/console/page/table.js";
import { stale, verdict } from "../../../functions/console/page/trust.js";
import { blank, format, parse } from "../../../functions/console/page/view.js";
import { reasons, why } from "../../../functions/console/page/why.js";

const point = (ds, yhat) => ({ ds, yhat, lower: yhat - 1, upper: yhat + 1 });

/** A history of `observed` periods from `ds` on that sell 1, 2, 3, ..., and a forecast of `horizon` after `gap` more. */
function made(frequency, ds, observed, horizon, { gap = 0, ...forecast } = {}) {
  const at = (i) => step(frequency, ds, i);
  const history = Array.from({ length: observed }, (_, i) => ({ ds: at(i), y: i + 1 }));
  const points = Array.from({ length: horizon }, (_, i) => point(at(observed + gap + i), 10 * (i + 1)));
  return { name: "a", history, scale: null, whatIf: null, overlays: [], forecast: { frequency, points, backtest: null, ...forecast } };
}

test("rows are one a period, whatever it is, and bridge what is not told", () => {
  const rows = assemble(made("M", "2024-10-31", 3, 2, { gap: 1 }));
  assert.deepEqual(rows.labels, ["2024-10-31", "2024-11-30", "2024-12-31", "2025-01-31", "2025-02-28", "2025-03-31"]);
  assert.deepEqual(rows.sales, [1, 2, 3, null, null, null]);
  assert.deepEqual(rows.yhat, [null, null, null, null, 10, 20]);
  assert.deepEqual(near(rows, "all"), [rows.first, rows.end]);
});

test("what was forecast of held-out periods stands on them", () => {
  const holdout = [point("2025-01-13", 5), point("2025-01-20", 6)];
  const backtest = { start: "2025-01-13", end: "2025-01-20" };
  const rows = assemble(made("W", "2025-01-06", 3, 1, { holdout, backtest }));
  assert.deepEqual(rows.yhat, [null, 5, 6, 10]);
  assert.deepEqual(rows.holdout, { start: rows.first + 1, end: rows.first + 2 });
  assert.equal(figures(rows).total, 10);
});

test("what people planned is the forecast of the file and of the totals, and the model's own stands beside it", () => {
  const parts = made("D", "2025-03-03", 2, 3);
  parts.forecast.points[1].planned = 25;
  const rows = assemble(parts);
  assert.deepEqual(rows.planned, [null, null, 10, 25, 30]);
  assert.deepEqual([figures(rows).total, figures(rows).model], [65, 60]);
  const [head, ...lines] = csv(rows).trim().split("\r\n");
  assert.equal(head, "series_id,ds,kind,sales,forecast,model,lower,upper");
  assert.match(lines[3], /^a,2025-03-06,forecast,,25,20,/);
  assert.equal(assemble(made("D", "2025-03-03", 2, 3)).planned, null);
});

test("scenarios stay in the address with their names, and a number is planned as one", () => {
  const changes = { price: { "2025-03-04": 2.75, "2025-03-05": 2.75 }, open: { "2025-03-09": 0 } };
  const view = { ...blank(), series: "a", changes: { promo: { "2025-03-04": 1 } }, scenarios: [{ name: "dear & far", changes }, { name: "b", changes: {} }] };
  assert.deepEqual(parse(new URLSearchParams(String(format(view)))), view);
  const regressors = [{ name: "price", kind: "numeric", used: true }, { name: "promo", kind: "binary", used: false }];
  const forecast = { regressors, points: [point("2025-03-04", 1), point("2025-03-05", 1)], plan: { price: [2.5, 2], promo: [0, 0], open: [1, 1] } };
  assert.deepEqual(lanes(forecast).map(({ name, on, off }) => [name, on, off]), [["promo", 1, 0], ["price", 2.5, null], ["open", 0, 1]]);
  assert.deepEqual(future(forecast, changes), { price: [2.75, 2.75] });
});

test("series are laid over each other period by period, however they name theirs", () => {
  const overlays = [{ id: "b", points: [{ ds: "2025-01-05", y: 4 }, { ds: "2025-01-12", y: 8 }] }];
  const rows = assemble({ ...made("W", "2024-12-30", 2, 1), overlays });
  assert.deepEqual(rows.overlays[0].values, [1, 2, null]);
});

test("the largest stretch is a week of days or a day of hours, and of other periods there is none", () => {
  const { stretch, before } = figures(assemble(made("H", "2025-03-03T00:00", 24, 26)));
  assert.deepEqual([stretch.from, stretch.to], ["2025-03-04T02:00", "2025-03-05T01:00"]);
  assert.equal(before, null, "fewer hours are known than are forecast");
  assert.equal(figures(assemble(made("D", "2025-03-03", 14, 7))).stretch, null);
  const months = figures(assemble(made("M", "2023-01-01", 24, 12)));
  assert.deepEqual([months.stretch, months.peak.ds, months.length], [null, "2025-12-01", 12]);
  assert.equal(months.before, 222); // 13 + ... + 24
});

test("only days have weekdays that are closed as a rule", () => {
  const sunday = (ds) => new Date(`${ds.slice(0, 10)}T00:00Z`).getUTCDay() === 0;
  for (const [frequency, ds, shut] of [["D", "2025-01-06", [6]], ["H", "2025-01-06T00:00", []]]) {
    const parts = made(frequency, ds, 24 * 70, 1);
    for (const one of parts.history) if (sunday(one.ds)) one.y = 0;
    assert.deepEqual(assemble(parts).shut, shut);
  }
});

test("a name that is a formula is only text in the file, and periods are named as the API names them", () => {
  const lines = csv(assemble({ ...made("H", "2025-03-03T00:00+01:00", 1, 1), name: "=1+1, kiosk" })).split("\r\n");
  assert.equal(lines[1], `"'=1+1, kiosk",2025-03-03T00:00+01:00,history,1,,,`);
  assert.equal(lines[2], `"'=1+1, kiosk",2025-03-03T01:00+01:00,forecast,,10,9,11`);
});

test("a view is the same after its address", () => {
  const changes = {
    promo: { "2025-03-03": 1, "2025-03-04": 1, "2025-03-06": 1 }, open: { "2025-03-03T23:00+01:00": 0, "2025-03-04T00:00+01:00": 0 },
    "a, b": { "2025-03-03": 0, "2025-03-10": 0 },
  };
  const view = { ...blank(), series: "a&b=c", horizon: 13, level: 0.8, changes, from: "2025-01-01", to: "2025-02-01" };
  assert.deepEqual(parse(format(view)), view);
  assert.match(String(format(view)), /2025-03-03\.\.2025-03-04/);
  assert.deepEqual(parse(new URLSearchParams("horizon=400&level=2&from=2025-13-01&to=1&set.promo=2025-02-01..2024-01-01:1,nonsense")), blank());
});

test("sales that are old are told, in the words of their frequency, and fresh ones are not", () => {
  const today = Date.UTC(2025, 4, 25) / 86_400_000;
  const old = made("D", "2025-02-01", 19, 1, { gap: 12 });
  const words = "The last sales are 3 months old: they end with 19 Feb 2025, and the forecast begins with 4 Mar 2025.";
  assert.equal(stale(old.history, old.forecast, today), words);
  const weeks = made("W", "2025-04-07", 4, 1);
  assert.equal(stale(weeks.history, weeks.forecast, today), "");
  assert.match(stale(weeks.history, weeks.forecast, today + 14), /41 days old: .* the week of 28 Apr 2025, .* right after\.$/);
  assert.equal(stale([], old.forecast, today), "");
});

test("the badge says whether the model beat the simple rule", () => {
  const said = (kind, skill) => verdict({ model: { kind }, backtest: skill === undefined ? null : { skill } });
  assert.deepEqual(said("prophet", 0.2), { good: true, text: "20% better than the baseline" });
  assert.deepEqual([said("prophet", -0.1).good, said("prophet").good, said("year_ago", 0.5).good], [false, null, false]);
});

test("parts are told against their mean over the horizon, and their product is the whole", () => {
  const log = reasons({ scale: "log", values: { level: [5, 5, 5, 5], promo: [0.3, 0, null, 0], week: [-0.1, 0.1, 0, 0.3] } }, 0);
  assert.deepEqual(log.parts.map(({ name }) => name), ["promo", "week", "level"]);
  const near = (value, expected) => assert.ok(Math.abs(value - expected) < 1e-12, `${value} is not ${expected}`);
  near(log.parts[0].effect, Math.exp(0.2) - 1);
  near(log.parts.reduce((product, { effect }) => product * (1 + effect), 1), 1 + log.all);
  const linear = reasons({ scale: "linear", values: { level: [50, 50], promo: [10, 0] } }, 1);
  assert.deepEqual([linear.all, linear.parts[0].effect], [-5, -5]);
});

test("of a rule, of a past period and of a forecast without parts there is nothing to explain", () => {
  const forecast = { frequency: "D", points: [point("2025-01-01", 5)], parts: { scale: "linear", values: { "year ago": [5] } } };
  assert.deepEqual([why(forecast, 0), why(forecast, -3), why({ ...forecast, parts: undefined }, 0)], [[], [], []]);
});

test("weeks of outcomes make one curve, each bin weighed by its outcomes", () => {
  const [low, high] = pooled([{ calibration: [[0.05, 0, 30], [0.92, 1, 10]] }, { calibration: [[0.09, 0.2, 10]] }, {}]);
  const rounded = (point) => point.map((value) => Math.round(value * 1000) / 1000);
  assert.deepEqual([low, high].map(rounded), [[0.06, 0.05, 40], [0.92, 1, 10]]);
});
