// Keeps the page current: fetches it again every two seconds and puts changed sections in place. The server renders and
// escapes; nothing is built from values here.
"use strict";

const EVERY_MS = 2000;
const pulse = document.getElementById("pulse");
let lastSeen = new Date();

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, {
      headers: { accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const fresh of page.querySelectorAll("main > section[id]")) {
      const shown = document.getElementById(fresh.id);
      // An unchanged section keeps its selection and focus.
      if (shown && shown.innerHTML !== fresh.innerHTML) shown.replaceChildren(...fresh.childNodes);
    }
    lastSeen = new Date();
    show("", false);
  } catch (error) {
    show(`no answer since ${lastSeen.toLocaleTimeString()} (${error.message})`, true);
  }
}

function show(text, lost) {
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.classList.toggle("lost", lost);
}

async function run() {
  await refresh();
  setTimeout(run, EVERY_MS);
}

setTimeout(run, EVERY_MS);
document.addEventListener("visibilitychange", refresh);
