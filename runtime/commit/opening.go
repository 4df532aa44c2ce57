package commit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"smpcc/runtime/disk"
)

// The formats of opening files.
const (
	formatWhole = "smpcc weights opening 1"
	formatSome  = "smpcc weights partial opening 1"
)

// maxOpening bounds the size of an opening file.
const maxOpening = 1 << 26

// An Opening shows what a commitment is of: all of it by the seed, which its owner keeps, or single tensors.
type Opening struct {
	Root    Root
	Tensors int // that the commitment is of
	Seed    *Seed
	Some    []Opened // by name; none with a seed
}

// An Opened is the opening of one tensor.
type Opened struct {
	Name   string
	Rank   int // by name, from 0 on
	Salt   [32]byte
	Beside [][32]byte // nodes beside the way to the top, the lowest first
}

// openingFile is how an opening is written: JSON, hashes in hexadecimal. A whole opening has seed, a partial one open.
type openingFile struct {
	Format     string       `json:"format"`
	Commitment string       `json:"commitment"`
	Tensors    int          `json:"tensors"`
	Seed       string       `json:"seed,omitempty"`
	Open       []openedFile `json:"open,omitempty"`
}

type openedFile struct {
	Name   string   `json:"name"`
	Rank   int      `json:"rank"`
	Salt   string   `json:"salt"`
	Beside []string `json:"beside"`
}

// Open makes the opening of some tensors, by name, from the whole one and all tensors.
func (o *Opening) Open(tensors []Tensor, names []string) (*Opening, error) {
	if o.Seed == nil {
		return nil, errors.New("only the opening with the seed, which the owner keeps, can open more")
	}
	list, err := sorted(tensors)
	if err != nil {
		return nil, err
	}
	leaves := o.Seed.leaves(list)
	if root(len(list), top(leaves)) != o.Root {
		return nil, fmt.Errorf("the weights are not those of %s", o.Root)
	}
	out := &Opening{Root: o.Root, Tensors: len(list)}
	for _, n := range names {
		i := slices.IndexFunc(list, func(t Tensor) bool { return t.Name == n })
		if i < 0 {
			return nil, fmt.Errorf("there is no weight %q; the first is %q", clip(n), clip(list[0].Name))
		}
		out.Some = append(out.Some, Opened{Name: n, Rank: i, Salt: o.Seed.salt(n), Beside: path(leaves, i)})
	}
	return out, nil
}

// Check reports whether tensors are those of the commitment, all of them for a whole opening, else those that it opens; it returns how many were checked.
func (o *Opening) Check(tensors []Tensor) (int, error) {
	if o.Seed != nil {
		got, err := Commit(*o.Seed, tensors)
		if err != nil {
			return 0, err
		}
		if got != o.Root {
			return 0, fmt.Errorf("the weights are not those of %s", o.Root)
		}
		return len(tensors), nil
	}
	for _, x := range o.Some {
		i := slices.IndexFunc(tensors, func(t Tensor) bool { return t.Name == x.Name })
		if i < 0 {
			return 0, fmt.Errorf("weight %q, which is opened, is not there", clip(x.Name))
		}
		if err := tensors[i].check(); err != nil {
			return 0, err
		}
		got, rest, err := climb(tensors[i].leaf(x.Salt), x.Rank, o.Tensors, x.Beside)
		if err != nil {
			return 0, err
		}
		if len(rest) > 0 || root(o.Tensors, got) != o.Root {
			return 0, fmt.Errorf("weight %q is not the one of %s", clip(x.Name), o.Root)
		}
	}
	return len(o.Some), nil
}

// Write writes an opening to a file; one with a seed is readable by its user only.
func (o *Opening) Write(path string) error {
	f := openingFile{Format: formatWhole, Commitment: o.Root.String(), Tensors: o.Tensors}
	mode := os.FileMode(0o600)
	if o.Seed != nil {
		f.Seed = hex.EncodeToString(o.Seed[:])
	} else {
		f.Format, mode = formatSome, 0o644
		for _, x := range o.Some {
			e := openedFile{Name: x.Name, Rank: x.Rank, Salt: hex.EncodeToString(x.Salt[:]), Beside: []string{}}
			for _, b := range x.Beside {
				e.Beside = append(e.Beside, hex.EncodeToString(b[:]))
			}
			f.Open = append(f.Open, e)
		}
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return disk.Replace(disk.Machine, path, mode, func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// ReadOpening reads an opening file, whose maker may have been anybody.
func ReadOpening(path string) (*Opening, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxOpening+1))
	if err != nil {
		return nil, err
	}
	o, err := ParseOpening(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

// ParseOpening reads an opening.
func ParseOpening(data []byte) (*Opening, error) {
	if len(data) > maxOpening {
		return nil, fmt.Errorf("more than %d bytes are no opening", maxOpening)
	}
	var f openingFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || d.More() {
		return nil, errors.New("not an opening of weights, as smpcc weights commit and open write it")
	}
	r, err := ParseRoot(f.Commitment)
	if err != nil {
		return nil, err
	}
	if f.Tensors < 1 || f.Tensors > maxTensors {
		return nil, fmt.Errorf("an opening of %d weights", f.Tensors)
	}
	o := &Opening{Root: r, Tensors: f.Tensors}
	switch {
	case f.Format == formatWhole && len(f.Open) == 0:
		s, err := word(f.Seed)
		seed := Seed(s)
		o.Seed = &seed
		return o, err
	case f.Format != formatSome || f.Seed != "" || len(f.Open) == 0 || len(f.Open) > f.Tensors:
		return nil, errors.New("an opening has either a seed or weights that it opens, and says so under format")
	}
	for i, e := range f.Open {
		if i > 0 && slices.ContainsFunc(o.Some, func(x Opened) bool { return x.Name == e.Name || x.Rank == e.Rank }) || e.Rank < 0 || e.Rank >= f.Tensors || e.Name == "" || len(e.Name) > maxName || len(e.Beside) > 32 {
			return nil, fmt.Errorf("weight %q is opened twice, or as number %d of %d", clip(e.Name), e.Rank, f.Tensors)
		}
		x := Opened{Name: e.Name, Rank: e.Rank}
		if x.Salt, err = word(e.Salt); err != nil {
			return nil, err
		}
		for _, b := range e.Beside {
			w, err := word(b)
			if err != nil {
				return nil, err
			}
			x.Beside = append(x.Beside, w)
		}
		o.Some = append(o.Some, x)
	}
	return o, nil
}

// word reads 32 bytes.
func word(s string) (out [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(out) {
		return out, errors.New("a hash, salt or seed has 64 hexadecimal digits")
	}
	copy(out[:], b)
	return out, nil
}
