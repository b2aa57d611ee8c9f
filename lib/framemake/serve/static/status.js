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
const paragraph = (text, className = "") => make("p", {textContent: text, className});

function percent(part) {
  if (part === null || part === undefined) return "";
  return `${(100 * part).toFixed(part > 0.9995 && part < 1 ? 3 : 1)} %`;
}

function faultsTable({faults, more}) {
  if (!faults.length) return paragraph("Nothing is faulty now: no day, frame or stream.");
  const rows = faults.map(({kind, name, where, reason}) => [kind, name, where, reason]);
  const title = `Faulty now: ${faults.length}${more ? ` and ${more} more` : ""}`;
  return table(title, ["What", "Name", "Where", "Why"], rows);
}

function nightTable(night) {
  if (!night) return paragraph("No night is told of here (serve-streams --nightly FILE).", "soft");
  const ends = `begun ${night.started ?? "?"}, ended ${night.finished ?? "–"}`;
  const rows = night.steps.map(({name, status, seconds}) => [name, status, seconds === null ? "" : String(seconds)]);
  return table(`Last night: ${night.status ?? "under way"}, ${ends}`, ["Step", "Result", "Seconds"], rows);
}

function againTable(days) {
  const bad = days.filter((day) => BAD.includes(day.status));
  if (!bad.length) return paragraph(days.length ? "No day has to be made again." : "There are no days here.");
  const rows = bad.slice(-MOST_DAYS).reverse().map((day) => [day.day, day.spec, mark(day.status), day.error]);
  return table(`Days to be made again: ${bad.length}`, ["Day", "Of", "Status", "Why"], rows);
}

function daysTable(days) {
  if (!days.length) return "";
  const heads = ["Day", "Of", "Status", "Samples there", "Channels", "Files absent", "damaged", "Finished"];
  const rows = [...days].sort((a, b) => (a.day < b.day ? 1 : -1)).slice(0, MOST_DAYS).map((day) => [
    day.day, day.spec, mark(day.status), percent(day.coverage), String(day.channels ?? ""), String(day.absent || ""),
    String(day.damaged || ""), (day.finished ?? "").replace("T", " ").replace("+00:00", ""),
  ]);
  const some = days.length > MOST_DAYS ? `, ${MOST_DAYS} of ${days.length}` : "";
  return table(`Log of days, newest first${some}`, heads, rows);
}

async function showStatus() {
  const place = $("status");
  if (!place.childElementCount) place.replaceChildren(paragraph("Loading…"));
  const title = make("h2", {textContent: "Status"});
  try {
    const [told, {days}] = await Promise.all([ask("status"), ask("days")]);
    const findings = told.findings.map(({status, text}) => make("li", {}, mark(status), ` ${text}`));
    place.replaceChildren(title, paragraph(`As of ${said(told.now)}. Asked again every minute.`, "soft"),
      make("ul", {className: "findings"}, ...findings), faultsTable(told), nightTable(told.night), againTable(days),
      daysTable(days));
  } catch (error) {
    place.replaceChildren(title, paragraph(error.message, "problem"));
  }
  performance.mark("status");
}
