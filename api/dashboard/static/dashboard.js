// What every page does: times as people read them, polling, tokens against forged requests, notices.

import { showInspectors } from "./inspector.js";
import { startPolling } from "./polling.js";
import { startTails } from "./tail.js";
import { showTimes } from "./times.js";

function addToken(event) {
  event.detail.headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf-token]").content;
}

// Shown as text: nothing that a server answers is taken for markup here.
export function notify(text, kind = "bad") {
  const notice = document.createElement("p");
  notice.className = `notice ${kind}`;
  notice.textContent = text;
  document.getElementById("notices").replaceChildren(notice);
}

function explain(event) {
  const { xhr, elt } = event.detail;
  if (xhr.status === 401) location.reload();
  if (elt.dataset.poll && xhr.status >= 500) return;
  const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
  notify(page.body.textContent.trim() || `The server answered ${xhr.status}.`);
}

async function load(details) {
  const target = details.querySelector("[data-load-target]");
  const answer = await fetch(details.dataset.load);
  target.textContent = answer.ok ? await answer.text() : `The server answered ${answer.status}.`;
}

function startLoading() {
  for (const details of document.querySelectorAll("details[data-load]")) {
    details.addEventListener("toggle", () => details.open && load(details));
  }
}

function copyOnClick(event) {
  const button = event.target.closest("[data-copy]");
  if (button) navigator.clipboard?.writeText(document.getElementById(button.dataset.copy).textContent);
}

document.addEventListener("htmx:configRequest", addToken);
document.addEventListener("htmx:responseError", explain);
document.addEventListener("htmx:afterSettle", () => showTimes());
document.addEventListener("click", copyOnClick);
startLoading();
startPolling();
startTails();
showInspectors();
showTimes();
setInterval(showTimes, 10_000);
