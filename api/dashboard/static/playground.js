// Playground: a request from the fields of the form, checked while it is written, and run.

import { isEnd, readEvents } from "./events.js";
import { SNIPPETS } from "./snippets.js";
import { Transcript } from "./transcript.js";

const CHECK_MS = 500;
const form = document.getElementById("playground");
const fields = [...form.querySelectorAll("[data-field]")];
const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=csrf-token]").content;
const headers = { "Content-Type": "application/json", "X-CSRF-Token": token };
let language = "curl";
let running = null;

class FieldError extends Error {
  constructor(name, message) {
    super(message);
    this.param = name;
  }
}

function read(field) {
  const text = field.dataset.kind === "prose" ? field.value : field.value.trim();
  const name = field.dataset.field;
  switch (field.dataset.kind) {
    case "choice":
      return text === "true" ? true : text === "false" ? false : text;
    case "number":
      if (Number.isNaN(Number(text))) throw new FieldError(name, "This is no number.");
      // Digits that a number of JavaScript cannot hold stay as they are.
      return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? JSON.rawJSON?.(text) ?? Number(text) : Number(text);
    case "json":
      return parse(name, text);
    case "prose":
      return name === "input" && text.trim().startsWith("[") ? parse(name, text) : text;
    default:
      return text;
  }
}

function parse(name, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Words such as "auto" need no quotation marks.
    if (/^[a-z_]+$/.test(text)) return text;
    throw new FieldError(name, `This is no JSON: ${error.message}.`);
  }
}

function body() {
  const request = {};
  for (const field of fields) {
    if (field.value.trim() !== "") request[field.dataset.field] = read(field);
  }
  if (byId("stream").checked) request.stream = true;
  return request;
}

function fill(request) {
  for (const field of fields) {
    const value = request[field.dataset.field];
    if (value === undefined || value === null) continue;
    const isText = typeof value === "string" || field.dataset.kind === "choice";
    field.value = isText ? String(value) : JSON.stringify(value, null, 2);
    if (field.tagName === "TEXTAREA") field.rows = Math.min(Math.max(field.rows, field.value.split("\n").length), 16);
    if (field.closest(".fold") && isSet(field)) field.closest(".fold").open = true;
  }
}

const isSet = (field) => field.value !== "";

function showError(error) {
  for (const field of fields) {
    const isBad = Boolean(error?.param) && error.param.split(/[.[]/)[0] === field.dataset.field;
    const place = byId(`${field.id}-error`);
    field.setAttribute("aria-invalid", String(isBad));
    place.hidden = !isBad;
    place.textContent = isBad ? error.message : "";
    if (isBad && field.closest(".fold")) field.closest(".fold").open = true;
  }
}

function showCheck(text, kind) {
  byId("check").textContent = text;
  byId("check").className = `check ${kind}`;
}

function showSnippet() {
  for (const button of document.querySelectorAll("[data-snippet]")) {
    button.setAttribute("aria-pressed", String(button.dataset.snippet === language));
  }
  try {
    byId("snippet").textContent = SNIPPETS[language](body(), location.origin);
  } catch {
    // The error is shown beside its field.
  }
}

let checks = 0;
async function check() {
  const number = (checks += 1);
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", headers, body: JSON.stringify(body()) });
    const result = await answer.json();
    if (number !== checks) return;
    if (answer.ok) {
      showError(null);
      showCheck(`${result.input_tokens} input tokens`, "good");
    } else {
      showError(result.error);
      showCheck(result.error.message, "bad");
    }
  } catch (error) {
    if (number !== checks) return;
    showError(error);
    showCheck(error.param ? error.message : "The server cannot be reached.", "bad");
  }
}

let timer = null;
function changed() {
  showSnippet();
  clearTimeout(timer);
  timer = setTimeout(check, CHECK_MS);
}

function link(id) {
  const anchor = byId("open");
  anchor.href = form.dataset.show.replace("ID", encodeURIComponent(id));
  anchor.hidden = false;
}

function begin() {
  running = new AbortController();
  byId("run").disabled = true;
  byId("stop").hidden = false;
  byId("open").hidden = true;
  byId("result").replaceChildren();
  return new Transcript(byId("result"));
}

function end() {
  running = null;
  byId("run").disabled = false;
  byId("stop").hidden = true;
}

async function runStreamed(request, transcript) {
  const options = { method: "POST", headers, body: JSON.stringify(request), signal: running.signal };
  for await (const event of readEvents(form.dataset.run, options)) {
    if (event.type === "response.created") link(event.response.id);
    transcript.take(event);
    if (event.type === "error") throw new Error(event.error?.message ?? event.message);
    if (isEnd(event)) return showEnd(event.response);
  }
}

async function runWhole(request, transcript) {
  const options = { method: "POST", headers, body: JSON.stringify(request), signal: running.signal };
  const answer = await fetch(form.dataset.run, options);
  const result = await answer.json();
  if (!answer.ok) throw result.error;
  link(result.id);
  result.output.forEach((item, index) => {
    transcript.take({ type: "response.output_item.added", output_index: index, item });
    for (const part of item.content ?? []) transcript.take({ output_index: index, delta: part.text ?? "" });
    if (item.arguments) transcript.take({ output_index: index, delta: item.arguments });
  });
  showEnd(result);
}

function showEnd(response) {
  const usage = response.usage ? `, ${response.usage.output_tokens} tokens` : "";
  const why = response.error?.message ?? response.incomplete_details?.reason;
  showCheck(`${response.status}${usage}${why ? `: ${why}` : ""}`, response.status === "failed" ? "bad" : "good");
}

async function run(event) {
  event?.preventDefault();
  if (running) return;
  let request;
  try {
    request = body();
  } catch (error) {
    showError(error);
    return showCheck(error.message, "bad");
  }
  clearTimeout(timer);
  checks += 1;
  const transcript = begin();
  showError(null);
  showCheck("running", "");
  try {
    await (request.stream ? runStreamed : runWhole)(request, transcript);
  } catch (error) {
    if (error.name === "AbortError") showCheck("stopped", "");
    else {
      showError(error);
      showCheck(error.message, "bad");
    }
  } finally {
    end();
  }
}

form.addEventListener("input", changed);
byId("stream").addEventListener("change", changed);
form.addEventListener("submit", run);
byId("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
});
for (const button of document.querySelectorAll("[data-snippet]")) {
  button.addEventListener("click", () => {
    language = button.dataset.snippet;
    showSnippet();
  });
}
fill(JSON.parse(byId("initial").value));
showSnippet();
if (byId("field-input").value) check();
