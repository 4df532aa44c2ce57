"use strict";
(() => {
  const svg = document.getElementById("graph"), side = document.getElementById("side"), said = document.getElementById("said");
  if (!svg) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const nodes = data.nodes, paths = data.paths;
  const box = new Map(), at = new Map();
  for (const g of svg.querySelectorAll(".node")) { const id = +g.dataset.id; box.set(id, g); at.set(id, [+g.dataset.x, +g.dataset.y]); }
  const edges = [...svg.querySelectorAll(".edge")];
  const full = svg.getAttribute("viewBox").split(" ").map(Number);
  let view = full.slice();
  const show = () => svg.setAttribute("viewBox", view.join(" "));
  const size = () => { const r = svg.getBoundingClientRect(); return [r.width || 1, r.height || 1]; };
  // the whole graph if that is legible, otherwise the top of it
  const fit = (all) => {
    const [w, h] = size(), scale = Math.max(full[2] / w, full[3] / h);
    if (all || scale <= 1.6) { view = full.slice(); }
    else { const k = Math.min(scale, Math.max(1, Math.min(full[2] / w, 1.6))); view = [full[0] + full[2] / 2 - w * k / 2, full[1], w * k, h * k]; }
    show();
  };
  const zoom = (f, cx = view[0] + view[2] / 2, cy = view[1] + view[3] / 2) => {
    const w = view[2] * f; if (w < 150 || w > 8 * Math.max(full[2], full[3], 1000)) return;
    view = [cx - (cx - view[0]) * f, cy - (cy - view[1]) * f, w, view[3] * f]; show();
  };
  const point = (e) => { const p = new DOMPoint(e.clientX, e.clientY).matrixTransform(svg.getScreenCTM().inverse()); return [p.x, p.y]; };
  const center = (id) => {
    const [x, y] = at.get(id);
    if (x < view[0] || x + 176 > view[0] + view[2] || y < view[1] || y + 46 > view[1] + view[3]) { view[0] = x + 88 - view[2] / 2; view[1] = y + 23 - view[3] / 2; show(); }
  };
  svg.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(e.deltaY * 0.0015), ...point(e)); }, { passive: false });
  let from = null;
  svg.addEventListener("pointerdown", (e) => { from = [e.clientX, e.clientY, view[0], view[1], false]; });
  window.addEventListener("pointermove", (e) => {
    if (!from) return;
    if (!from[4] && Math.hypot(e.clientX - from[0], e.clientY - from[1]) < 4) return;
    from[4] = true; svg.classList.add("drag");
    const k = 1 / svg.getScreenCTM().a; view[0] = from[2] - (e.clientX - from[0]) * k; view[1] = from[3] - (e.clientY - from[1]) * k; show();
  });
  window.addEventListener("pointerup", () => { svg.classList.remove("drag"); setTimeout(() => { from = null; }, 0); });
  const light = (ids, pairs) => {
    svg.classList.toggle("dim", ids !== null);
    for (const [id, g] of box) g.classList.toggle("on", ids !== null && ids.has(id));
    for (const e of edges) e.classList.toggle("on", pairs !== null && pairs.has(e.dataset.f + ">" + e.dataset.t));
  };
  const el = (tag, text, cls) => { const x = document.createElement(tag); if (text !== undefined) x.textContent = text; if (cls) x.className = cls; return x; };
  let chosen = null;
  const choose = (id, focus) => {
    if (chosen !== null) { box.get(chosen).classList.remove("chosen"); box.get(chosen).setAttribute("aria-pressed", "false"); }
    chosen = id; const g = box.get(id), n = nodes[id];
    g.classList.add("chosen"); g.setAttribute("aria-pressed", "true");
    side.replaceChildren(el("h3", n.op + (n.name ? " “" + n.name + "”" : "")));
    const dl = el("dl"); side.append(dl);
    const row = (k, v) => { if (v === "" || v === undefined || v.length === 0) return; dl.append(el("dt", k)); for (const [i, s] of [].concat(v).entries()) { const d = el("dd", s); if (i) d.style.gridColumn = 2; dl.append(d); } };
    row("value", "v" + n.id); row("type", n.type); row("known to", n.vis === "public" ? "everybody" : n.to.length ? n.to.join(", ") : n.vis === "private" ? n.owners.join(", ") : "nobody");
    row("derives from", n.owners.join(", ")); row("done since", n.done); row("position", n.pos);
    row("opened there", n.opened.length ? n.opened : ["nothing"]);
    if (n.online) { row("rounds", String(n.rounds)); row("online", n.online); row("corrections", n.offline); }
    if (n.shared) side.append(el("p", "Cost and openings are those of the whole source node, which became several values.", "note"));
    const links = (title, list) => {
      if (!list.length) return; side.append(el("h3", title));
      for (const i of list) { const b = el("button", "v" + i + " " + nodes[i].op + (nodes[i].name ? " " + nodes[i].name : "")); b.type = "button"; b.addEventListener("click", () => choose(i, true)); side.append(b, " "); }
    };
    links("Computed from", [...new Set(n.args)]); links("Used by", n.uses);
    center(id); if (focus) g.focus({ preventScroll: true });
  };
  for (const [id, g] of box) {
    g.addEventListener("click", () => { if (!from || !from[4]) choose(id); });
    g.addEventListener("focus", () => { // Tab stops once in the graph, at the node visited last
      const was = svg.querySelector('.node[tabindex="0"]'); if (was) was.setAttribute("tabindex", "-1");
      g.setAttribute("tabindex", "0"); center(id);
    });
    g.addEventListener("keydown", (e) => {
      const n = nodes[id], go = { ArrowDown: n.uses[0], ArrowUp: n.args[0] }[e.key];
      if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(id); }
      else if (go !== undefined) { e.preventDefault(); e.stopPropagation(); box.get(go).focus({ preventScroll: true }); }
      else if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
        e.preventDefault(); e.stopPropagation();
        const [x, y] = at.get(id), right = e.key === "ArrowRight"; let best = null;
        for (const [i, [a, b]] of at) if (b === y && (right ? a > x : a < x) && (best === null || Math.abs(a - x) < Math.abs(at.get(best)[0] - x))) best = i;
        if (best !== null) box.get(best).focus({ preventScroll: true });
      }
    });
  }
  document.querySelector(".canvas").addEventListener("keydown", (e) => {
    if (e.key === "+" || e.key === "=") zoom(0.8); else if (e.key === "-") zoom(1.25); else if (e.key === "0") fit(true); else if (e.key === "Escape") light(null, null);
    else if (e.key.startsWith("Arrow")) { const s = view[3] / 8; if (e.key === "ArrowDown") view[1] += s; if (e.key === "ArrowUp") view[1] -= s; if (e.key === "ArrowLeft") view[0] -= s; if (e.key === "ArrowRight") view[0] += s; show(); }
    else return;
    e.preventDefault();
  });
  document.getElementById("in").addEventListener("click", () => zoom(0.75));
  document.getElementById("out").addEventListener("click", () => zoom(1.34));
  document.getElementById("fit").addEventListener("click", () => { light(null, null); fit(true); });
  const find = document.getElementById("find");
  let hits = [], next = 0;
  find.addEventListener("input", () => {
    const q = find.value.trim().toLowerCase(); next = 0;
    if (!q) { light(null, null); said.textContent = ""; hits = []; return; }
    hits = nodes.filter((n) => box.has(n.id) && ["v" + n.id, n.op, n.name, n.type, n.pos, ...n.owners, ...n.to].join(" ").toLowerCase().includes(q)).map((n) => n.id);
    light(new Set(hits), new Set()); said.textContent = hits.length + (hits.length === 1 ? " value" : " values");
  });
  find.addEventListener("keydown", (e) => { if (e.key === "Enter" && hits.length) { e.preventDefault(); choose(hits[next++ % hits.length]); } });
  for (const b of document.querySelectorAll("button[data-flow]")) {
    b.hidden = false;
    b.addEventListener("click", () => {
      const p = paths[+b.dataset.flow], pairs = new Set();
      for (let i = 1; i < p.length; i++) pairs.add(p[i - 1] + ">" + p[i]);
      light(new Set(p), pairs); fit(true); said.textContent = "showing a way of " + p.length + " values";
      document.getElementById("h-graph").scrollIntoView({ behavior: "auto" });
    });
  }
  fit(false);
  if (location.hash.startsWith("#v")) { const id = +location.hash.slice(2); if (box.has(id)) choose(id); }
})();
