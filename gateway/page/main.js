// Puts the page together: what the visitor chooses, drops, records or types goes to the queue; what the queue knows goes to the cards.

import { Card } from "./card.js";
import { megabytes } from "./problems.js";
import { Queue } from "./queue.js";
import { Recorder, microphoneProblem } from "./recorder.js";
import { clock } from "./subtitles.js";
import { change, current, languageName, put, say } from "./words.js";

const at = (id) => document.getElementById(id);
const fact = (name) => document.querySelector(`meta[name="sttd-${name}"]`).content;
const TOKEN = "sttd-page-token";

const maxBytes = Number(fact("max-bytes"));
const wantsToken = fact("token") === "yes";
const queue = new Queue({ maxBytes, wantsToken, wishes });
const recorder = new Recorder({ tick: showLevel });

function wishes() {
  return { token: wantsToken ? at("token").value.trim() : "", language: at("language").value, translate: at("translate").checked };
}

function take(files) {
  const on = { cancel: (card) => queue.cancel(card), again: (card) => queue.add(card), remove, news };
  const cards = Array.from(files, (file) => new Card(file, on));
  at("cards").prepend(...cards.map((card) => card.element)); // the newest on top, what came together in its own order
  for (const card of cards) queue.add(card);
}

function remove(card) {
  const neighbour = card.element.nextElementSibling?.querySelector(".corner button:not([hidden])");
  card.close();
  (neighbour ?? at("choose")).focus();
}

function news(sentence) {
  at("news").textContent = sentence;
}

// -- languages ---------------------------------------------------------------------------------------------------------------

function speak(tongue) {
  change(tongue);
  for (const button of at("tongues").children) button.setAttribute("aria-pressed", String(button.value === tongue));
  listLanguages();
}

function listLanguages() {
  const list = at("language");
  const chosen = list.value;
  const named = fact("languages").split(" ").map((code) => [languageName(code), code]);
  named.sort(([a], [b]) => a.localeCompare(b, current()));
  list.replaceChildren(new Option(say("detect"), ""), ...named.map(([name, code]) => new Option(name, code)));
  list.value = chosen;
}

// -- choosing and dropping ---------------------------------------------------------------------------------------------------

function chooseAndDrop() {
  at("choose").addEventListener("click", () => at("files").click());
  at("files").addEventListener("change", () => {
    take(at("files").files);
    at("files").value = ""; // so that the same file may be chosen again
  });
  const over = (event, is) => {
    event.preventDefault();
    at("intake").classList.toggle("over", is);
  };
  // Anywhere on the page: a file dropped beside the field would otherwise replace the page.
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => over(event, event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    over(event, false);
    take(event.dataTransfer.files);
  });
}

// -- recording ---------------------------------------------------------------------------------------------------------------

async function recordOrStop() {
  if (recorder.running) {
    at("record").disabled = true; // a second click before the recorder has ended would send it twice
    const file = await recorder.stop(recordingName());
    at("record").disabled = false;
    showRecording(false);
    take([file]);
    return;
  }
  hideMicrophoneProblem();
  if (!navigator.mediaDevices) {
    microphone("insecure");
    return;
  }
  at("record").disabled = true; // until the visitor has answered the browser's question
  try {
    await recorder.start();
    showRecording(true);
  } catch (error) {
    microphone(microphoneProblem(error));
  }
  at("record").disabled = false;
  at("record").focus();
}

async function discard() {
  await recorder.stop("");
  showRecording(false);
  at("record").focus();
}

function showRecording(is) {
  put(at("record"), is ? "stop" : "record");
  at("record").classList.toggle("main", is);
  at("choose").classList.toggle("main", !is);
  for (const id of ["discard", "recording"]) at(id).hidden = !is;
}

function showLevel(seconds, level) {
  at("recorded").textContent = clock(seconds);
  at("level").value = level;
}

function recordingName() {
  const now = new Date();
  const two = (n) => String(n).padStart(2, "0");
  return `${say("recordingName")}-${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

function microphone(key) {
  put(at("microphone-problem"), key);
  at("microphone-problem").hidden = false;
}

function hideMicrophoneProblem() {
  at("microphone-problem").hidden = true;
}

// -- the token ---------------------------------------------------------------------------------------------------------------

function askForToken() {
  at("access").hidden = !wantsToken;
  at("token").value = sessionStorage.getItem(TOKEN) ?? "";
  const use = () => {
    sessionStorage.setItem(TOKEN, at("token").value);
    queue.next();
  };
  at("token").addEventListener("change", use);
  at("access").addEventListener("submit", (event) => {
    event.preventDefault();
    use();
  });
}

function warnBeforeLeaving() {
  window.addEventListener("beforeunload", (event) => {
    if (queue.busy || recorder.running) event.preventDefault();
  });
}

put(at("limit"), "limit", { size: megabytes(maxBytes) });
speak(current());
chooseAndDrop();
askForToken();
warnBeforeLeaving();
for (const button of at("tongues").children) button.addEventListener("click", () => speak(button.value));
at("record").addEventListener("click", recordOrStop);
at("discard").addEventListener("click", discard);
at("translate").addEventListener("change", () => (at("language").disabled = at("translate").checked));
