package program

// Gaps are the free stretches of a memory that begins at 0 and has no end, by place. The first one that is wide enough, and the neighbours of a place, are
// found in time that grows with the logarithm of their number: a treap whose nodes know the widest gap below them.
type gaps struct {
	nodes []gap
	root  int // 0: none
	free  []int
	seed  uint32
}

// A gap is a node of the treap.
type gap struct {
	off, len    int
	widest      int // below it, and itself
	left, right int
	priority    uint32
}

// endless is the length of the last gap.
const endless = 1 << 62

// newGaps returns a memory that is free.
func newGaps() *gaps {
	g := &gaps{nodes: make([]gap, 1), seed: 1}
	g.root = g.node(0, endless)
	return g
}

// node makes a node.
func (g *gaps) node(off, n int) int {
	g.seed ^= g.seed << 13 // xorshift: a shape that does not follow the order of insertion
	g.seed ^= g.seed >> 17
	g.seed ^= g.seed << 5
	x := gap{off: off, len: n, widest: n, priority: g.seed}
	if k := len(g.free); k > 0 {
		i := g.free[k-1]
		g.free = g.free[:k-1]
		g.nodes[i] = x
		return i
	}
	g.nodes = append(g.nodes, x)
	return len(g.nodes) - 1
}

func (g *gaps) update(i int) {
	n := &g.nodes[i]
	n.widest = n.len
	if n.left != 0 {
		n.widest = max(n.widest, g.nodes[n.left].widest)
	}
	if n.right != 0 {
		n.widest = max(n.widest, g.nodes[n.right].widest)
	}
}

// split cuts a tree into the gaps that begin below off and the others.
func (g *gaps) split(i, off int) (below, rest int) {
	if i == 0 {
		return 0, 0
	}
	if g.nodes[i].off < off {
		a, b := g.split(g.nodes[i].right, off)
		g.nodes[i].right = a
		g.update(i)
		return i, b
	}
	a, b := g.split(g.nodes[i].left, off)
	g.nodes[i].left = b
	g.update(i)
	return a, i
}

// merge joins two trees, all of whose gaps lie in this order.
func (g *gaps) merge(a, b int) int {
	switch {
	case a == 0:
		return b
	case b == 0:
		return a
	case g.nodes[a].priority > g.nodes[b].priority:
		g.nodes[a].right = g.merge(g.nodes[a].right, b)
		g.update(a)
		return a
	}
	g.nodes[b].left = g.merge(a, g.nodes[b].left)
	g.update(b)
	return b
}

// take returns the first place where n words are free, and takes them.
func (g *gaps) take(n int) int {
	if n == 0 {
		return 0
	}
	i := g.root
	for {
		x := &g.nodes[i]
		if x.left != 0 && g.nodes[x.left].widest >= n {
			i = x.left
			continue
		}
		if x.len >= n {
			break
		}
		i = x.right
	}
	off, size := g.nodes[i].off, g.nodes[i].len
	below, rest := g.split(g.root, off)
	at, rest := g.split(rest, off+1)
	g.free = append(g.free, at)
	if size > n {
		rest = g.merge(g.node(off+n, size-n), rest)
	}
	g.root = g.merge(below, rest)
	return off
}

// give frees n words from off on, and joins them with the gaps beside.
func (g *gaps) give(off, n int) {
	if n == 0 {
		return
	}
	below, rest := g.split(g.root, off)
	if last := g.end(below, false); last != 0 && g.nodes[last].off+g.nodes[last].len == off {
		off, n = g.nodes[last].off, n+g.nodes[last].len
		below, last = g.split(below, g.nodes[last].off)
		g.free = append(g.free, last)
	}
	if next := g.end(rest, true); next != 0 && g.nodes[next].off == off+n {
		n += g.nodes[next].len
		next, rest = g.split(rest, g.nodes[next].off+1)
		g.free = append(g.free, next)
	}
	g.root = g.merge(g.merge(below, g.node(off, n)), rest)
}

// end returns the first or the last gap of a tree.
func (g *gaps) end(i int, first bool) int {
	for i != 0 {
		next := g.nodes[i].right
		if first {
			next = g.nodes[i].left
		}
		if next == 0 {
			break
		}
		i = next
	}
	return i
}
