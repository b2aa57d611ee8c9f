// What all scripts of the page share: elements, messages, and asking the server.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, properties, ...inside) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
};

const put = (id, text) => Object.assign($(id), {textContent: text, hidden: !text});
const say = (message) => put("message", message);
const tell = (problem, retry = false) => (put("problem", problem), ($("again").hidden = !retry));

// Relative, so that the page may live under a path of a web server in front.
const address = (what, parameters) => `api/${what}?${new URLSearchParams(parameters)}`;

// The server's answer; an Error whose message is for people if there is none.
// A server that is busy (503) is asked again, a few times.
async function ask(what, parameters, signal, times = 3) {
  let answer, told;
  try {
    answer = await fetch(address(what, parameters), {signal, headers: {Accept: "application/json"}});
    told = await answer.json().catch(() => null);
    if (answer.status === 503 && times > 1) {
      await new Promise((done) => setTimeout(done, 700));
      signal?.throwIfAborted();
      return await ask(what, parameters, signal, times - 1);
    }
  } catch (error) {
    if (error.name === "AbortError" || error.told) throw error;
    throw new Error("The server does not answer. Is serve-streams running, and this computer connected?");
  }
  if (!answer.ok || !told) {
    const message = told?.error || `The server's answer is of no use (status ${answer.status})`;
    throw Object.assign(new Error(message), {told: true});
  }
  return told;
}
