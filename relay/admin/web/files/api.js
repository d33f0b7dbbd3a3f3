// The operator's API, as /v1/openapi.yaml describes it.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let r;
  try {
    r = await fetch(path, {cache: 'no-store', credentials: 'same-origin', ...options});
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Refused(0, 'The relay does not answer.');
  }
  if (r.ok) return r;
  let text = r.statusText;
  try { text = (await r.json()).error ?? text; } catch { /* the status says it */ }
  if (r.status === 401) dispatchEvent(new Event('signedout'));
  throw new Refused(r.status, text);
}

function change(method, value, signal) {
  return {method, signal, headers: {'Content-Type': 'application/json', 'X-Postrider': '1'}, body: value === undefined ? undefined : JSON.stringify(value)};
}

export async function get(path, signal) { return (await ask(path, {signal})).json(); }

export async function post(path, value) { return (await ask(path, change('POST', value))).json(); }

export async function remove(path) { return (await ask(path, change('DELETE'))).json(); }

// lines yields the objects of an answer of JSON lines, as they come.
async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    rest += done ? '\n' : value;
    const whole = rest.split('\n');
    rest = whole.pop();
    for (const line of whole) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}

// list yields what a request finds. An error that comes late ends it.
export async function* list(path, signal) {
  for await (const v of lines(await ask(path, {signal}))) {
    if (v.error && Object.keys(v).length === 1) throw new Refused(500, v.error);
    yield v;
  }
}

// act yields how far an action has come.
export async function* act(action, signal) {
  for await (const p of lines(await ask('/v1/queue/actions', change('POST', action, signal)))) {
    if (p.error) throw new Refused(500, p.error);
    yield p;
  }
}

export function query(values) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v) q.set(k, v);
  return q.toString();
}
