// The plot: what plotly is given for the values that came, and the list of curves beside it.
"use strict";

// Each curve has a colour, a dash and a symbol of its own, so that it is told from others without colour.
// The colours have a contrast of at least 4.5 on their ground.
const COLOURS = ["#005a9c", "#b03a00", "#1a6b3c", "#7b3294", "#7a5c00", "#3d4852"];
const DARK_COLOURS = ["#6cb6ff", "#ff9a5c", "#6fd08c", "#d7a6f5", "#e3c14f", "#c3ccd5"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x"];
const KEYS = ["──●──", "╌╌■╌╌", "···◆···", "─·▲·─", "━ ✚ ━", "─·✖··─"]; // the same in the list of curves
const dark = window.matchMedia("(prefers-color-scheme: dark)"), printing = window.matchMedia("print");
let shownNow = null; // what is drawn
// Paper is white.
printing.addEventListener("change", () => dark.matches && shownNow && plot(shownNow));

const chart = new Promise((ready, failed) => {
  $("chart").addEventListener("load", ready);
  // It may have come, or failed, before this script: then only the window's own load tells.
  const missing = new Error("The chart library did not come: is it installed?");
  window.addEventListener("load", () => (window.Plotly ? ready() : failed(missing)));
  if (window.Plotly) ready();
});
chart.catch(() => {}); // told when something is drawn

const valuesOf = (series) => series.values ?? series.mean;
const present = (values) => values.filter((value) => value !== null);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
const short = (value) => String(Number(value.toPrecision(5)));
function blank(message, problem = "", retry = false) {
  if (window.Plotly) Plotly.purge($("plot"));
  $("plot").classList.remove("drawn");
  shownNow = null;
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
  const all = good.flatMap(({value}) => [...valuesOf(value), ...(value.min ?? []), ...(value.max ?? [])]);
  const floor = least(all.filter((value) => value > 0));
  const traces = good.flatMap((each) => tracesOf(each, units.indexOf(each.value.unit ?? ""), floor, good.length > 1));
  const strips = good.filter((each) => each.value.covered);
  const layout = layoutOf(good, units, strips.length);
  traces.push(...strips.map((each, at) => stripOf(each, units.length, strips.length - 1 - at)));
  const config = {displayModeBar: false, doubleClick: false, responsive: true, showTips: false};
  shownNow = found;
  await Plotly.react($("plot"), traces, layout, config);
  performance.mark("drawn");
  if (!$("plot").classList.contains("drawn")) listen();
  $("plot").classList.add("drawn");
  const names = good.map((each) => each.channel.name).join(", "), times = `${said(span[0])} to ${said(span[1])}`;
  $("plot").setAttribute("aria-label", `Plot of ${names} from ${times}; the list of channels tells the values`);
  const local = view.local ? ` Local time: ${localOf(span[0])} to ${localOf(span[1])}.` : "";
  $("shown").textContent = `${times} (GPS ${span[0]} to ${span[1]}). ${pointsOf(good)}${local}`;
  put("reason", strips.length ? "Point at a hole in the strip below the plot: here stands why it is there." : "");
  tell([...new Set(bad)].join("\n"), bad.length > 0);
  say(remark(good.flatMap((each) => present(valuesOf(each.value))), times));
}

// How long one point is, of each kind that is shown.
function pointsOf(good) {
  const told = good.map(({value: series, channel}) => {
    if (series.values) return series.step ? lasting(series.step) : "one sample";
    const step = (span[1] - span[0]) / Math.max(1, series.times.length);
    const rate = channelOf(channel)?.rate;
    return rate && step * rate < 1.5 ? "one sample" : lasting(step);
  });
  const band = view.band && good.some(({value}) => isBanded(value));
  return `One point = ${[...new Set(told)].join(", or ")}.${band ? " Band: smallest to largest sample in it." : ""}`;
}

const isBanded = (series) => series.min && series.max.some((value, i) => value !== series.min[i]);

// What is to be said of the values that came: that there are none, or that not all of them can be shown.
function remark(values, times) {
  const all = whole(view.channels), low = view.log ? values.filter((value) => value <= 0).length : 0;
  const where = all ? ` Data goes from ${said(all[0])} to ${said(all[1])}.` : "";
  if (!values.length) return `No data from ${times}.${where}`;
  return low ? `A logarithmic scale has no place for values of 0 or less: ${low} of them.` : "";
}

// In words what the curve shows, for those who cannot see it.
function factsOf({status, value: series, reason, channel}) {
  if (status === "rejected") return {facts: reason.message, bad: true};
  const values = valuesOf(series);
  const there = present(values);
  const unit = series.unit ? ` ${series.unit}` : "";
  if (!there.length) return {facts: "no data in this time", bad: true};
  const low = short(least(present(series.min ?? values))), high = short(most(present(series.max ?? values)));
  const gaps = values.length - there.length, missing = gaps ? `, ${gaps} of them without data` : "";
  const kind = series.values ? `${kindOf(channel)}, ` : "";
  return {facts: `${kind}${low} to ${high}${unit}, ${values.length} points${missing}`, bad: false};
}

function legend(found) {
  $("legend").replaceChildren(...found.map(({channel, at, facts, bad}) => {
    const {name} = channel, {colour, dash} = styleOf(at);
    const line = found.length > 1 ? KEYS[dash] : "─────";
    const key = make("span", {className: "key", textContent: line, ariaHidden: "true"});
    key.style.color = colour;
    const remove = make("button", {type: "button", textContent: "Remove", ariaLabel: `Remove ${name}`});
    remove.addEventListener("click", () => {
      $("legend").focus(); // the button goes: the focus must not be lost with it
      show({channels: view.channels.filter((other) => keyOf(other) !== keyOf(channel))});
    });
    const [what, parameters] = bad ? [] : parametersOf(channel, span);
    const href = address(what, {...parameters, format: "sheet"});
    const csv = bad ? "" : make("a", {textContent: "CSV", href, download: "", ariaLabel: `CSV of ${name}`});
    const title = (streamOf(channel) ?? channelOf(channel))?.title;
    return make("li", {}, key, make("span", {className: "name", textContent: name}),
      title ? make("span", {className: "title", textContent: title}) : "",
      make("span", {className: bad ? "facts none" : "facts", textContent: facts}),
      make("span", {className: "acts"}, csv, remove));
  }));
}

// Six colours; after six curves the same colours come with other dashes and symbols.
function styleOf(at) {
  const dash = (at + Math.floor(at / COLOURS.length)) % DASHES.length;
  return {colour: (dark.matches && !printing.matches ? DARK_COLOURS : COLOURS)[at % COLOURS.length], dash, symbol: SYMBOLS[dash]};
}

// plotly reads some HTML, and %{...}, in texts that it draws: a name is to be read as it is.
const ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "%{": "%\u200b{"};
const plain = (text) => text.replace(/[&<>]|%\{/g, (found) => ENTITIES[found]);

// several: whether there are other curves, from which symbols tell this one.
function tracesOf({channel, at, value: series}, panel, floor, several) {
  const {colour, dash, symbol} = styleOf(at);
  const values = valuesOf(series);
  const name = plain(channel.name), unit = plain(series.unit ?? "");
  const axes = {xaxis: "x", yaxis: panel ? `y${panel + 1}` : "y"};
  const x = series.times.map(utcOf), banded = view.band && isBanded(series);
  const parts = banded ? "<br>%{text}" : "";
  const time = "%{x|%Y-%m-%d %H:%M:%S} UTC<br>GPS %{customdata}";
  const hover = `${name}<br>${time}<br>%{y:.6~g} ${unit}${parts}<extra></extra>`;
  const more = (i) => [
    banded && series.min[i] !== null ? `${short(series.min[i])} to ${short(series.max[i])} ${unit}` : "",
    view.local ? plain(localOf(series.times[i])) : "",
  ].filter(Boolean).join("<br>");
  const curve = {
    ...axes, name, x, y: values, customdata: series.times, type: "scatter", connectgaps: false,
    hovertemplate: view.local && !banded ? hover.replace("<extra>", "<br>%{text}<extra>") : hover,
    mode: several ? "lines+markers" : "lines", line: {color: colour, dash: DASHES[dash], width: 1.8},
    marker: {color: colour, symbol, size: 8, maxdisplayed: 12},
  };
  if (banded || view.local) curve.text = values.map((_, i) => more(i));
  // A value with a gap on both sides is a line of no length: it gets a symbol.
  const alone = (i) => values[i] !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
  const lone = values.map((value, i) => (alone(i) ? value : null));
  const traces = banded ? [bandOf(series, x, floor, colour, {...axes, name}), curve] : [curve];
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

// Below the plot, of a channel of days: how much of each point has samples.  Holes stand out by brightness too.
function stripOf({channel, value: series}, panels, row) {
  const edges = [...series.times, span[1]];
  const theme = themeOf();
  return {
    type: "heatmap", x: edges.map(utcOf), y: [row], z: [series.covered], zmin: 0, zmax: 1, showscale: false,
    xaxis: "x", yaxis: `y${panels + 1}`,
    colorscale: [[0, theme.hole], [0.0001, theme.part], [0.999, theme.full], [1, theme.full]],
    customdata: [series.times.map((_, i) => [keyOf(channel), ...holeAt(series.covered, edges, i)])], ygap: 2,
    hovertemplate: `${plain(channel.name)}<br>%{x|%Y-%m-%d %H:%M:%S} UTC<br>%{z:.1%} is there<extra></extra>`,
  };
}

// [start, end) of the points around one that are not full, and follow one another.
function holeAt(covered, edges, i) {
  if (covered[i] === 1) return [edges[i], edges[i + 1]];
  let first = i, last = i;
  while (first > 0 && covered[first - 1] < 1) first--;
  while (last < covered.length - 1 && covered[last + 1] < 1) last++;
  return [edges[first], edges[last + 1]];
}

function themeOf() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ink", "soft", "line", "faint", "ground", "full", "part", "hole"].map((name) => [name, colour(name)]),
  );
}

// A panel for each unit, one over the other, all with the same time; below them the strips.
function layoutOf(good, units, strips) {
  const narrow = $("plot").clientWidth < 560, theme = themeOf();
  const lines = {gridcolor: theme.faint, linecolor: theme.line, showline: true};
  const height = (narrow ? 360 : 440) + 210 * (units.length - 1) + 22 * strips;
  const below = strips ? (22 * strips + 14) / (height - 60) : 0;
  const bottom = strips || units.length > 1 ? `y${units.length + (strips ? 1 : 0)}` : "y";
  const layout = {
    height, margin: {l: 62, r: 12, t: 12, b: 48}, font: {family: "system-ui, sans-serif", size: 12, color: theme.ink},
    hovermode: "closest", dragmode: "zoom", showlegend: false, paper_bgcolor: theme.ground, plot_bgcolor: theme.ground,
    hoverlabel: {align: "left", bgcolor: theme.ground, font: {color: theme.ink}},
    xaxis: {
      ...lines, type: "date", range: span.map(utcOf), title: {text: "Time (UTC)", standoff: 8}, automargin: true,
      nticks: narrow ? 4 : 10, ticks: "outside", anchor: bottom,
    },
  };
  units.forEach((unit, at) => {
    const ones = good.filter((each) => (each.value.unit ?? "") === unit);
    const kinds = [...new Set(ones.map((each) => (each.value.mean ? "min, mean, max" : kindOf(each.channel))))];
    const step = (1 - below) / units.length, gap = at ? 0.06 * step : 0;
    const none = ones.every((each) => !present(valuesOf(each.value)).length);
    const seen = ({value}) => [valuesOf(value), ...(view.band && value.min ? [value.min, value.max] : [])];
    const all = present(ones.flatMap(seen).flat());
    const largest = most(all.map(Math.abs));
    layout[at ? `yaxis${at + 1}` : "yaxis"] = {
      ...lines, ticks: none ? "" : "outside", showticklabels: !none, showgrid: !none,
      title: {text: `${kinds.join("; ")} (${plain(unit) || "no unit"})${none ? "<br>no data in this time" : ""}`},
      type: view.log ? "log" : "linear", ...rangeOf(all),
      domain: [1 - (at + 1) * step, 1 - at * step - gap], fixedrange: true, automargin: true, zeroline: false,
      // 20k and 1.5M; beyond what has such a letter 1e-21.  "power" would set styles that the policy forbids.
      exponentformat: largest > 1e-14 && largest < 1e15 ? "SI" : "e", minexponent: 4,
    };
  });
  if (strips) {
    layout[`yaxis${units.length + 1}`] = {
      domain: [0, below - 14 / (height - 60)], range: [-0.5, strips - 0.5], fixedrange: true, showgrid: false,
      showticklabels: false, zeroline: false, ticks: "", linecolor: theme.line, showline: true,
    };
  }
  return layout;
}

// The range of a y axis that was asked for; an end that was not is where the values end, and a little more.
function rangeOf(values) {
  if (view.low === null && view.high === null) return {};
  const there = view.log ? values.filter((value) => value > 0).map(Math.log10) : values;
  const ends = [least(there), most(there)], more = 0.05 * (ends[1] - ends[0]) || 1;
  const end = (value) => (value === null || (view.log && value <= 0) ? null : view.log ? Math.log10(value) : value);
  return {range: [end(view.low) ?? ends[0] - more, end(view.high) ?? ends[1] + more]};
}

function listen() {
  $("plot").on("plotly_relayout", (change) => {
    const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (range[0] && range[1]) move(...range.map(gpsOfPlot));
  });
  $("plot").on("plotly_doubleclick", MOVES.whole);
  const point = ({points}) => {
    const hole = points.find((each) => each.data.type === "heatmap" && each.z < 1);
    if (hole) explain(...hole.customdata);
  };
  // A finger does not hover.
  for (const event of ["plotly_hover", "plotly_click"]) $("plot").on(event, point);
}

// Why samples are missing in a span, said below the plot; asked once the pointer rests.
let resting = 0;
function explain(key, start, end) {
  clearTimeout(resting);
  resting = setTimeout(async () => {
    const cut = key.indexOf("/"), spec = key.slice(0, cut), name = key.slice(cut + 1);
    try {
      const {missing, more} = await ask("missing", {name, ...(spec && {spec}), start, end});
      const told = missing.map((each) => {
        const file = each.file ? `, ${each.file}` : "";
        const detail = each.detail ? ` (${each.detail})` : "";
        return `${said(each.start)}, for ${lasting(each.end - each.start)}: ${each.kind}${detail}${file}`;
      });
      put("reason", `${name}: ${told.join("; ") || "nothing is missing"}${more ? "; and more" : ""}`);
    } catch (error) {
      put("reason", error.message);
    }
  }, 150);
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
