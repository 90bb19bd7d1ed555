// Segments ({start, end, text}, in seconds) as files: the same cues as the gateway's own srt and vtt.

const WORD_JOINER = "\u2060"; // no width: keeps an arrow within a text from being taken for a cue's times

export function render(form, text, segments) {
  return { txt: () => `${text}\n`, srt: () => srt(segments), vtt: () => vtt(segments) }[form]();
}

function srt(segments) {
  const said = (text) => text.replaceAll("-->", `--${WORD_JOINER}>`);
  return cues(segments, ",", said);
}

function vtt(segments) {
  const said = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `WEBVTT\n\n${cues(segments, ".", said)}`;
}

function cues(segments, point, said) {
  return segments
    .map(({ start, end, text }) => [Math.round(start * 1000), Math.round(end * 1000), text.replace(/\s+/g, " ").trim()])
    .filter(([, , text]) => text)
    .map(([start, end, text], i) => `${i + 1}\n${stamp(start, point)} --> ${stamp(Math.max(end, start + 1), point)}\n${said(text)}\n`)
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
