// List of a response's events, each with its JSON, read when it is opened.

import { isEnd, readEvents } from "./events.js";

const MAX_SHOWN = 500;

function makeEntry(event) {
  const entry = document.createElement("li");
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = event.sequence_number;
  summary.append(number, ` ${event.type}`);
  details.append(summary);
  details.addEventListener("toggle", () => show(details, event), { once: true });
  entry.append(details);
  return entry;
}

function show(details, event) {
  const body = document.createElement("pre");
  body.className = "code";
  body.textContent = JSON.stringify(event, null, 2);
  details.append(body);
}

async function inspect(root) {
  const list = root.querySelector("[data-inspect-list]");
  const note = root.querySelector("[data-inspect-note]");
  try {
    for await (const event of readEvents(root.dataset.inspect)) {
      list.append(makeEntry(event));
      if (list.children.length > MAX_SHOWN) list.firstElementChild.remove();
      if (isEnd(event)) break;
    }
  } catch (error) {
    note.textContent = error.message;
  }
}

export function showInspectors() {
  for (const root of document.querySelectorAll("details[data-inspect]")) {
    root.addEventListener("toggle", () => inspect(root), { once: true });
  }
}
