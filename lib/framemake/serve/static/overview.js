// What is here: sites, subsystems and days, how fresh they are, and what the page begins with.
"use strict";

const DAY = 86400, STALE = 30 * 3600;
const BAD = ["failed", "interrupted", "missing"]; // days that have to be made again

const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const wordOf = (part, text) => (Object.hasOwn(held.words[part] ?? {}, text) ? held.words[part][text] : undefined);

// [[key, things with that key], ...] in the order in which the keys come.
function grouped(things, keyOf) {
  const found = new Map();
  for (const each of things) {
    const key = keyOf(each);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(each);
  }
  return [...found];
}

// The stream that tells most: of those that are fresh, the ground's motion up and down, or else along X.
function telling(streams) {
  const there = streams.filter((stream) => stream.last !== null), newest = most(there.map((stream) => stream.last));
  const worth = ({kind, sensor, last}) =>
    8 * (last >= newest - DAY) + 4 * (kind === "rms") + 2 * /^SEIS.?Z/.test(sensor) + /SEIS/.test(sensor);
  return [...there].sort((a, b) => worth(b) - worth(a) || (a.name < b.name ? -1 : 1))[0];
}

// The channel of days of a SPEC that is shown first: one of the ground's motion, if there is one.
function tellingOf(spec) {
  const channels = held.channels.filter((channel) => channel.spec === spec);
  return channels.find(({name}) => /SEIS/.test(name)) ?? channels[0];
}

const lastDayOf = (stream) => ({...EMPTY, channels: [{name: stream.name}], last: DAY});
const dayOf = ({spec, start, end}) => ({...EMPTY, channels: [{spec, name: tellingOf(spec).name}], start, end});

// The view that the page begins with: the last day of one telling stream, else of one channel of days.
function beginning() {
  const stream = telling(held.streams), day = held.days.findLast((day) => day.file && tellingOf(day.spec));
  return stream ? lastDayOf(stream) : day ? dayOf(day) : EMPTY;
}

// A text that stands out if what it tells is old.
const aged = (text, seconds, limit, title = "") =>
  make("span", {className: seconds > limit ? "stale" : "", textContent: text, title});
const linkTo = (view, of) =>
  make("a", {href: addressOf(view), textContent: "last day", ariaLabel: `Last day of ${of}`});

// How many of each subsystem there are.
const partsOf = (things) => grouped(things, (each) => each.subsystem).map(([name, some]) => {
  const words = wordOf("subsystem", name);
  return `${name || "others"}${words ? ` (${words})` : ""}: ${some.length}`;
}).join("; ");

function ofSite(site, streams) {
  const last = most(streams.map((stream) => stream.last ?? -Infinity)), one = telling(streams);
  const title = [site, wordOf("site", site)].filter(Boolean).join(", ") || "no site";
  const fresh = one ? aged(`${ago(last)}, ${said(last)}`, now() - last, STALE, localOf(last)) : "no record yet";
  return [make("strong", {textContent: title}), partsOf(streams), fresh, one ? linkTo(lastDayOf(one), one.name) : ""];
}

function ofDays(spec, days) {
  const there = days.filter((day) => day.file), last = there.at(-1);
  const bad = days.filter((day) => BAD.includes(day.status)).length;
  const channels = held.channels.filter((channel) => channel.spec === spec);
  const parts = partsOf(channels);
  const what = [`${counted(there.length, "day")} from ${there[0]?.day ?? "–"}`, counted(channels.length, "channel")];
  if (bad) what.push(`${counted(bad, "day")} to be made again`);
  const fresh = last ? aged(`to ${last.day}`, now() - last.end, 2 * STALE) : "none finished";
  return [make("strong", {textContent: `days ${spec}`}), `${what.join(", ")}${parts && `. ${parts}`}`, fresh,
    last && channels.length ? linkTo(dayOf(last), spec) : ""];
}

function overview() {
  const rows = grouped(held.streams, (stream) => stream.site).map((each) => ofSite(...each));
  rows.push(...grouped(held.days, (day) => day.spec).map((each) => ofDays(...each)));
  $("overview").replaceChildren(table("What is here", ["Of", "What", "Newest", "Show"], rows));
}

// The same in one line, at the head of the page.
function holdings() {
  const days = held.days.map((day) => day.day).sort();
  const until = days.length > 1 ? ` to ${days.at(-1)}` : "";
  const more = days.length ? `; channels of days: ${held.channels.length}, ${days[0]}${until}` : "";
  const last = most(held.streams.map((stream) => stream.last ?? -Infinity));
  $("holdings").textContent = `Streams: ${held.streams.length}${last > 0 ? `, newest record ${ago(last)}` : ""}${more}`;
  $("name").placeholder = (held.streams[0] ?? held.channels[0])?.name ?? "";
  $("choice").hidden = !held.streams.length;
}
