// What went wrong, as one sentence with the next step: [key, values] for words.js.

const BY_CODE = {
  network: "errNetwork",
  broken: "errBroken",
  unsupported_media: "errUnreadable",
  audio_unreadable: "errUnreadable",
  no_audio_stream: "errNoAudio",
  audio_empty: "errEmpty",
  audio_too_long: "errLong",
  body_too_large: "errLarge",
  reply_timeout: "errTimeout",
  expired: "errTimeout",
};

const BY_STATUS = { 400: "errRefused", 401: "errToken", 408: "errSlow", 413: "errLarge", 429: "errBusy", 502: "errAway", 504: "errTimeout" };

// With these the same file fails again, so it is not offered to try.
export const FINAL = new Set(["errUnreadable", "errNoAudio", "errEmpty", "errLong", "errLarge"]);

export function sentence(failure, maxBytes) {
  const key = BY_CODE[failure.code] ?? BY_STATUS[failure.status] ?? "errOther";
  return [key, { size: megabytes(maxBytes), seconds: failure.retryAfter, message: failure.message || failure.status, id: failure.id }];
}

export function megabytes(bytes) {
  return Math.max(0.1, Math.floor(bytes / 104857.6) / 10);
}
