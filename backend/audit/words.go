package audit

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// A Word is a word of audits with what it means, in one sentence for people who know the law and not the field.
type Word struct{ Name, Meaning string }

// Words are the words that an audit rests on. docs/audit-words.md holds them, and so does every page.
var Words = []Word{
	{"party", "An organisation, by the server that it runs, which takes part in the computation and holds one share of everything that is secret."},
	{"owner", "The party whose input or weights a value derives from, and without whose policy nothing that derives from them is told to anybody."},
	{"receiver", "A party that is told an output, and can keep it and use it from then on."},
	{"dealer", "An organisation that supplies random numbers for the computation and is sent no data, and which must not put what it knows together with a party."},
	{"policy", "An owner's written statement of which outputs may be told to whom, in which form and under which conditions, where everything that it does not allow is refused."},
	{"plan", "The file, the same for all, that says completely what each party computes, whom it sends what, and who is told which output."},
	{"digest", "A number of 64 hexadecimal digits that is computed from a file, such that nobody is known to be able to make another file with the same one: to name it is to name the exact content."},
	{"graph", "The computation as its author wrote it, in which each value names those from which it is computed."},
	{"input", "Data that its owner gives to a run, and which may be other data at each run."},
	{"weights", "The numbers of a model, which their owner tells nobody and which stay the same from run to run until the owner replaces them."},
	{"output", "A result that is told to its receivers, equal to what the graph says of the data up to the error that the audit states."},
	{"reveal", "To tell an output to its receivers; apart from what the audit lists as becoming public, nothing that derives from data is told to anybody in any other way."},
	{"share", "One of several numbers, one at each party, which together make up a value, while all of them but one say nothing about it."},
	{"mask", "A number drawn at random, unknown to whoever is sent the result, that is added to a value so that what is sent says nothing about it."},
	{"opening", "That a masked value becomes known to all parties, none of which learns anything about the value itself."},
	{"run", "One execution of a plan on one set of inputs, also called a session, under a number that is never used again."},
	{"semi-honest", "Of an organisation: it follows its program exactly, even though it may keep and study all that it receives; protection is promised on this condition and on no weaker one."},
	{"collude", "To put together what several organisations have each received; the audit says for which of them nothing more would follow, and for which it would."},
	{"range", "The bounds between which a number lies: proved if they follow from declared bounds for every input, and assumed if nobody vouches for them."},
	{"finding", "A circumstance that the audit points out and does not judge, so that a person has to accept it, have it changed or refuse the plan, with a reason."},
	{"approval", "A statement, signed with a named key, that the plan with a given digest may run, and if it says so only until a day or only with weights that are bound."},
	{"revocation", "A signed statement that takes an approval back, so that it counts no more from the next run on."},
	{"commitment", "A public number by which the owner of weights is bound to them without showing them, and by which it can be proved later which weights they were."},
	{"verified", "Of a plan: that it was checked, from the plan alone and without trust in whoever made it, that every message is masked and that only outputs are told."},
	{"log", "The list, kept by each server, of what it ran, for whom, and what it refused and why, of which no entry can be changed or left out without being noticed by whoever has noted its last hash."},
}

// WriteWords writes the words as Markdown.
func WriteWords(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# The words of an audit\n\n%d words, each in one sentence. [glossary.md](glossary.md) has the words of the program itself.\n", len(Words))
	for _, x := range Words {
		fmt.Fprintf(&b, "\n**%s.** %s\n", strings.ToUpper(x.Name[:1])+x.Name[1:], x.Meaning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wordLinks returns links of a page to its own words.
func wordLinks(names ...string) template.HTML {
	var out []string
	for _, n := range names {
		out = append(out, `<a href="#word-`+template.HTMLEscapeString(n)+`">`+template.HTMLEscapeString(n)+`</a>`)
	}
	return template.HTML(`<p class="words">Words: ` + strings.Join(out, ", ") + `</p>`) // names are of this package
}
