// The event stream: every event of a topic once, in order, whatever the network does.

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5000;
const SILENCE_MS = 40_000; // the server says something every 15 s
const REFUSED = 1008;

export class EventStream {
  // onEvent(event) for each event; onState("connecting" | "live" | "waiting" | "refused", reason).
  constructor({ topic, after = 0, onEvent, onState = () => {} }) {
    Object.assign(this, { topic, last: after, onEvent, onState, failures: 0, closed: false });
    this.onWake = () => {
      if (!document.hidden && this.retry) this.connect();
    };
    document.addEventListener("visibilitychange", this.onWake);
    window.addEventListener("online", this.onWake);
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    this.retry = null;
    this.onState("connecting");
    const url = new URL("/ws/events", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("topic", this.topic);
    url.searchParams.set("after", this.last);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      this.onState("live");
      this.heard();
    };
    socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      if (this.socket === socket) this.lost(code, reason);
    };
  }

  take(event) {
    this.heard();
    this.failures = 0;
    if (!(event.seq > this.last)) return; // a heartbeat
    this.last = event.seq;
    this.onEvent(event);
  }

  heard() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const socket = this.socket;
      this.lost(0, "silent");
      socket.close();
    }, SILENCE_MS);
  }

  lost(code, reason) {
    clearTimeout(this.silence);
    this.socket = null;
    if (this.closed) return;
    if (code === REFUSED) {
      this.onState("refused", reason);
      return;
    }
    this.onState("waiting", reason);
    const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.failures++);
    this.retry = setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 2));
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    clearTimeout(this.silence);
    document.removeEventListener("visibilitychange", this.onWake);
    window.removeEventListener("online", this.onWake);
    this.socket?.close();
  }
}
