const config = JSON.parse(document.getElementById("config").textContent);
const plan = config.plan;
const $ = (id) => document.getElementById(id);
const make = (tag, props = {}, ...children) => {
  const e = Object.assign(document.createElement(tag), props);
  e.append(...children);
  return e;
};

// The invitation is taken out of the address, so that it stays in no history.
let token = new URLSearchParams(location.hash.slice(1)).get("t") || "";
if (token) history.replaceState(null, "", location.pathname + location.search);

const readers = {};
for (const port of plan.inputs) $("inputs").append(field(port));
$("inputs").addEventListener("input", () => said(""));

/** field makes what an input is given by, and its reader. */
function field(port) {
  const n = size(port), box = make("fieldset", {}, make("legend", { textContent: port.name }));
  if (port.elem === "real" && n === 784) box.append(...drawing(port));
  else if (n <= 64) box.append(...form(port, n));
  else box.append(...numbers(port, n));
  return box;
}

/** form is one field for each number. */
function form(port, n) {
  const list = Array.from({ length: n }, (_, i) => {
    const { lo, hi } = column(port, i);
    const id = `${port.name}-${i}`;
    const input = port.elem === "bool" ? make("input", { type: "checkbox", id }) : make("input", { type: "number", id, min: lo, max: hi, step: port.elem === "int" ? "1" : "any", required: true, inputMode: port.elem === "int" ? "numeric" : "decimal" });
    const label = port.elem === "bool" ? `${port.name} ${i}` : `${(config.columns[port.name] || [])[i % Math.max(1, (config.columns[port.name] || []).length)] || "number " + (i + 1)}, ${lo} to ${hi}`;
    return { input, box: make("div", {}, make("label", { htmlFor: id, textContent: label }), input) };
  });
  readers[port.name] = () => list.map(({ input }) => (port.elem === "bool" ? Number(input.checked) : input.value === "" ? NaN : Number(input.value)));
  return [make("div", { className: "grid" }, ...list.map((x) => x.box))];
}

/** numbers takes a text or a file of numbers, with a line of names on top or without. */
function numbers(port, n) {
  const text = make("textarea", { id: port.name + "-text", placeholder: `${n} numbers, separated by commas, blanks or lines` });
  const file = make("input", { type: "file", accept: ".csv,.txt,text/csv,text/plain" });
  file.onchange = async () => { text.value = await file.files[0].text(); said(""); };
  readers[port.name] = () => {
    const rows = text.value.split(/\r?\n/).filter((r) => r.trim()).map((r) => r.trim().split(/[\s,;]+/));
    if (rows.length && rows[0].some((c) => c !== "" && Number.isNaN(Number(c)))) rows.shift(); // names
    return rows.flat().filter((c) => c !== "").map(Number);
  };
  return [make("label", { htmlFor: text.id, className: "soft", textContent: `${port.shape.join(" x ")} numbers from ${port.lo} to ${port.hi}` }), text, make("div", { className: "row" }, make("label", { className: "file", textContent: "Take a CSV file" }, file))];
}

/** drawing takes a digit: drawn, from a picture, or a sample. It enters as MNIST has them: white on black, 20 x 20 in the centre of mass of 28 x 28. */
function drawing(port) {
  const canvas = make("canvas", { width: 280, height: 280, id: port.name + "-canvas", tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Draw a digit here. With the keyboard: take a picture or a sample below.");
  const g = canvas.getContext("2d", { willReadFrequently: true });
  let last = null, empty = true;
  const clear = () => { g.fillStyle = "#000"; g.fillRect(0, 0, 280, 280); empty = true; said(""); };
  const line = (a, b) => { g.strokeStyle = "#fff"; g.lineWidth = 20; g.lineCap = "round"; g.beginPath(); g.moveTo(...a); g.lineTo(...b); g.stroke(); empty = false; };
  const at = (e) => { const r = canvas.getBoundingClientRect(); return [((e.clientX - r.left) * 280) / r.width, ((e.clientY - r.top) * 280) / r.height]; };
  canvas.onpointerdown = (e) => { canvas.setPointerCapture(e.pointerId); last = at(e); line(last, last); said(""); };
  canvas.onpointermove = (e) => { if (last) { const p = at(e); line(last, p); last = p; } };
  canvas.onpointerup = canvas.onpointercancel = () => { last = null; };
  const file = make("input", { type: "file", accept: "image/*" });
  file.onchange = async () => {
    const picture = await createImageBitmap(file.files[0]);
    clear();
    const s = 280 / Math.max(picture.width, picture.height);
    g.drawImage(picture, (280 - picture.width * s) / 2, (280 - picture.height * s) / 2, picture.width * s, picture.height * s);
    const d = g.getImageData(0, 0, 280, 280);
    const corner = (d.data[0] + d.data[4 * 279] + d.data[4 * 280 * 279] + d.data[4 * (280 * 280 - 1)]) / 4;
    for (let i = 0; i < d.data.length; i += 4) { // grey; dark on light is turned round
      const v = 0.299 * d.data[i] + 0.587 * d.data[i + 1] + 0.114 * d.data[i + 2];
      d.data[i] = d.data[i + 1] = d.data[i + 2] = corner > 127 ? 255 - v : v;
    }
    g.putImageData(d, 0, 0);
    empty = false;
  };
  const sample = () => { clear(); const p = [[80, 100], [100, 70], [140, 60], [180, 75], [190, 110], [165, 150], [120, 185], [80, 220], [140, 215], [205, 220]]; for (let i = 1; i < p.length; i++) line(p[i - 1], p[i]); };
  clear();
  readers[port.name] = () => {
    if (empty) throw new SmpccError("nothing is drawn yet", "draw a digit, or take a picture or the sample");
    return centred(canvas).map((v) => port.lo + ((port.hi - port.lo) * v) / 255);
  };
  return [canvas, make("div", { className: "row" }, make("button", { type: "button", textContent: "Clear", onclick: clear }), make("label", { className: "file", textContent: "Take a picture" }, file), make("button", { type: "button", textContent: "Use a sample", onclick: sample, id: port.name + "-sample" }))];
}

/** centred returns what is on a canvas as MNIST has digits. */
function centred(canvas) {
  const d = canvas.getContext("2d").getImageData(0, 0, 280, 280).data, v = (x, y) => d[4 * (280 * y + x)];
  let x0 = 280, y0 = 280, x1 = -1, y1 = -1;
  for (let y = 0; y < 280; y++) for (let x = 0; x < 280; x++) if (v(x, y) > 20) { x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y); }
  const small = new OffscreenCanvas(28, 28), s = small.getContext("2d", { willReadFrequently: true });
  s.fillRect(0, 0, 28, 28);
  if (x1 < 0) return new Array(784).fill(0);
  const k = 20 / Math.max(x1 - x0 + 1, y1 - y0 + 1), w = (x1 - x0 + 1) * k, h = (y1 - y0 + 1) * k;
  const put = (x, y) => { s.fillRect(0, 0, 28, 28); s.imageSmoothingQuality = "high"; s.drawImage(canvas, x0, y0, x1 - x0 + 1, y1 - y0 + 1, x, y, w, h); return s.getImageData(0, 0, 28, 28).data; };
  let m = 0, mx = 0, my = 0;
  const first = put((28 - w) / 2, (28 - h) / 2);
  for (let i = 0; i < 784; i++) { m += first[4 * i]; mx += first[4 * i] * ((i % 28) + 0.5); my += first[4 * i] * (Math.floor(i / 28) + 0.5); }
  const out = put((28 - w) / 2 + (m ? 14 - mx / m : 0), (28 - h) / 2 + (m ? 14 - my / m : 0));
  return Array.from({ length: 784 }, (_, i) => out[4 * i]);
}

function said(text, bad) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

$("accept").onchange = () => { $("send").disabled = !$("accept").checked; };
let stop = null;
$("stop").onclick = () => stop && stop.abort();
$("form").onsubmit = async (event) => {
  event.preventDefault();
  $("result").replaceChildren();
  stop = new AbortController();
  $("send").disabled = true;
  $("stop").hidden = false;
  try {
    const inputs = Object.fromEntries(plan.inputs.map((p) => [p.name, readers[p.name]()]));
    const began = performance.now();
    const r = await connect({ servers: config.servers, plan, token }).predict(inputs, { signal: stop.signal, progress: (s) => said({ sharing: "Splitting your data into shares…", sending: "Sending one share to each party, and waiting for the result…", done: "Done." }[s]) });
    show(r, performance.now() - began);
  } catch (e) {
    said(e.message + (e.hint ? ". What to do: " + e.hint + "." : ""), true);
  } finally {
    $("send").disabled = !$("accept").checked;
    $("stop").hidden = true;
    stop = null;
  }
};

/** show writes the outputs, and a receipt. */
function show(r, ms) {
  const out = $("result");
  out.append(make("h2", { textContent: "What you learn" }));
  for (const port of plan.outputs) {
    const x = r.outputs[port.name], name = (i) => (port.classes ? port.classes[i % port.classes.length] : i);
    if (port.elem === "real" && x.length > 1) {
      const best = x.indexOf(Math.max(...x));
      out.append(make("p", { className: "answer", id: "answer", textContent: `${port.name}: ${name(best)}` }), make("table", {}, make("tbody", {}, ...x.map((v, i) => make("tr", {}, make("th", { scope: "row", textContent: name(i) }), make("td", { textContent: v.toFixed(4) }))))));
    } else {
      out.append(make("p", { className: "answer", id: "answer", textContent: `${port.name}: ${x.map((v) => (port.elem === "bool" ? (v ? "yes" : "no") : port.words ? port.words[v] : v)).join(", ")}` }));
    }
  }
  const held = plan.parties.map((p) => make("li", { textContent: `${p} was given ${r.sent[p]} bytes, one share: alone it says nothing of your data` }));
  out.append(make("h2", { textContent: "Receipt" }), make("ul", {}, make("li", {}, "plan ", make("code", { textContent: r.plan })), make("li", { textContent: `session ${r.session}, ${new Date().toISOString()}, ${Math.round(ms)} ms` }), ...held));
  out.focus();
}
if (!token) said("There is no invitation in the address. Open the whole link that you were sent.", true);
