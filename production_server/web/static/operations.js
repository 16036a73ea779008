// The operations page with JavaScript: parts of the page come as events, written by the server.
// Without JavaScript, the page is a snapshot.
"use strict";
const live = document.getElementById("live"), pause = document.getElementById("pause");
const STALE_MS = 6000;
let source = null, paused = false, timer = 0;

const say = (words, kind) => {
  if (live.textContent !== words) live.textContent = words;
  live.className = `tag ${kind}`;
};
const update = (event) => {
  for (const [name, html] of Object.entries(JSON.parse(event.data))) {
    const part = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (part) part.innerHTML = html;
  }
  say("Live", "good");
  clearTimeout(timer);
  timer = setTimeout(() => say("No news from the server", "bad"), STALE_MS);
};
const stop = () => {
  clearTimeout(timer);
  if (source) source.close();
  source = null;
};
const start = () => {
  stop();
  source = new EventSource("/operations/events");
  source.addEventListener("parts", update);
  source.addEventListener("error", () => {
    clearTimeout(timer);
    // Closed for good: the token has expired, or too many people watch.
    if (source.readyState === EventSource.CLOSED) say("Ended. Reload the page", "bad");
    else say("Connecting again", "bad");
  });
};
pause.hidden = false;
document.getElementById("still").hidden = true;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) {
    stop();
    say("Paused", "");
  } else start();
});
// Nobody looks at a page in the background, so it costs nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stop();
  else if (!paused) start();
});
window.addEventListener("pagehide", stop);
if (!document.hidden) start();
