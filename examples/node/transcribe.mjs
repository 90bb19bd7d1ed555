// Files in, texts out, from Node: amqplib and RabbitMQ's direct reply-to, nothing of ours.
// `node transcribe.mjs note.ogg more.mp3`; all notes are sent at once, answers are told apart by correlation id.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import amqp from "amqplib";

const DIRECT_REPLY_TO = "amq.rabbitmq.reply-to";
const TIMEOUT = 120_000; // milliseconds for one note

/** One connection for the program's whole life; `transcribe` may be called any number of times at once. */
export class Stt {
  #waiting = new Map();

  static async connect(url) {
    const stt = new Stt();
    stt.connection = await amqp.connect(url).catch(({ message, code }) => {
      throw new Error(`no connection to RabbitMQ (${message || code}): is it running, and is STTD_AMQP_URL right?`);
    });
    stt.channel = await stt.connection.createConfirmChannel();
    // Direct reply-to: consume without ack before publishing, and publish on the same channel.
    await stt.channel.consume(DIRECT_REPLY_TO, (message) => stt.#take(message), { noAck: true });
    stt.channel.on("return", ({ properties }) =>
      stt.#settle(properties.correlationId, "reject", new Error("queue stt.requests does not exist: no daemon has served this RabbitMQ")));
    stt.connection.on("error", (error) => console.error(`RabbitMQ: ${error.message}`));
    stt.channel.on("close", () => {
      for (const id of [...stt.#waiting.keys()]) stt.#settle(id, "reject", new Error("the connection to RabbitMQ is gone"));
    });
    return stt;
  }

  /** The answer to one note: the parsed reply, completed or failed. */
  async transcribe(note, { language = "ru", timeout = TIMEOUT } = {}) {
    const id = randomUUID();
    const answer = new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle(id, "reject", new Error(`no answer within ${timeout} ms`)), timeout);
      this.#waiting.set(id, { resolve, reject, timer });
    });
    const published = this.channel.publish("", "stt.requests", note, {
      correlationId: id,
      messageId: id,
      replyTo: DIRECT_REPLY_TO,
      persistent: true,
      mandatory: true,
      timestamp: Math.floor(Date.now() / 1000), // whole seconds, as AMQP has it
      headers: { "stt-language": language, "stt-deadline": String(Date.now() + timeout) },
    }, (error) => error && this.#settle(id, "reject", new Error("RabbitMQ did not take the note: the queue is full, try later")));
    void published; // false only asks a sender of thousands to slow down
    return answer;
  }

  close() {
    return this.connection.close().catch(() => {}); // it may have gone already
  }

  #take(message) {
    if (message === null || message.properties.type === "stt.progress.v1") return;
    this.#settle(message.properties.correlationId, "resolve", JSON.parse(message.content));
  }

  #settle(id, how, value) {
    const call = this.#waiting.get(id);
    if (!call) return; // a second answer after a fault
    this.#waiting.delete(id);
    clearTimeout(call.timer);
    call[how](value);
  }
}

/** A wrong name ends the program before anything is sent. */
async function read(path) {
  try {
    return await readFile(path);
  } catch ({ code }) {
    throw new Error(`${path}: ${{ ENOENT: "no such file", EISDIR: "is a folder" }[code] ?? `cannot be read (${code})`}`);
  }
}

let stt;
try {
  const paths = process.argv.slice(2);
  const notes = await Promise.all(paths.map(read));
  stt = await Stt.connect(process.env.STTD_AMQP_URL ?? "amqp://guest:guest@127.0.0.1:5672/");
  await Promise.all(paths.map(async (path, number) => {
    const reply = await stt.transcribe(notes[number]);
    if (reply.status === "failed") process.exitCode = 1;
    console.log(`${path}: ${reply.status === "completed" ? reply.text : reply.error.code}`);
  }));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await stt?.close();
}
