// Package grpcnet is the transport between processes: gRPC with mutual TLS, raw frames through a codec that does not copy,
// one stream for each pair of roles and session, one message for each peer and round.
package grpcnet

import (
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what health and reflection speak
	"google.golang.org/grpc/mem"

	"smpcc/runtime/message"
)

// A frame is what travels: bytes without further encoding.
type frame struct {
	out  []byte          // to send; must not change until the stream has sent it
	part mem.Buffer      // to send behind it, or nil; the stream frees it when it has sent it
	in   mem.BufferSlice // received; free after use
}

// free gives received buffers back.
func (f *frame) free() {
	f.in.Free()
	f.in = nil
}

// bytes returns a copy of what was received and frees it.
func (f *frame) bytes() []byte {
	defer f.free()
	return f.in.Materialize()
}

// codec hands buffers through.
type codec struct{}

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok { // health and reflection
		return encoding.GetCodecV2("proto").Marshal(v)
	}
	if f.part == nil {
		return mem.BufferSlice{mem.SliceBuffer(f.out)}, nil
	}
	return mem.BufferSlice{mem.SliceBuffer(f.out), f.part}, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return encoding.GetCodecV2("proto").Unmarshal(data, v)
	}
	data.Ref()
	f.in = data
	return nil
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "smpcc-raw" }

var _ encoding.CodecV2 = codec{}

// messages gives the memory of messages back when they have been sent.
type messages struct{}

// Get implements mem.BufferPool.
func (messages) Get(n int) *[]byte {
	b := message.New(n)
	return &b
}

// Put implements mem.BufferPool.
func (messages) Put(b *[]byte) { message.Free(*b) }

var _ mem.BufferPool = messages{}
