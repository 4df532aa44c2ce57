(() => {
  document.documentElement.classList.add("js");
  const svg = document.getElementById("graph"), map = document.getElementById("map"), side = document.getElementById("side"), said = document.getElementById("said");
  if (!svg) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const nodes = data.nodes, groups = data.groups, ways = data.ways, colours = data.colours;
  const NS = "http://www.w3.org/2000/svg";
  const el = (tag, text, cls) => { const x = document.createElement(tag); if (text !== undefined) x.textContent = text; if (cls) x.className = cls; return x; };
  const put = (parent, tag, attrs, text) => { const x = document.createElementNS(NS, tag); for (const k in attrs) x.setAttribute(k, attrs[k]); if (text !== undefined) x.textContent = text; parent.append(x); return x; };
  const clip = (s, n) => { const r = [...s]; return r.length <= n ? s : r.slice(0, n - 1).join("") + "…"; };
  const tail = (s, n) => { const r = [...s]; return r.length <= n ? s : "…" + r.slice(r.length - n + 1).join(""); };
  const many = (n, what) => n + " " + what + (n === 1 ? "" : "s");
  const real = nodes.filter((n) => n.op);

  // what groups hold
  const inside = groups.map(() => []), children = groups.map(() => []);
  for (const n of real) for (let g = n.in; g >= 0; g = groups[g].parent) inside[g].push(n.id);
  for (const [g, x] of groups.entries()) if (x.parent >= 0) children[x.parent].push(g);
  const level = (g) => g < 0 ? 0 : 1 + level(groups[g].parent);
  const open = new Set();
  let now = layout(nodes, groups, open);
  // at first as much is unfolded as can be read at once
  const start = () => {
    open.clear(); now = layout(nodes, groups, open);
    for (let d = 1; ; d++) {
      const next = groups.map((_, g) => g).filter((g) => level(g) === d); if (!next.length) break;
      const was = [...open]; for (const g of next) open.add(g);
      const l = layout(nodes, groups, open);
      if (l.boxes.length <= 40 && l.h <= 1250) { now = l; continue; }
      open.clear(); for (const g of was) open.add(g); break;
    }
  };

  // the picture
  let full = [0, 0, 1, 1], view = full.slice(), at = new Map(), box = new Map(), edges = [], lit = null, litPairs = null, chosen = null;
  const frame = () => { const [x, y, w, h] = view; for (const r of map.querySelectorAll(".at")) { r.setAttribute("x", x); r.setAttribute("y", y); r.setAttribute("width", w); r.setAttribute("height", h); } };
  const size = () => { const r = svg.getBoundingClientRect(); return [r.width || 1, r.height || 1]; };
  const show = () => {
    svg.setAttribute("viewBox", view.join(" ")); frame();
    const [w, h] = size(), k = Math.min(w / view[2], h / view[3]);
    map.classList.toggle("off", full[2] * k <= w * 1.02 && full[3] * k <= h * 1.02);
  };
  const fit = () => { const [w, h] = size(), k = Math.max(full[2] / w, full[3] / h, 0.8); view = [full[2] / 2 - w * k / 2, full[3] / 2 - h * k / 2, w * k, h * k]; show(); };
  const legible = () => { // the whole, or its top at a size that can be read
    fit(); const [w, h] = size(), k = view[2] / w;
    if (k > 2) { const z = Math.min(k, Math.max(1.2, Math.min(full[2] / w, 2))); view = [full[2] / 2 - w * z / 2, 0, w * z, h * z]; show(); }
  };
  const zoom = (f, cx = view[0] + view[2] / 2, cy = view[1] + view[3] / 2) => {
    const w = view[2] * f; if (w < 150 || w > 4 * Math.max(full[2], full[3], 1000)) return;
    view = [cx - (cx - view[0]) * f, cy - (cy - view[1]) * f, w, view[3] * f]; show();
  };
  const middle = (key, near) => { // brings a box into view, legibly
    const b = at.get(key); if (!b) return;
    const [w] = size(), k = view[2] / w;
    if (near && k > 1.3) { view[2] /= k / 1.1; view[3] /= k / 1.1; view[0] = b.x + 88 - view[2] / 2; view[1] = b.y + 23 - view[3] / 2; }
    if (b.x < view[0] || b.x + 176 > view[0] + view[2] || b.y < view[1] || b.y + 46 > view[1] + view[3]) { view[0] = b.x + 88 - view[2] / 2; view[1] = b.y + 23 - view[3] / 2; }
    show();
  };
  const words = (key, opened) => {
    const k = +key.slice(1);
    if (key[0] === "v") {
      const n = nodes[k], held = n.args.map((a) => nodes[a]).filter((a) => a.held >= 0), w = n.holds.find((i) => nodes[i].op === "weight"), c = held.find((a) => a.op === "const");
      return { title: n.op + (n.name ? " " + n.name : w !== undefined ? " " + tail(nodes[w].name, 19 - n.op.length) : ""), sub: n.to.length ? "to " + n.to.join(", ") + " · " + n.type : n.type + (n.value ? " is " + n.value : c && c.value.length < 14 ? " · " + c.value : ""), vis: n.vis, owners: n.owners, rings: n.rings, op: n.op };
    }
    const ids = inside[k], last = nodes[ids[ids.length - 1]];
    return { title: groups[k].title, sub: many(ids.length, "value") + (opened ? "" : " · " + last.type), vis: ids.some((i) => nodes[i].vis === "secret") ? "secret" : last.vis, owners: colours.map((c) => c.name).filter((o) => ids.some((i) => nodes[i].owners.includes(o))), rings: ids.some((i) => nodes[i].rings), op: "" };
  };
  const light = (ids, keys) => { lit = ids; litPairs = keys; paint(); };
  const paint = () => {
    const keys = lit && new Set([...lit].map(now.boxOf));
    svg.classList.toggle("dim", lit !== null);
    for (const [key, g] of box) g.classList.toggle("on", keys !== null && (keys.has(key) || key[0] === "g" && lit !== null && inside[+key.slice(1)].some((i) => lit.has(i))));
    const pairs = new Set();
    if (litPairs) for (const [a, b] of litPairs) { const s = now.boxOf(a), t = now.boxOf(b); if (s !== t) pairs.add(s + ">" + t); }
    for (const [e, of] of edges) e.classList.toggle("on", [...of].some((p) => pairs.has(p)));
  };
  const toggle = (g, focus) => {
    const was = at.get("g" + g), below = (x) => { open.delete(x); children[x].forEach(below); };
    if (open.has(g)) below(g); else open.add(g);
    now = layout(nodes, groups, open); render();
    const b = at.get("g" + g); if (was && b) { view[0] += b.x - was.x; view[1] += b.y - was.y; } // what was unfolded stays where it is
    show(); if (focus && box.has("g" + g)) box.get("g" + g).focus({ preventScroll: true });
    said.textContent = open.has(g) ? groups[g].title + " unfolded" : groups[g].title + " folded";
  };
  const render = () => {
    svg.replaceChildren(); map.replaceChildren(); box = new Map(); at = new Map(); edges = [];
    full = [0, 0, now.w, now.h]; map.setAttribute("viewBox", full.join(" "));
    const frames = put(svg, "g", {}), lines = put(svg, "g", { "aria-hidden": "true" }), tops = put(svg, "g", {});
    for (const l of now.lines) edges.push([put(lines, "path", { class: "edge", d: l.d }), l.pairs]);
    for (const b of now.boxes) {
      const t = words(b.key, b.open), k = +b.key.slice(1), group = b.key[0] === "g"; at.set(b.key, b);
      const label = group ? t.title + ", " + t.sub + (b.open ? ", unfolded" : ", folded") : nodes[k].label;
      const g = put(b.open ? frames : tops, "g", { class: "node " + t.vis + (t.op === "reveal" ? " reveal" : "") + (group ? " group" : "") + (b.open ? " open" : "") + (!group && nodes[k].known ? " known" : ""), transform: "translate(" + b.x + " " + b.y + ")", tabindex: box.size ? -1 : 0, role: "button", "aria-label": label });
      if (group) g.setAttribute("aria-expanded", String(b.open));
      put(g, "title", {}, group ? label : t.title + ", " + nodes[k].type + (nodes[k].value ? " is " + nodes[k].value : "") + "\n" + nodes[k].pos);
      if (group && !b.open) put(g, "rect", { class: "body behind", x: 4, y: 4, width: b.w, height: b.h, rx: 6 });
      put(g, "rect", { class: "body", width: b.w, height: b.h, rx: 6 });
      if (!b.open) t.owners.forEach((o, i) => { const h = b.h / t.owners.length; put(g, "rect", { class: "st " + colours.find((c) => c.name === o).class, x: 1, y: i * h + 1, width: 7, height: h - 2, rx: 2 }); });
      put(g, "text", { x: 16, y: b.open ? 17 : 19 }, clip(t.title, group ? (b.open ? Math.floor(b.w / 8) - 5 : 17) : t.rings ? 18 : 20));
      if (!b.open) put(g, "text", { class: "sub", x: 16, y: 36 }, clip(t.sub, 22));
      if (t.rings && !b.open) put(g, "circle", { class: "dot", cx: group ? 146 : 163, cy: 13, r: 5 });
      if (group) { const s = put(g, "g", { class: "sign", transform: "translate(" + (b.w - 20) + " 5)" }); put(s, "rect", { width: 14, height: 14, rx: 3 }); put(s, "path", { d: b.open ? "M3 7H11" : "M3 7H11M7 3V11" }); s.addEventListener("click", (e) => { if (!from || !from[4]) { e.stopPropagation(); toggle(k, true); } }); }
      put(map, "rect", { class: (t.op === "reveal" ? "reveal" : b.open ? "open" : "") + (t.op === "input" ? " input" : ""), x: b.x, y: b.y, width: b.w, height: b.h, rx: 6 });
      box.set(b.key, g); listen(g, b.key, group, k);
    }
    put(map, "rect", { class: "at" });
    if (chosen !== null && box.has(chosen)) box.get(chosen).classList.add("chosen");
    paint();
  };

  // moving
  const point = (e) => { const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse()); return [p.x, p.y]; };
  svg.addEventListener("wheel", (e) => { if (!e.ctrlKey && !e.metaKey && document.activeElement !== svg && !svg.parentElement.contains(document.activeElement)) return; e.preventDefault(); zoom(Math.exp(e.deltaY * 0.0015), ...point(e)); }, { passive: false });
  let from = null;
  svg.addEventListener("pointerdown", (e) => { from = e.pointerType === "touch" ? null : [e.clientX, e.clientY, view[0], view[1], false]; }); // a finger scrolls the page
  window.addEventListener("pointermove", (e) => {
    if (!from) return;
    if (!from[4] && Math.hypot(e.clientX - from[0], e.clientY - from[1]) < 4) return;
    from[4] = true; svg.classList.add("drag");
    const k = 1 / svg.getScreenCTM().a; view[0] = from[2] - (e.clientX - from[0]) * k; view[1] = from[3] - (e.clientY - from[1]) * k; show();
  });
  window.addEventListener("pointerup", () => { svg.classList.remove("drag"); setTimeout(() => { from = null; }, 0); });
  let held = false;
  const jump = (e) => { const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(map.getScreenCTM().inverse()); view[0] = p.x - view[2] / 2; view[1] = p.y - view[3] / 2; show(); };
  map.addEventListener("pointerdown", (e) => { e.preventDefault(); held = true; map.setPointerCapture(e.pointerId); jump(e); });
  map.addEventListener("pointermove", (e) => { if (held) jump(e); });
  map.addEventListener("pointerup", () => { held = false; });

  // choosing
  const mark = (key) => {
    if (chosen !== null && box.has(chosen)) box.get(chosen).classList.remove("chosen");
    chosen = key; box.get(key).classList.add("chosen");
  };
  const links = (title, list) => {
    if (!list.length) return;
    side.append(el("h3", title)); const ul = el("ul", undefined, "links"); side.append(ul);
    for (const i of list.slice(0, 60)) { const n = nodes[i], b = el("button", n.called); b.type = "button"; b.title = n.op + " " + n.type + (n.pos ? ", " + n.pos : ""); b.addEventListener("click", () => choose(i, true)); const li = el("li"); li.append(b); ul.append(li); }
    if (list.length > 60) side.append(el("p", "and " + (list.length - 60) + " more", "note"));
  };
  const rows = () => { const dl = el("dl"); side.append(dl); return (k, v) => { if (v === "" || v === undefined || v.length === 0) return; dl.append(el("dt", k)); for (const [i, s] of [].concat(v).entries()) { const d = el("dd", s); if (i) d.style.gridColumn = 2; dl.append(d); } }; };
  const chooseGroup = (g, focus) => {
    mark("g" + g); const ids = inside[g], own = new Set(ids), t = words("g" + g);
    side.replaceChildren(el("h3", "“" + groups[g].title + "”"));
    const row = rows(); row("holds", many(ids.length, "value")); row("derives from", t.owners.join(", ")); row("opens", ids.some((i) => nodes[i].rings) ? "masked values" : "nothing");
    const b = el("button", open.has(g) ? "Fold" : "Unfold"); b.type = "button"; b.addEventListener("click", () => { toggle(g, true); chooseGroup(g); }); side.append(b);
    const uniq = (l) => [...new Set(l)];
    links("Computed from", uniq(ids.flatMap((i) => nodes[i].args)).filter((i) => !own.has(i))); links("Weights inside", ids.filter((i) => nodes[i].op === "weight"));
    links("Used outside", ids.filter((i) => nodes[i].uses.some((u) => !own.has(u))));
    middle("g" + g); if (focus) box.get("g" + g).focus({ preventScroll: true });
  };
  const choose = (id, focus) => {
    let up = id; while (nodes[up].held >= 0) up = nodes[up].held;
    const closed = []; for (let g = nodes[up].in; g >= 0; g = groups[g].parent) if (!open.has(g)) closed.push(g);
    if (closed.length) { for (const g of closed) open.add(g); now = layout(nodes, groups, open); render(); }
    const n = nodes[id], key = "v" + up; mark(key);
    side.replaceChildren(el("h3", n.op + (n.name ? " “" + n.name + "”" : "")));
    const row = rows();
    row("value", n.called); row("is", n.value); row("type", n.type); row("known to", n.vis === "public" ? "everybody" : n.to.length ? n.to.join(", ") : n.vis === "private" ? n.owners.join(", ") : "nobody");
    row("derives from", n.owners.join(", ")); row("done since", n.done); row("position", n.pos);
    row("opened there", n.opened.length ? n.opened : ["nothing"]);
    if (n.online) { row("rounds", String(n.rounds)); row("online", n.online); row("corrections", n.offline); }
    if (n.shared) side.append(el("p", "Cost and openings are those of the whole source node, which became several values.", "note"));
    links("Computed from", [...new Set(n.args)]); links("Used by", n.uses);
    for (let g = nodes[up].in; g >= 0; g = groups[g].parent) { const h = g, b = el("button", "Fold “" + groups[g].title + "”"); b.type = "button"; b.addEventListener("click", () => { toggle(h, true); chooseGroup(h); }); side.append(b, " "); }
    middle(key, focus); if (focus) box.get(key).focus({ preventScroll: true });
  };
  const listen = (g, key, group, k) => {
    g.addEventListener("click", () => { if (from && from[4]) return; if (group) chooseGroup(k); else choose(k); });
    if (group) g.addEventListener("dblclick", () => toggle(k, true));
    g.addEventListener("focus", () => { // Tab stops once in the graph, at the box visited last
      const was = svg.querySelector('.node[tabindex="0"]'); if (was) was.setAttribute("tabindex", "-1");
      g.setAttribute("tabindex", "0"); middle(key);
    });
    g.addEventListener("keydown", (e) => {
      const go = { ArrowDown: now.next, ArrowUp: now.prev }[e.key];
      if (e.key === "Enter") { e.preventDefault(); if (group) chooseGroup(k); else choose(k); }
      else if (e.key === " ") { e.preventDefault(); if (group) toggle(k, true); else choose(k); }
      else if (go && go.has(key)) { e.preventDefault(); e.stopPropagation(); box.get(go.get(key)[0]).focus({ preventScroll: true }); }
      else if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
        e.preventDefault(); e.stopPropagation();
        const b = at.get(key), right = e.key === "ArrowRight"; let best = null;
        for (const o of now.boxes) if (o.y === b.y && (right ? o.x > b.x : o.x < b.x) && (best === null || Math.abs(o.x - b.x) < Math.abs(best.x - b.x))) best = o;
        if (best) box.get(best.key).focus({ preventScroll: true });
      }
    });
  };
  document.querySelector(".canvas").addEventListener("keydown", (e) => {
    if (e.key === "+" || e.key === "=") zoom(0.8); else if (e.key === "-") zoom(1.25); else if (e.key === "0") fit(); else if (e.key === "Escape") light(null, null);
    else if (e.key.startsWith("Arrow")) { const s = view[3] / 8; if (e.key === "ArrowDown") view[1] += s; if (e.key === "ArrowUp") view[1] -= s; if (e.key === "ArrowLeft") view[0] -= s; if (e.key === "ArrowRight") view[0] += s; show(); }
    else return;
    e.preventDefault();
  });

  // tools
  const on = (id, f) => document.getElementById(id).addEventListener("click", f);
  const mine = document.getElementById("mine"), go = document.getElementById("go"), find = document.getElementById("find");
  on("in", () => zoom(0.75)); on("out", () => zoom(1.34));
  on("fit", () => { mine.value = ""; light(null, null); fit(); said.textContent = ""; });
  on("fold", () => { start(); render(); fit(); said.textContent = "folded"; });
  on("unfold", () => { groups.forEach((_, g) => open.add(g)); now = layout(nodes, groups, open); render(); legible(); said.textContent = "all " + many(real.length, "value"); });
  for (const id of ["fold", "unfold"]) document.getElementById(id).hidden = !groups.length;
  for (const c of colours) mine.append(new Option(c.name, c.name));
  mine.addEventListener("change", () => {
    if (!mine.value) { light(null, null); said.textContent = ""; return; }
    const ids = new Set(real.filter((n) => n.owners.includes(mine.value)).map((n) => n.id)), pairs = [];
    for (const i of ids) for (const a of nodes[i].args) if (ids.has(a)) pairs.push([a, i]);
    light(ids, pairs); said.textContent = many(ids.size, "value") + " of " + mine.value + "’s data";
  });
  for (const [title, is] of [["Inputs", (n) => n.op === "input"], ["Reveals", (n) => n.op === "reveal"], ["Openings", (n) => n.rings]]) {
    const list = real.filter(is); if (!list.length) continue;
    const g = document.createElement("optgroup"); g.label = title + ", " + list.length; go.append(g);
    for (const n of list.slice(0, 500)) g.append(new Option(n.called, n.id));
  }
  go.addEventListener("change", () => { if (go.value !== "") choose(+go.value, true); });
  let hits = [], next = 0;
  find.addEventListener("input", () => {
    const q = find.value.trim().toLowerCase(); next = 0;
    if (!q) { light(null, null); said.textContent = ""; hits = []; return; }
    hits = real.filter((n) => [n.called, n.op, n.name, n.type, n.pos, ...n.owners, ...n.to].join(" ").toLowerCase().includes(q)).map((n) => n.id);
    light(new Set(hits), []); said.textContent = many(hits.length, "value");
    side.replaceChildren(); links(hits.length ? "Found" : "Nothing found", hits); if (!hits.length) side.append(el("h3", "Nothing found"));
  });
  find.addEventListener("keydown", (e) => { if (e.key === "Enter" && hits.length) { e.preventDefault(); choose(hits[next++ % hits.length]); } });
  for (const b of document.querySelectorAll("button[data-flow]")) {
    b.hidden = false;
    b.addEventListener("click", () => {
      const [source, reveal] = ways[+b.dataset.flow];
      const reach = (first, step) => { const seen = new Set([first]), list = [first]; while (list.length) for (const i of step(nodes[list.pop()])) if (!seen.has(i)) { seen.add(i); list.push(i); } return seen; };
      const up = reach(reveal, (n) => n.args), ids = new Set([...reach(source, (n) => n.uses)].filter((i) => up.has(i))), pairs = [];
      for (const i of ids) for (const a of nodes[i].args) if (ids.has(a)) pairs.push([a, i]);
      light(ids, pairs); fit(); said.textContent = "showing all ways: " + many(ids.size, "value");
      document.getElementById("h-graph").scrollIntoView({ behavior: "auto" });
    });
  }
  // what is shown, as a picture that stands alone
  const picture = () => {
    const copy = svg.cloneNode(true), style = document.createElementNS(NS, "style");
    copy.removeAttribute("id"); copy.setAttribute("xmlns", NS); copy.setAttribute("viewBox", full.join(" ")); copy.setAttribute("width", full[2]); copy.setAttribute("height", full[3]);
    style.textContent = document.querySelector("head style").textContent;
    const back = document.createElementNS(NS, "rect"); back.setAttribute("width", "100%"); back.setAttribute("height", "100%"); back.setAttribute("class", "paper");
    copy.prepend(style, back);
    return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  };
  const save = (blob, kind) => { const a = el("a"); a.href = URL.createObjectURL(blob); a.download = data.name + "." + kind; a.click(); setTimeout(() => URL.revokeObjectURL(a.href), 60000); said.textContent = "saved as " + a.download; };
  on("svg", () => save(picture(), "svg"));
  on("png", () => {
    const img = new Image(), url = URL.createObjectURL(picture()), k = Math.min(2, 16000 / full[2], 16000 / full[3]); // what browsers draw on
    img.onload = () => {
      const c = el("canvas"); c.width = Math.round(full[2] * k); c.height = Math.round(full[3] * k);
      c.getContext("2d").drawImage(img, 0, 0, c.width, c.height); URL.revokeObjectURL(url);
      c.toBlob((b) => { if (b) save(b, "png"); else said.textContent = "too large for a picture: fold some of it"; });
    };
    img.onerror = () => { said.textContent = "this browser draws no picture of it"; };
    img.src = url;
  });
  let shut = [];
  window.addEventListener("beforeprint", () => { shut = [...document.querySelectorAll("details:not([open])")]; for (const d of shut) d.open = true; });
  window.addEventListener("afterprint", () => { for (const d of shut) d.open = false; shut = []; });
  new ResizeObserver(() => { const [w, h] = size(), k = view[2] / w; view[3] = h * k; show(); }).observe(svg);
  start(); render();
  const room = svg.parentElement, wide = size()[0]; // as high as what is seen at first
  room.style.height = Math.max(320, Math.min(0.84 * innerHeight, 880, full[3] * Math.min(wide / full[2], 1.25) + 8)) + "px";
  fit();
  if (location.hash.startsWith("#v")) { const id = +location.hash.slice(2); if (nodes[id] && nodes[id].op) choose(id); }
})();
