package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// magic begins every plan file; the byte behind it is the format version.
const magic = "SMPCCPLAN"

// maxFile bounds the size of a plan file.
const maxFile = 1 << 30

// IsPlan reports whether data begins like a plan file.
func IsPlan(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }

// Encode returns the plan's bytes: the magic, the version, and the plan as a protobuf message whose field numbers are the
// pb tags (see plan.proto). Fields are written in order and zero values left out, so that a plan has exactly one encoding.
func (p *Plan) Encode() []byte { return EncodeAs(Version, p) }

// EncodeAs returns the bytes of a plan in a format: the magic, the format's version, and the plan as Encode writes it. v points to a struct
// whose fields have pb tags.
func EncodeAs(version byte, v any) []byte {
	return encodeStruct(append([]byte(magic), version), reflect.ValueOf(v).Elem())
}

// Digest returns the sha-256 of the plan's bytes, hex.
func (p *Plan) Digest() string {
	h := sha256.Sum256(p.Encode())
	return hex.EncodeToString(h[:])
}

// fieldNumber returns the number in a field's pb tag.
func fieldNumber(f reflect.StructField) protowire.Number {
	n, err := strconv.Atoi(f.Tag.Get("pb"))
	if err != nil || n < 1 {
		panic("plan: field " + f.Name + " has no pb tag")
	}
	return protowire.Number(n)
}

func encodeStruct(b []byte, v reflect.Value) []byte {
	for i := range v.NumField() {
		b = encodeField(b, fieldNumber(v.Type().Field(i)), v.Field(i))
	}
	return b
}

func encodeField(b []byte, n protowire.Number, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Slice:
		if v.Len() == 0 {
			return b
		}
		switch v.Type().Elem().Kind() {
		case reflect.String, reflect.Struct:
			for i := range v.Len() {
				b = encodeElement(b, n, v.Index(i))
			}
		default:
			var packed []byte
			for i := range v.Len() {
				packed = protowire.AppendVarint(packed, varint(v.Index(i)))
			}
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), packed)
		}
		return b
	}
	if v.IsZero() {
		return b
	}
	return encodeElement(b, n, v)
}

func encodeElement(b []byte, n protowire.Number, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v.String())
	case reflect.Struct:
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), encodeStruct(nil, v))
	case reflect.Float64:
		return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), math.Float64bits(v.Float()))
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), varint(v))
}

// varint returns the varint that stands for a number: zigzag for signed kinds.
func varint(v reflect.Value) uint64 {
	switch v.Kind() {
	case reflect.Bool:
		return protowire.EncodeBool(v.Bool())
	case reflect.Uint64:
		return v.Uint()
	}
	return protowire.EncodeZigZag(v.Int())
}

// Decode reads a plan and validates it. Only the one encoding of a plan is accepted, so that digest and content agree.
func Decode(data []byte) (*Plan, error) {
	p := &Plan{}
	if err := DecodeAs(Version, data, p); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// DecodeAs reads what EncodeAs wrote in the format of the version, and nothing else: only the one encoding is accepted.
func DecodeAs(version byte, data []byte, v any) error {
	if !IsPlan(data) || len(data) < len(magic)+1 {
		return errors.New("not a plan: plans are made by smpcc compile -o FILE")
	}
	if has := data[len(magic)]; has != version {
		return fmt.Errorf("plan has format version %d, this smpcc reads version %d: compile the plan again", has, version)
	}
	if err := decodeStruct(data[len(magic)+1:], reflect.ValueOf(v).Elem()); err != nil {
		return fmt.Errorf("plan is damaged: %w", err)
	}
	if !bytes.Equal(EncodeAs(version, v), data) {
		return errors.New("plan is damaged: it is not in canonical form")
	}
	return nil
}

func decodeStruct(b []byte, v reflect.Value) error {
	fields := map[protowire.Number]int{}
	for i := range v.NumField() {
		fields[fieldNumber(v.Type().Field(i))] = i
	}
	for len(b) > 0 {
		n, typ, k := protowire.ConsumeTag(b)
		if k < 0 {
			return protowire.ParseError(k)
		}
		b = b[k:]
		i, ok := fields[n]
		if !ok {
			return fmt.Errorf("%s has unknown field %d; a newer smpcc may have made it", v.Type().Name(), n)
		}
		k, err := decodeField(b, typ, v.Field(i))
		if err != nil {
			return fmt.Errorf("%s.%s: %w", v.Type().Name(), v.Type().Field(i).Name, err)
		}
		b = b[k:]
	}
	return nil
}

var errWire = errors.New("wrong wire type")

// decodeField reads one field's value from b and returns the bytes it took. Slices grow by what is really there.
func decodeField(b []byte, typ protowire.Type, v reflect.Value) (int, error) {
	if v.Kind() == reflect.Slice {
		switch v.Type().Elem().Kind() {
		case reflect.String, reflect.Struct:
			e := reflect.New(v.Type().Elem()).Elem()
			k, err := decodeField(b, typ, e)
			if err == nil {
				v.Set(reflect.Append(v, e))
			}
			return k, err
		}
		if typ != protowire.BytesType {
			return 0, errWire
		}
		packed, k := protowire.ConsumeBytes(b)
		if k < 0 {
			return 0, protowire.ParseError(k)
		}
		for len(packed) > 0 {
			x, n := protowire.ConsumeVarint(packed)
			if n < 0 {
				return 0, protowire.ParseError(n)
			}
			e := reflect.New(v.Type().Elem()).Elem()
			if err := setVarint(e, x); err != nil {
				return 0, err
			}
			v.Set(reflect.Append(v, e))
			packed = packed[n:]
		}
		return k, nil
	}
	switch v.Kind() {
	case reflect.String, reflect.Struct:
		if typ != protowire.BytesType {
			return 0, errWire
		}
		data, k := protowire.ConsumeBytes(b)
		if k < 0 {
			return 0, protowire.ParseError(k)
		}
		if v.Kind() == reflect.String {
			v.SetString(string(data))
			return k, nil
		}
		return k, decodeStruct(data, v)
	case reflect.Float64:
		if typ != protowire.Fixed64Type {
			return 0, errWire
		}
		x, k := protowire.ConsumeFixed64(b)
		if k < 0 {
			return 0, protowire.ParseError(k)
		}
		v.SetFloat(math.Float64frombits(x))
		return k, nil
	}
	if typ != protowire.VarintType {
		return 0, errWire
	}
	x, k := protowire.ConsumeVarint(b)
	if k < 0 {
		return 0, protowire.ParseError(k)
	}
	return k, setVarint(v, x)
}

func setVarint(v reflect.Value, x uint64) error {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(x != 0)
	case reflect.Uint64:
		v.SetUint(x)
	default:
		y := protowire.DecodeZigZag(x)
		if v.OverflowInt(y) {
			return fmt.Errorf("number %d is too large", y)
		}
		v.SetInt(y)
	}
	return nil
}

// ReadFile reads and validates a plan file.
func ReadFile(path string) (*Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	p, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// WriteFile writes a plan file; readers see the old file or the whole new one.
func WriteFile(path string, p *Plan) error { return WriteAtomic(path, p.Encode(), 0o644) }

// WriteAtomic writes a file so that nothing half-written is ever seen under its name.
func WriteAtomic(path string, data []byte, mode os.FileMode) error {
	return WriteAtomicTo(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteAtomicTo is WriteAtomic for what is written in parts.
func WriteAtomicTo(path string, mode os.FileMode, write func(w io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
