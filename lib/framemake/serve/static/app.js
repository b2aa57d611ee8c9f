// The page of the streams server: what is chosen, what the server is asked, what is drawn.
//
// What is shown is a view: channels, sampling, span and looks.  The address of the page holds it (after the #), so a
// link, and the browser's back button, bring it again.  Each change goes one way: show() puts the new view into
// the address and draws it; draw() asks the server for the span, as fine as it goes, and hands it to plotly (plot.js).
// Without an address the page shows what is here, and the last day of one telling stream.
// The scripts are one to a browser, in this order: base.js, times.js, plot.js, status.js,
// overview.js, app.js (see page.py).
"use strict";

const FIELDS = ["site", "subsystem", "station", "sensor", "sampling"];
const MOST_CHANNELS = 12;
const REFRESH = 60_000;
const EMPTY = {
  channels: [], kind: null, start: null, end: null, last: null, low: null, high: null, log: false, band: true,
  local: false, refresh: false, status: false,
};

const held = {streams: [], days: [], channels: [], words: {}}; // what the server has
let view = EMPTY;
let span = null; // [start, end) that is drawn
let asked = new AbortController(); // of the drawing under way
let firstSight = false;
let written = ["", ""]; // in From and Until

// --- the view and the address -------------------------------------------------------------

const keyOf = (channel) => (channel.spec === undefined ? "" : `${channel.spec}/`) + channel.name;
const streamOf = ({spec, name}) => (spec === undefined ? held.streams.find((each) => each.name === name) : undefined);
const channelOf = ({spec, name}) => held.channels.find((each) => each.name === name && (!spec || each.spec === spec));
// rms or mean: what was asked for, or what suits the sensor.
const kindOf = (channel) => view.kind ?? streamOf(channel)?.kind ?? "mean";

function addressOf(view) {
  const query = new URLSearchParams();
  if (view.status) query.set("view", "status");
  for (const channel of view.channels) query.append(channel.spec === undefined ? "s" : "d", keyOf(channel));
  for (const name of ["kind", "start", "end", "last", "low", "high"]) {
    if (view[name] !== null) query.set(name, view[name]);
  }
  for (const name of ["log", "local", "refresh"]) if (view[name]) query.set(name, "1");
  if (!view.band) query.set("band", "0");
  return `#${query}` === "#" ? "#none" : `#${query}`;
}

// The view of the page's address: s=STREAM, d=SPEC/CHANNEL, kind, start, end (GPS, or as people type times), last (so
// many seconds), low and high of the y axis, log, band, local, refresh, view=status.
function viewOf(hash) {
  const query = new URLSearchParams(hash.slice(1));
  const kind = query.get("kind");
  const found = {...EMPTY, channels: [], kind: ["rms", "mean"].includes(kind) ? kind : null};
  for (const name of ["log", "local", "refresh"]) found[name] = query.get(name) === "1";
  found.band = query.get("band") !== "0";
  found.status = query.get("view") === "status";
  for (const [name, value] of query) {
    const cut = value.indexOf("/");
    if (name === "s") found.channels.push({name: value});
    if (name === "d") found.channels.push({spec: value.slice(0, Math.max(0, cut)), name: value.slice(cut + 1)});
  }
  found.channels = found.channels.slice(0, MOST_CHANNELS);
  for (const name of ["start", "end"]) {
    const text = query.get(name) || null;
    found[name] = /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  }
  for (const name of ["last", "low", "high"]) {
    const text = query.get(name);
    found[name] = text && Number.isFinite(Number(text)) ? Number(text) : null;
  }
  if (!(found.last > 0)) found.last = null;
  return found;
}

function show(change) {
  view = {...view, status: false, ...change};
  if (addressOf(view) !== location.hash) history.pushState(null, "", addressOf(view));
  return draw();
}

function add(channel) {
  tell("");
  if (view.channels.map(keyOf).includes(keyOf(channel))) return tell(`Already shown: ${channel.name}`);
  if (view.channels.length >= MOST_CHANNELS) return tell(`No more than ${MOST_CHANNELS} channels at once`);
  // On a phone the plot is above the fields.
  show({channels: [...view.channels, channel]}).then(() => window.innerWidth < 800 && $("view").scrollIntoView());
}

// --- what to choose -----------------------------------------------------------------------

function options(select, values, words) {
  const before = select.value;
  const text = (value) => [value || "–", words(value)].filter(Boolean).join(" · ");
  select.replaceChildren(...values.map((value) => new Option(text(value), value)));
  if (values.includes(before)) select.value = before;
}

// Each list holds what goes with those above it.
function fillFields() {
  let left = held.streams;
  for (const field of FIELDS) {
    options($(field), [...new Set(left.map((stream) => stream[field] ?? ""))].sort(), (value) => wordOf(field, value));
    left = left.filter((stream) => (stream[field] ?? "") === $(field).value);
  }
  options($("stream"), left.map((stream) => stream.name), (name) => left.find((stream) => stream.name === name).title);
}

// The lists go to the stream that was added last.
function follow() {
  const stream = view.channels.map(streamOf).findLast(Boolean);
  if (!stream || $("stream").value === stream.name) return;
  fillFields();
  for (const field of FIELDS) {
    $(field).value = stream[field] ?? "";
    fillFields();
  }
  $("stream").value = stream.name;
}


// What a typed name may be, a few of it: a list of 20,000 would hold up the page.
function fillNames() {
  const part = $("name").value.toLowerCase();
  const streams = held.streams.map(({name, title}) => [name, title]);
  // With its spec where there are several.
  const several = held.channels.some(({spec}) => spec !== held.channels[0].spec);
  const found = [...streams, ...held.channels.map((each) => [several ? keyOf(each) : each.name, each.title])];
  const some = found.filter((words) => words.join(" ").toLowerCase().includes(part)).slice(0, 40);
  $("names").replaceChildren(...some.map(([name, title]) => new Option(title ? `${name} · ${title}` : name, name)));
}

function named(text) {
  if (held.streams.some(({name}) => name === text)) return {name: text};
  const found = held.channels.find((each) => each.name === text || keyOf(each) === text);
  return found && {spec: found.spec, name: found.name};
}

// --- drawing ------------------------------------------------------------------------------

// From the first to the last time of what is known of the channels; null if nothing is.
function whole(channels) {
  const times = [];
  for (const channel of channels) {
    if (channel.spec === undefined) {
      const stream = streamOf(channel);
      // The last record's time is when its sample begins: one second more and it is in the span.
      if (stream && stream.first !== null) times.push(stream.first, stream.last + 1);
    } else {
      const days = held.days.filter((day) => (!channel.spec || day.spec === channel.spec) && day.file);
      times.push(...days.flatMap((day) => [day.start, day.end]));
    }
  }
  return times.length ? [least(times), most(times)] : null;
}

function parametersOf(channel, [start, end]) {
  const {spec, name} = channel;
  if (spec === undefined) return ["values", {name, kind: kindOf(channel), start, end, ...(view.band && {band: 1})}];
  return ["day-values", {name, ...(spec && {spec}), start, end}];
}

// [start, end] of a view in GPS seconds, as far as they are known; what people typed the server reads.
async function spanOf(view, signal) {
  const all = whole(view.channels) ?? [null, null];
  if (view.last !== null && all[1] !== null) return [Math.max(all[1] - view.last, 0), all[1]];
  const {start, end} = view;
  if (typeof start !== "string" && typeof end !== "string") return [start ?? all[0], end ?? all[1]];
  const told = await ask("span", {from: start ?? "", to: end ?? ""}, signal);
  return [told.start ?? all[0], told.end ?? all[1]];
}

async function draw() {
  asked.abort();
  asked = new AbortController();
  const {signal} = asked;
  $("status").hidden = !view.status;
  $("view").hidden = $("controls").hidden = view.status;
  document.querySelector("main").classList.toggle("alone", view.status);
  if (view.status) return showStatus();
  if (firstSight) overview();
  $("overview").hidden = !firstSight;
  firstSight = false;
  follow();
  fillForm();
  if (!view.channels.length) return blank("Choose a channel and add it: its whole time is shown first.");
  try {
    span = await spanOf(view, signal);
    fillForm();
    if (span.includes(null)) return blank("", reasons(view.channels), true);
    if (!span.every(isTime)) return blank("", "No such time in the link: times go from 1980 to 2047");
    if (span[0] >= span[1]) return blank("", "The span is empty: it ends before it begins.");
    say("Loading…");
    const answers = await Promise.allSettled(
      view.channels.map(async (channel) => (await ask(...parametersOf(channel, span), signal)).series[0]),
    );
    if (signal.aborted) return;
    const found = view.channels.map((channel, at) => ({channel, at, ...answers[at]}));
    await chart;
    // Another view may have been asked for while the chart library came.
    if (!signal.aborted) await plot(found);
  } catch (error) {
    if (!signal.aborted) blank("", error.message, true);
  }
}

// Why there is nothing to draw of channels that have no time.
function reasons(channels) {
  return channels.map((channel) => {
    const {spec, name} = channel, stream = streamOf(channel);
    if (!stream) return spec === undefined ? `No such stream: ${name}` : `No day has the channel: ${name}`;
    return stream.problem || `The stream has no record yet; it may be about to be imported: ${name}`;
  }).join("\n");
}

// --- moving in time -----------------------------------------------------------------------

// No view is shorter than two milliseconds, or goes beyond the times that there are.
function move(start, end) {
  const middle = (start + end) / 2, half = Math.max((end - start) / 2, 0.001);
  const round = (time) => Math.min(Math.max(Number(time.toFixed(end - start > 1000 ? 0 : 4)), 0), 2 ** 31 - 1);
  show({start: round(middle - half), end: round(middle + half), last: null});
}

const MOVES = {
  earlier: (start, end) => move(start - (end - start) / 2, end - (end - start) / 2),
  later: (start, end) => move(start + (end - start) / 2, end + (end - start) / 2),
  in: (start, end) => move(start + (end - start) / 4, end - (end - start) / 4),
  out: (start, end) => move(start - (end - start) / 2, end + (end - start) / 2),
  // Streams grow: how far they go is asked again.
  whole: () => lately({start: null, end: null, last: null}),
};

const lately = (change) => learn().then(() => show(change), (error) => tell(error.message, true));

function fillForm() {
  for (const radio of document.querySelectorAll("input[name=kind]")) radio.checked = radio.value === (view.kind ?? "");
  for (const name of ["log", "band", "local", "refresh"]) $(name).checked = view[name];
  for (const name of ["low", "high"]) $(name).value = view[name] ?? "";
  for (const button of document.querySelectorAll("[data-last]")) {
    button.ariaPressed = String(Number(button.dataset.last) === view.last);
  }
  const [start, end] = view.channels.length && span ? span : [null, null];
  written = [isTime(start) ? writtenOf(start) : "", isTime(end) ? writtenOf(Math.ceil(end)) : ""];
  [$("from").value, $("to").value] = written;
}

// --- the start ----------------------------------------------------------------------------

function wire() {
  const on = (selector, event, act) => {
    for (const each of document.querySelectorAll(selector)) each.addEventListener(event, act);
  };
  const onForm = (selector, act) => on(selector, "submit", (event) => (event.preventDefault(), act()));
  for (const field of FIELDS) on(`#${field}`, "change", fillFields);
  onForm("#choice", () => add({name: $("stream").value}));
  on("#name", "input", fillNames);
  onForm("#typed", () => {
    const text = $("name").value.trim(), channel = named(text);
    if (!channel) return tell(text ? `No such stream or channel: ${text}` : "No name was typed");
    $("name").value = "";
    fillNames();
    add(channel);
  });
  onForm("#span", async () => {
    // Who types a month into From, and leaves in Until what the page wrote there, wants that month.
    const [from, to] = [$("from").value, $("to").value];
    const left = to === written[1] && from !== written[0];
    try {
      const {start, end} = await ask("span", {from, to: left ? "" : to});
      await show({start, end: end ?? (left && span ? span[1] : null), last: null});
    } catch (error) {
      tell(error.message);
    }
  });
  onForm("#looks", () => {
    const ends = {};
    for (const name of ["low", "high"]) {
      const text = $(name).value.trim(), value = text ? Number(text) : null;
      if (Number.isNaN(value)) return tell(`No number for the y axis: ${text}`);
      ends[name] = value;
    }
    const {low, high} = ends;
    if (low !== null && high !== null && low >= high) return tell("The y axis is empty: it ends before it begins");
    tell("");
    show(ends);
  });
  on("input[name=kind]", "change", (event) => show({kind: event.target.value || null}));
  for (const name of ["log", "band", "local", "refresh"]) {
    on(`#${name}`, "change", (event) => show({[name]: event.target.checked}));
  }
  on("[data-move]", "click", (event) => MOVES[event.target.dataset.move](...span));
  on("[data-last]", "click", (event) => lately({start: null, end: null, last: Number(event.target.dataset.last)}));
  on("#png", "click", () => savePicture().catch((error) => tell(`No picture could be made: ${error.message}`)));
  on("#again", "click", start);
  on(".what", "click", (event) => {
    $("glossary").showModal();
    $(`term-${event.currentTarget.dataset.term}`)?.scrollIntoView();
  });
  window.addEventListener("popstate", follows);
  dark.addEventListener("change", () => view.channels.length && !$("controls").inert && draw());
  setInterval(() => {
    if (!(view.refresh || view.status) || document.hidden || $("controls").inert) return;
    learn().then(draw, (error) => tell(error.message, true));
  }, REFRESH);
}

// Show what the address says.
function follows() {
  if ($("controls").inert) return;
  const bare = location.hash.length < 2;
  view = bare ? beginning() : viewOf(location.hash);
  firstSight = bare;
  if (!bare || view.channels.length) return draw();
  $("overview").hidden = true;
  fillForm();
  blank("There is nothing to show yet: the server has no streams and no days. import-streams and make write them.");
}

// Ask what the server has, and offer it.
async function learn() {
  const lists = [ask("streams"), ask("days"), ask("channels"), learnLeaps()];
  const [{streams, words}, {days}, {channels}] = await Promise.all(lists);
  Object.assign(held, {streams, days, channels, words});
  holdings();
  fillFields();
  fillNames();
}

async function start() {
  tell("");
  say("Loading…");
  try {
    await learn();
  } catch (error) {
    $("holdings").textContent = "";
    return blank("", error.message, true);
  }
  $("controls").inert = false;
  const shown = follows();
  if (view.channels.length && window.innerWidth < 800) $("choose").open = false;
  return shown;
}

wire();
start();
