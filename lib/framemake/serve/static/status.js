// The status of the host, and the log of its days.
"use strict";

const MOST_DAYS = 100;

function table(caption, heads, rows) {
  const row = (cells, tag) => make("tr", {}, ...cells.map((cell) => make(tag, {}, cell ?? "")));
  const body = rows.map((cells) => row(cells, "td"));
  return make("div", {className: "wide", tabIndex: 0, role: "region", ariaLabel: caption}, make("table", {},
    make("caption", {textContent: caption}), make("thead", {}, row(heads, "th")), make("tbody", {}, ...body)));
}

const mark = (word) => make("span", {className: `mark ${word.toLowerCase()}`, textContent: word});
const percent = (part) => (part === null || part === undefined ? "" : `${(100 * part).toFixed(part > 0.9995 && part < 1 ? 3 : 1)} %`);

async function showStatus() {
  const place = $("status");
  if (!place.childElementCount) place.replaceChildren(make("p", {textContent: "Loading…"}));
  try {
    const [told, {days}] = await Promise.all([ask("status"), ask("days")]);
    const bad = days.filter((day) => ["failed", "interrupted", "missing"].includes(day.status));
    const night = told.night;
    place.replaceChildren(
      make("h2", {textContent: "Status"}),
      make("p", {className: "soft", textContent: `As of ${said(told.now)}.${view.refresh ? " Asked again every minute." : ""}`}),
      make("ul", {className: "findings"}, ...told.findings.map(({status, text}) => make("li", {}, mark(status), ` ${text}`))),
      told.faults.length
        ? table(`Faulty now: ${told.faults.length}${told.more ? " and more" : ""}`, ["What", "Name", "Where", "Why"],
          told.faults.map(({kind, name, where, reason}) => [kind, name, where, reason]))
        : make("p", {textContent: "Nothing is faulty now: no day, frame or stream."}),
      night
        ? table(`Last night: ${night.status ?? "under way"}, begun ${night.started ?? "?"}, ended ${night.finished ?? "–"}`,
          ["Step", "Result", "Seconds"], night.steps.map(({name, status, seconds}) => [name, status, seconds === null ? "" : String(seconds)]))
        : make("p", {className: "soft", textContent: "No night is told of here (serve-streams --nightly FILE)."}),
      bad.length
        ? table(`Days to be made again: ${bad.length}`, ["Day", "Of", "Status", "Why"],
          bad.slice(-MOST_DAYS).reverse().map((day) => [day.day, day.spec, mark(day.status), day.error]))
        : make("p", {textContent: days.length ? "No day has to be made again." : "There are no days here."}),
      days.length
        ? table(`Log of days, newest first${days.length > MOST_DAYS ? `, ${MOST_DAYS} of ${days.length}` : ""}`,
          ["Day", "Of", "Status", "Samples there", "Channels", "Files absent", "damaged", "Finished"],
          [...days].sort((a, b) => (a.day < b.day ? 1 : -1)).slice(0, MOST_DAYS).map((day) => [day.day, day.spec,
            mark(day.status), percent(day.coverage), String(day.channels ?? ""), String(day.absent || ""),
            String(day.damaged || ""), (day.finished ?? "").replace("T", " ").replace("+00:00", "")]))
        : "",
    );
  } catch (error) {
    place.replaceChildren(make("h2", {textContent: "Status"}), make("p", {className: "problem", textContent: error.message}));
  }
  performance.mark("status");
}
