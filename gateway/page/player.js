// The audio of one card and its lines: a line plays from its start, the line that plays is marked, arrow keys go from line to line.

import { clock } from "./subtitles.js";

export class Player {
  constructor(audio, list, file) {
    Object.assign(this, { audio, list, lines: [], segments: [] });
    this.url = URL.createObjectURL(file);
    audio.addEventListener("loadedmetadata", () => findEnd(audio), { once: true });
    audio.addEventListener("timeupdate", () => this.mark());
    audio.addEventListener("play", () => hushOthers(audio));
    list.addEventListener("keydown", (event) => this.walk(event));
    if (file.size) audio.src = this.url;
  }

  // playable: whether this browser can play the file.
  show(segments, playable) {
    this.segments = segments;
    this.lines = segments.map((segment, i) => this.line(segment, i, playable));
    this.list.replaceChildren(...this.lines.map((line) => line.parentNode));
  }

  line(segment, i, playable) {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = i === 0 ? 0 : -1; // one stop for the Tab key, however many lines there are
    button.disabled = !playable;
    button.addEventListener("click", () => this.playFrom(i));
    const time = document.createElement("time");
    time.textContent = clock(segment.start);
    const text = document.createElement("span");
    text.textContent = segment.text.trim();
    button.append(time, text);
    document.createElement("li").append(button);
    return button;
  }

  // The line that plays already is paused instead.
  async playFrom(i) {
    if (!this.audio.paused && this.lines[i].getAttribute("aria-current") === "true") {
      this.audio.pause();
      return;
    }
    this.audio.currentTime = this.segments[i].start;
    this.stop(i);
    this.mark();
    try {
      await this.audio.play();
    } catch (error) {
      if (error.name !== "AbortError") throw error; // paused or moved on before it began
    }
  }

  mark() {
    const now = this.audio.currentTime + 0.001; // a browser may land a little before where it was sent
    this.segments.forEach(({ start }, i) => {
      const here = start <= now && now < (this.segments[i + 1]?.start ?? Infinity) && (this.audio.currentTime > 0 || !this.audio.paused);
      this.lines[i].setAttribute("aria-current", String(here));
    });
  }

  walk(event) {
    const at = this.lines.indexOf(event.target);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.lines.length - 1 }[event.key];
    if (at < 0 || !this.lines[to]) return;
    event.preventDefault();
    this.stop(to);
    this.lines[to].focus();
  }

  // Makes one line the list's stop for the Tab key.
  stop(i) {
    this.lines.forEach((line, k) => (line.tabIndex = k === i ? 0 : -1));
  }

  close() {
    this.audio.pause();
    URL.revokeObjectURL(this.url);
  }
}

// A fresh recording does not say how long it is, and Chromium seeks in it only after it has looked for the end.
function findEnd(audio) {
  if (audio.duration !== Infinity) return;
  audio.addEventListener("durationchange", () => (audio.currentTime = 0), { once: true });
  audio.currentTime = Number.MAX_SAFE_INTEGER;
}

function hushOthers(mine) {
  for (const other of document.querySelectorAll("audio")) if (other !== mine) other.pause();
}
