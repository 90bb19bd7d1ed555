// One call of the gateway: uploads a file, tells how far it is, and ends in a transcript or in a CallFailed.

export class CallFailed extends Error {
  // status: of HTTP, 0 where there was no answer. code: one word, see docs/contract/error-codes.md.
  constructor({ status = 0, code = "", message = "", retryAfter = 10, id = "" }) {
    super(message);
    Object.assign(this, { status, code, retryAfter, id });
  }
}

// XMLHttpRequest, since fetch cannot tell how much of an upload is sent.
// hear: {uploading(fraction), queued(), working(fraction, text)}. Returns {result, cancel}; a cancelled call never settles.
export function transcribe(file, { token, language, translate }, hear) {
  const request = new XMLHttpRequest();
  const result = new Promise((resolve, reject) => {
    const story = new Story(hear);
    request.upload.onprogress = (event) => hear.uploading(event.loaded / event.total);
    request.upload.onload = () => hear.queued();
    request.onprogress = () => request.status === 200 && story.read(request.responseText);
    let answered = false; // an error wipes the status
    request.onreadystatechange = () => (answered ||= request.readyState === XMLHttpRequest.HEADERS_RECEIVED && request.status > 0);
    request.onerror = () => reject(new CallFailed({ code: answered ? "broken" : "network" }));
    request.onload = () => {
      if (request.status === 200) story.read(request.responseText);
      settle(request, story, resolve, reject);
    };
  });
  request.open("POST", translate ? "v1/audio/translations" : "v1/audio/transcriptions");
  if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
  request.send(form(file, language, translate));
  return { result, cancel: () => request.abort() };
}

// Whether a daemon is at work; null where not even the gateway answers.
export async function served() {
  try {
    return (await fetch("health", { cache: "no-store" })).ok;
  } catch {
    return null;
  }
}

function form(file, language, translate) {
  const data = new FormData();
  data.append("file", file, "audio"); // the name is nobody's business
  data.append("model", "whisper-1");
  data.append("response_format", "verbose_json");
  data.append("stream", "true");
  if (language && !translate) data.append("language", language);
  return data;
}

function settle(request, story, resolve, reject) {
  const id = request.getResponseHeader("X-Request-ID") ?? "";
  if (request.status !== 200) {
    const retryAfter = Number(request.getResponseHeader("Retry-After")) || 10;
    reject(new CallFailed({ status: request.status, retryAfter, id, ...told(request.responseText) }));
  } else if (story.error) reject(new CallFailed({ status: 200, id, ...story.error }));
  else if (story.done) resolve(story.done);
  else reject(new CallFailed({ status: 200, code: "broken", id }));
}

// What an error's body says; a proxy in between may answer with something else.
function told(body) {
  try {
    const { code, message } = JSON.parse(body).error;
    return { code: code ?? "", message };
  } catch {
    return {};
  }
}

// Server-sent events as they arrive: text deltas, then the whole.
class Story {
  constructor(hear) {
    Object.assign(this, { hear, read_to: 0, text: "", done: null, error: null });
  }

  read(all) {
    for (let end; (end = all.indexOf("\n\n", this.read_to)) >= 0; this.read_to = end + 2) {
      const line = all.slice(this.read_to, end);
      if (line.startsWith("data: {")) this.tell(JSON.parse(line.slice("data: ".length)));
    }
  }

  tell(event) {
    if (event.error) this.error = { code: event.error.code ?? "", message: event.error.message };
    else if (event.type === "transcript.text.done") this.done = event;
    else {
      this.text += event.delta;
      this.hear.working(event.fraction ?? 0, this.text);
    }
  }
}
