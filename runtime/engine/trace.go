package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/timeline"
)

// A watch records what an execution does in one phase: the phase, its rounds, their stages and exchanges. Nil records nothing.
type watch struct {
	e     *Engine
	track *timeline.Track
	ph    plan.Phase
	phase time.Duration // when the phase began
	round int           // the round under way, -1 before the first
	began time.Duration // when it began
}

// watching returns the watch of a phase if the context asks for a timeline.
func (e *Engine) watching(ctx context.Context, ph plan.Phase) *watch {
	t := timeline.From(ctx).Role(e.prog.Role)
	if t == nil {
		return nil
	}
	return &watch{e: e, track: t, ph: ph, phase: t.Now(), round: -1}
}

// next ends the round under way and begins another.
func (w *watch) next(round int) {
	if w == nil {
		return
	}
	w.last()
	w.round, w.began = round, w.track.Now()
}

// last ends the round under way.
func (w *watch) last() {
	if w.round >= 0 {
		w.track.Add(w.began, timeline.Compute, timeline.Round, w.info())
	}
	w.round = -1
}

// end ends the phase.
func (w *watch) end(s *PhaseStats) {
	if w == nil {
		return
	}
	w.last()
	w.track.Add(w.phase, timeline.Compute, timeline.Phase, timeline.Info{Phase: w.ph.String(), Sent: s.BytesSent})
}

func (w *watch) info() timeline.Info { return timeline.Info{Phase: w.ph.String(), Round: w.round} }

// now is the time on the timeline.
func (w *watch) now() time.Duration {
	if w == nil {
		return 0
	}
	return w.track.Now()
}

// exchange records the exchange of a round, which began at a time.
func (w *watch) exchange(from time.Duration, thread string, round int, out [][]byte, want []int, opens []plan.Open) {
	if w == nil {
		return
	}
	i := w.info()
	i.Round = round
	nodes := map[int]bool{}
	for k := range opens {
		w.node(&i, nodes, opens[k].Node)
	}
	for j := range out {
		i.Sent += int64(len(out[j]))
		i.Received += int64(want[j])
	}
	w.track.Add(from, thread, timeline.Exchange, i)
}

// streamed records an exchange that was under way beside stages. The next one begins before it ends, so that there are two threads of them.
func (w *watch) streamed(t *traffic) {
	if w == nil {
		return
	}
	want := make([]int, len(t.data))
	for j, b := range t.data {
		want[j] = len(b)
	}
	w.exchange(t.began, fmt.Sprintf("exchange %d", t.round%2), t.round, t.sent, want, t.opens)
}

// longWait is the time from which a wait is worth a span of its own.
const longWait = 5 * time.Microsecond

// wait records that a thread waited for the messages of a round, unless it hardly did.
func (w *watch) wait(from time.Duration, thread string, round int) {
	if w == nil || w.track.Now()-from < longWait {
		return
	}
	i := w.info()
	i.Round = round
	w.track.Add(from, thread, timeline.Wait, i)
}

// worker names the thread of one of several processors.
func (w *watch) worker(p int) string {
	if w == nil {
		return ""
	}
	return fmt.Sprintf("worker %d", p)
}

// node adds a node of the source.
func (w *watch) node(i *timeline.Info, seen map[int]bool, n int) {
	if !seen[n] {
		seen[n] = true
		i.Nodes = append(i.Nodes, w.e.plan.Nodes[n])
	}
}

// stage describes a stage.
func (w *watch) stage(st *stage, steps []plan.Step, in, out *traffic) timeline.Info {
	i := w.info()
	i.Name, i.Elements = "messages", st.n
	nodes, count := map[int]bool{}, map[string]int{}
	var names []string
	did := func(what string) {
		if count[what]++; count[what] == 1 {
			names = append(names, what)
		}
	}
	for _, k := range st.unpack {
		did("unpack")
		w.node(&i, nodes, in.opens[k].Node)
	}
	rank := 0
	for k := st.lo; k < st.hi; k++ {
		s := &steps[k]
		did(plan.Steps[s.Op].Name)
		w.node(&i, nodes, s.Node)
		if r := sortOf(s.Op); r > rank {
			rank, i.Name = r, sorts[r]
		}
	}
	for _, k := range st.pack {
		did("pack")
		w.node(&i, nodes, out.opens[k].Node)
	}
	for k, n := range names {
		if count[n] > 1 {
			names[k] = fmt.Sprintf("%s x%d", n, count[n])
		}
	}
	i.Steps = strings.Join(names, ", ")
	return i
}

// part records what one processor did of a stage.
func (w *watch) part(from time.Duration, worker int, st *stage, steps []plan.Step, in, out *traffic) {
	if w == nil {
		return
	}
	w.track.Add(from, w.worker(worker), timeline.Part, w.stage(st, steps, in, out))
}

// sorts are the sorts of work by which stages are named. A stage of several sorts has the name of the last of them here, which takes
// most of its time.
var sorts = []string{"messages", "elementwise", "material", "truncation and products", "comparison", "copies", "linear products"}

func sortOf(op plan.StepOp) int {
	switch op {
	case plan.StepMatMul, plan.StepConv:
		return 6
	case plan.StepCopy, plan.StepGather, plan.StepSum:
		return 5
	case plan.StepLeaf, plan.StepMerge, plan.StepGroup, plan.StepReluSel, plan.StepDPF, plan.StepDCF, plan.StepValid:
		return 4
	case plan.StepFinish, plan.StepWireMul, plan.StepMulBit, plan.StepB2A, plan.StepExtend, plan.StepWave, plan.StepExpo:
		return 3
	case plan.StepPRG, plan.StepPRGSum, plan.StepDeal, plan.StepOneHot, plan.StepMono, plan.StepDPFKey, plan.StepDCFKey, plan.StepPhase, plan.StepDecay:
		return 2
	}
	return 1
}
