// Polling: elements with `data-poll` are brought up to date at that interval in seconds, while
// somebody can see the page and selects no text in them.

const polled = new WeakMap();

function isBusy(element) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(element, true);
}

function poll() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("[data-poll]")) {
    const since = Date.now() - (polled.get(element) ?? 0);
    if (since < Number(element.dataset.poll) * 1000 || isBusy(element)) continue;
    polled.set(element, Date.now());
    htmx.trigger(element, "poll");
  }
}

function showState(event) {
  const isDown = event.type !== "htmx:afterOnLoad";
  document.getElementById("live")?.classList.toggle("off", isDown);
}

export function startPolling() {
  for (const element of document.querySelectorAll("[data-poll]")) polled.set(element, Date.now());
  document.addEventListener("htmx:load", (event) => polled.set(event.detail.elt, Date.now()));
  document.addEventListener("visibilitychange", poll);
  document.addEventListener("htmx:sendError", showState);
  document.addEventListener("htmx:responseError", showState);
  document.addEventListener("htmx:afterOnLoad", showState);
  setInterval(poll, 500);
}
