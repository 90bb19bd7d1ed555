// Segments ({start, end, text, words}, in seconds) as files: the same cues as the gateway's own srt and vtt.

import { cues } from "./cues.js";

const WORD_JOINER = "\u2060"; // no width: keeps an arrow within a text from being taken for a cue's times

export function render(form, text, segments, duration) {
  const shown = () => cues(segments, duration);
  return { txt: () => `${text}\n`, srt: () => srt(shown()), vtt: () => vtt(shown()) }[form]();
}

function srt(shown) {
  const said = (text) => text.replaceAll("-->", `--${WORD_JOINER}>`);
  return numbered(shown, ",", said);
}

function vtt(shown) {
  const said = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `WEBVTT\n\n${numbered(shown, ".", said)}`;
}

function numbered(shown, point, said) {
  return shown
    .map(({ start, end, lines }, i) => [i + 1, `${stamp(start, point)} --> ${stamp(end, point)}`, ...lines.map(said)])
    .map((block) => `${block.join("\n")}\n`)
    .join("\n");
}

function stamp(milliseconds, point) {
  const two = (n) => String(n).padStart(2, "0");
  const seconds = Math.floor(milliseconds / 1000);
  const hours = two(Math.floor(seconds / 3600));
  return `${hours}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${point}${String(milliseconds % 1000).padStart(3, "0")}`;
}

// Minutes and seconds for people: 0:07, 1:02:33.
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
