import assert from "node:assert/strict";
import { test } from "node:test";
import { judgedShares, monthOf, reach, standing, weeks } from "../../../functions/console/page/calendar.js";
import { csv } from "../../../functions/console/page/flags.js";
import { extent, kmName, minutesName, moved, ticks, zoomed } from "../../../functions/console/page/scale.js";

const day = (anomalies, usual_share, rides = 1000) => ({ rides, anomalies, usual_share });

test("a day stands out by half of its usual share and more, and only beyond what chance does", () => {
  assert.equal(standing(day(70, 0.07)), "");
  assert.equal(standing(day(120, 0.07)), "high");
  assert.equal(standing(day(30, 0.07)), "low");
  assert.equal(standing(day(100, 0.07)), "", "far beyond chance, but by less than half");
  assert.equal(standing(day(3, 0.01, 100)), "", "three times the usual of so few rides is chance");
  assert.equal(standing(day(300, 0.01, 10_000)), "high");
  assert.equal(standing(day(50, 0)), "high");
  assert.equal(standing(day(0, 0)), "");
  assert.equal(standing(day(500, null)), "");
});

test("a month is whole weeks from Monday on", () => {
  const june = weeks("2026-06-01");
  assert.deepEqual([june.length, june[0][0], june[4][1], june[4][2]], [5, "2026-06-01", "2026-06-30", null]);
  const february = weeks("2027-02-01");
  assert.deepEqual([february.length, february[3][6]], [4, "2027-02-28"]);
  assert.deepEqual(weeks("2026-08-01")[0].slice(4), [null, "2026-08-01", "2026-08-02"]);
  assert.equal(weeks("2024-02-01").flat().filter(Boolean).length, 29);
  assert.equal(monthOf("2026-01-31", -1), "2025-12-01");
  assert.deepEqual(reach("2026-03-01", 2), ["2026-02-01", "2026-03-31"]);
});

test("shares confirmed are counted by reason and by the week that begins on Monday", () => {
  const of = (dt, kinds) => ({
    dt, kinds, confirmed: Object.values(kinds).reduce((sum, [n]) => sum + n, 0), false_alarms: Object.values(kinds).reduce((sum, [, n]) => sum + n, 0),
  });
  const days = [of("2026-07-05", { slow: [1, 0] }), of("2026-07-06", { slow: [0, 2], fast: [3, 1] }), of("2026-07-12", {}), of("2026-07-13", { fast: [0, 0] })];
  assert.deepEqual(judgedShares(days), {
    kinds: [{ name: "fast", confirmed: 3, judged: 4 }, { name: "slow", confirmed: 1, judged: 3 }],
    weeks: [{ name: "2026-07-06", confirmed: 3, judged: 6 }, { name: "2026-06-29", confirmed: 1, judged: 1 }],
  });
});

test("ticks are round, within the window, as far apart as names need, and read as a person says them", () => {
  assert.deepEqual(ticks("km", [-1, 2], 0.25).map(({ name }) => name), ["100 m", "200 m", "500 m", "1 km", "2 km", "5 km", "10 km", "20 km", "50 km", "100 km"].map((n) => n.replace(" ", "\u00a0")));
  assert.deepEqual(ticks("minutes", [-0.4, 2.5], 0.4).map(({ name }) => name.replace("\u00a0", " ")), ["1 min", "10 min", "1 h"]);
  assert.deepEqual(ticks("minutes", [-0.4, 1.6], 0.29).map(({ name }) => name.replace("\u00a0", " ")), ["30 s", "1 min", "2 min", "5 min", "10 min", "30 min"]);
  for (const unit of ["km", "minutes"]) {
    for (const window of [[-4, 5], [0, 0.5], [1.1, 1.6], [-1.7, 3.2]]) {
      const marks = ticks(unit, window, (window[1] - window[0]) / 8);
      assert.ok(marks.length >= 1, `${unit} ${window}`);
      for (const [i, { at }] of marks.entries()) {
        assert.ok(at >= window[0] - 1e-9 && at <= window[1] + 1e-9);
        if (i) assert.ok(at - marks[i - 1].at >= (window[1] - window[0]) / 8 - 1e-9);
      }
    }
  }
  assert.deepEqual([kmName(0.35), kmName(12.44), minutesName(0.5), minutesName(12.3), minutesName(150)].map((n) => n.replace("\u00a0", " ")), ["350 m", "12.4 km", "30 s", "12.3 min", "2.5 h"]);
});

test("a window holds every cell, is never under half a decade when zoomed, and stays within the whole", () => {
  const all = extent({ bins: 8, cells: [[-8, 0, 1, 0], [15, 23, 2, 1]] });
  assert.deepEqual(all, { x: [-1, 2], y: [0, 3] });
  let window = all;
  for (let i = 0; i < 9; i += 1) window = zoomed(window, all, 0.5);
  assert.ok(Math.abs(window.x[1] - window.x[0] - 0.5) < 1e-9);
  assert.deepEqual(moved(window, all, [99, -99]).x[1], 2);
  assert.deepEqual(moved(window, all, [99, -99]).y[0], 0);
  assert.deepEqual(zoomed(window, all, 99), all);
  assert.deepEqual(extent({ bins: 8, cells: [] }), { x: [-1, 2], y: [-1, 3] });
});

test("the file of flags has the standing word and runs nothing in a spreadsheet", () => {
  const flag = { ride_id: "=1+1", ride_dist: 3.5, ride_time: 0.1, severity: 2.25, kind: "slow", reason: "3.5 km in 6 min: a, b" };
  const word = { verdict: "confirmed", note: 'a "ferry"', by: "ada", at: "2026-07-15T10:00:00.000000Z" };
  const lines = csv([{ ...flag, verdict: word }, { ...flag, ride_id: "r2", verdict: { ...word, verdict: null } }, { ...flag, ride_id: "r3", verdict: null }]).split("\r\n");
  assert.equal(lines[0], "ride_id,ride_dist,ride_time,severity,kind,reason,verdict,note,by,at");
  assert.equal(lines[1], `'=1+1,3.5,0.1,2.25,slow,"3.5 km in 6 min: a, b",confirmed,"a ""ferry""",ada,2026-07-15T10:00:00.000000Z`);
  assert.ok(lines[2].endsWith(',,,,') && lines[3].endsWith(',,,,'));
});
