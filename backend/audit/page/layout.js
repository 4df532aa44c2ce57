"use strict";
// layout places a graph of which some groups are unfolded: boxes in layers, arguments above what is computed from them, groups that are unfolded as frames
// around what they hold. It is the layout of package draw, and is done again at each unfolding; edges cross a frame at a place of their own.
const layout = (nodes, groups, open) => {
  const W = 176, H = 46, gap = 22, rise = 28, pad = 12, head = 24;
  const chains = groups.map(() => null);
  const chain = (g) => g < 0 ? [] : chains[g] || (chains[g] = [...chain(groups[g].parent), g]);
  const shown = new Map(); // the box of each value: its own, or that of the outermost group that is folded
  const boxOf = (id) => {
    while (nodes[id].held >= 0) id = nodes[id].held;
    if (!shown.has(id)) { const g = chain(nodes[id].in).find((g) => !open.has(g)); shown.set(id, g === undefined ? "v" + id : "g" + g); }
    return shown.get(id);
  };
  const around = (key) => { const k = +key.slice(1); return [-1, ...chain(key[0] === "v" ? nodes[k].in : groups[k].parent)]; };
  const spaces = new Map([[-1, { cells: new Map(), edges: new Map() }]]); // what holds boxes: the sheet, and each frame
  const space = (g) => { if (!spaces.has(g)) spaces.set(g, { cells: new Map(), edges: new Map() }); return spaces.get(g); };
  const cell = (g, key, w, h) => { const c = space(g).cells; if (!c.has(key)) c.set(key, { key, w, h, up: [], down: [], layer: 0, x: 0 }); return c.get(key); };
  const boxes = new Set(), real = nodes.filter((n) => n.op && n.held < 0);
  for (const n of real) {
    const key = boxOf(n.id); if (boxes.has(key)) continue; boxes.add(key);
    const path = around(key); cell(path[path.length - 1], key, W, H);
    for (let i = 1; i < path.length; i++) cell(path[i - 1], "g" + path[i], 0, 0);
  }
  const pairs = new Set();
  const join = (g, from, to, s, fp, tp, pair) => {
    const e = space(g).edges, k = from + "|" + to + "|" + s;
    if (!e.has(k)) e.set(k, { from, to, fp, tp, pairs: new Set() });
    e.get(k).pairs.add(pair);
  };
  for (const n of real) for (const a of n.args) {
    if (nodes[a].held >= 0) continue;
    const s = boxOf(a), t = boxOf(n.id), pair = s + ">" + t;
    if (s === t || pairs.has(pair)) continue;
    pairs.add(pair);
    const cs = around(s), ct = around(t);
    let k = 0; while (k < cs.length && k < ct.length && cs[k] === ct[k]) k++;
    const child = (c, i, key) => i + 1 < c.length ? "g" + c[i + 1] : key;
    for (let i = cs.length - 1; i >= k; i--) { cell(cs[i], "o" + s, 10, 0); join(cs[i], child(cs, i, s), "o" + s, s, "o" + s, "", pair); }
    join(cs[k - 1], child(cs, k - 1, s), child(ct, k - 1, t), s, "o" + s, "i" + s, pair);
    for (let i = k; i < ct.length; i++) { cell(ct[i], "i" + s, 10, 0); join(ct[i], "i" + s, child(ct, i, t), s, "", "i" + s, pair); }
  }
  const settle = (row, down) => { // orders a layer by the middle of each cell's neighbours, and places the cells as near to it as their widths allow
    const want = new Map();
    for (const c of row) {
      let near = down ? c.up : c.down; if (!near.length) near = down ? c.down : c.up;
      const xs = near.map((n) => n.x).sort((a, b) => a - b), m = xs.length >> 1;
      want.set(c, !xs.length ? c.x : xs.length % 2 ? xs[m] : (xs[m - 1] + xs[m]) / 2);
    }
    row.sort((a, b) => want.get(a) - want.get(b));
    const blocks = [];
    for (const c of row) {
      let b = { cells: [c], sum: want.get(c) - c.w / 2, width: c.w + gap };
      while (blocks.length) {
        const p = blocks[blocks.length - 1];
        if (p.sum / p.cells.length + p.width <= b.sum / b.cells.length) break;
        b = { cells: p.cells.concat(b.cells), sum: p.sum + b.sum - p.width * b.cells.length, width: p.width + b.width }; blocks.pop();
      }
      blocks.push(b);
    }
    for (const b of blocks) { let x = b.sum / b.cells.length; for (const c of b.cells) { c.x = x + c.w / 2; x += c.w + gap; } }
  };
  const place = (g) => { // lays out what one frame holds, from the inside out
    const { cells, edges } = space(g), all = [...cells.values()];
    for (const c of all) if (c.w === 0) { c.inner = place(+c.key.slice(1)); c.w = c.inner.w + 2 * pad; c.h = c.inner.h + head + pad; }
    for (const e of edges.values()) { e.a = cells.get(e.from); e.b = cells.get(e.to); e.a.to = (e.a.to || []).concat(e.b); e.b.of = (e.b.of || []).concat(e.a); }
    const state = new Map(), base = all.some((c) => c.key[0] === "i") ? 1 : 0;
    const depth = (c) => {
      if (state.get(c)) return c.layer;
      state.set(c, true); c.layer = c.key[0] === "i" ? 0 : base;
      for (const a of c.of || []) c.layer = Math.max(c.layer, depth(a) + 1);
      return c.layer;
    };
    let deepest = 0; for (const c of all) deepest = Math.max(deepest, depth(c));
    for (const c of all) if (!(c.of || []).length && (c.to || []).length && c.key[0] !== "i") c.layer = Math.max(base, Math.min(...c.to.map((b) => b.layer)) - 1);
    const outs = all.filter((c) => c.key[0] === "o");
    if (outs.length) { deepest = Math.max(deepest, 1 + Math.max(0, ...all.filter((c) => c.key[0] !== "o").map((c) => c.layer))); for (const c of outs) c.layer = deepest; }
    const rows = Array.from({ length: deepest + 1 }, () => []);
    for (const c of all) rows[c.layer].push(c);
    let bends = 0;
    for (const e of edges.values()) {
      let at = e.a; e.through = [];
      for (let l = e.a.layer + 1; l < e.b.layer && bends < 20000; l++, bends++) { const b = { w: 10, h: 0, up: [at], down: [], layer: l, x: 0 }; at.down.push(b); rows[l].push(b); e.through.push(b); at = b; }
      at.down.push(e.b); e.b.up.push(at);
    }
    for (const row of rows) { let x = 0; for (const c of row) { c.x = x + c.w / 2; x += c.w + gap; } }
    for (let run = 0; run < 12; run++) for (let i = 0; i < rows.length; i++) settle(rows[run % 2 ? rows.length - 1 - i : i], run % 2 === 0);
    let left = Infinity, right = -Infinity, y = 0;
    for (const row of rows) for (const c of row) { left = Math.min(left, c.x - c.w / 2); right = Math.max(right, c.x + c.w / 2); }
    const top = [], low = [];
    for (const row of rows) { const h = Math.max(0, ...row.map((c) => c.h)); top.push(y); low.push(y + h); y += h + (h ? rise : rise / 2); }
    const ports = new Map();
    for (const c of all) { c.left = Math.round(c.x - left - c.w / 2); c.top = top[c.layer] + (low[c.layer] - top[c.layer] - c.h) / 2; if (c.key[0] === "i" || c.key[0] === "o") ports.set(c.key, c.left + c.w / 2); }
    const lines = [];
    for (const e of edges.values()) {
      const end = (c, port) => c.inner && c.inner.ports.has(port) ? c.left + pad + c.inner.ports.get(port) : c.left + c.w / 2;
      const x1 = end(e.a, e.fp), x2 = end(e.b, e.tp), p = [[x1, e.a.key[0] === "i" ? -head : e.a.top + e.a.h], [x1, low[e.a.layer]]]; // from the frame's border
      for (const b of e.through) { const x = Math.round(b.x - left); p.push([x, top[b.layer]], [x, low[b.layer]]); }
      p.push([x2, top[e.b.layer]], [x2, e.b.key[0] === "o" ? low[deepest] + pad : e.b.top]);
      lines.push({ p, pairs: e.pairs });
    }
    return { w: Math.max(W, right - left || 0), h: low[deepest] || 0, all, lines, ports, rows: rows.length };
  };
  const out = { boxes: [], lines: [], next: new Map(), prev: new Map(), boxOf };
  const draw = (s, dx, dy) => {
    for (const c of s.all) {
      if (c.key[0] !== "v" && c.key[0] !== "g") continue;
      out.boxes.push({ key: c.key, x: dx + c.left, y: dy + c.top, w: c.w, h: c.h, open: !!c.inner });
      if (c.inner) draw(c.inner, dx + c.left + pad, dy + c.top + head);
    }
    for (const l of s.lines) {
      let d = "";
      for (const [i, [x, y]] of l.p.entries()) {
        const X = x + dx, Y = y + dy;
        if (!i) { d = "M" + X + " " + Y; continue; }
        const [px, py] = l.p[i - 1]; if (px === x && py === y) continue;
        const m = (py + y) / 2 + dy;
        d += px === x ? "V" + Y : "C" + (px + dx) + " " + m + " " + X + " " + m + " " + X + " " + Y;
      }
      out.lines.push({ d, pairs: l.pairs });
    }
  };
  const root = place(-1); draw(root, pad * 2, pad * 2);
  out.w = root.w + pad * 4; out.h = root.h + pad * 4;
  for (const p of pairs) { const [a, b] = p.split(">"); for (const [m, x, y] of [[out.next, a, b], [out.prev, b, a]]) m.set(x, (m.get(x) || []).concat(y)); }
  return out;
};
