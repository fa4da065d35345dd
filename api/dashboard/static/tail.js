// Live output of a response that runs. What was seen is kept for this tab: after a reload, the tail
// goes on at the last event, by `starting_after`.

import { isEnd, readEvents } from "./events.js";
import { Transcript } from "./transcript.js";

// Code of the event that ends a stream whose server has lost its database or its broker.
const AWAY = "service_unavailable";
const SAVE_MS = 500;
const RETRY_MS = [500, 1000, 2000, 5000];
const MAX_SAVED = 1_000_000;

class Tail {
  constructor(section) {
    this.section = section;
    this.key = `antiphon tail ${section.dataset.response}`;
    const saved = this.restore();
    this.last = saved.last;
    this.transcript = new Transcript(section.querySelector("[data-live-items]"), saved.items);
    this.saver = setInterval(() => this.save(), SAVE_MS);
    addEventListener("pagehide", () => this.save());
  }

  restore() {
    try {
      return JSON.parse(sessionStorage.getItem(this.key)) ?? { last: null, items: [] };
    } catch {
      return { last: null, items: [] };
    }
  }

  save() {
    if (!this.isChanged) return;
    this.isChanged = false;
    const state = JSON.stringify({ last: this.last, items: this.transcript.state });
    try {
      // Without it, a page that is loaded again begins with the first event.
      if (state.length > MAX_SAVED) sessionStorage.removeItem(this.key);
      else sessionStorage.setItem(this.key, state);
    } catch {
      sessionStorage.removeItem(this.key);
    }
  }

  get url() {
    const { events } = this.section.dataset;
    return this.last === null ? events : `${events}?starting_after=${this.last}`;
  }

  say(text, isOff = false) {
    this.section.querySelector("[data-live-text]").textContent = text;
    this.section.querySelector(".live").classList.toggle("off", isOff);
  }

  async follow() {
    for (let tries = 0; ; tries += 1) {
      try {
        for await (const event of readEvents(this.url)) {
          if (event.type === "error") {
            // Its number is that of the event which could not be sent.
            if (event.error.code === AWAY) break;
            return this.say(event.error.message, true);
          }
          tries = 0;
          this.take(event);
          if (isEnd(event)) return this.finish();
        }
      } catch (error) {
        if (error.status === 404) return this.say("Deleted", true);
        if (error.status === 401) return location.reload();
      }
      this.say("Reconnecting", true);
      const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  take(event) {
    this.last = event.sequence_number;
    this.isChanged = true;
    this.transcript.take(event);
    this.say(event.type === "response.queued" ? "Queued" : "Live");
    this.section.dataset.last = this.last;
  }

  finish() {
    clearInterval(this.saver);
    this.isChanged = false;
    sessionStorage.removeItem(this.key);
    this.say("Ended");
    const summary = document.getElementById("summary");
    if (summary?.dataset.poll) htmx.trigger(summary, "poll");
    for (const element of document.querySelectorAll("[data-ends]")) htmx.trigger(element, "ended");
  }
}

export function startTails() {
  for (const section of document.querySelectorAll("[data-live]")) new Tail(section).follow();
}
