// The page of the streams server: what is chosen, what the server is asked, what is drawn.
//
// What is shown is a view: channels, kind, span and scale.  The address of the page holds it (after the #), so a
// link, and the browser's back button, bring it again.  Each change goes one way: show() puts the new view into
// the address and draws it; draw() asks the server for the span, as fine as it goes, and hands it to plotly.
// Times are GPS seconds everywhere but in the plot and in the fields, which are UTC.
"use strict";

const $ = (id) => document.getElementById(id);
const FIELDS = ["site", "subsystem", "station", "sensor", "sampling"];
const MOST_CHANNELS = 12;
const A_TIME = "UTC as 2024-04-10 or 2024-04-10 06:00:00, or GPS seconds";
// Each curve has a colour, a dash and a symbol of its own, so that it is told from others without colour.
// The colours have a contrast of at least 4.5 on white.
const COLOURS = ["#005a9c", "#b03a00", "#1a6b3c", "#7b3294", "#7a5c00", "#3d4852"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
const KEYS = ["──●──", "╌╌■╌╌", "···◆···", "─·▲·─", "━ ✚ ━", "─··✖··─"]; // the same in the list of curves

const held = {streams: [], days: [], channels: [], leaps: []}; // what the server has
let view = {channels: [], kind: "mean", start: null, end: null, log: false};
let span = null; // [start, end) that is drawn
let asked = new AbortController(); // of the drawing under way
const chart = new Promise((ready, failed) => {
  $("chart").addEventListener("load", ready);
  // It may have come, or failed, before this script: then only the window's own load tells.
  const missing = new Error("The chart library did not come: is it installed?");
  window.addEventListener("load", () => (window.Plotly ? ready() : failed(missing)));
  if (window.Plotly) ready();
});
chart.catch(() => {}); // told when something is drawn

// --- the server ---------------------------------------------------------------------------

const address = (what, parameters) => `/api/${what}?${new URLSearchParams(parameters)}`;

// The server's answer; an Error whose message is for people if there is none.
async function ask(what, parameters, signal) {
  let answer, told;
  try {
    answer = await fetch(address(what, parameters), {signal, headers: {Accept: "application/json"}});
    told = await answer.json().catch(() => null);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is serve-streams running, and this computer connected?");
  }
  if (!answer.ok || !told) throw new Error(told?.error || `The server's answer is of no use (status ${answer.status})`);
  return told;
}

// --- times --------------------------------------------------------------------------------

// GPS minus Unix time, by the GPS second from which it holds.  Leap seconds come at the end of June and of December.
async function learnLeaps() {
  const days = [];
  for (let year = 1981; year <= new Date().getUTCFullYear() + 1; year++) days.push(`${year}-01-01`, `${year}-07-01`);
  const told = await ask("time", days.map((day) => ["t", day]));
  held.leaps = [{from: -Infinity, offset: told.times[0].gps - Date.parse(days[0]) / 1000}];
  told.times.forEach(({gps}, at) => {
    const offset = gps - Date.parse(days[at]) / 1000;
    if (offset !== held.leaps.at(-1).offset) held.leaps.push({from: gps, offset});
  });
}

const unixOf = (gps) => gps - held.leaps.findLast((leap) => leap.from <= gps).offset;
const gpsOf = (unix) => unix + (held.leaps.findLast((leap) => leap.from - leap.offset <= unix)?.offset ?? NaN);
const isTime = (gps) => gps >= 0 && gps < 2 ** 31; // as far as the server counts; not for NaN
// UTC as plotly reads it: 2024-04-10T00:00:00.000, with no zone that anything could convert.
const utcOf = (gps) => new Date(Math.round(unixOf(gps) * 1000)).toISOString().slice(0, -1);
const UTC = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?Z?$/;

// The GPS seconds of a time as people write it, GPS or UTC; NaN if it is neither.
function gpsOfText(text) {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const [, day, time] = UTC.exec(text) ?? [];
  const unix = Date.parse(`${day}T${time ?? "00:00"}Z`);
  // Of 30 February some browsers make 1 March.
  return new Date(unix || 0).toISOString().startsWith(day) ? gpsOf(unix / 1000) : NaN;
}

const writtenOf = (gps) => utcOf(gps).slice(0, 19).replace("T", " ");
const said = (gps) => `${writtenOf(gps)} UTC`;

// --- the view and the address -------------------------------------------------------------

const keyOf = (channel) => (channel.spec === undefined ? "" : `${channel.spec}/`) + channel.name;

function addressOf(view) {
  const query = new URLSearchParams();
  for (const channel of view.channels) query.append(channel.spec === undefined ? "s" : "d", keyOf(channel));
  query.set("kind", view.kind);
  for (const name of ["start", "end"]) if (view[name] !== null) query.set(name, view[name]);
  if (view.log) query.set("log", "1");
  return `#${query}`;
}

// The view of the page's address: s=STREAM, d=SPEC/CHANNEL, kind, start, end (GPS or UTC), log.
function viewOf(hash) {
  const query = new URLSearchParams(hash.slice(1));
  const found = {channels: [], kind: query.get("kind") === "rms" ? "rms" : "mean", log: query.get("log") === "1"};
  for (const [name, value] of query) {
    const cut = value.indexOf("/");
    if (name === "s") found.channels.push({name: value});
    if (name === "d") found.channels.push({spec: value.slice(0, Math.max(0, cut)), name: value.slice(cut + 1)});
  }
  found.channels = found.channels.slice(0, MOST_CHANNELS);
  for (const name of ["start", "end"]) {
    const text = query.get(name);
    found[name] = text ? gpsOfText(text) : null;
  }
  return found;
}

function show(change) {
  view = {...view, ...change};
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

function options(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => new Option(value || "–", value)));
  if (values.includes(before)) select.value = before;
}

// Each list holds what goes with those above it.
function fillFields() {
  let left = held.streams;
  for (const field of FIELDS) {
    options($(field), [...new Set(left.map((stream) => stream[field] ?? ""))].sort());
    left = left.filter((stream) => (stream[field] ?? "") === $(field).value);
  }
  options($("stream"), left.map((stream) => stream.name));
}

// The name of a channel as it is typed; with its spec where there are several.
const typed = (channel) => (new Set(held.channels.map((each) => each.spec)).size > 1 ? keyOf(channel) : channel.name);

// What a typed name may be, a few of it: a list of 20,000 would hold up the page.
function fillNames() {
  const part = $("name").value.toLowerCase();
  const found = [...held.streams.map(({name}) => name), ...held.channels.map(typed)];
  const some = found.filter((name) => name.toLowerCase().includes(part)).slice(0, 40);
  $("names").replaceChildren(...some.map((name) => new Option(name, name)));
}

function named(text) {
  if (held.streams.some(({name}) => name === text)) return {name: text};
  const found = held.channels.find((each) => each.name === text || keyOf(each) === text);
  return found && {spec: found.spec, name: found.name};
}

function holdings() {
  const days = held.days.map((day) => day.day).sort();
  const last = days.length > 1 ? ` to ${days.at(-1)}` : "";
  const more = days.length ? `; channels of days: ${held.channels.length}, ${days[0]}${last}` : "";
  $("holdings").textContent = `Streams: ${held.streams.length}${more}`;
  $("name").placeholder = (held.streams[0] ?? held.channels[0])?.name ?? "";
  $("fields").hidden = !held.streams.length;
}

// --- messages -----------------------------------------------------------------------------

const put = (id, text) => Object.assign($(id), {textContent: text, hidden: !text});
const say = (message) => put("message", message);
const tell = (problem, retry = false) => (put("problem", problem), ($("again").hidden = !retry));

// --- drawing ------------------------------------------------------------------------------

// From the first to the last time of what is known of the channels; null if nothing is.
function whole(channels) {
  const times = [];
  for (const {spec, name} of channels) {
    if (spec === undefined) {
      const stream = held.streams.find((each) => each.name === name);
      // The last record's time is when its sample begins: one second more and it is in the span.
      if (stream && stream.first !== null) times.push(stream.first, stream.last + 1);
    } else {
      const days = held.days.filter((day) => (!spec || day.spec === spec) && day.channels !== null);
      times.push(...days.flatMap((day) => [day.start, day.end]));
    }
  }
  return times.length ? [least(times), most(times)] : null;
}

function parametersOf(channel, [start, end]) {
  if (channel.spec === undefined) return ["values", {name: channel.name, kind: view.kind, start, end}];
  return ["day-values", {name: channel.name, ...(channel.spec && {spec: channel.spec}), start, end}];
}

async function draw() {
  asked.abort();
  asked = new AbortController();
  const {signal} = asked;
  fillForm();
  if (!view.channels.length) return blank("Choose a channel and add it: its whole time is shown first.");
  const [start, end] = whole(view.channels) ?? [null, null];
  span = [view.start ?? start, view.end ?? end];
  if (span.includes(null)) return blank("", reasons(view.channels), true);
  if (!span.every(isTime)) return blank("", `No such time in the link, want ${A_TIME}`);
  if (span[0] >= span[1]) return blank("", "The span is empty: it ends before it begins.");
  say("Loading…");
  try {
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
  return channels.map(({spec, name}) => {
    const stream = spec === undefined && held.streams.find((each) => each.name === name);
    if (!stream) return spec === undefined ? `No such stream: ${name}` : `No day has the channel: ${name}`;
    return stream.problem || `The stream has no record yet; it may be about to be imported: ${name}`;
  }).join("\n");
}

function blank(message, problem = "", retry = false) {
  if (window.Plotly) Plotly.purge($("plot"));
  $("plot").classList.remove("drawn");
  $("plot").setAttribute("aria-label", "No plot");
  $("tools").hidden = $("shown").hidden = true;
  legend(view.channels.map((channel, at) => ({channel, at, facts: "", bad: true})));
  say(message);
  tell(problem, retry);
}

async function plot(found) {
  const good = found.filter((each) => each.status === "fulfilled");
  const bad = found.filter((each) => each.status === "rejected").map((each) => each.reason.message);
  if (!good.length) return blank("", [...new Set(bad)].join("\n"), true);
  $("tools").hidden = $("shown").hidden = false;
  legend(found.map((each) => ({...each, ...factsOf(each)})));
  const units = [...new Set(good.map((each) => each.value.unit ?? ""))];
  // The smallest value above 0: where a band that reaches 0 ends on a logarithmic scale.
  const all = good.flatMap(({value}) => [...valuesOf(value), ...(value.min ?? [])]);
  const floor = least(all.filter((value) => value > 0));
  const traces = good.flatMap((each) => tracesOf(each, units.indexOf(each.value.unit ?? ""), floor));
  const config = {displayModeBar: false, doubleClick: false, responsive: true};
  await Plotly.react($("plot"), traces, layoutOf(good, units), config);
  performance.mark("drawn");
  if (!$("plot").classList.contains("drawn")) listen();
  $("plot").classList.add("drawn");
  const names = good.map((each) => each.channel.name).join(", "), times = `${said(span[0])} to ${said(span[1])}`;
  $("plot").setAttribute("aria-label", `Plot of ${names} from ${times}; the list of channels tells the values`);
  $("shown").textContent = `${times} (GPS ${span[0]} to ${span[1]})`;
  tell([...new Set(bad)].join("\n"), bad.length > 0);
  say(remark(good.flatMap((each) => present(valuesOf(each.value))), times));
}

// What is to be said of the values that came: that there are none, or that not all of them can be shown.
function remark(values, times) {
  const all = whole(view.channels), low = view.log ? values.filter((value) => value <= 0).length : 0;
  const where = all ? ` Data goes from ${said(all[0])} to ${said(all[1])}.` : "";
  if (!values.length) return `No data from ${times}.${where}`;
  return low ? `A logarithmic scale has no place for values of 0 or less: ${low} of them.` : "";
}

const valuesOf = (series) => series.values ?? series.mean;
const present = (values) => values.filter((value) => value !== null);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const short = (value) => String(Number(value.toPrecision(5)));

// In words what the curve shows, for those who cannot see it.
function factsOf({status, value: series, reason}) {
  if (status === "rejected") return {facts: reason.message, bad: true};
  const values = valuesOf(series);
  const there = present(values);
  const unit = series.unit ? ` ${series.unit}` : "";
  if (!there.length) return {facts: "no data in this time", bad: true};
  const low = short(least(present(series.min ?? values))), high = short(most(present(series.max ?? values)));
  const gaps = values.length - there.length, missing = gaps ? `, ${gaps} of them without data` : "";
  return {facts: `${low} to ${high}${unit}, ${values.length} points${missing}`, bad: false};
}

function legend(found) {
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  $("legend").replaceChildren(...found.map(({channel, at, facts, bad}) => {
    const {name} = channel, {colour, dash} = styleOf(at);
    const key = make("span", {className: "key", textContent: KEYS[dash], ariaHidden: "true"});
    key.style.color = colour;
    const remove = make("button", {type: "button", textContent: "Remove", ariaLabel: `Remove ${name}`});
    remove.addEventListener("click", () => {
      $("legend").focus(); // the button goes: the focus must not be lost with it
      show({channels: view.channels.filter((other) => keyOf(other) !== keyOf(channel))});
    });
    const [what, parameters] = bad ? [] : parametersOf(channel, span);
    const href = address(what, {...parameters, format: "csv"});
    const csv = bad ? "" : make("a", {textContent: "CSV", href, download: "", ariaLabel: `CSV of ${name}`});
    const item = document.createElement("li");
    const acts = make("span", {className: "acts"});
    acts.append(csv, remove);
    const told = make("span", {className: bad ? "facts none" : "facts", textContent: facts});
    item.append(key, make("span", {className: "name", textContent: name}), told, acts);
    return item;
  }));
}

// Six colours; after six curves the same colours come with other dashes and symbols.
function styleOf(at) {
  const dash = (at + Math.floor(at / COLOURS.length)) % DASHES.length;
  return {colour: COLOURS[at % COLOURS.length], dash, symbol: SYMBOLS[dash]};
}

// plotly reads some HTML, and %{...}, in texts that it draws: a name is to be read as it is.
const ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%{": "%\u200b{"};
const plain = (text) => text.replace(/[&<>]|%\{/g, (found) => ENTITIES[found]);

function tracesOf({channel, at, value: series}, panel, floor) {
  const {colour, dash, symbol} = styleOf(at);
  const values = valuesOf(series);
  const name = plain(channel.name), unit = plain(series.unit ?? "");
  const axes = {xaxis: "x", yaxis: panel ? `y${panel + 1}` : "y"};
  const x = series.times.map(utcOf);
  const hover = `${name}<br>%{x|%Y-%m-%d %H:%M:%S} UTC<br>GPS %{customdata}<br>%{y:.6~g} ${unit}<extra></extra>`;
  const curve = {
    ...axes, name, x, y: values, customdata: series.times, type: "scatter", connectgaps: false, hovertemplate: hover,
    mode: "lines+markers", line: {color: colour, dash: DASHES[dash], width: 1.8},
    marker: {color: colour, symbol, size: 8, maxdisplayed: 12},
  };
  // A value with a gap on both sides is a line of no length: it gets a symbol.
  const alone = (i) => values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
  const lone = values.map((value, i) => (alone(i) ? value : null));
  const traces = series.min ? [bandOf(series, x, floor, colour, {...axes, name}), curve] : [curve];
  if (lone.some((value) => value !== null)) {
    traces.push({...curve, y: lone, mode: "markers", showlegend: false, marker: {color: colour, symbol, size: 6}});
  }
  return traces;
}

// The band between min and max: a closed shape for each stretch without a gap.
function bandOf(series, x, floor, colour, rest) {
  const shape = {x: [], y: []};
  let from = 0;
  const there = (i) => i < x.length && series.min[i] !== null && series.max[i] > (view.log ? 0 : -Infinity);
  for (let i = 0; i <= x.length; i++) {
    if (there(i)) continue;
    if (i > from) {
      const low = series.min.slice(from, i).map((value) => (view.log ? Math.max(value, floor) : value));
      shape.x.push(...x.slice(from, i), ...x.slice(from, i).reverse(), x[from], null);
      shape.y.push(...series.max.slice(from, i), ...low.reverse(), series.max[from], null);
    }
    from = i + 1;
  }
  return {
    ...rest, ...shape, type: "scatter", mode: "lines", fill: "toself", fillcolor: `${colour}33`, hoverinfo: "skip",
    line: {color: `${colour}88`, width: 1}, showlegend: false,
  };
}

// A panel for each unit, one over the other, all with the same time.
function layoutOf(good, units) {
  const narrow = $("plot").clientWidth < 560;
  const lines = {gridcolor: "#d5dade", linecolor: "#767f89", showline: true};
  const layout = {
    height: (narrow ? 360 : 440) + 210 * (units.length - 1),
    margin: {l: 62, r: 12, t: 12, b: 48}, font: {family: "system-ui, sans-serif", size: 12, color: "#1b1f23"},
    hovermode: "closest", dragmode: "zoom", showlegend: false, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
    hoverlabel: {align: "left", bgcolor: "#fff", font: {color: "#1b1f23"}},
    xaxis: {
      ...lines, type: "date", range: span.map(utcOf), title: {text: "Time (UTC)", standoff: 8}, automargin: true,
      nticks: narrow ? 4 : 10,
      ticks: "outside", anchor: units.length > 1 ? `y${units.length}` : "y",
    },
  };
  units.forEach((unit, at) => {
    const ones = good.filter((each) => (each.value.unit ?? "") === unit);
    const kinds = [...new Set(ones.map((each) => (each.value.min ? "min, mean, max" : view.kind)))];
    const step = 1 / units.length, gap = at ? 0.06 * step : 0;
    const none = ones.every((each) => !present(valuesOf(each.value)).length);
    layout[at ? `yaxis${at + 1}` : "yaxis"] = {
      ...lines, ticks: none ? "" : "outside", showticklabels: !none, showgrid: !none,
      title: {text: `${kinds.join("; ")} (${plain(unit) || "no unit"})${none ? "<br>no data in this time" : ""}`},
      type: view.log ? "log" : "linear",
      domain: [1 - (at + 1) * step, 1 - at * step - gap], fixedrange: true, automargin: true, zeroline: false,
      exponentformat: "e", // "power" would set styles that the Content-Security-Policy forbids
    };
  });
  return layout;
}

// --- moving in time -----------------------------------------------------------------------

function listen() {
  $("plot").on("plotly_relayout", (change) => {
    const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (range[0] && range[1]) move(...range.map((text) => gpsOfText(String(text))));
  });
  $("plot").on("plotly_doubleclick", MOVES.whole);
}

// No view is shorter than two milliseconds, or goes beyond the times that there are.
function move(start, end) {
  const middle = (start + end) / 2, half = Math.max((end - start) / 2, 0.001);
  const round = (time) => Math.min(Math.max(Number(time.toFixed(end - start > 1000 ? 0 : 4)), 0), 2 ** 31 - 1);
  show({start: round(middle - half), end: round(middle + half)});
}

const MOVES = {
  earlier: (start, end) => move(start - (end - start) / 2, end - (end - start) / 2),
  later: (start, end) => move(start + (end - start) / 2, end + (end - start) / 2),
  in: (start, end) => move(start + (end - start) / 4, end - (end - start) / 4),
  out: (start, end) => move(start - (end - start) / 2, end + (end - start) / 2),
  // Streams grow: how far they go is asked again.
  whole: () => learn().then(() => show({start: null, end: null}), (error) => tell(error.message, true)),
};

function fillForm() {
  for (const radio of document.querySelectorAll("input[name=kind]")) radio.checked = radio.value === view.kind;
  $("log").checked = view.log;
  const all = whole(view.channels);
  const [start, end] = [view.start ?? all?.[0], Math.ceil(view.end ?? all?.[1])];
  $("from").value = isTime(start) ? writtenOf(start) : "";
  $("to").value = isTime(end) ? writtenOf(end) : "";
}

async function savePicture() {
  const {data, layout} = $("plot");
  const names = view.channels.map((channel) => channel.name).join("_").replace(/[^\w.-]+/g, "_").slice(0, 80);
  // The list of curves stands beside the plot on the page; the picture has to hold it.
  const top = {t: 30 + 22 * view.channels.length}, key = {orientation: "v", x: 0, y: 1.02, yanchor: "bottom"};
  const size = {width: 1200, height: layout.height + 120 + top.t};
  const margin = {...layout.margin, ...top};
  const figure = {data, layout: {...layout, ...size, showlegend: true, legend: key, margin}};
  const link = document.createElement("a");
  link.href = await Plotly.toImage(figure, {format: "png", ...size, scale: 2});
  link.download = `${names}_${Math.round(span[0])}.png`;
  link.click();
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
  onForm("#span", () => {
    const texts = [$("from").value.trim(), $("to").value.trim()];
    const [start, end] = texts.map((text) => (text ? gpsOfText(text) : null));
    const wrong = texts.find((text) => text && !isTime(gpsOfText(text)));
    if (wrong) return tell(`No such time, want ${A_TIME}: ${wrong}`);
    show({start, end});
  });
  on("input[name=kind]", "change", (event) => show({kind: event.target.value}));
  on("#log", "change", () => show({log: $("log").checked}));
  on("[data-move]", "click", (event) => MOVES[event.target.dataset.move](...span));
  on("#png", "click", () => savePicture().catch((error) => tell(`No picture could be made: ${error.message}`)));
  on("#again", "click", start);
  window.addEventListener("popstate", () => {
    view = viewOf(location.hash);
    if (!$("controls").inert) draw();
  });
}

// Ask what the server has, and offer it.
async function learn() {
  const lists = [ask("streams"), ask("days"), ask("channels"), learnLeaps()];
  const [{streams}, {days}, {channels}] = await Promise.all(lists);
  Object.assign(held, {streams, days, channels});
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
  view = viewOf(location.hash);
  if (view.channels.length && window.innerWidth < 800) $("choose").open = false;
  if (view.channels.length || held.streams.length || held.days.length) return draw();
  blank("There is nothing to show yet: the server has no streams and no days. import-streams and make write them.");
}

wire();
start();
