// smpcc-client: run a plan as its guest, from a page or from any runtime with WebCrypto and fetch. Each party is given one share of the inputs, and nobody the inputs.
//
//   const client = connect({ servers: { p0: "https://north.example", p1: "https://south.example" }, plan, token });
//   const { outputs } = await client.predict({ input: pixels });

/** @typedef {{name: string, elem: "real"|"int"|"bool", shape: number[], bits: number, scale: number, lo?: number, hi?: number, columns?: {lo: number, hi: number, shift: number}[], classes?: string[], words?: string[]}} Port */
/** @typedef {{digest: string, name: string, guest: string, parties: string[], inputs: Port[], outputs: Port[]}} Plan what smpcc page --manifest prints */
/** @typedef {{outputs: Record<string, number[]>, session: number, plan: string, ticket: string, sent: Record<string, number>}} Result */

/** An error that says what to do. */
export class SmpccError extends Error {
  /** @param {string} message @param {string} [hint] @param {string} [party] */
  constructor(message, hint = "", party = "") {
    super((party && party + ": ") + message);
    this.name = "SmpccError";
    this.hint = hint;
    this.party = party;
  }
}

const size = (port) => port.shape.reduce((a, b) => a * b, 1);
const low = (w, bits) => BigInt.asUintN(bits, w);
const width = (bits) => (bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8);

/** round as the plan does: halves away from zero. */
function round(y) {
  const t = Math.trunc(y);
  return Math.abs(y - t) >= 0.5 ? t + Math.sign(y) : t;
}

/** column returns the range of element i, and the fraction bits it enters with. */
function column(port, i) {
  const c = port.columns && port.columns.length ? port.columns[i % port.columns.length] : null;
  return c ? { lo: c.lo, hi: c.hi, scale: port.scale - c.shift } : { lo: port.lo || 0, hi: port.hi || 0, scale: port.scale };
}

/**
 * encode turns the elements of an input into the words of its port.
 * @param {Port} port @param {ArrayLike<number>} data @returns {BigUint64Array}
 */
export function encode(port, data) {
  if (!data || data.length !== size(port)) {
    throw new SmpccError(`input "${port.name}" has ${data ? data.length : 0} elements, want ${size(port)}`, `give ${port.shape.join(" x ")} numbers`);
  }
  const out = new BigUint64Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const x = Number(data[i]);
    const { lo, hi, scale } = column(port, i);
    if (port.elem === "bool") {
      if (x !== 0 && x !== 1) throw new SmpccError(`input "${port.name}": element ${i} is not 0 or 1`);
      out[i] = BigInt(x);
      continue;
    }
    if (Number.isNaN(x)) throw new SmpccError(`input "${port.name}": element ${i} is not a number`, "fill it in");
    if (port.elem === "int" && !Number.isInteger(x)) throw new SmpccError(`input "${port.name}": element ${i} is not a whole number`);
    if (!(x >= lo && x <= hi)) throw new SmpccError(`input "${port.name}": element ${i} is outside ${lo}..${hi}`, `give numbers from ${lo} to ${hi}`);
    out[i] = low(BigInt(round(x * 2 ** scale)) - BigInt(round(lo * 2 ** scale)), 64);
  }
  return out;
}

/** pack puts words behind each other, without gaps. */
export function pack(words, bits) {
  const out = new Uint8Array(Math.ceil((words.length * bits) / 8));
  let acc = 0n, have = 0, at = 0;
  for (const w of words) {
    acc |= low(w, bits) << BigInt(have);
    for (have += bits; have >= 8; have -= 8) {
      out[at++] = Number(acc & 255n);
      acc >>= 8n;
    }
  }
  if (have > 0) out[at] = Number(acc);
  return out;
}

/** unpack undoes pack. */
export function unpack(bytes, n, bits) {
  const out = new BigUint64Array(n);
  let acc = 0n, have = 0, at = 0;
  for (let i = 0; i < n; i++) {
    for (; have < bits; have += 8) acc |= BigInt(bytes[at++]) << BigInt(have);
    out[i] = low(acc, bits);
    acc >>= BigInt(bits);
    have -= bits;
  }
  return out;
}

/** expand returns the words that a seed stands for: AES-128 in counter mode, from the block that is the input's number followed by zeros. */
export async function expand(seed, index, port) {
  const key = await crypto.subtle.importKey("raw", seed, "AES-CTR", false, ["encrypt"]);
  const counter = new Uint8Array(16);
  new DataView(counter.buffer).setBigUint64(0, BigInt(index));
  const bytes = width(port.bits), n = size(port);
  const stream = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-CTR", counter, length: 64 }, key, new Uint8Array(bytes * n)));
  const out = new BigUint64Array(n);
  for (let i = 0; i < n; i++) {
    let w = 0n;
    for (let b = bytes - 1; b >= 0; b--) w = (w << 8n) | BigInt(stream[i * bytes + b]);
    out[i] = low(w, port.bits);
  }
  return out;
}

/**
 * shares splits the words of all inputs: a seed for every party but the last, and for that what makes up the words.
 * @param {Plan} plan @param {BigUint64Array[]} words @param {Uint8Array[]} [seeds] for tests
 */
export async function shares(plan, words, seeds) {
  const others = plan.parties.length - 1;
  seeds = seeds || Array.from({ length: others }, () => crypto.getRandomValues(new Uint8Array(16)));
  const last = [];
  for (let k = 0; k < plan.inputs.length; k++) {
    const port = plan.inputs[k], rest = words[k].slice();
    for (const seed of seeds) {
      const s = await expand(seed, k, port);
      for (let i = 0; i < rest.length; i++) rest[i] = port.elem === "bool" ? rest[i] ^ s[i] : low(rest[i] - s[i], port.bits);
    }
    last.push(pack(rest, port.bits));
  }
  return [...seeds, joined(last)];
}

/** joined puts bytes behind each other. */
function joined(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/**
 * decode puts the outputs together from the parties' shares.
 * @param {Plan} plan @param {Uint8Array[]} given @returns {Record<string, number[]>}
 */
export function decode(plan, given) {
  const out = {}, at = given.map(() => 0);
  for (const port of plan.outputs) {
    const n = size(port), bytes = Math.ceil((n * port.bits) / 8), sum = new BigUint64Array(n);
    given.forEach((g, k) => {
      if (g.length < at[k] + bytes) throw new SmpccError("the answer is too short", "try again", plan.parties[k]);
      const part = unpack(g.subarray(at[k], at[k] + bytes), n, port.bits);
      for (let i = 0; i < n; i++) sum[i] = port.elem === "bool" ? sum[i] ^ part[i] : sum[i] + part[i];
      at[k] += bytes;
    });
    out[port.name] = Array.from(sum, (w) => {
      const x = Number(port.elem === "bool" ? w & 1n : BigInt.asIntN(port.bits, w));
      return port.elem === "real" ? x / 2 ** port.scale : x;
    });
  }
  return out;
}

/** base64url of bytes. */
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/**
 * connect returns a client of a plan. Nothing is sent before predict.
 * @param {{servers: Record<string, string>, plan: Plan, token: string}} options
 */
export function connect({ servers, plan, token }) {
  for (const party of plan.parties) {
    if (!servers[party]) throw new SmpccError(`there is no address of ${party}`, "name where each party answers guests");
  }
  if (!token) throw new SmpccError("there is no invitation", "open the link that you were sent");
  return {
    plan,
    /**
     * predict shares the inputs and returns the outputs.
     * @param {Record<string, ArrayLike<number>>} inputs @param {{signal?: AbortSignal, progress?: (stage: "sharing"|"sending"|"done") => void}} [options] @returns {Promise<Result>}
     */
    async predict(inputs, { signal, progress = () => {} } = {}) {
      for (const name of Object.keys(inputs)) {
        if (!plan.inputs.some((p) => p.name === name)) throw new SmpccError(`the plan has no input "${name}"`, "it has " + plan.inputs.map((p) => p.name).join(", "));
      }
      progress("sharing");
      const parts = await shares(plan, plan.inputs.map((p) => encode(p, inputs[p.name])));
      const ticket = base64url(crypto.getRandomValues(new Uint8Array(16)));
      const head = new TextEncoder().encode(JSON.stringify({ plan: plan.digest, token, ticket }) + "\n");
      progress("sending");
      const stop = new AbortController();
      if (signal) signal.addEventListener("abort", () => stop.abort(signal.reason), { once: true });
      if (signal && signal.aborted) stop.abort(signal.reason);
      let why = null;
      const answers = await Promise.all(plan.parties.map((party, k) => ask(party, servers[party], joined([head, parts[k]]), stop.signal).catch((e) => {
        if (!why) why = e; // the others are stopped for it
        stop.abort();
        return null;
      })));
      if (why) throw why;
      answers.forEach((a, k) => {
        if (a.head.plan !== plan.digest || a.head.party !== plan.parties[k] || a.head.session !== answers[0].head.session) {
          throw new SmpccError(`answered as ${a.head.party}, for plan ${a.head.plan}`, "the address is another party's, or it runs another plan", plan.parties[k]);
        }
      });
      const outputs = decode(plan, answers.map((a) => a.data));
      progress("done");
      return { outputs, session: answers[0].head.session, plan: plan.digest, ticket, sent: Object.fromEntries(plan.parties.map((p, k) => [p, parts[k].length])) };
    },
  };
}

/** ask gives a party its share and returns what it answers. */
async function ask(party, url, body, signal) {
  let res;
  try {
    res = await fetch(url.replace(/\/$/, "") + "/v1/run", { method: "POST", body, headers: { "Content-Type": "text/plain" }, credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer", signal });
  } catch (e) {
    if (signal.aborted) throw new SmpccError("the request was given up", "", party);
    throw new SmpccError("cannot be reached", "check the connection; if it lasts, tell who invited you that this party does not answer, or does not let this page in", party);
  }
  const bytes = new Uint8Array(await res.arrayBuffer());
  if (!res.ok) {
    let said = {};
    try {
      said = JSON.parse(new TextDecoder().decode(bytes));
    } catch (e) { /* not one of ours */ }
    throw new SmpccError(said.error || `answered with status ${res.status}`, said.hint || "", party);
  }
  const end = bytes.indexOf(10);
  if (end < 0) throw new SmpccError("answered what is no answer", "", party);
  return { head: JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), data: bytes.subarray(end + 1) };
}
