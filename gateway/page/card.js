// One file on the page: how it stands, its text, its buttons. Knows nothing of the queue but what it is told.

import { Player } from "./player.js";
import { FINAL } from "./problems.js";
import { clock, render } from "./subtitles.js";
import { apply, languageName, put, say } from "./words.js";

export class Card {
  // on: {cancel(card), again(card), remove(card), news(sentence)}
  constructor(file, on) {
    Object.assign(this, { file, on, text: "", segments: [], duration: 0 });
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.part = (selector) => this.element.querySelector(selector);
    this.part("h2").textContent = file.name;
    this.player = new Player(this.part("audio"), this.part(".segments"), file);
    this.part("audio").addEventListener("error", () => this.unplayable());
    this.part("audio").hidden = file.size === 0;
    for (const name of ["cancel", "again", "remove"]) this.part(`.${name}`).addEventListener("click", () => on[name](this));
    this.part(".copy").addEventListener("click", () => this.copy());
    for (const link of this.element.querySelectorAll(".save")) link.addEventListener("click", () => this.fill(link));
    apply(this.element);
    this.wait();
  }

  wait(key = "waiting", given = {}) {
    this.is("waiting", key, given);
  }

  // Waits for something that only the visitor can do.
  hold(key) {
    this.is("waiting held", key);
  }

  begin() {
    this.part(".draft").textContent = "";
    this.uploading(0);
  }

  uploading(fraction) {
    this.is("busy", "uploading", { percent: Math.floor(100 * fraction) }, fraction);
  }

  queued() {
    this.is("busy", "queued", {}, null);
  }

  // Nothing comes yet: because no daemon is at work?
  alone(is) {
    const key = this.part(".state").dataset.say;
    if (is && (key === "uploading" || key === "queued")) this.is("busy", "noDaemon", {}, null);
    else if (!is && key === "noDaemon") this.queued();
  }

  working(fraction, text) {
    this.is("busy", "working", { percent: Math.floor(100 * fraction) }, fraction);
    this.part(".draft").textContent = text;
  }

  done({ text, segments, language, duration, truncated, dropped }) {
    Object.assign(this, { text, segments, duration });
    this.part(".draft").textContent = "";
    this.player.show(segments, this.part(".deaf").hidden);
    this.part(".result").hidden = !text.trim();
    const key = text.trim() ? "done" : "silent";
    const missing = () => (truncated ? say("cut") : "") + (dropped ? say("dropped", { dropped: dropped.join(" ") }) : "");
    const given = { time: clock(Math.round(duration)), language: () => languageName(language), missing };
    this.is("done", key, given);
    this.tell(key, given);
  }

  failed(key, given) {
    this.part(".draft").textContent = "";
    this.is("failed", key, given);
    this.tell(key, given);
  }

  cancelled() {
    this.part(".draft").textContent = "";
    this.is("cancelled", "cancelled");
  }

  // fraction: undefined without a bar, null while nobody knows.
  is(state, key, given = {}, fraction = undefined) {
    this.element.className = `card ${state}`;
    put(this.part(".state"), key, given);
    const bar = this.part("progress");
    bar.hidden = fraction === undefined;
    if (fraction == null) bar.removeAttribute("value");
    else bar.value = fraction;
    bar.setAttribute("aria-label", this.file.name);
    this.offer(state, key);
  }

  // Only the buttons that do something now; a button that goes takes the focus to the one that comes.
  offer(state, key) {
    const wanted = { done: ["remove"], cancelled: ["again", "remove"], failed: FINAL.has(key) ? ["remove"] : ["again", "remove"] }[state] ?? ["cancel"];
    const held = this.part(".corner").contains(document.activeElement) && !wanted.includes(document.activeElement.className);
    for (const button of this.part(".corner").children) button.hidden = !wanted.includes(button.className);
    if (held) this.part(`.${wanted[0]}`).focus();
  }

  tell(key, given) {
    this.on.news(`${this.file.name}: ${say(key, given)}`);
  }

  unplayable() {
    this.part("audio").hidden = true;
    this.part(".deaf").hidden = false;
    this.player.show(this.segments, false);
    this.part(".hint").hidden = true;
  }

  async copy() {
    const copied = await copyText(this.text);
    put(this.part(".copy"), copied ? "copied" : "notCopied");
    this.on.news(say(copied ? "copied" : "notCopied"));
    setTimeout(() => put(this.part(".copy"), "copy"), 2000);
  }

  // The link gets its file in the moment it is used, and lets go of it when the browser has it.
  fill(link) {
    const body = new Blob([render(link.dataset.form, this.text, this.segments, this.duration)], { type: "text/plain;charset=utf-8" });
    link.href = URL.createObjectURL(body);
    link.download = `${this.file.name.replace(/\.[^.]*$/, "")}.${link.dataset.form}`;
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  close() {
    this.player.close();
    this.element.remove();
  }
}

// Plain HTTP from another machine has no clipboard; the old way works there.
async function copyText(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return false;
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  const focused = document.activeElement;
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused.focus();
  return copied;
}
