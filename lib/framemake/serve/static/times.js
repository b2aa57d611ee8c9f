// Times: GPS seconds everywhere but in what people read, which is UTC.  What people type the server reads (api/span).
"use strict";

// GPS minus Unix time, by the GPS second from which it holds.  Leap seconds come at the end of June and of December.
let leaps = [];

async function learnLeaps() {
  const days = [];
  for (let year = 1981; year <= new Date().getUTCFullYear() + 1; year++) days.push(`${year}-01-01`, `${year}-07-01`);
  const told = await ask("time", days.map((day) => ["t", day]));
  leaps = [{from: -Infinity, offset: told.times[0].gps - Date.parse(days[0]) / 1000}];
  told.times.forEach(({gps}, at) => {
    const offset = gps - Date.parse(days[at]) / 1000;
    if (offset !== leaps.at(-1).offset) leaps.push({from: gps, offset});
  });
}

const unixOf = (gps) => gps - leaps.findLast((leap) => leap.from <= gps).offset;
const gpsOf = (unix) => unix + (leaps.findLast((leap) => leap.from - leap.offset <= unix)?.offset ?? NaN);
const now = () => gpsOf(Date.now() / 1000);
const isTime = (gps) => gps !== null && gps >= 0 && gps < 2 ** 31; // as far as the server counts; not for NaN
// UTC as plotly reads it: 2024-04-10T00:00:00.000, with no zone that anything could convert.
const utcOf = (gps) => new Date(Math.round(unixOf(gps) * 1000)).toISOString().slice(0, -1);
// The GPS seconds of such a text, as plotly gives it back: 2024-04-10 06:00:00.1234, or shorter.
function gpsOfPlot(text) {
  const [day, time = "00:00"] = String(text).trim().split(/[ T]/);
  return gpsOf(Date.parse(`${day}T${time.replace(/(\.\d{3})\d+$/, "$1")}Z`) / 1000);
}

const writtenOf = (gps) => utcOf(gps).slice(0, 19).replace("T", " ");
const said = (gps) => `${writtenOf(gps)} UTC`;
const ZONED = {dateStyle: "medium", timeStyle: "long"};
const localOf = (gps) => new Date(unixOf(gps) * 1000).toLocaleString(undefined, ZONED);

const UNITS = [["year", 31557600], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

// A time span in words: 4.6 days, 90 seconds.
function lasting(seconds) {
  const [unit, size] = UNITS.find((each) => seconds >= 1.5 * each[1]) ?? UNITS.at(-1);
  const count = Number((seconds / size).toPrecision(seconds / size < 100 ? 2 : 4));
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

const ago = (gps) => (now() - gps < 90 ? "just now" : `${lasting(now() - gps)} ago`);
