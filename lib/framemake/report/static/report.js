// The report: calendar, map, a view for a day and for a channel, all drawn from the files beside this one.
// A page of a disk may not fetch its neighbours, so each file of data is a script that calls framemake(name, content).
// What a channel or file is called comes to the page as text alone: nothing here writes HTML.
"use strict";
(function () {
  const WHOLE = 200, NO_DAY = 255, NO_SET = 0xffff, DAY = 86400, PAGE = 50;
  const WORDS = new Set(["Reason", "Why", "Changes", "UTC"]), held = {}, waiting = {};
  const HERE = document.currentScript.src.replace(/[^/]*$/, "");
  let all = null, view = 0;

  window.framemake = function (name, content) { held[name] = content; };

  function data(name) {
    waiting[name] = waiting[name] || new Promise(function (resolve, reject) {
      const script = document.createElement("script");
      script.src = HERE + name + ".js";
      script.onload = () => (held[name] ? resolve(held[name]) : reject(new Error("is damaged: " + name + ".js")));
      // A report that is made anew takes the folder of this one away.
      script.onerror = () => reject(new Error("cannot be read: " + name + ".js. Has the report been made anew since? Then load this page again."));
      document.head.append(script);
    });
    return waiting[name];
  }

  function numbers(text, Kind) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
    return new Kind(bytes.buffer);
  }

  // --- words ---------------------------------------------------------------------------------

  function el(tag, attributes, ...children) {
    const made = tag === "svg" || el.svg.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.flat(Infinity).filter((each) => each !== null && each !== undefined));
    return made;
  }
  el.svg = new Set(["g", "rect", "line", "circle", "path", "text", "polyline", "polygon"]);

  const two = (value) => String(value).padStart(2, "0");
  function percent(part) {
    return part === null || part === undefined ? "not known" : (Math.floor(part * 1e5) / 1e3).toFixed(part >= 1 - 1e-9 ? 0 : 3) + " %";
  }
  function length(seconds) {
    if (seconds < 120) return +seconds.toFixed(3) + " s";
    if (seconds < 7200) return +(seconds / 60).toFixed(1) + " min";
    return seconds < 2 * DAY ? +(seconds / 3600).toFixed(1) + " h" : +(seconds / DAY).toFixed(1) + " days";
  }
  // The time of a day, so many seconds after its midnight; a day with a leap second has 23:59:60.
  function clock(seconds, day) {
    if (seconds > day.length + 1e-6) return "+" + (1 + Math.floor((seconds - day.length) / DAY)) + " d " + clock((seconds - day.length) % DAY, { length: DAY });
    const whole = Math.floor(seconds + 1e-6), rest = seconds - whole;
    const late = whole >= DAY ? 60 + whole - DAY : whole % 60, minutes = Math.min(1439, Math.floor(whole / 60));
    return two(Math.floor(minutes / 60)) + ":" + two(minutes % 60) + ":" + two(late) + (rest > 1e-5 ? rest.toFixed(3).slice(1) : "");
  }
  const until = (seconds, day) => (seconds === day.length ? "24:00:00" : clock(seconds, day));
  const figure6 = (value) => (Number.isFinite(value) ? String(+value.toPrecision(6)) : "");
  const gps = (value) => String(+value.toFixed(6));
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : "'" + text.replace(/'/g, "'\\''") + "'");
  const count = (number, what) => number + " " + what + (number === 1 ? "" : "s");
  const month = (date) => date.slice(0, 7);
  const size = (bytes) => (bytes >= 1e9 ? (bytes / 1e9).toFixed(1) + " GB" : bytes >= 1e6 ? (bytes / 1e6).toFixed(1) + " MB" : Math.ceil(bytes / 1e3) + " kB");
  const group = (name) => (/^(?:[^:]*:)?([^_-]+)/.exec(name) || [name, name])[1];
  const meaning = (subsystem) => (Object.hasOwn(all.words, subsystem) ? all.words[subsystem] : "");
  const dayLink = (date) => el("a", { href: "#day=" + date }, date);
  // A name that is no Unicode has no address of its own: what is none in it is told as such.
  const written = (name) => name.replace(/\p{Surrogate}/gu, "\ufffd"), channelAt = (name) => "#channel=" + encodeURIComponent(written(name));
  const channelLink = (name) => el("a", { href: channelAt(name) }, name);

  // --- colours: see report.css ---------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)"), printing = matchMedia("print");
  const LIGHT = { whole: [198, 217, 236], loss: [[253, 208, 162], [241, 105, 19], [140, 45, 4]], none: "#ffffff", ink: "#1b1f24", soft: "#505a66", line: "#7d8894", faint: "#d8dde3" };
  const DARK = { whole: [42, 74, 107], loss: [[138, 88, 40], [240, 145, 58], [255, 205, 150]], none: "#14181d", ink: "#e8ecf1", soft: "#aeb8c4", line: "#8793a1", faint: "#37414d" };
  const theme = () => (dark.matches && !printing.matches ? DARK : LIGHT);
  function shade(level) {
    const colours = theme();
    if (level >= WHOLE) return colours.whole;
    // A small loss is to be seen: the part that is lost counts by its square root.
    const at = 2 * Math.sqrt((WHOLE - level) / WHOLE), low = Math.min(1, Math.floor(at)), part = at - low;
    return colours.loss[low].map((value, k) => Math.round(value + part * (colours.loss[low + 1][k] - value)));
  }
  const css = (rgb) => "rgb(" + rgb.join(",") + ")";
  const over = (rgb) => (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 120 ? "#10161d" : "#ffffff");
  const level = (part) => (part === null ? NO_DAY : part >= 1 - 1e-9 ? WHOLE : Math.max(part > 0 ? 1 : 0, Math.min(WHOLE - 1, Math.floor(WHOLE * part))));

  // --- tables --------------------------------------------------------------------------------

  // columns: [title, row -> value to sort by, row -> what is shown (or null: the value), is a number].
  function table(caption, columns, rows, sorted, down) {
    const body = el("tbody"), head = el("tr"), more = el("button", { type: "button" });
    let shown = PAGE, by = sorted, back = down, order = rows.slice();
    function sort() {
      if (by >= 0) {
        const key = columns[by][1];
        const rank = (value) => (value === null || value === undefined || value !== value ? Infinity : value);
        order.sort((a, b) => { const x = rank(key(a)), y = rank(key(b)); return (x < y ? -1 : x > y ? 1 : 0) * (back ? -1 : 1); });
      }
      draw();
    }
    function draw() {
      body.replaceChildren(...order.slice(0, shown).map((row) => el("tr", null, columns.map((column) => {
        const value = column[2] ? column[2](row) : column[1](row);
        return el("td", { class: column[3] ? "number" : column[0] === "Channel" ? "name" : WORDS.has(column[0]) ? "words" : null }, value);
      }))));
      more.hidden = shown >= order.length;
      more.textContent = "Show more (" + (order.length - shown) + " left)";
    }
    columns.forEach((column, at) => {
      const title = el("th", { scope: "col", class: column[3] ? "number" : null });
      title.append(el("button", { type: "button", onclick: () => {
        back = by === at ? !back : false; by = at;
        head.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
        title.setAttribute("aria-sort", back ? "descending" : "ascending");
        sort();
      } }, column[0]));
      if (at === sorted) title.setAttribute("aria-sort", down ? "descending" : "ascending");
      head.append(title);
    });
    more.addEventListener("click", () => { shown += 10 * PAGE; draw(); });
    sort();
    return el("div", { class: "tables" }, el("table", null, el("caption", null, el("span", null, caption)), el("thead", null, head), body), more);
  }

  const facts = (entries) => el("dl", { class: "facts" }, entries.filter((each) => each && each[1] !== "" && each[1] !== null)
    .map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
  const section = (title, ...rest) => el("section", null, el("h2", null, title), rest);

  // --- pictures ------------------------------------------------------------------------------

  // Marks over a span of x; logarithmic where asked.  draw(x, y, box) gives the marks.
  function chart(title, words, x, y, draw) {
    const wide = 600, high = 200, left = 62, right = 12, top = 10, bottom = 26;
    const scale = (axis, from, to) => {
      const move = axis.log ? Math.log10 : (value) => value, low = move(axis.from), span = move(axis.to) - low || 1;
      return (value) => from + ((move(value) - low) / span) * (to - from);
    };
    const px = scale(x, left, wide - right), py = scale(y, high - bottom, top);
    const marks = y.ticks.map(([value, text]) => [el("line", { class: "axis", x1: left, x2: wide - right, y1: py(value), y2: py(value) }), el("text", { x: left - 6, y: py(value) + 4, "text-anchor": "end" }, text)])
      .concat(x.ticks.map(([value, text], at) => [el("line", { class: "axis", x1: px(value), x2: px(value), y1: top, y2: high - bottom }),
        el("text", { x: px(value), y: high - 8, "text-anchor": !at ? "start" : px(value) > wide - 60 ? "end" : "middle", class: at % 2 ? "between" : null }, text)]));
    return el("figure", null, el("figcaption", null, title), el("svg", { viewBox: "0 0 " + wide + " " + high, role: "img", "aria-label": title + ": " + words }, marks.flat(), draw(px, py)),
      el("p", { class: "soft" }, words));
  }

  function dateAxis() {
    const days = all.days, last = days.length, ticks = [], every = Math.max(1, Math.ceil(last / 4));
    for (let at = 0; at < last; at += every) ticks.push([at, days[at].date]);
    return { from: 0, to: last, ticks };
  }
  const hourAxis = { from: 0, to: 24, ticks: [0, 3, 6, 9, 12, 15, 18, 21, 24].map((hour) => [hour, two(hour) + ":00"]) };
  function lengthAxis(lengths) {
    const named = [[1, "1 s"], [10, "10 s"], [60, "1 min"], [600, "10 min"], [3600, "1 h"], [21600, "6 h"], [DAY, "1 day"], [10 * DAY, "10 days"]];
    const least = Math.min(...lengths), most = Math.max(...lengths);
    const from = named.filter(([value]) => value <= least).at(-1) || [least / 2, ""], to = named.find(([value]) => value >= most && value > from[0]) || [most * 2, ""];
    return { log: true, from: from[0], to: to[0], ticks: named.filter(([value]) => value >= from[0] && value <= to[0]) };
  }
  function plainAxis(from, to) {
    if (!(to > from)) { const pad = Math.abs(from) * 0.1 || 1; from -= pad; to += pad; }
    const raw = (to - from) / 4, power = 10 ** Math.floor(Math.log10(raw)), step = power * ([1, 2, 5].find((each) => each * power >= raw) || 10), ticks = [];
    for (let at = Math.ceil(from / step); at * step <= to + step * 1e-9; at++) ticks.push([at * step, figure6(+(at * step).toPrecision(10))]);
    return { from, to, ticks };
  }
  function countAxis(most) {
    const axis = plainAxis(0, most);
    return { ...axis, ticks: axis.ticks.filter(([value]) => Number.isInteger(value)) };
  }
  // Dots [x, y, words]; of those that lie in one place one, if asked a larger one: what comes back at the same hour does.
  function dots(all_, grows) {
    const places = new Map();
    for (const [x, y, words] of all_) {
      const at = Math.round(x) + " " + Math.round(y);
      if (!places.has(at)) places.set(at, { x, y, words: [] });
      places.get(at).words.push(words);
    }
    return [...places.values()].map(({ x, y, words }) => el("circle", { class: "mark", cx: x, cy: y, r: grows ? Math.min(9, 3.2 * Math.sqrt(words.length)).toFixed(1) : 3.2 },
      title((words.length > 1 ? words.length + " of them: " : "") + words.slice(0, 5).join("; ") + (words.length > 5 ? "; ..." : ""))));
  }
  function title(words) { const made = document.createElementNS("http://www.w3.org/2000/svg", "title"); made.textContent = words; return made; }

  // --- first page ----------------------------------------------------------------------------

  // Of a day that is not simply there: a letter, and what it stands for.
  function letter(day) {
    const states = { failed: "F", interrupted: "I", missing: "M", running: "R", queued: "Q" };
    if (states[day.status]) return [states[day.status], day.status];
    if (day.closed) return ["C", "closed: its frames were removed"];
    return day.kept ? ["K", "keeps samples of " + count(day.kept, "file") + " that are gone"] : ["", ""];
  }
  function dayWords(day) {
    const words = letter(day)[1];
    return day.date + ": " + (day.status === "completed" ? percent(day.coverage) + " covered" : "") + (words && day.status === "completed" ? ", " : "") + words +
      (day.bad ? ", " + count(day.bad, "bad file") : "") + (day.late ? ", " + count(day.late, "late file") : "");
  }

  function calendar() {
    const months = new Map(), squares = [];
    all.days.forEach((day) => months.set(month(day.date), (months.get(month(day.date)) || []).concat(day)));
    const box = el("div", { class: "calendar", onkeydown: (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key], at = squares.indexOf(document.activeElement);
      if (!step || at < 0) return;
      event.preventDefault();
      const to = squares[Math.max(0, Math.min(squares.length - 1, at + step))], year = to.closest("details");
      if (year) year.open = true;
      squares[at].tabIndex = -1; to.tabIndex = 0; to.focus();
    } });
    for (const [name, days] of months) {
      const grid = el("div", { class: "month" });
      days.forEach((day, at) => {
        const [mark] = letter(day), seen = day.status === "completed" ? level(day.coverage) : NO_DAY;
        const square = el("a", { href: "#day=" + day.date, title: dayWords(day), "aria-label": dayWords(day), class: mark ? "odd" : null, tabindex: -1 }, mark || String(+day.date.slice(8)));
        const colours = theme();
        square.style.background = seen === NO_DAY ? colours.none : css(shade(seen));
        square.style.color = seen === NO_DAY ? colours.ink : over(shade(seen));
        if (!at) square.style.gridColumnStart = ((new Date(day.date + "T00:00:00Z").getUTCDay() + 6) % 7) + 1;
        squares.push(square); grid.append(square);
      });
      yearOf(name).append(el("section", null, el("h3", null, name), grid));
    }
    // The one that the Tab key leads to.
    (box.querySelector("details[open] .month a") || squares[0]).tabIndex = 0;
    return box;

    // Many years would be a long way to the map: each is folded, but for the last.
    function yearOf(month_) {
      if (months.size <= 36) return box;
      const year = month_.slice(0, 4), last = box.lastChild;
      if (last && last.dataset.year === year) return last.lastChild;
      const inside = el("div", { class: "calendar" }), own = all.days.filter((day) => day.date.startsWith(year));
      box.append(el("details", { "data-year": year, open: year === all.days.at(-1).date.slice(0, 4) }, el("summary", null, yearWords(year, own)), inside));
      return inside;
    }
  }
  function yearWords(year, days) {
    const there = days.filter((day) => day.status === "completed" && day.coverage !== null), odd = days.filter((day) => letter(day)[0]);
    const part = there.length ? percent(there.reduce((sum, day) => sum + day.coverage, 0) / there.length) + " covered" : "nothing there";
    return year + ": " + count(days.length, "day") + ", " + part + (odd.length ? ", " + odd.length + " with a letter" : "");
  }

  function key() {
    const square = (colour, mark) => { const made = el("i", null, mark || ""); made.style.background = colour; return made; };
    const used = new Map(all.days.map((day) => letter(day)).filter(([mark]) => mark).map(([mark, words]) => [mark, mark === "K" ? "kept: files are gone, their samples stay" : words]));
    return el("p", { class: "key" }, [[WHOLE, "all there"], [198, "1 % missing"], [150, "25 %"], [0, "nothing there"]].map(([value, words]) => el("span", null, square(css(shade(value))), words)),
      el("span", null, square(theme().none), "no such day"), [...used].map(([mark, words]) => el("span", null, square(theme().none, mark), words)));
  }

  function first() {
    const totals = all.totals, some = all.days, states = ["completed", "failed", "interrupted", "missing", "running", "queued"].filter((state) => totals[state]);
    const whole = all.channels.filter((each) => each.coverage >= 1 - 1e-9).length;
    const page = [
      el("h1", null, all.spec + ": " + some[0].date + (some.length > 1 ? " to " + some.at(-1).date : "")),
      all.state ? el("p", { class: "note" }, "Only while this holds: ", el("code", null, all.state)) : null,
      facts([["days", states.map((state) => totals[state] + " " + state).join(", ")], ["channels", all.channels.length + ", " + whole + " without a hole"],
        ["samples that are there", percent(all.coverage)], ["size", size(totals.size_bytes)]]),
      all.odd.map((line) => el("p", { class: "note" }, line)),
      section("Days", el("p", { class: "soft" }, "A square is a day, Monday first. Arrow keys go from day to day."), key(), calendar()),
    ];
    if (!all.channels.length) page.push(el("p", { class: "note" }, "No day has a file yet, so there is no channel to show."));
    else page.push(section("Days and channels", map()), section("Channels", channelTable()));
    return page;
  }

  function channelTable() {
    return table("A row a channel, the least covered first; a heading sorts.", [
      ["Channel", (each) => each.name, (each) => channelLink(each.name)], ["Coverage", (each) => each.coverage, (each) => percent(each.coverage), true],
      ["Holes", (each) => each.gaps, null, true], ["Longest", (each) => each.longest, (each) => (each.gaps ? length(each.longest) : ""), true],
      ["Days", (each) => each.days, null, true], ["Hz", (each) => each.rate, (each) => figure6(each.rate), true], ["Unit", (each) => each.unit], ["Changes", (each) => each.changes],
    ], all.channels, 1, false);
  }

  // --- the map -------------------------------------------------------------------------------

  const chosen = { worst: true, open: new Set(), row: 2, across: 1 };
  const HEIGHTS = [4, 9, 16, 24];

  function map() {
    const TOP = 22, HEAD = 22, canvas = el("canvas", { tabindex: 0, role: "application", "aria-label": "Map of days and channels. Arrow keys move, Enter opens what is there; the table of channels below tells the same." });
    const inner = el("div", { class: "inner" }, canvas), scroll = el("div", { class: "scroll" }, inner), box = el("div", { class: "map" }, scroll);
    const days = all.days.length, days0 = all.days, paper = canvas.getContext("2d");
    let rows = [], tops = [], tall = 0, wide = 0, high = 0, gutter = 0, cell = 1, cursor = null;
    const groups = new Map();
    all.channels.forEach((each) => { const name = group(each.name); if (!groups.has(name)) groups.set(name, []); groups.get(name).push(each.at); });
    if (all.channels.length <= 60 || groups.size === 1) groups.forEach((_, name) => chosen.open.add(name));
    const worst = (members) => members.reduce((least, at) => Math.min(least, all.channels[at].coverage), 1);
    const levels = new Map([...groups].map(([name, members]) => {
      const least = new Uint8Array(days).fill(NO_DAY);
      members.forEach((at) => { for (let day = 0; day < days; day++) least[day] = Math.min(least[day], all.there[at * days + day]); });
      return [name, least];
    }));

    function lay() {
      const names = [...groups.keys()], rank = (at) => all.channels[at];
      names.sort((a, b) => (chosen.worst ? worst(groups.get(a)) - worst(groups.get(b)) : 0) || (a < b ? -1 : 1));
      rows = []; tops = []; tall = 0;
      const add = (row, height) => { rows.push(row); tops.push(tall); tall += height; };
      for (const name of names) {
        add({ group: name }, HEAD);
        if (!chosen.open.has(name)) continue;
        const members = groups.get(name).slice();
        if (chosen.worst) members.sort((a, b) => rank(a).coverage - rank(b).coverage || rank(b).longest - rank(a).longest);
        members.forEach((at) => add({ group: name, at }, HEIGHTS[chosen.row]));
      }
      tops.push(tall);
      resize();
    }
    function resize() {
      const room = scroll.clientWidth || 300;
      // Names have the room that few days leave.
      gutter = Math.round(Math.max(Math.min(260, room * 0.36), Math.min(420, room * 0.6, room - 26 * days)));
      cell = Math.min(40, ((room - gutter) / days) * chosen.across);
      // Paper is not scrolled: there all rows are shown, as far as a canvas goes.
      wide = room; high = Math.min(tall + TOP, printing.matches ? Math.floor(32000 / (devicePixelRatio || 1)) : Math.max(180, Math.round(innerHeight * 0.68)));
      inner.style.width = Math.max(room, Math.ceil(gutter + cell * days)) + "px"; inner.style.height = tall + TOP + "px";
      const dense = devicePixelRatio || 1;
      canvas.width = wide * dense; canvas.height = high * dense;
      canvas.style.width = wide + "px"; canvas.style.height = high + "px"; scroll.style.height = high + 18 + "px";
      draw();
    }
    const rowAt = (y) => { let low = 0, top = rows.length; while (low < top) { const middle = (low + top) >> 1; if (tops[middle + 1] <= y) low = middle + 1; else top = middle; } return low; };
    function text(words, x, y, room) {
      let shown = words;
      if (paper.measureText(shown).width > room) {
        let low = 0, top = words.length;
        while (low < top) { const middle = (low + top + 1) >> 1; if (paper.measureText(words.slice(0, middle) + "…").width <= room) low = middle; else top = middle - 1; }
        shown = words.slice(0, low) + "…";
      }
      paper.fillText(shown, x, y);
    }
    function draw() {
      const dense = devicePixelRatio || 1, colours = theme(), x0 = scroll.scrollLeft, y0 = scroll.scrollTop;
      paper.setTransform(dense, 0, 0, dense, 0, 0);
      paper.fillStyle = colours.none; paper.fillRect(0, 0, wide, high);
      paper.font = "12px system-ui, sans-serif"; paper.textBaseline = "middle";
      const from = Math.max(0, Math.floor(x0 / cell)), to = Math.min(days, Math.ceil((x0 + wide - gutter) / cell));
      const shades = Array.from({ length: WHOLE + 1 }, (_, at) => css(shade(at)));
      for (let at = rowAt(y0); at < rows.length && tops[at] - y0 + TOP < high; at++) {
        const row = rows[at], y = tops[at] - y0 + TOP, tallness = tops[at + 1] - tops[at], own = row.at === undefined ? levels.get(row.group) : all.there.subarray(row.at * days, (row.at + 1) * days);
        const gap = row.at === undefined ? 4 : tallness > 10 ? 2 : tallness > 6 ? 1 : 0;
        for (let day = from; day < to;) {
          let stop = day + 1;
          while (stop < to && own[stop] === own[day] && cell < 12) stop++;
          if (own[day] !== NO_DAY) {
            const x = Math.floor(gutter + day * cell - x0), end = cell < 12 ? Math.ceil(gutter + stop * cell - x0) : Math.floor(gutter + stop * cell - x0) - 1;
            paper.fillStyle = shades[own[day]]; paper.fillRect(x, y + gap / 2, Math.max(1, end - x), tallness - gap);
          }
          day = stop;
        }
      }
      paper.fillStyle = colours.none; paper.fillRect(0, 0, gutter - 2, high);
      for (let at = rowAt(y0); at < rows.length && tops[at] - y0 + TOP < high; at++) {
        const row = rows[at], y = tops[at] - y0 + TOP + (tops[at + 1] - tops[at]) / 2;
        paper.fillStyle = colours.ink;
        if (row.at === undefined) { paper.font = "700 12px system-ui, sans-serif"; text((chosen.open.has(row.group) ? "▾ " : "▸ ") + row.group + " (" + groups.get(row.group).length + ") " + meaning(row.group), 4, y, gutter - 10); paper.font = "12px system-ui, sans-serif"; }
        else if (HEIGHTS[chosen.row] >= 12) { paper.fillStyle = colours.soft; text(all.channels[row.at].name, 14, y, gutter - 20); }
      }
      paper.fillStyle = colours.none; paper.fillRect(0, 0, wide, TOP);
      paper.fillStyle = colours.soft;
      let last = -Infinity;
      for (let day = from; day < to; day++) {
        const x = gutter + day * cell - x0, date = days0[day].date, begins = date.endsWith("-01") || day === from, label = begins ? date.slice(0, 7) : date.slice(8);
        const room = begins ? 52 : 20;
        if ((begins || cell >= 18) && x - last >= 2 && x >= gutter - 1 && x + room <= wide + 4) { paper.fillText(label, x, 11); last = x + room; }
      }
      if (cursor) {
        const y = tops[cursor.row] - y0 + TOP, x = gutter + cursor.day * cell - x0;
        paper.strokeStyle = colours.ink; paper.lineWidth = 2;
        paper.strokeRect(Math.max(gutter - 1, x) - 1, y - 1, Math.max(4, cell) + 1, tops[cursor.row + 1] - tops[cursor.row] + 1);
      }
    }
    function place(event) {
      const seen = canvas.getBoundingClientRect(), x = event.clientX - seen.left, y = event.clientY - seen.top;
      const row = rowAt(y - TOP + scroll.scrollTop), day = Math.floor((x - gutter + scroll.scrollLeft) / cell);
      return y < TOP || row >= rows.length ? null : { row, day: x < gutter ? -1 : day < days ? day : -2 };
    }
    function words(spot) {
      const row = rows[spot.row], date = days0[spot.day].date, value = row.at === undefined ? levels.get(row.group)[spot.day] : all.there[row.at * days + spot.day];
      return (row.at === undefined ? [row.group, meaning(row.group)].filter(Boolean).join(", ") + " (the least covered)" : all.channels[row.at].name) + ", " + date + ": " + (value === NO_DAY ? "no such day" : value === WHOLE ? "all there" : value === 0 ? "nothing there" : "about " + value / 2 + " % there");
    }
    function toggle(name) { if (!chosen.open.delete(name)) chosen.open.add(name); lay(); }
    function act(spot) {
      const row = rows[spot.row];
      if (spot.day === -1 || (row.at === undefined && !chosen.open.has(row.group))) { if (row.at === undefined) toggle(row.group); else location.hash = channelAt(all.channels[row.at].name); }
      else if (spot.day >= 0 && row.at === undefined) location.hash = "#day=" + days0[spot.day].date;
      else if (spot.day >= 0) explain(row.at, spot.day);
    }
    canvas.addEventListener("click", (event) => { const spot = place(event); if (spot) act(spot); });
    canvas.addEventListener("mousemove", (event) => { const spot = place(event); canvas.title = spot && spot.day >= 0 ? words(spot) : ""; canvas.style.cursor = spot ? "pointer" : "default"; });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (step) {
        event.preventDefault();
        cursor = cursor ? { row: Math.max(0, Math.min(rows.length - 1, cursor.row + step[0])), day: Math.max(0, Math.min(days - 1, cursor.day + step[1])) } : { row: 0, day: 0 };
        const y = tops[cursor.row], x = cursor.day * cell;
        if (y < scroll.scrollTop) scroll.scrollTop = y; else if (y + 40 > scroll.scrollTop + high - TOP) scroll.scrollTop = y + 40 - high + TOP;
        if (x < scroll.scrollLeft) scroll.scrollLeft = x; else if (x + cell > scroll.scrollLeft + wide - gutter) scroll.scrollLeft = x + cell - wide + gutter;
        tell(words(cursor)); draw();
      } else if ((event.key === "Enter" || event.key === " ") && cursor) { event.preventDefault(); act(cursor); }
      else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? 1 : -1);
    });
    scroll.addEventListener("scroll", draw, { passive: true });
    function zoom(step) {
      const middle = (scroll.scrollLeft + (wide - gutter) / 2) / cell;
      chosen.across = Math.max(1, Math.min(64, step > 0 ? chosen.across * 2 : chosen.across / 2));
      resize();
      scroll.scrollLeft = middle * cell - (wide - gutter) / 2; draw();
    }
    const button = (words, act_) => el("button", { type: "button", onclick: act_ }, words);
    const order = el("button", { type: "button", "aria-pressed": String(chosen.worst), onclick: () => { chosen.worst = !chosen.worst; order.setAttribute("aria-pressed", String(chosen.worst)); lay(); } }, "Worst first");
    const fresh = () => { if (!box.isConnected) { removeEventListener("resize", fresh); for (const each of [dark, printing]) each.removeEventListener("change", fresh); return; } resize(); };
    addEventListener("resize", fresh);
    for (const each of [dark, printing]) each.addEventListener("change", fresh);
    // Once it is in the page, and has a width.
    go.then = () => { lay(); performance.mark("drawn"); };
    return [
      el("p", { class: "soft" }, "A row is a channel, in groups by subsystem; a group's own row shows its least covered channel. A click on a group opens it, one on a square tells what is missing and why, one on a name opens the channel."),
      el("div", { class: "bar" }, order, button("Open all", () => { groups.forEach((_, name) => chosen.open.add(name)); lay(); }), button("Close all", () => { chosen.open.clear(); lay(); }),
        button("Zoom in", () => zoom(1)), button("Zoom out", () => zoom(-1)), button("Taller rows", () => { chosen.row = Math.min(HEIGHTS.length - 1, chosen.row + 1); lay(); }), button("Flatter rows", () => { chosen.row = Math.max(0, chosen.row - 1); lay(); })),
      key(), box,
    ];
  }

  // --- what a hole is ------------------------------------------------------------------------

  function hole(day, own, raw) {
    const words = own.words;
    return { day, start: raw[0], end: raw[1], kind: words[raw[2]], detail: words[raw[3]], path: words[raw[4]], come: own.come.includes(raw[4]) };
  }
  const asWhole = (day, kind, detail) => ({ day, start: 0, end: day.length, kind, detail, path: "", whole: true });
  // The holes of a channel on a day; own: the day's facts; set: the number of its list of holes.
  function holesOf(name, day, own, set) {
    if (!own.sets) return [asWhole(day, day.status === "completed" ? "day file not read" : "day not built", own.problem || own.error || day.status)];
    if (set === NO_SET) {
      const lacking = own.lacking.find((each) => each[0] === name);
      return [lacking ? asWhole(day, lacking[1], lacking[2]) : asWhole(day, "no sample", "the day was made without this channel")];
    }
    return own.sets[set].map((at) => hole(day, own, own.holes[at]));
  }

  function described(name, each) {
    const start = each.day.start + each.start, end = each.day.start + each.end, file = each.path;
    const around = "--start " + gps(Math.max(0, start - 600)) + " --end " + gps(end + 600);
    return el("article", null, el("h3", null, each.kind), el("dl", null,
      el("dt", null, "UTC"), el("dd", null, each.day.date + " " + clock(each.start, each.day) + " to " + until(each.end, each.day) + " (" + length(each.end - each.start) + ")"),
      el("dt", null, "GPS"), el("dd", null, gps(start) + " to " + gps(end)),
      each.detail ? [el("dt", null, "why"), el("dd", null, each.detail)] : null,
      file ? [el("dt", null, "file"), el("dd", null, el("code", null, file))] : null,
      each.come ? [el("dt", null, "since then"), el("dd", null, "the file has come: the next make of the day reads it")] : null,
      el("dt", null, "ask again"), el("dd", null, el("code", null, "bin/why-missing " + [all.out, name, gps(start), gps(end)].map(quoted).join(" "))),
      el("dt", null, "read around it"), el("dd", null, el("code", null, "bin/read-days " + quoted(all.out) + " " + quoted(name) + " " + around))));
  }

  async function explain(at, number) {
    const channel = all.channels[at], day = all.days[number], own = (await data("days-" + month(day.date)))[day.date];
    const set = own.sets ? numbers(own.set, Uint16Array)[at] : NO_SET, holes = holesOf(channel.name, day, own, set), dialog = document.getElementById("what");
    const late = own.late_files ? el("p", { class: "soft" }, count(own.late_files, "frame file") + " of this day came more than a day after the end of its span: see the day.") : null;
    dialog.replaceChildren(el("button", { type: "button", class: "close", autofocus: true, onclick: () => dialog.close() }, "Close"), el("h2", { id: "what-title" }, channel.name + ", " + day.date),
      el("p", null, holes.length ? count(holes.length, "hole") + ", " + length(holes.reduce((sum, each) => sum + each.end - each.start, 0)) + " in all." : "Nothing is missing."), late || "",
      el("p", null, el("a", { href: channelAt(channel.name), onclick: () => dialog.close() }, "The channel"), " · ", el("a", { href: "#day=" + day.date, onclick: () => dialog.close() }, "The day")),
      ...holes.slice(0, PAGE).map((each) => described(channel.name, each)), holes.length > PAGE ? el("p", null, "and " + (holes.length - PAGE) + " more: see the channel") : "");
    dialog.showModal();
  }

  // --- a day ---------------------------------------------------------------------------------

  async function dayPage(date) {
    const number = all.days.findIndex((day) => day.date === date);
    if (number < 0) return [el("h1", null, "No such day: " + date), el("p", null, "The report has " + all.days[0].date + " to " + all.days.at(-1).date + ". ", el("a", { href: "#" }, "All days"))];
    const day = all.days[number], own = (await data("days-" + month(date)))[date], [mark, words] = letter(day);
    const beside = (step) => (all.days[number + step] ? el("a", { href: "#day=" + all.days[number + step].date }, (step < 0 ? "← " : "") + all.days[number + step].date + (step > 0 ? " →" : "")) : null);
    const page = [
      el("h1", null, date), el("p", { class: "bar" }, beside(-1), beside(1)),
      facts([["status", day.status + (mark && day.status === "completed" ? ", " + words : "")], ["coverage", day.status === "completed" ? percent(day.coverage) : ""], ["channels", day.channels === null ? "" : day.channels + (day.asked ? " of " + day.asked : "")],
        ["took", own.took === null ? "" : length(own.took)], ["built (UTC)", own.finished ? own.finished.slice(0, 19).replace("T", " ") : ""], ["size", own.size ? size(own.size) : ""], ["tried again", own.retries || ""],
        ["files absent", own.absent || ""], ["files on tape", own.on_tape || ""], ["files unreadable", own.unreadable || ""], ["files gone since, samples kept", own.kept || ""], ["made by", own.made || ""],
        ["built span (UTC)", own.window && (own.window[0] !== day.start || own.window[1] !== day.start + day.length) ? clock(own.window[0] - day.start, day) + " to " + until(own.window[1] - day.start, day) : ""]]),
      own.error || own.problem ? el("p", { class: "note" }, own.error || own.problem) : null,
    ];
    if (own.links.length) page.push(el("p", { class: "bar" }, "Files:", own.links.map(([what, path]) => el("a", { href: path.split("/").map(encodeURIComponent).join("/") }, what)), el("span", { class: "soft" }, "(in the folder of days, as it lies from here)")));
    if (!own.sets) return page;
    const sets = numbers(own.set, Uint16Array), many = own.sets.map(() => 0), affected = own.holes.map(() => 0);
    sets.forEach((set) => { if (set !== NO_SET) many[set]++; });
    own.sets.forEach((some, set) => some.forEach((at) => { affected[at] += many[set]; }));
    page.push(section("Through the day", dayChart(own, many, day.start)));
    const holes = own.holes.map((raw, at) => ({ ...hole(day, own, raw), channels: affected[at] })).filter((each) => each.channels);
    page.push(section("Holes", holes.length ? table("What is missing, what most channels lack first.", [
      ["Channels", (each) => each.channels, null, true], ["UTC", (each) => each.start, (each) => clock(each.start, each.day) + " to " + until(each.end, each.day)], ["Length", (each) => each.end - each.start, (each) => length(each.end - each.start), true],
      ["Reason", (each) => each.kind, (each) => each.kind + (each.detail ? ": " + each.detail : "") + (each.come ? " (it has come since)" : "")], ["File", (each) => each.path, (each) => (each.path ? el("code", null, each.path) : "")],
    ], holes, 0, true) : el("p", null, "Nothing is missing.")));
    if (own.bad.length) page.push(section("Bad frames", table("Files, or channels in files, that cannot be read.", [["File", (each) => each[0], (each) => el("code", null, each[0])], ["Channel", (each) => each[1], (each) => each[1] || "all"], ["Why", (each) => each[2]]], own.bad, 0, false)));
    if (own.late_files) page.push(section("Late files", table(count(own.late_files, "file") + " came more than a day after the end of its span, by the file's own time" + (own.late_files > own.came.length ? "; the latest " + own.came.length : ""), [
      ["File", (each) => each[0], (each) => el("code", null, each[0])], ["GPS", (each) => each[1], (each) => gps(each[1]), true], ["Late by", (each) => each[3], (each) => length(each[3]), true]], own.came, 2, true)));
    if (own.lacking.length) page.push(section("Channels without a sample", table("Asked for, and not there.", [["Channel", (each) => each[0]], ["Why", (each) => each[1], (each) => each[1] + ": " + each[2]]], own.lacking, 0, false)));
    const values = numbers((await data("values-" + month(date)))[date], Float32Array);
    const rows = all.channels.filter((each) => sets[each.at] !== NO_SET).map((each) => {
      const lost = own.sets[sets[each.at]].reduce((sum, at) => sum + own.holes[at][1] - own.holes[at][0], 0), seen = all.there[each.at * all.days.length + number];
      // What is missing in small pieces is no hole, and counts all the same.
      const part = seen === WHOLE ? 1 : Math.min((seen + 1) / WHOLE, own.asked ? 1 - lost / own.asked : 0);
      return { at: each.at, name: each.name, unit: each.unit, part, holes: own.sets[sets[each.at]].length, values: values.subarray(4 * each.at, 4 * each.at + 4) };
    });
    page.push(section("Channels", table("The least covered first; values to six figures.", [
      ["Channel", (each) => each.name, (each) => channelLink(each.name)],
      ["Coverage", (each) => each.part, (each) => el("button", { type: "button", class: "plain", onclick: () => explain(each.at, number), "aria-label": "what is missing of " + each.name }, percent(each.part)), true], ["Holes", (each) => each.holes, null, true],
      ...all.values.map((what, at) => [what, (each) => each.values[at], (each) => figure6(each.values[at]), true]), ["Unit", (each) => each.unit]], rows, 1, false)));
    return page;
  }

  function dayChart(own, many, midnight) {
    const total = many.reduce((sum, each) => sum + each, 0), edges = new Map();
    own.sets.forEach((some, set) => some.forEach((at) => {
      const [start, end] = own.holes[at];
      edges.set(start, (edges.get(start) || 0) - many[set]); edges.set(end, (edges.get(end) || 0) + many[set]);
    }));
    const times = [...edges.keys()].sort((a, b) => a - b), steps = [];
    let has = total, least = total;
    let before = own.window[0] - midnight;
    times.concat(own.window[1] - midnight).forEach((time) => { if (time > before) { steps.push([before, time, has]); least = Math.min(least, has); } has += edges.get(time) || 0; before = Math.max(before, time); });
    return chart("Channels with data by time of day (UTC)", least === total ? "All " + total + " channels have data all the time." : "At the least " + least + " of " + total + " channels have data.", hourAxis, { from: 0, to: total || 1, ticks: [[0, "0"], [total, String(total)]] },
      (x, y) => steps.map(([a, b, value]) => [el("rect", { class: "rod", x: x(a / 3600), width: Math.max(0.5, x(b / 3600) - x(a / 3600)), y: y(value), height: y(0) - y(value) }),
        value < total ? el("rect", { class: "loss", x: x(a / 3600), width: Math.max(0.8, x(b / 3600) - x(a / 3600)), y: y(total), height: y(value) - y(total) }) : null]).flat());
  }

  // --- a channel -----------------------------------------------------------------------------

  async function channelPage(name) {
    const channel = all.channels.find((each) => written(each.name) === name);
    if (!channel) return [el("h1", null, "No such channel: " + name), el("p", null, "Part of its name finds it in the search above. ", el("a", { href: "#" }, "All channels"))];
    name = channel.name;
    const days = all.days, some = days.length, inFile = channel.at % all.per, file = await data("channels-" + String(Math.floor(channel.at / all.per)).padStart(3, "0"));
    const cut = (text, Kind, each) => numbers(text, Kind).subarray(inFile * some * each, (inFile + 1) * some * each);
    const values = cut(file.values, Float32Array, 4), sets = cut(file.sets, Uint16Array, 1), late = file.late ? cut(file.late, Float32Array, 1) : null;
    const there = all.there.subarray(channel.at * some, (channel.at + 1) * some);
    // A month in which nothing is missing need not be read.
    const wanted = [...new Set(days.filter((day, at) => there[at] !== WHOLE).map((day) => month(day.date)))], held_ = new Map();
    for (const each of await Promise.all(wanted.map((each) => data("days-" + each).then((own) => [each, own])))) held_.set(...each);
    const holes = [];
    days.forEach((day, at) => { if (there[at] !== WHOLE) holes.push(...holesOf(name, day, held_.get(month(day.date))[day.date], sets[at]).map((each) => ({ ...each, number: at }))); });
    const gaps = [];
    holes.forEach((each) => {
      const last = gaps.at(-1);
      if (last && last.number === each.number && Math.abs(last.end - each.start) < 2e-6) last.end = each.end; else gaps.push({ ...each });
    });
    const parts = gaps.filter((each) => !each.whole), page = [
      el("h1", null, name), file.titles[inFile] ? el("p", { class: "soft" }, file.titles[inFile]) : null,
      facts([["coverage", percent(channel.coverage)], ["holes", channel.gaps], ["longest", channel.gaps ? length(channel.longest) : ""], ["days with data", channel.days + " of " + some], ["rate", figure6(channel.rate) + " Hz"], ["unit", channel.unit || "none"], ["dtype", channel.dtype]]),
      channel.changes ? el("p", { class: "note" }, "It changes: " + channel.changes) : null,
    ];
    const charts = el("div", { class: "charts" }), level_ = (value) => (value === NO_DAY ? 0 : value / WHOLE);
    charts.append(chart("Coverage by day", "Orange is what is missing.", dateAxis(), { from: 0, to: 1, ticks: [[0, "0"], [0.5, "50 %"], [1, "100 %"]] }, (x, y) => [...there].map((value, at) => {
      const wide = Math.max(0.6, x(at + 1) - x(at) - (some < 120 ? 1 : 0)), part = level_(value);
      return [el("rect", { class: "rod", x: x(at), width: wide, y: y(part), height: y(0) - y(part) }), part < 1 && value !== NO_DAY ? el("rect", { class: "loss", x: x(at), width: wide, y: y(1), height: Math.max(1.5, y(part) - y(1)) }) : null];
    }).flat()));
    const good = days.map((day, at) => at).filter((at) => Number.isFinite(values[4 * at]));
    if (good.length) {
      const pick = (column) => good.map((at) => values[4 * at + column]).filter(Number.isFinite), low = Math.min(...pick(2)), top = Math.max(...pick(3));
      charts.append(chart("Mean and spread by day" + (channel.unit ? " (" + channel.unit + ")" : ""), "Line: mean; band: one standard deviation; grey: least to greatest.", dateAxis(), plainAxis(low, top), (x, y) => good.map((at) => {
        const [mean, std, least, most] = values.subarray(4 * at, 4 * at + 4), wide = Math.max(0.8, x(at + 1) - x(at)), rod = (name_, a, b) => el("rect", { class: name_, x: x(at), width: wide, y: y(Math.min(b, top)), height: Math.max(0.6, y(Math.max(a, low)) - y(Math.min(b, top))) });
        return [rod("wide", least, most), rod("band", mean - std, mean + std), el("line", { class: "curve", x1: x(at), x2: x(at) + wide, y1: y(mean), y2: y(mean) })];
      }).flat()));
    }
    if (gaps.length) {
      const axis = lengthAxis(gaps.map((each) => each.end - each.start)), told = (each) => each.day.date + " " + clock(each.start, each.day) + " UTC, " + length(each.end - each.start) + ": " + each.kind;
      charts.append(chart("Holes by date", count(gaps.length, "hole") + ", each a dot at its length; one over midnight is two.", dateAxis(), axis, (x, y) => dots(gaps.map((each) => [x(each.number + each.start / DAY), y(each.end - each.start), told(each)]))));
      if (parts.length) {
        const hours = Array(24).fill(0);
        parts.forEach((each) => { hours[Math.min(23, Math.floor(each.start / 3600))]++; });
        const most = Math.max(...hours), hour = hours.indexOf(most), said = "Most begin from " + two(hour) + ":00 to " + two(hour + 1) + ":00: " + most + " of " + parts.length + ".";
        charts.append(chart("Holes by time of day (UTC)", "A dot where each begins, larger for several. What comes back at the same hour stands in a column.", hourAxis, axis, (x, y) => dots(parts.map((each) => [x(each.start / 3600), y(each.end - each.start), told(each)]), true)));
        charts.append(chart("When holes begin (UTC)", said, hourAxis, countAxis(most), (x, y) => hours.map((value, at) => (value ? el("rect", { class: "loss", x: x(at) + 1, width: x(at + 1) - x(at) - 2, y: y(value), height: y(0) - y(value) }, title(two(at) + ":00: " + value)) : null))));
      }
    }
    if (late && late.some((value) => value > 0)) {
      const long = Math.max(...late) > 10 * DAY, own = [...late].map((value) => value / (long ? DAY : 3600)), worst = Math.max(...own);
      charts.append(chart("How late its files came, by day (" + (long ? "days" : "hours") + ")", "The most that a file which gave it samples came after its span, by the file's own time; only what was more than a day late. At most " + length(Math.max(...late)) + ".", dateAxis(), plainAxis(0, worst), (x, y) => own.map((value, at) => (value ? el("rect", { class: "loss", x: x(at), width: Math.max(0.8, x(at + 1) - x(at)), y: y(value), height: y(0) - y(value) }) : null))));
    }
    page.push(charts);
    const ask = (each) => el("button", { type: "button", class: "plain", onclick: () => explain(channel.at, each.number), "aria-label": "what is missing on " + each.day.date }, "Open");
    page.push(section("Holes", holes.length ? table("A row for each reason and frame file, the longest first.", [
      ["UTC", (each) => each.number + each.start / DAY, (each) => el("span", null, dayLink(each.day.date), " " + clock(each.start, each.day) + " to " + until(each.end, each.day))], ["GPS", (each) => each.day.start + each.start, (each) => gps(each.day.start + each.start), true],
      ["Length", (each) => each.end - each.start, (each) => length(each.end - each.start), true], ["Reason", (each) => each.kind, (each) => each.kind + (each.detail ? ": " + each.detail : "")], ["File", (each) => each.path, (each) => (each.path ? el("code", null, each.path.split("/").at(-1)) : "")], ["More", (each) => each.number, ask],
    ], holes, 2, true) : el("p", null, "Nothing is missing.")));
    page.push(section("Day by day", table("Values to six figures.", [["Day", (at) => at, (at) => dayLink(days[at].date)], ["Coverage", (at) => level_(there[at]), (at) => (there[at] === NO_DAY ? "no such day" : there[at] === WHOLE ? "100 %" : "about " + there[at] / 2 + " %"), true],
      ...all.values.map((what, column) => [what, (at) => values[4 * at + column], (at) => figure6(values[4 * at + column]), true])], days.map((_, at) => at), 0, true)));
    return page;
  }

  // --- going about ---------------------------------------------------------------------------

  function tell(words) { document.getElementById("told").textContent = words; }

  async function go() {
    const own = ++view, main = document.getElementById("main"), [what, ...rest] = location.hash.slice(1).split("=");
    let asked = rest.join("=");
    try { asked = decodeURIComponent(asked); } catch (error) { /* it stays as it is typed */ }
    let page;
    try {
      page = what === "day" ? await dayPage(asked) : what === "channel" ? await channelPage(asked) : first();
    } catch (error) {
      page = [el("h1", null, "Cannot be shown"), el("p", { class: "note" }, error.message), el("p", null, "Is the folder data/ beside the page whole?")];
    }
    if (own !== view) return;
    main.replaceChildren(...page.flat(Infinity).filter(Boolean));
    if (go.then && main.querySelector("canvas")) go.then();
    go.then = null;
    document.title = (what ? asked + " – " : "") + all.spec + " report";
    tell(main.querySelector("h1").textContent);
    if (go.moved) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
    go.moved = true;
    document.body.dataset.view = location.hash || "#";
  }

  function search() {
    const field = document.getElementById("name"), hits = document.getElementById("hits");
    function look() {
      const wanted = field.value.trim().toLowerCase();
      const found = wanted ? all.days.filter((day) => day.date.startsWith(wanted)).slice(0, 4).map((day) => ["#day=" + day.date, day.date])
        .concat(all.channels.filter((each) => each.name.toLowerCase().includes(wanted)).slice(0, 12).map((each) => [channelAt(each.name), each.name])) : [];
      hits.replaceChildren(...found.map(([href, words]) => el("li", null, el("a", { href, onclick: () => { hits.hidden = true; } }, words))));
      if (wanted && !found.length) hits.append(el("li", { class: "soft" }, "no channel or day has this in its name"));
      hits.hidden = !wanted;
      return found;
    }
    field.addEventListener("input", () => { const found = look(); tell(found.length ? count(found.length, "hit") : ""); });
    document.getElementById("search").addEventListener("submit", (event) => { event.preventDefault(); const found = look(); if (found.length) { hits.hidden = true; location.hash = found[0][0]; } });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hits.hidden = true; });
    document.addEventListener("click", (event) => { if (!event.target.closest("#search")) hits.hidden = true; });
  }

  data("main").then(function (main) {
    const names = ["name", "coverage", "gaps", "longest", "rate", "unit", "days", "first", "last", "dtype", "changes"];
    const ofDay = ["date", "start", "length", "status", "coverage", "channels", "asked", "kept", "closed", "bad", "late"];
    const byName = (keys) => (row) => Object.fromEntries(keys.map((key_, at) => [key_, row[at]]));
    all = { ...main, days: main.days.map(byName(ofDay)), channels: main.channels.map((row, at) => ({ ...byName(names)(row), at })), there: numbers(main.there, Uint8Array) };
    document.getElementById("about").textContent = "of " + all.out + ", made " + all.made.slice(0, 16).replace("T", " ") + " UTC by framemake " + all.version;
    search();
    // What follows the # names the view: the way to the content must not change it.
    document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); document.getElementById("main").focus(); });
    addEventListener("hashchange", go);
    dark.addEventListener("change", go);
    // Paper is white.
    printing.addEventListener("change", () => dark.matches && go());
    go();
  }).catch(function (error) { document.getElementById("waiting").textContent = "The report cannot be shown: " + error.message; });
})();
