import assert from "node:assert/strict";
import { test } from "node:test";
import { clock, numberOf, step, ticks } from "../../../functions/console/page/periods.js";
import { columnHead, longTime, modelName, namedTime, tickName } from "../../../functions/console/page/words.js";

/** `n` periods from `ds` on. */
const run = (frequency, ds, n) => Array.from({ length: n }, (_, i) => step(frequency, ds, i));

test("a step is the next number, forwards and back, over ends of months, leap years and years", () => {
  const starts = {
    H: ["2024-02-28T22:00", "2024-12-31T23:00+02:00", "2024-12-31T23:30"], D: ["2024-02-27", "2023-12-30"],
    W: ["2024-02-26", "2024-12-29", "2024-12-27"], M: ["2023-11-30", "2024-01-31", "2024-01-01", "2024-11-15"],
    Q: ["2023-12-31", "2024-01-01", "2024-02-29"],
  };
  for (const [frequency, all] of Object.entries(starts)) {
    for (const ds of all) {
      const first = numberOf(frequency, ds);
      assert.deepEqual(run(frequency, ds, 30).map((one) => numberOf(frequency, one) - first), [...Array(30).keys()], ds);
      assert.equal(numberOf(frequency, step(frequency, ds, -5)), first - 5);
    }
  }
});

test("months are named as the series names them", () => {
  assert.deepEqual(run("M", "2024-01-31", 4), ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]);
  assert.deepEqual(run("M", "2024-11-01", 3), ["2024-11-01", "2024-12-01", "2025-01-01"]);
  assert.deepEqual(run("Q", "2024-09-30", 3), ["2024-09-30", "2024-12-31", "2025-03-31"]);
  assert.equal(step("H", "2024-12-31T23:00+01:00", 2), "2025-01-01T01:00+01:00");
});

test("the hour that clocks repeat comes twice, and the one they leave out does not come", () => {
  const autumn = ["2025-10-26T01:00+02:00", "2025-10-26T02:00+02:00", "2025-10-26T02:00+01:00", "2025-10-26T03:00+01:00"];
  const spring = ["2025-03-30T01:00+01:00", "2025-03-30T03:00+02:00"];
  for (const hours of [autumn, spring]) {
    const first = numberOf("H", hours[0]);
    assert.deepEqual(hours.map((ds) => numberOf("H", ds) - first), [...hours.keys()]);
  }
  assert.equal(longTime("H", autumn[2]), longTime("H", autumn[1]));
  assert.equal(longTime("H", spring[1]), "Sun, 30 Mar 2025, 03:00");
});

function named(frequency, labels, from, to, room) {
  const { unit, at } = ticks(frequency, labels.map(clock), from, to, room);
  return at.map((i) => tickName(frequency, unit, labels[i]));
}

test("ticks stand on periods and say hours, days, months, quarters or years, whichever has room", () => {
  const hours = run("H", "2025-03-03T00:00", 21 * 24);
  assert.deepEqual(named("H", hours, 20, 34, 6), ["21:00", "4 Mar", "03:00", "06:00", "09:00"]);
  assert.deepEqual(named("H", hours, 0, 21 * 24 - 1, 5), ["3 Mar", "10 Mar", "17 Mar"]);
  assert.deepEqual(named("D", run("D", "2025-03-04", 42), 0, 41, 8), ["10 Mar", "17 Mar", "24 Mar", "31 Mar", "7 Apr", "14 Apr"]);
  const weeks = run("W", "2024-10-07", 26);
  assert.deepEqual(named("W", weeks, 20, 22, 10), ["24 Feb", "3 Mar", "10 Mar"]);
  assert.deepEqual(named("W", weeks, 0, 25, 8), ["Oct", "Nov", "Dec", "2025", "Feb", "Mar"]);
  const months = run("M", "2023-11-30", 27);
  assert.deepEqual(named("M", months, 0, 5, 15), ["Nov", "Dec", "2024", "Feb", "Mar", "Apr"]);
  assert.deepEqual(named("M", months, 0, 26, 3), ["2024", "2025", "2026"]);
  assert.deepEqual(named("Q", run("Q", "2024-03-31", 6), 0, 5, 15), ["2024", "Q2", "Q3", "Q4", "2025", "Q2"]);
});

test("ticks have room at every frequency and width, and each is of the window", () => {
  for (const [frequency, length] of Object.entries({ H: 20_000, D: 4_000, W: 900, M: 700, Q: 400 })) {
    const clocks = run(frequency, frequency === "H" ? "2001-01-01T00:00" : "2001-01-31", length).map(clock);
    for (const room of [2, 5, 18]) {
      for (const from of [0, Math.floor(length / 2), length - 4]) {
        const { at } = ticks(frequency, clocks, from, length - 1, room);
        assert.ok(at.length <= room + 1 && at.every((i) => i >= from && i < length), `${frequency} ${room} ${from}: ${at}`);
      }
    }
  }
});

test("a period is named by its kind, alone and in a sentence", () => {
  assert.equal(longTime("D", "2025-03-04"), "Tue, 4 Mar 2025");
  assert.deepEqual([longTime("W", "2025-03-03"), namedTime("W", "2025-03-09")], ["Week of 3 Mar 2025", "the week to 9 Mar 2025"]);
  assert.deepEqual([longTime("M", "2025-02-28"), longTime("Q", "2025-03-31")], ["February 2025", "Q1 2025"]);
  assert.equal(longTime("Q", "2025-02-28"), "February 2025", "quarters of another year than the calendar's have no number");
  assert.equal(namedTime("H", "2025-03-04T13:00+01:00"), "4 Mar 2025, 13:00");
  assert.deepEqual(columnHead("H", "2025-03-04T09:00"), { over: "Tue, 4 Mar 2025", letter: "", number: "9" });
  assert.deepEqual(columnHead("M", "2025-02-28"), { over: "2025", letter: "", number: "Feb" });
  assert.equal(modelName("seasonal_naive", "W"), "the same week a year ago");
  assert.equal(modelName("weekday_promotion_mean", "D"), "the mean by weekday and promotion");
});
