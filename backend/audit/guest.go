package audit

import (
	"fmt"
	"io"
	"slices"

	"smpcc/backend/plan"
)

// A Guest is an owner or a receiver that computes nothing, with what it gives and receives.
type Guest struct {
	Name     string   `json:"name"`
	Gives    []string `json:"gives"`
	Receives []string `json:"receives"`
	Held     []string `json:"held"` // sentences: who holds what of it
}

// guestsOf lists the guests of a plan.
func guestsOf(m *plan.Manifest) (out []Guest) {
	for _, name := range m.Guests {
		g := Guest{Name: name, Gives: []string{}, Receives: []string{}, Held: []string{}}
		for _, p := range m.Inputs {
			if p.Owner == name {
				g.Gives = append(g.Gives, p.Name)
				g.Held = append(g.Held, fmt.Sprintf("input %q (%s): %s each hold one share; %s learns it", p.Name, typeOf(p), and(m.Parties), none(m.Parties)))
			}
		}
		for _, p := range m.Outputs {
			if slices.Contains(p.To, name) {
				g.Receives = append(g.Receives, p.Name)
				text := fmt.Sprintf("output %q (%s): %s each keep one re-randomised share for %s", p.Name, typeOf(p), and(m.Parties), name)
				if !slices.ContainsFunc(p.To, func(to string) bool { return slices.Contains(m.Parties, to) }) {
					text += fmt.Sprintf("; %s learns it", none(m.Parties))
				}
				g.Held = append(g.Held, text)
			}
		}
		out = append(out, g)
	}
	return out
}

// none says that none of the names does something.
func none(names []string) string {
	if len(names) == 2 {
		return "neither"
	}
	return "none of them"
}

// textGuests writes what the parties hold of guests.
func textGuests(w io.Writer, a *Report) error {
	if len(a.Guests) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nWhat the parties hold of guests, who compute nothing\n")
	for _, g := range a.Guests {
		for _, s := range g.Held {
			fmt.Fprintf(w, "  %s: %s\n", g.Name, s)
		}
	}
	return nil
}
