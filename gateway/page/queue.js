// Which file is transcribed when: one after the other, in the order they came. A wrong token holds them all until it changes,
// and where no daemon is at work they all wait for one.

import { served, transcribe } from "./call.js";
import { sentence } from "./problems.js";

const LOOK = 3000; // milliseconds between two looks whether a daemon is at work

export class Queue {
  // wishes(): {token, language, translate}, asked when a file begins.
  constructor({ maxBytes, wantsToken, wishes }) {
    Object.assign(this, { maxBytes, wantsToken, wishes, waiting: [], current: null, call: null, refused: null, resting: false });
  }

  get busy() {
    return this.current !== null || this.waiting.length > 0;
  }

  add(card) {
    if (card.file.size === 0) card.failed("errEmpty", {});
    else if (card.file.size > this.maxBytes) card.failed(...sentence({ code: "body_too_large" }, this.maxBytes));
    else {
      this.waiting.push(card);
      card.wait(this.resting ? "noDaemon" : "waiting");
      this.next();
    }
  }

  cancel(card) {
    if (card === this.current) {
      clearInterval(this.watch);
      this.call.cancel(); // hanging up takes the request back, as far as to the daemon
      this.current = null;
    }
    this.waiting = this.waiting.filter((other) => other !== card);
    card.cancelled();
    this.next();
  }

  // Starts the next file, unless one is under way or the token is missing or known to be wrong.
  next() {
    if (this.current || this.resting || !this.waiting.length) return;
    const { token } = this.wishes();
    if (this.wantsToken && !token) this.waiting.forEach((card) => card.hold("needsToken"));
    else if (this.wantsToken && token === this.refused) this.waiting.forEach((card) => card.hold("errToken"));
    else this.run(this.waiting.shift());
  }

  async run(card) {
    this.current = card;
    card.begin();
    const call = transcribe(card.file, this.wishes(), card);
    this.call = call;
    this.watch = setInterval(async () => {
      const lonely = (await served()) === false;
      if (card === this.current) card.alone(lonely);
    }, LOOK);
    try {
      card.done(await call.result);
    } catch (failure) {
      this.failed(card, failure);
    } finally {
      clearInterval(this.watch);
      this.current = null;
      this.next();
    }
  }

  failed(card, failure) {
    if (failure.status === undefined) throw failure; // a bug of this page, not an answer of the gateway
    if (failure.status === 401 && this.wantsToken) {
      this.refused = this.wishes().token;
      this.waiting.unshift(card);
    } else if (failure.status === 503) {
      this.waiting.unshift(card);
      this.rest();
    } else card.failed(...sentence(failure, this.maxBytes));
  }

  // Nothing is sent until a daemon is back, or the gateway gone: then the next call tells.
  async rest() {
    this.resting = true;
    for (const card of this.waiting) card.wait("noDaemon");
    while ((await served()) === false) await new Promise((resolve) => setTimeout(resolve, LOOK));
    this.resting = false;
    this.next();
  }
}
