package ir

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"

	"smpcc/ir/diag"
)

// JSON writes m as a JSON object with the content of Print, one value a line. Numbers that JSON lacks are the
// strings "inf", "-inf" and "nan".
func JSON(w io.Writer, m *Module) error {
	b := bufio.NewWriter(w)
	var failed error
	put := func(before string, x any, after string) {
		var buf bytes.Buffer
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false)
		if err := e.Encode(x); err != nil && failed == nil {
			failed = err
		}
		b.WriteString(before)
		b.Write(bytes.TrimSuffix(buf.Bytes(), []byte("\n")))
		b.WriteString(after)
	}
	put("{\n  \"module\": ", m.Name, ",\n")
	put("  \"parties\": ", filled(m.Parties), ",\n")
	put("  \"dealer\": ", m.Dealer, ",\n")
	if len(m.Guests) > 0 {
		put("  \"guests\": ", m.Guests, ",\n")
	}
	policies := []jsonPolicy{}
	for _, p := range m.Policies {
		policies = append(policies, jsonPolicy{p.Owner, p.File, p.Digest})
	}
	put("  \"policies\": ", policies, ",\n")
	allowed := []jsonAllowance{}
	for _, a := range m.Allowed {
		allowed = append(allowed, jsonAllowance{a.Output, a.Receiver, a.Owner, a.Rule})
	}
	put("  \"allowed\": ", allowed, ",\n")
	b.WriteString("  \"funcs\": [")
	for i, f := range m.Funcs {
		if i > 0 {
			b.WriteByte(',')
		}
		put("\n    {\"name\": ", f.Name, ",")
		put(" \"holds\": ", filled(f.Holds.Names()), ",")
		b.WriteString(" \"values\": [")
		names := Names(f)
		for j, v := range f.Body {
			if j > 0 {
				b.WriteByte(',')
			}
			put("\n      ", jsonOf(v, names[v]), "")
		}
		b.WriteString("\n    ]}")
	}
	b.WriteString("\n  ]\n}\n")
	if failed != nil {
		return failed
	}
	return b.Flush()
}

type jsonPolicy struct {
	Owner  string `json:"owner"`
	File   string `json:"file"`
	Digest string `json:"digest"`
}

type jsonAllowance struct {
	Output   string `json:"output"`
	Receiver string `json:"receiver"`
	Owner    string `json:"owner"`
	Rule     string `json:"rule"`
}

type jsonValue struct {
	ID     int        `json:"id"`
	Name   string     `json:"name"`
	Op     Op         `json:"op"`
	Args   []int      `json:"args"`
	Attrs  jsonAttrs  `json:"attrs"`
	Type   jsonType   `json:"type"`
	Range  *jsonRange `json:"range,omitempty"`
	Pos    *jsonPos   `json:"pos,omitempty"`
	Learns string     `json:"learns,omitempty"`
}

type jsonType struct {
	Visibility string   `json:"visibility"`
	Owners     []string `json:"owners"`
	Elem       string   `json:"elem"`
	Bits       int      `json:"bits,omitempty"`
	Scale      int      `json:"scale,omitempty"`
	Shape      []int    `json:"shape"`
	Form       string   `json:"form,omitempty"`
}

type jsonRange struct {
	Lo     jsonFloat `json:"lo"`
	Hi     jsonFloat `json:"hi"`
	Origin string    `json:"origin"`
}

type jsonPos struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
	Node string `json:"node,omitempty"`

	Within string `json:"within,omitempty"`
}

type jsonTensor struct {
	Elem  string `json:"elem"`
	Shape []int  `json:"shape"`
	Data  any    `json:"data"`
}

// jsonFloat is a float that may be infinite or not a number.
type jsonFloat float64

// MarshalJSON renders the number as Print does.
func (x jsonFloat) MarshalJSON() ([]byte, error) {
	s := number64(float64(x))
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		s = `"` + s + `"`
	}
	return []byte(s), nil
}

// jsonAttrs is an object whose keys keep the order of the attributes.
type jsonAttrs Attrs

// MarshalJSON renders the attributes in order.
func (a jsonAttrs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		k, err := json.Marshal(x.Key)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(x.json())
		if err != nil {
			return nil, err
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// json returns the attribute's value as encoding/json takes it.
func (a Attr) json() any {
	switch a.Kind {
	case AttrInt:
		return a.Int
	case AttrFloat:
		return jsonFloat(a.Float)
	case AttrString:
		return a.Str
	case AttrInts:
		return filled(a.Ints)
	case AttrStrings:
		return filled(a.Strings)
	}
	t := a.Tensor
	if t.Elem != Real {
		return jsonTensor{t.Elem.String(), filled(t.Shape), filled(t.I)}
	}
	data := make([]jsonFloat, len(t.F))
	for i, x := range t.F {
		data[i] = jsonFloat(x)
	}
	return jsonTensor{t.Elem.String(), filled(t.Shape), data}
}

func jsonOf(v *Value, name string) jsonValue {
	t := v.Type
	vis, _, _ := strings.Cut(t.Vis.String(), "(")
	vis, _, _ = strings.Cut(vis, "{")
	j := jsonValue{
		ID: v.ID, Name: name, Op: v.Op, Args: []int{}, Attrs: jsonAttrs(v.Attrs), Learns: learns(v),
		Type: jsonType{Visibility: vis, Owners: filled(t.Vis.Owners()), Elem: t.Elem.String(), Bits: t.Bits, Scale: t.Scale, Shape: filled(t.Shape)},
	}
	for _, a := range v.Args {
		j.Args = append(j.Args, a.ID)
	}
	if t.Form != None {
		j.Type.Form = t.Form.String()
	}
	if r := v.Range; r.Origin != NoRange {
		j.Range = &jsonRange{jsonFloat(r.Lo), jsonFloat(r.Hi), r.Origin.String()}
	}
	if v.Pos != (diag.Pos{}) {
		p := jsonPos(v.Pos)
		j.Pos = &p
	}
	return j
}

// filled returns s, or an empty list instead of nil, which JSON would render as null.
func filled[S ~[]E, E any](s S) []E {
	if s == nil {
		return []E{}
	}
	return slices.Clip(s)
}
