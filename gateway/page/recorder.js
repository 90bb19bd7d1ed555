// The microphone: records until told to stop, and gives a file.

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

export class Recorder {
  // hear: {tick(seconds, level from 0 to 1)}
  constructor(hear) {
    this.hear = hear;
    this.running = false;
  }

  // Rejects with a DOMException where the microphone cannot be had.
  async start() {
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      this.machine = new MediaRecorder(this.stream, { mimeType });
      this.parts = [];
      this.machine.ondataavailable = (event) => event.data.size && this.parts.push(event.data);
      this.machine.start(1000);
      this.running = true;
      this.began = performance.now();
      this.measure();
    } catch (error) {
      this.release(); // else the microphone stays on, and the page says that it cannot be had
      throw error;
    }
  }

  // Resolves to the recording. What was recorded before the microphone was pulled out counts.
  async stop(name) {
    if (this.machine.state !== "inactive") {
      await new Promise((resolve) => {
        this.machine.onstop = resolve;
        this.machine.stop();
      });
    }
    this.release();
    const type = this.machine.mimeType.split(";")[0];
    return new File(this.parts, `${name}.${type.split("/")[1]}`, { type });
  }

  release() {
    this.running = false;
    for (const track of this.stream.getTracks()) track.stop();
    this.context?.close();
    this.context = null;
  }

  measure() {
    this.context = new AudioContext();
    const analyser = this.context.createAnalyser();
    const samples = new Float32Array(analyser.fftSize);
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const look = () => {
      if (!this.running) return;
      analyser.getFloatTimeDomainData(samples);
      const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      this.hear.tick((performance.now() - this.began) / 1000, Math.min(1, loudest));
      requestAnimationFrame(look);
    };
    look();
  }
}

// The key of the sentence for what getUserMedia said.
export function microphoneProblem(error) {
  return { NotAllowedError: "notAllowed", SecurityError: "notAllowed", NotFoundError: "noMicrophone" }[error.name] ?? "microphoneFailed";
}
