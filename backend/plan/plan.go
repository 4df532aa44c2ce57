// Package plan defines what party servers run: per-role programs of local steps cut into rounds by
// openings, the table of material, and a manifest that says who provides and who learns what. A plan holds no weights and
// no data. The programs are a projection of the one typed program that a plan file holds (package typed), which is what is read, checked
// and signed; they are never read from a file. The package imports nothing else of ours but what policies say, so that a party can run a plan without the compiler.
package plan

import (
	"fmt"
	"math"

	"smpcc/ir/policy"
)

// Version is the version of the format of plan files.
const Version = 2

// A Plan is the whole computation for all roles.
type Plan struct {
	Manifest Manifest  `pb:"1"`
	Items    []Item    `pb:"2"`          // material, by item number
	Nodes    []string  `pb:"3"`          // source positions that steps and messages refer to
	Programs []Program `pb:"4"`          // parties 0..n-1 in order, then the dealer
	Typed    []byte    `pb:"-" json:"-"` // the file of the typed plan that all this is the projection of; nil if it was made in another way
}

// A Manifest is the public description of a plan.
type Manifest struct {
	Version  int         `pb:"1"`
	Name     string      `pb:"2"`
	Compiler string      `pb:"3"`
	Parties  []string    `pb:"4"` // computing parties in order
	Dealer   string      `pb:"5"`
	RingBits int         `pb:"6"` // the widest ring used
	FracBits int         `pb:"7"` // fraction bits of reals
	Inputs   []Port      `pb:"8"`
	Weights  []Port      `pb:"9"`
	Outputs  []Port      `pb:"10"`
	Policies []PolicyRef `pb:"11"`
	Allowed  []Allowance `pb:"12"`
	Ranges   []RangeNote `pb:"13"`
	Source   string      `pb:"14"` // graph digest: sha-256 of the graph-level IR text, hex
	Dumps    []Dump      `pb:"15"` // IR text at the levels graph, fixed and share
	Critical []string    `pb:"16"` // the nodes that the online rounds wait for, in order
	Guards   []Guard     `pb:"17"` // what the owners' policies ask of every run; servers enforce it
	Choices  []Choice    `pb:"18"` // the protocols that the network had a say in

	Accuracy  []Accuracy `pb:"25"` // how close each output is to the exact one
	Precision float64    `pb:"26"` // asked of approximated functions
	Recipe    Recipe     `pb:"27"` // what the plan was compiled with
	Guests    []string   `pb:"28"` // owners and receivers that compute nothing: each party holds a share of their data, and keeps one of what they receive
}

// An Accuracy says how close an output is to the exact one: |secure - exact| <= Atol + Rtol*|exact|.
type Accuracy struct {
	Output  string  `pb:"1"`
	State   string  `pb:"2"` // exact, proved, guarded, measured, or written: the source is fixed point itself
	Atol    float64 `pb:"3"`
	Rtol    float64 `pb:"4"`
	Used    float64 `pb:"5"`  // part of the tolerance that the bound, or the worst run, uses
	Runs    int     `pb:"6"`  // runs that were compared
	Samples bool    `pb:"7"`  // the runs were on samples, not on inputs drawn over their ranges
	Differ  int     `pb:"8"`  // of a discrete output: elements that differed in all runs; -1 if an owner keeps that back
	Of      int     `pb:"9"`  // of so many
	Frac    int     `pb:"10"` // fraction bits in which it is revealed
	Why     string  `pb:"11"` // why it is not proved
	Guard   int     `pb:"12"` // bits by which the values are checked that a guarded output rests on
}

// MostDiffer is the part of the elements of a discrete output that rounding may change in the runs: a compiler refuses more.
const MostDiffer = 0.02

// missConfidence is that of Missed.
const missConfidence = 0.95

// Missed returns the part of inputs, drawn as those of the runs were, that may be beyond the tolerance: if it were larger, all runs would have kept it with
// a probability of less than 1 - missConfidence. That is 1 - 0.05^(1/N) for N runs, some 3/N.
func (a Accuracy) Missed() float64 {
	if a.Runs <= 0 {
		return 1
	}
	return 1 - math.Pow(1-missConfidence, 1/float64(a.Runs))
}

// tellingPart is the part of a tolerance that the runs of an output use at least if they tell how strong it is: a result that uses less is nearly a constant
// there, as that of a kernel is far from its centres.
const tellingPart = 1.0 / (1 << 20)

// String says it in words.
func (a Accuracy) String() string {
	on := "inputs drawn over their ranges"
	if a.Samples {
		on = "samples"
	}
	within := fmt.Sprintf("within %g + %g*|exact|", a.Atol, a.Rtol)
	switch {
	case a.State == "exact":
		return "exact"
	case a.State == "written":
		return fmt.Sprintf("as its text says, in fixed point; nothing is compared with reals; revealed with %d fraction bits", a.Frac)
	case a.State == "proved":
		return fmt.Sprintf("proved %s for every input within its range (the worst case takes %.2g of it); revealed with %d fraction bits", within, a.Used, a.Frac)
	case a.State == "guarded":
		m := a
		m.State = "measured"
		return fmt.Sprintf("guarded: withheld if a value leaves its range, which is missed for %.2g of those far outside; else %s", ValidMissOf(a.Guard), m)
	case a.Of > 0 && a.Differ < 0:
		return fmt.Sprintf("measured in %d runs on %s: at most %g %% of %d elements differ, where a comparison is decided within rounding; how many is kept back by a policy", a.Runs, on, 100*MostDiffer, a.Of)
	case a.Of > 0:
		return fmt.Sprintf("measured in %d runs on %s: %d of %d elements differ, where a comparison is decided within rounding", a.Runs, on, a.Differ, a.Of)
	}
	used := ""
	switch {
	case a.Used > 0 && a.Used < tellingPart:
		used = "they met nothing but nearly exact values, which says little of others; "
	case a.Used != 0: // else kept back by an owner's policy
		used = fmt.Sprintf("at most %.2g of it, ", a.Used)
	}
	return fmt.Sprintf("measured %s in %d runs on %s (%swith %g %% confidence at most %.2g %% of such inputs beyond it); revealed with %d fraction bits", within, a.Runs, on, used, 100*missConfidence, 100*a.Missed(), a.Frac)
}

// A Port is a named tensor that enters or leaves the computation.
type Port struct {
	Name   string   `pb:"1"`
	Owner  string   `pb:"2"` // provider; empty for outputs
	To     []string `pb:"3"` // receivers; empty for inputs
	Elem   string   `pb:"4"` // real, int or bool
	Scale  int      `pb:"5"` // fraction bits
	Bits   int      `pb:"6"` // ring width; values are two's complement of this many bits
	Shape  []int    `pb:"7"`
	Lo     float64  `pb:"8"` // range of the elements that the plan relies on
	Hi     float64  `pb:"9"`
	Origin string   `pb:"10"` // proved, calibrated or assumed
	Item   int      `pb:"11"` // outputs: the item whose shares of zero re-randomise it, which names its reveal

	Columns []Column `pb:"12"` // inputs: of a table whose columns have ranges of their own
	// 13 was in use
	Words   []string `pb:"14"` // of text, whose elements are integers: what 0, 1, ... stand for; -1 of an input stands for any other text
	Decimal bool     `pb:"15"` // outputs: integers that are text, in decimal
	Missing string   `pb:"16"` // inputs of reals: the input of booleans that says which elements are not there
	Given   []int    `pb:"17"` // columns, along the last axis, whose elements are always there
	Classes []string `pb:"18"` // outputs: what the places along the last axis are called
	Shares  bool     `pb:"19"` // inputs: a guest's, of which every party is given a share of the words mod 2^Bits; see Least
	Valid   int      `pb:"20"` // outputs: 1 + the number of the output that says whether this one is there, or has been withheld and is zero; 0: it always is
	Checked int64    `pb:"21"` // of an output that says so of others: elements whose range it checks; 0 of all others
	// 22 was in use
	Categories []Category `pb:"23"` // inputs: columns whose elements may only be some values
	Step       float64    `pb:"24"` // inputs of integers: if not 0, k stands for the real k*Step, and their owner rounds to it
	Places     int        `pb:"25"` // of decimals, which are held as integers: they count units of 10^-Places
}

// Len returns the number of elements.
func (p Port) Len() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// What policies leave in a manifest is defined in ir/policy.
type (
	PolicyRef = policy.Ref       // a policy that the plan was checked against
	Allowance = policy.Allowance // why a receiver may learn an output
	Guard     = policy.Guard     // what an owner's policy asks of every run
)

// A RangeNote is a range that the plan relies on; it is public.
type RangeNote struct {
	Value  string  `pb:"1"`
	Node   string  `pb:"2"`
	Lo     float64 `pb:"3"`
	Hi     float64 `pb:"4"`
	Origin string  `pb:"5"`
	Bits   int     `pb:"6"` // width chosen for it
	Frac   int     `pb:"7"` // fraction bits chosen for it
}

// A Choice is the protocol taken for one comparison of a tensor, and what each candidate was expected to cost.
type Choice struct {
	Value      string      `pb:"1"` // as in the share-level text
	Node       string      `pb:"2"`
	Len        int         `pb:"3"` // elements
	Bits       int         `pb:"4"` // compared
	Taken      string      `pb:"5"` // name of a candidate
	Why        string      `pb:"6"`
	Candidates []Candidate `pb:"7"`
}

// A Candidate is a protocol that could serve, by its cost.
type Candidate struct {
	Name     string `pb:"1"`
	Rounds   int    `pb:"2"` // exchanges besides the opening of the masked value
	Online   int    `pb:"3"` // bytes that each party sends
	Material int    `pb:"4"` // bytes that the dealer sends
	Micros   int    `pb:"5"` // microseconds, bytes of the dealer counted at their weight
}

// A Dump is the IR text at one level.
type Dump struct {
	Level string `pb:"1"`
	Text  string `pb:"2"`
}

// Scope says how long a slot or an item lives.
type Scope int

// The scopes.
const (
	Session Scope = iota // one run
	Model                // from setup until the weights change
)

// Mode says how shares combine.
type Mode int

// The modes.
const (
	Add    Mode = iota // sum mod 2^Bits
	Xor                // bitwise
	Common             // every party has the whole
)

// An Item is one piece of correlated randomness: Len elements of Bits bits, shared among the parties.
// Random items are drawn by each holder from its own stream at Offset. Dealt items are functions of others: all parties
// but the last draw their share from their stream, and the last receives a correction from the dealer. A dealt item of mode
// Common is drawn by nobody: the dealer sends it to all parties.
type Item struct {
	Scope  Scope  `pb:"1"`
	Mode   Mode   `pb:"2"`
	Dealt  bool   `pb:"3"`
	Holder int    `pb:"4"` // 0: all parties; i+1: only party i draws it, the others' shares are zero
	Len    int    `pb:"5"`
	Bits   int    `pb:"6"` // 1..64
	Offset int64  `pb:"7"` // byte offset in the stream of its scope, multiple of 16
	What   string `pb:"8"` // for people: "mask of v7", "product of masks"
}

// Width returns the bytes one element takes in a stream: 1, 2, 4 or 8.
func (it Item) Width() int { return StreamWidth(it.Bits) }

// StreamWidth returns the bytes that one element of the given bits takes in a stream: 1, 2, 4 or 8.
func StreamWidth(bits int) int {
	switch {
	case bits <= 8:
		return 1
	case bits <= 16:
		return 2
	case bits <= 32:
		return 4
	}
	return 8
}

// A Slot is a buffer of Len words at a fixed place in its scope's slab.
type Slot struct {
	Scope  Scope `pb:"1"`
	Len    int   `pb:"2"`
	Offset int   `pb:"3"` // in words
}

// A Program is what one role runs.
type Program struct {
	Role    string  `pb:"1"`
	Slots   []Slot  `pb:"2"`
	Setup   []Round `pb:"3"` // once per model
	Offline []Round `pb:"4"` // once per session, before inputs
	Online  []Round `pb:"5"` // once per session
	Words   int     `pb:"6"` // size of the session slab
	Model   int     `pb:"7"` // size of the model slab
}

// A Round is local work followed by one simultaneous exchange: at most one message to each peer.
type Round struct {
	Steps []Step `pb:"1"`
	Opens []Open `pb:"2"`
}

// An Open is one tensor in the exchange of a round. Every role in From packs Src to exact bit width and sends it to every
// role in To; every role in To combines what it received, and its own Src if it is in From, into Dst.
// Roles are numbered as programs are; n is the dealer.
type Open struct {
	Mode Mode  `pb:"1"`
	Src  int   `pb:"2"` // slot of the own masked share; meaningful if this role is in From
	Dst  int   `pb:"3"` // slot of the result; meaningful if this role is in To
	Len  int   `pb:"4"`
	Bits int   `pb:"5"` // 1..64
	From []int `pb:"6"`
	To   []int `pb:"7"`
	Item int   `pb:"8"` // the item that masks it, plus 1; of corrections and keys, the item that they are
	Node int   `pb:"9"`
	Kind Kind  `pb:"10"`
}

// Kind says what an opening is for.
type Kind int

// The kinds of openings.
const (
	OpenWire   Kind = iota // a masked value, to all parties
	OpenBits               // masked bits, to all parties
	Correction             // dealer to the last party
	Reveal                 // an output, to its receivers
	Keys                   // dealer to all parties: correction words of keys, which each of them has a root of its own for
	Give                   // an output's share, which a party keeps for the guests that receive the output
)

var kindNames = []string{"wire", "bits", "correction", "reveal", "keys", "give"}

// String returns the kind as it is printed.
func (k Kind) String() string {
	if k >= 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// Bytes returns the size of one packed copy.
func (o Open) Bytes() int { return PackedBytes(o.Len, o.Bits) }

// PackedBytes returns the bytes of n elements of the given bits, packed without gaps and rounded up to a byte.
func PackedBytes(n, bits int) int { return (n*bits + 7) / 8 }

// A Step is one local operation on slots: Dst = Op(Src..., Args...). Steps operate on words mod 2^64, element by element
// unless their row says otherwise; bits above a value's width are garbage until masked off.
type Step struct {
	Op   StepOp   `pb:"1"`
	Dst  int      `pb:"2"`
	Src  []int    `pb:"3"`
	Args []int64  `pb:"4"` // as named by the op's row
	Data []uint64 `pb:"5"` // constants or indices
	Node int      `pb:"6"`
}

// NumParties returns the number of computing parties.
func (p *Plan) NumParties() int { return len(p.Manifest.Parties) }

// Roles lists the names of all roles, parties first, then the dealer.
func (p *Plan) Roles() []string {
	return append(append([]string{}, p.Manifest.Parties...), p.Manifest.Dealer)
}

// Phase names a part of a program.
type Phase int

// The phases in order.
const (
	Setup Phase = iota
	Offline
	Online
)

var phaseNames = []string{"setup", "offline", "online"}

// String returns the phase's name.
func (p Phase) String() string { return phaseNames[p] }

// Rounds returns the rounds of a phase.
func (p *Program) Rounds(ph Phase) []Round {
	switch ph {
	case Setup:
		return p.Setup
	case Offline:
		return p.Offline
	}
	return p.Online
}
