// Segments ({start, end, text, words}, seconds) as cues that a person can read ({start, end, lines}, milliseconds).
// The same rules as sttd/cues.py.

const LONGEST = 7000; // milliseconds of a cue
const WIDTH = 42; // characters of a line
const LINES = 2;
const PAUSE = 2000; // milliseconds between two words of which the second begins a cue of its own

export function cues(segments, duration) {
  const last = Math.max(Math.round(duration * 1000), 1);
  let begun = 0;
  return segments.flatMap(pieces).map((group) => {
    begun = Math.min(Math.max(Math.round(group[0].start), begun), last - 1);
    const end = Math.min(Math.max(Math.round(group.at(-1).end), begun + 1), begun + LONGEST, last);
    return { start: begun, end, lines: lines(group, width(group)) };
  });
}

const oneSpace = (text) => text.replace(/\s+/g, " ");
const count = (text) => [...text].length;

function pieces({ start, end, text, words }) {
  const spoken = words ?? [];
  const timed = oneSpace(spoken.map(({ word }) => word).join("")).trim() === oneSpace(text).trim();
  const said = timed ? spoken : [{ word: text, start, end }];
  return groups(attached(said.flatMap(({ word, ...times }) => shares(word, times))));
}

// The words of a text, each with its share of the time.
function shares(text, { start, end }) {
  const plain = oneSpace(text).trimEnd();
  const all = count(plain);
  let at = 0;
  const moment = () => start * 1000 + ((end * 1000 - start * 1000) * at) / all;
  return (plain.match(new RegExp(` ?[^ ]{1,${WIDTH}}`, "gu")) ?? []).map((part) => {
    const begin = moment();
    at += count(part);
    return { start: begin, end: moment(), text: part };
  });
}

// Signs and parts behind a hyphen stay with their word; faster-whisper times them alone.
function attached(found) {
  const whole = [];
  for (const piece of found) {
    const before = whole.at(-1);
    if (before && belongs(before.text, piece.text)) Object.assign(before, { end: piece.end, text: before.text + piece.text });
    else whole.push(piece);
  }
  return whole;
}

function belongs(before, text) {
  const sign = !/^[ \p{L}\p{N}]/u.test(text);
  const hyphened = !text.startsWith(" ") && /[-\u2010\u2011]$/u.test(before);
  return (sign || hyphened) && count((before + text).trim()) <= WIDTH;
}

function groups(found) {
  const all = [];
  for (let rest = found; rest.length; ) {
    const next = size(rest);
    all.push(rest.slice(0, next));
    rest = rest.slice(next);
  }
  return all;
}

// How many pieces make the next cue: all up to a pause, or what fits, if possible up to the end of a clause.
function size(found) {
  const pause = found.findIndex((piece, at) => at > 0 && piece.start - found[at - 1].end > PAUSE);
  const paused = pause < 0 ? found.length : pause;
  let fitting = 1;
  while (fitting < paused && fits(found.slice(0, fitting + 1))) fitting += 1;
  if (fitting === paused) return paused;
  const clause = found.slice(0, fitting).findLastIndex(({ text }) => /[.,!?;:…。、！？]$/u.test(text)) + 1;
  return clause > Math.floor(fitting / 3) ? clause : fitting;
}

function fits(found) {
  return found.at(-1).end - found[0].start <= LONGEST && lines(found, WIDTH).length <= LINES;
}

// Each line as full as the width allows.
function lines(found, most) {
  const all = [];
  for (const { text } of found) {
    if (all.length && count(all.at(-1) + text) <= most) all.push(all.pop() + text);
    else all.push(text.trim());
  }
  return all;
}

// The least width that needs no more lines than the full one: lines of about one length.
function width(found) {
  const least = lines(found, WIDTH).length;
  let most = Math.max(...found.map(({ text }) => count(text.trim())));
  while (lines(found, most).length > least) most += 1;
  return most;
}
